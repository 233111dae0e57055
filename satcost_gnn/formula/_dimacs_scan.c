/* The hot step of the DIMACS reader: numbers of text to arrays. compiled_scan.py calls it through ctypes.
 *
 * It reads what nearly all text consists of: signed numbers of up to ten digits, blanks, line ends and comments.
 * Whatever else it meets, right or wrong, it refuses: the reader then parses the same piece of text in Python, which
 * knows what to make of it or what to say. So nothing is reported here, and nothing is kept from call to call.
 *
 * Plain C99. The fast loop takes a little-endian machine and the built-ins of GCC and Clang; without them the slow
 * loop, which is complete, does all of it.
 */

#include <stdint.h>
#include <string.h>

/* Of the interface; to be raised with every change of it, in compiled_scan.py too. */
#define ABI 1

#define MAX_DIGITS 10
#define MAX_VARIABLE INT32_MAX
/* Bytes that the slow loop reads before the fast one is tried again. */
#define AGAIN 16

enum { READ = 0, REFUSED = 1 };
enum { N_LITERALS, N_ENDS, LARGEST, N_LINE_ENDS, IS_OPEN, OPEN_LINE_ENDS };

struct scan {
    const unsigned char *text;
    int64_t size;
    int at_line_start;
    int32_t *literals;
    int64_t literal_room;
    int64_t *ends;
    int64_t end_room;
    int64_t n_before;   /* literals before this text: what the ends are counted from */
    int64_t n_literals; /* written so far, as are ends */
    int64_t n_ends;
    int64_t last_end; /* where the last number ended */
};

static int is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* Whether the word that begins with a c begins a comment: at a line's start any does, elsewhere a lone one. */
static int begins_comment(const struct scan *s, int64_t position)
{
    if (position + 1 == s->size || is_blank(s->text[position + 1]))
        return 1;
    while (position > 0 && s->text[position - 1] != '\n' && is_blank(s->text[position - 1]))
        position--;
    return position > 0 ? s->text[position - 1] == '\n' : s->at_line_start;
}

/* Read word by word; returns the first place between two words at or behind `until`, or -1 if a word is refused. */
static int64_t read_words(struct scan *s, int64_t position, int64_t until)
{
    const unsigned char *text = s->text;
    while (position < until) {
        if (is_blank(text[position])) {
            position++;
            continue;
        }
        if (text[position] == 'c') {
            if (!begins_comment(s, position))
                return -1;
            const unsigned char *end = memchr(text + position, '\n', (size_t)(s->size - position));
            position = end ? end - text : s->size;
            continue;
        }
        int negative = text[position] == '-';
        position += negative;
        int64_t first = position;
        uint64_t value = 0;
        while (position < s->size && text[position] >= '0' && text[position] <= '9') {
            if (position - first == MAX_DIGITS)
                return -1;
            value = 10 * value + (uint64_t)(text[position++] - '0');
        }
        if (position == first || value > MAX_VARIABLE || (negative && !value))
            return -1;
        if (position < s->size && !is_blank(text[position]))
            return -1;
        if (value) {
            if (s->n_literals >= s->literal_room)
                return -1;
            s->literals[s->n_literals++] = negative ? -(int32_t)value : (int32_t)value;
        } else {
            if (s->n_ends >= s->end_room)
                return -1;
            s->ends[s->n_ends++] = s->n_before + s->n_literals;
        }
        s->last_end = position;
    }
    return position;
}

#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t eight_bytes(const unsigned char *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

/* Read numbers of up to seven digits as far as they go; returns a place between two words.
 *
 * `position` is one, too. Control characters count as blanks here: the text may have none but those that are. The digits
 * that are one word become a number by three multiplications (D. Lemire, "Quickly parsing eight digits", 2018). Nothing
 * branches on a number, its sign or its length, which nobody can foretell, and the next number's place is known first.
 */
