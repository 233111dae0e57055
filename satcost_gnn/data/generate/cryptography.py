"""Inversion of cryptographic primitives reduced in rounds or in unknown bits: MD4, Keccak, Speck, Trivium, filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from satcost_gnn.data.generate.base import Family, Parameter, require, vary
from satcost_gnn.data.generate.circuit import FALSE, TRUE, Circuit, Word, constant, rotate_left
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

# A primitive is written once, over words of wires. On constants the circuit folds to the value, so the target that is
# to be inverted comes from the same code as the clauses.


def known_value(word: Sequence[int]) -> int:
    """Return the number that a word of constants holds."""
    assert all(abs(wire) == TRUE for wire in word)
    return sum(1 << i for i, wire in enumerate(word) if wire == TRUE)


def _split(word: Word, width: int) -> list[Word]:
    return [word[i : i + width] for i in range(0, len(word), width)]


def _invert(draws: Draws, bits: int, unknown: int, primitive: Callable[[Circuit, Word], Word]) -> Formula:
    """Return "an input has the output that a random one has", all but some of its bits given as in that one."""
    secret = draws.integer(bits)
    target = known_value(primitive(Circuit(), constant(secret, bits)))
    circuit = Circuit()
    word = constant(secret, bits)
    for i in sorted(draws.sample(bits, min(unknown, bits)).tolist()):
        word[i] = circuit.new_var()
    circuit.require_equal(primitive(circuit, word), target)
    return circuit.formula()


# MD4 ------------------------------------------------------------------------------------------------------------

_MD4_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_MD4_ORDER = (
    tuple(range(16)),
    (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15),
)
_MD4_TURNS = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))
_MD4_CONSTANT = (0, 0x5A827999, 0x6ED9EBA1)


def md4_compress(circuit: Circuit, message: Sequence[Word], steps: int) -> list[Word]:
    """Return the state after ``steps`` of MD4's 48 steps on one block (RFC 1320), the start value added at the end."""
    start = [constant(value, 32) for value in _MD4_START]
    a, b, c, d = start
    for step in range(steps):
        round_, i = divmod(step, 16)
        if round_ == 0:
            mixed = [circuit.mux(x, y, z) for x, y, z in zip(b, c, d, strict=True)]
        elif round_ == 1:
            mixed = [circuit.majority(x, y, z) for x, y, z in zip(b, c, d, strict=True)]
        else:
            mixed = [circuit.xor3(x, y, z) for x, y, z in zip(b, c, d, strict=True)]
        total = circuit.add_modulo(a, mixed)
        total = circuit.add_modulo(total, message[_MD4_ORDER[round_][i]])
        if round_:
            total = circuit.add_modulo(total, constant(_MD4_CONSTANT[round_], 32))
        a, b, c, d = d, rotate_left(total, _MD4_TURNS[round_][i % 4]), b, c
    return [circuit.add_modulo(x, y) for x, y in zip((a, b, c, d), start, strict=True)]


def _md4(draws: Draws, steps: int, unknown: int) -> Formula:
    def primitive(circuit: Circuit, word: Word) -> Word:
        return [wire for part in md4_compress(circuit, _split(word, 32), steps) for wire in part]

    return _invert(draws, 512, unknown, primitive)


# Keccak ---------------------------------------------------------------------------------------------------------


def _keccak_round_constants(width: int, rounds: int) -> list[int]:
    """Return the round constants, cut to the lane width (FIPS 202, 3.2.5)."""
    register, values = 1, []
    for _ in range(rounds):
        value = 0
        for j in range(7):
            if register & 1 and (1 << j) - 1 < width:
                value |= 1 << ((1 << j) - 1)
            register = register << 1 ^ (0x171 if register >> 7 else 0)
        values.append(value)
    return values