static int64_t read_numbers(struct scan *s, int64_t position)
{
    const unsigned char *at = s->text + position, *last_end = s->text + s->last_end, *text_end = s->text + s->size;
    int32_t *literals = s->literals;
    int64_t *ends = s->ends;
    int64_t n_literals = s->n_literals, n_ends = s->n_ends, n_before = s->n_before;
    /* Of both arrays one place more is written to than is used. */
    while (text_end - at >= 16 && n_literals < s->literal_room && n_ends < s->end_room) {
        if (*at <= ' ') {
            at++;
            continue;
        }
        uint64_t rest = eight_bytes(at + 1) ^ EACH('0');
        /* The highest bit of each byte that is no digit: of the sum from 10 to 127, of the byte itself if it is more.
         * What a sum carries over reaches only bytes behind one of those. */
        uint64_t others = ((rest + EACH(0x80 - 10)) | rest) & EACH(0x80);
        if (!others)
            break;
        uint64_t bits = (uint64_t)__builtin_ctzll(others) - 7; /* of the digits behind the first byte */
        const unsigned char *end = at + 1 + (bits >> 3);
        uint64_t negative = *at == '-', is_digit = (unsigned)*at - '0' < 10;
        uint64_t word = (eight_bytes(at + negative) ^ EACH('0')) << ((56 - bits + 8 * negative) & 63);
        word = (word * (10 * 0x100 + 1) >> 8) & UINT64_C(0x00ff00ff00ff00ff);
        word = (word * (100 * 0x10000 + 1) >> 16) & UINT64_C(0x0000ffff0000ffff);
        word = word * (10000 * UINT64_C(0x100000000) + 1) >> 32;
        uint64_t is_zero = word == 0;
        if ((*end > ' ') | (negative == is_digit) | (negative > bits) | (negative & is_zero))
            break;
        literals[n_literals] = (int32_t)((word ^ -negative) + negative);
        n_literals += (int64_t)(is_zero ^ 1);
        ends[n_ends] = n_before + n_literals;
        n_ends += (int64_t)is_zero;
        last_end = end;
        at = end + 1;
    }
    s->n_literals = n_literals;
    s->n_ends = n_ends;
    s->last_end = last_end - s->text;
    return at - s->text;
}

#else

static int64_t read_numbers(struct scan *s, int64_t position)
{
    (void)s;
    return position;
}

#endif

/* Count line ends, and find whether there is a control character that is no blank. */
static int64_t line_ends(const unsigned char *text, int64_t size, int *odd)
{
    int64_t count = 0;
    uint8_t strange = 0;
    while (size > 0) {
        /* So few that a byte holds their number: compilers make vectors of it. */
        int part = size < 128 ? (int)size : 128;
        uint8_t here = 0;
        for (int k = 0; k < part; k++) {
            uint8_t byte = text[k];
            here = (uint8_t)(here + (byte == '\n'));
            strange |= (byte < ' ') & (byte != '\n') & (byte != '\t') & (byte != '\r');
        }
        count += here;
        text += part;
        size -= part;
    }
    *odd = strange;
    return count;
}

int satcost_scan_abi(void)
{
    return ABI;
}

/* Read clauses' text[start] to text[end - 1], which begin and end between two words.
 *
 * at_line_start: whether its first byte is its line's first. Literals go to `literals`, and for each closing 0 how many
 * there are so far, n_before others included, to `ends`; beyond what is counted in `found` both are scratch space.
 * found: int64[6], see the enumeration; open is the clause whose last literal comes after OPEN_LINE_ENDS line ends.
 */
int satcost_scan(const unsigned char *text, int64_t start, int64_t end, int at_line_start, int32_t *literals,
                 int64_t literal_room, int64_t *ends, int64_t end_room, int64_t n_before, int64_t *found)
{
    text += start;
    int64_t size = end - start;
    struct scan s = {text, size, at_line_start, literals, literal_room, ends, end_room, n_before, 0, 0, 0};
    int odd;
    int64_t n_line_ends = line_ends(text, size, &odd);
    int64_t position = 0;
    while (position >= 0 && position < size) {
        if (!odd)
            position = read_numbers(&s, position);
        position = read_words(&s, position, size - position < AGAIN ? size : position + AGAIN);
    }
    if (position < 0)
        return REFUSED;
    uint32_t largest = 0;
    for (int64_t k = 0; k < s.n_literals; k++) {
        uint32_t variable = (uint32_t)(literals[k] < 0 ? -literals[k] : literals[k]);
        largest = variable > largest ? variable : largest;
    }
    found[N_LITERALS] = s.n_literals;
    found[N_ENDS] = s.n_ends;
    found[LARGEST] = largest;
    found[N_LINE_ENDS] = n_line_ends;
    /* A closing 0 behind the last literal would have counted all of them. */
    found[IS_OPEN] = s.n_literals && !(s.n_ends && ends[s.n_ends - 1] == n_before + s.n_literals);
    found[OPEN_LINE_ENDS] = n_line_ends - line_ends(text + s.last_end, size - s.last_end, &odd);
    return READ;
}