def keccak_permute(circuit: Circuit, state: Word, rounds: int) -> Word:
    """Return ``rounds`` rounds of Keccak-f on 25 lanes (FIPS 202, 3.2); the bits of lane (x, y) are contiguous."""
    width = len(state) // 25
    lanes = _split(state, width)
    for value in _keccak_round_constants(width, rounds):
        column = [[circuit.xor_all([lanes[x + 5 * y][z] for y in range(5)]) for z in range(width)] for x in range(5)]
        for x in range(5):
            turned = rotate_left(column[(x + 1) % 5], 1)
            effect = circuit.bitwise(circuit.xor, column[(x - 1) % 5], turned)
            for y in range(5):
                lanes[x + 5 * y] = circuit.bitwise(circuit.xor, lanes[x + 5 * y], effect)
        moved = list(lanes)
        x, y = 1, 0
        moved[0] = lanes[0]
        for t in range(24):
            # rho turns each lane along this walk, pi moves it to its next place.
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotate_left(lanes[x + 5 * y], (t + 1) * (t + 2) // 2)
            x, y = y, (2 * x + 3 * y) % 5
        for y in range(5):
            row = moved[5 * y : 5 * y + 5]
            for x in range(5):
                blocked = circuit.bitwise(circuit.land, [-w for w in row[(x + 1) % 5]], row[(x + 2) % 5])
                lanes[x + 5 * y] = circuit.bitwise(circuit.xor, row[x], blocked)
        lanes[0] = [-wire if value >> z & 1 else wire for z, wire in enumerate(lanes[0])]
    return [wire for lane in lanes for wire in lane]


def _keccak(draws: Draws, lane: int, rounds: int, output: int, unknown: int) -> Formula:
    # A sponge with one block: the message fills the state but for a capacity of twice the output, which is zero.
    rate = 25 * lane - 2 * output
    require(rate > 0, "keccak-preimage", f"output={output} leaves no rate in a state of {25 * lane} bits; lower it")

    def primitive(circuit: Circuit, word: Word) -> Word:
        return keccak_permute(circuit, [*word, *[FALSE] * (2 * output)], rounds)[:output]

    return _invert(draws, rate, unknown, primitive)


# Speck ----------------------------------------------------------------------------------------------------------


def speck_encrypt(circuit: Circuit, key: Word, plain: tuple[Word, Word], rounds: int) -> Word:
    """Return the ciphertext of Speck with a key of four words (Beaulieu and others, 2013): low word, then high word.

    The rotations are 7 and 2 for words of 16 bits and 8 and 3 for others, as in the standard family; other word
    lengths than 16, 24, 32, 48, 64 are toys of the same structure.
    """
    words = _split(key, len(plain[0]))
    width = len(plain[0])
    right, left = (7, 2) if width == 16 else (8 % width, 3 % width)
    x, y = plain
    k, rest = words[0], words[1:]
    for i in range(rounds):
        x = circuit.bitwise(circuit.xor, circuit.add_modulo(rotate_left(x, -right), y), k)
        y = circuit.bitwise(circuit.xor, rotate_left(y, left), x)
        mixed = circuit.add_modulo(k, rotate_left(rest[0], -right))
        mixed = circuit.bitwise(circuit.xor, mixed, constant(i, width))
        k = circuit.bitwise(circuit.xor, rotate_left(k, left), mixed)
        rest = [*rest[1:], mixed]
    return [*y, *x]


def _speck(draws: Draws, word: int, rounds: int, pairs: int, unknown: int) -> Formula:
    plains = [(draws.integer(word), draws.integer(word)) for _ in range(pairs)]

    def primitive(circuit: Circuit, key: Word) -> Word:
        return [
            wire
            for x, y in plains
            for wire in speck_encrypt(circuit, key, (constant(x, word), constant(y, word)), rounds)
        ]

    return _invert(draws, 4 * word, unknown, primitive)


# Stream ciphers -------------------------------------------------------------------------------------------------

_REGISTERS = {
    # Lengths; then for each register the taps of its feed: (sum taps, and taps, sum tap of the next register).
    "trivium": ((93, 84, 111), ((65, 92, 90, 91, 77), (68, 83, 81, 82, 86), (65, 110, 108, 109, 68))),
    "bivium": ((93, 84), ((65, 92, 90, 91, 77), (68, 83, 81, 82, 68))),
}


def trivium_keystream(circuit: Circuit, state: Word, length: int, cipher: str) -> Word:
    """Return the keystream of Trivium (De Cannière and Preneel, 2006) or Bivium B from an inner state.

    Register ``r``'s output is the sum of two of its bits; that sum, plus the product of two more of its bits and one
    bit of the next register, is fed into the next register.
    """
    lengths, taps = _REGISTERS[cipher]
    registers: list[Word] = []
    for size in lengths:
        start = sum(len(register) for register in registers)
        registers.append(state[start : start + size])
    stream: Word = []
    for _ in range(length):
        sums = [circuit.xor(r[t[0]], r[t[1]]) for r, t in zip(registers, taps, strict=True)]
        stream.append(circuit.xor_all(sums))
        feeds = []
        for i, (register, tap) in enumerate(zip(registers, taps, strict=True)):
            following = registers[(i + 1) % len(registers)]
            product = circuit.land(register[tap[2]], register[tap[3]])
            feeds.append(circuit.xor_all([sums[i], product, following[tap[4]]]))
        # The feed of register i enters register i + 1.
        registers = [[feeds[i - 1], *register[:-1]] for i, register in enumerate(registers)]
    return stream


def _trivium(draws: Draws, cipher: str, output: int, unknown: int) -> Formula:
    bits = sum(_REGISTERS[cipher][0])
    return _invert(draws, bits, unknown, lambda circuit, state: trivium_keystream(circuit, state, output, cipher))


def _filter_generator(draws: Draws, bits: int, output: float, degree: int) -> Formula:
    # A linear register whose output is a nonlinear function of five of its bits; feedback taps at random.
    require(bits >= 6, "filter-generator", f"bits={bits} is too short for a filter of five taps; take at least 6")
    taps = sorted({0, *draws.sample(bits, min(degree, bits)).tolist()})
    inputs = sorted(draws.sample(bits, 5).tolist())

    def primitive(circuit: Circuit, state: Word) -> Word:
        stream = []
        for _ in range(round(output * bits)):
            a, b, c, d, e = (state[i] for i in inputs)
            # A balanced function without linear approximation by one input: mux, majority and product together.
            nonlinear = circuit.xor(circuit.mux(a, b, c), circuit.land(circuit.xor(a, d), e))
            stream.append(circuit.xor(nonlinear, d))
            state = [*state[1:], circuit.xor_all([state[i] for i in taps])]
        return stream

    return _invert(draws, bits, bits, primitive)


FAMILIES = (
    Family(
        "md4-preimage",
        "A preimage of MD4 reduced to some of its 48 steps, all but some of the message bits given.",
        (
            Parameter("steps", 24, "steps of the compression function", 1, 48),
            Parameter("unknown", 30, "unknown message bits (of 512)", 0, 512),
        ),
        "unknown",
        (4, 120),
        _md4,
        lambda _: True,
        variants=vary("steps", 20, 24, 28, 32, 48),
    ),
    Family(
        "keccak-preimage",
        "A preimage of a Keccak sponge with short lanes and few rounds, some of the message bits given.",
        (
            Parameter("lane", 4, "bits of a lane", choices=(1, 2, 4, 8, 16)),
            Parameter("rounds", 2, "rounds", 1, 12),
            Parameter("output", 20, "bits of the digest", 1, 200),
            Parameter("unknown", 20, "unknown message bits", 0, 400),
        ),
        "unknown",
        (4, 60),
        _keccak,
        lambda _: True,
        variants=vary("lane rounds output", (4, 2, 20), (2, 3, 12), (8, 2, 40), (8, 3, 40), (4, 4, 24)),
    ),
    Family(
        "speck-key",
        "Recover part of the key of round-reduced Speck (an add-rotate-xor cipher) from known plaintexts.",
        (
            Parameter("word", 16, "bits of a word", 3, 64),
            Parameter("rounds", 4, "rounds", 1, 34),
            Parameter("pairs", 2, "known plaintexts", 1, 20),
            Parameter("unknown", 24, "unknown key bits (of four words)", 0, 256),
        ),
        "unknown",
        (4, 64),
        _speck,
        lambda _: True,
        variants=vary("word rounds pairs", (16, 4, 2), (16, 5, 2), (8, 6, 3), (16, 8, 2), (24, 4, 1)),
    ),
    Family(
        "trivium-state",
        "Recover part of the inner state of Trivium or Bivium B from its keystream.",
        (
            Parameter("cipher", "bivium", "cipher", choices=("trivium", "bivium")),
            Parameter("output", 180, "bits of keystream", 1, 1000),
            Parameter("unknown", 40, "unknown state bits (of 288 or 177)", 0, 288),
        ),
        "unknown",
        (10, 177),
        _trivium,
        lambda _: True,
        variants=vary("cipher output", ("bivium", 180), ("trivium", 250), ("bivium", 260), ("trivium", 300)),
    ),
    Family(
        "filter-generator",
        "Recover the state of a linear feedback register from the output of a nonlinear filter.",
        (
            Parameter("bits", 20, "bits of the register", 6, 128),
            Parameter("output", 2.0, "bits of keystream per bit of state", 0.1, 20.0),
            Parameter("degree", 5, "feedback taps", 1, 64),
        ),
        "bits",
        (8, 60),
        _filter_generator,
        lambda _: True,
        variants=vary("output degree", (2.0, 5), (3.0, 3), (1.5, 9)),
    ),
)
