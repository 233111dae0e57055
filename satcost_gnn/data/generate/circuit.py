"""Circuits as clauses: Tseitin-encoded gates over words, adders, multipliers and sorters.

Constants are folded where a gate sees one; nothing else is simplified, so that two circuits for one function stay two
circuits (no structural hashing: the miters would lose what makes them instances).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from satcost_gnn.data.generate.clauses import ClauseBuilder

TRUE = 1 << 40
FALSE = -TRUE

Word: TypeAlias = list[int]


def constant(value: int, width: int) -> Word:
    """Return ``width`` constant bits of an integer, least significant first."""
    return [TRUE if value >> i & 1 else FALSE for i in range(width)]


def rotate_left(word: Sequence[int], by: int) -> Word:
    """Return the word rotated towards its most significant bit."""
    by %= len(word)
    return [*word[len(word) - by :], *word[: len(word) - by]]


def shift_left(word: Sequence[int], by: int) -> Word:
    """Return the word shifted towards its most significant bit, zeros coming in."""
    return [*[FALSE] * by, *word][: len(word)]


class Circuit(ClauseBuilder):
    """A clause builder whose literals are wires; words are lists of wires, least significant bit first."""

    def require(self, wire: int, value: bool = True) -> None:
        """The wire carries this value."""
        wire = wire if value else -wire
        if wire == TRUE:
            return
        self.add() if wire == FALSE else self.add(wire)

    def require_clause(self, wires: Iterable[int]) -> None:
        """At least one of the wires (constants allowed) is true."""
        kept = [wire for wire in wires if wire != FALSE]
        if TRUE not in kept:
            self.add_clause(kept)

    def require_equal(self, word: Sequence[int], value: int) -> None:
        """The word is this number."""
        for i, wire in enumerate(word):
            self.require(wire, bool(value >> i & 1))

    def land(self, a: int, b: int) -> int:
        """Return a AND b."""
        if FALSE in (a, b) or a == -b:
            return FALSE
        if a in (TRUE, b):
            return b
        if b == TRUE:
            return a
        z = self.new_var()
        self.add(-z, a)
        self.add(-z, b)
        self.add(z, -a, -b)
        return z

    def lor(self, a: int, b: int) -> int:
        """Return a OR b."""
        return -self.land(-a, -b)

    def xor(self, a: int, b: int) -> int:
        """Return a XOR b."""
        if abs(a) == TRUE:
            return b if a == FALSE else -b
        if abs(b) == TRUE:
            return a if b == FALSE else -a
        if abs(a) == abs(b):
            return FALSE if a == b else TRUE
        z = self.new_var()
        self.add(-z, a, b)
        self.add(-z, -a, -b)
        self.add(z, -a, b)
        self.add(z, a, -b)
        return z

    def xor_all(self, wires: Sequence[int]) -> int:
        """Return the parity of the wires, as a chain of gates."""
        total = FALSE
        for wire in wires:
            total = self.xor(total, wire)
        return total

    def and_all(self, wires: Sequence[int]) -> int:
        """Return the conjunction of the wires as one wide gate."""
        if FALSE in wires:
            return FALSE
        kept = [wire for wire in wires if wire != TRUE]
        if len(kept) <= 1:
            return kept[0] if kept else TRUE
        z = self.new_var()
        for wire in kept:
            self.add(-z, wire)
        self.add_clause([z, *(-wire for wire in kept)])
        return z

    def or_all(self, wires: Sequence[int]) -> int:
        """Return the disjunction of the wires as one wide gate."""
        return -self.and_all([-wire for wire in wires])

    def mux(self, select: int, one: int, zero: int) -> int:
        """Return ``one`` if ``select`` else ``zero``."""
        if abs(select) == TRUE:
            return one if select == TRUE else zero
        if one == zero:
            return one
        if abs(one) == TRUE:
            return self.lor(select, zero) if one == TRUE else self.land(-select, zero)
        if abs(zero) == TRUE:
            return self.lor(-select, one) if zero == TRUE else self.land(select, one)
        z = self.new_var()
        self.add(-select, -one, z)
        self.add(-select, one, -z)
        self.add(select, -zero, z)
        self.add(select, zero, -z)
        return z

    def majority(self, a: int, b: int, c: int) -> int:
        """Return whether at least two of the three are true."""
        for first, second, third in ((a, b, c), (b, c, a), (c, a, b)):
            if abs(first) == TRUE:
                return self.lor(second, third) if first == TRUE else self.land(second, third)
        z = self.new_var()
        for x, y in ((a, b), (b, c), (a, c)):
            self.add(-x, -y, z)
            self.add(x, y, -z)
        return z

    def xor3(self, a: int, b: int, c: int) -> int:
        """Return the parity of three wires as one gate of eight clauses."""
        if TRUE in (abs(a), abs(b), abs(c)):
            return self.xor(self.xor(a, b), c)
        z = self.new_var()
        self.parity([a, b, c, z], False)
        return z

    def full_adder(self, a: int, b: int, c: int) -> tuple[int, int]:
        """Return sum and carry of three bits."""
        return self.xor3(a, b, c), self.majority(a, b, c)

    # Words ------------------------------------------------------------------------------------------------------

    def bitwise(self, gate: Callable[[int, int], int], a: Sequence[int], b: Sequence[int]) -> Word:
        """Apply a two-input gate bit by bit."""
        return [gate(x, y) for x, y in zip(a, b, strict=True)]

    def ripple_add(self, a: Sequence[int], b: Sequence[int], carry: int = FALSE) -> Word:
        """Return ``a + b + carry``, one bit wider than the operands: a chain of full adders."""
        total: Word = []
        for x, y in zip(a, b, strict=True):
            bit, carry = self.full_adder(x, y, carry)
            total.append(bit)
        return [*total, carry]

    def prefix_add(self, a: Sequence[int], b: Sequence[int]) -> Word:
        """Return ``a + b`` by a Kogge-Stone parallel-prefix carry network."""
        propagate = self.bitwise(self.xor, a, b)
        groups = [(FALSE, FALSE), *zip(self.bitwise(self.land, a, b), propagate, strict=True)]
        step = 1
        while step < len(groups):
            groups = [
                pair
                if i < step
                else (
                    self.lor(pair[0], self.land(pair[1], groups[i - step][0])),
                    self.land(pair[1], groups[i - step][1]),
                )
                for i, pair in enumerate(groups)
            ]
            step *= 2
        carries = [generate for generate, _ in groups]
        return [*self.bitwise(self.xor, propagate, carries[:-1]), carries[-1]]

    def select_add(self, a: Sequence[int], b: Sequence[int]) -> Word:
        """Return ``a + b`` by blocks of three bits computed for both carries (a carry-select adder)."""
        total: Word = []
        carry = FALSE
        for i in range(0, len(a), 3):
            zero = self.ripple_add(a[i : i + 3], b[i : i + 3], FALSE)
            one = self.ripple_add(a[i : i + 3], b[i : i + 3], TRUE)
            chosen = [self.mux(carry, x, y) for x, y in zip(one, zero, strict=True)]
            total += chosen[:-1]
            carry = chosen[-1]
        return [*total, carry]

    def add_modulo(self, a: Sequence[int], b: Sequence[int]) -> Word:
        """Return ``a + b`` modulo ``2**width`` by a ripple-carry chain."""
        return self.ripple_add(a, b)[: len(a)]

    def negate(self, a: Sequence[int]) -> Word:
        """Return ``-a`` modulo ``2**width``."""
        return self.ripple_add([-x for x in a], constant(0, len(a)), TRUE)[: len(a)]

    def multiply_array(self, a: Sequence[int], b: Sequence[int]) -> Word:
        """Return the product (as wide as both operands together): rows of an array multiplier."""
        product: Word = []
        row = [self.land(x, b[0]) for x in a] + [FALSE]
        for y in b[1:]:
            product.append(row[0])
            row = self.ripple_add(row[1:], [self.land(x, y) for x in a])
        return [*product, *row]

    def multiply_tree(self, a: Sequence[int], b: Sequence[int]) -> Word:
        """Return the product by a Wallace tree (three-to-two column reduction) and a final ripple adder."""
        width = len(a) + len(b)
        columns: list[Word] = [[] for _ in range(width)]
        for j, y in enumerate(b):
            for i, x in enumerate(a):
                columns[i + j].append(self.land(x, y))
        while any(len(column) > 2 for column in columns):
            reduced: list[Word] = [[] for _ in range(width + 1)]
            for i, column in enumerate(columns):
                whole = len(column) - len(column) % 3
                for j in range(0, whole, 3):
                    bit, carry = self.full_adder(*column[j : j + 3])
                    reduced[i].append(bit)
                    reduced[i + 1].append(carry)
                reduced[i] += column[whole:]
            columns = reduced[:width]
        first = [column[0] if column else FALSE for column in columns]
        second = [column[1] if len(column) > 1 else FALSE for column in columns]
        return self.ripple_add(first, second)[:width]

    def count_true(self, wires: Sequence[int]) -> Word:
        """Return how many wires are true as a binary number: a tree of full adders."""
        columns: list[Word] = [list(wires)]
        result: Word = []
        while columns:
            column = columns.pop(0)
            carries: Word = []
            while len(column) > 1:
                c = column.pop() if len(column) > 2 else FALSE
                bit, carry = self.full_adder(column.pop(), column.pop(), c)
                column.insert(0, bit)
                carries.append(carry)
            result.append(column[0] if column else FALSE)
            carries = [carry for carry in carries if carry != FALSE]
            if carries:
                columns.insert(0, carries)
        return result

    def sort(self, wires: Sequence[int], pairs: Iterable[tuple[int, int]]) -> Word:
        """Return the wires sorted (ones first) by a network of comparators."""
        line = list(wires)
        for i, j in pairs:
            line[i], line[j] = self.lor(line[i], line[j]), self.land(line[i], line[j])
        return line

    def require_different(self, a: Sequence[int], b: Sequence[int]) -> None:
        """Some bit of the two words differs: the miter that is unsatisfiable when they always agree."""
        self.require_clause([self.xor(x, y) for x, y in zip(a, b, strict=True)])


def odd_even_merge_pairs(n: int) -> list[tuple[int, int]]:
    """Return the comparators of Batcher's odd-even merge sort for ``n`` lines (Knuth, TAOCP 3, 5.2.2, Algorithm M)."""
    pairs: list[tuple[int, int]] = []
    top = 1
    while top < n:
        top *= 2
    p = top // 2
    while p > 0:
        q, r, d = top // 2, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return pairs


def transposition_pairs(n: int) -> list[tuple[int, int]]:
    """Return the comparators of the odd-even transposition sort (``n`` rounds of neighbours)."""
    return [(i, i + 1) for round_ in range(n) for i in range(round_ % 2, n - 1, 2)]


def insertion_pairs(n: int) -> list[tuple[int, int]]:
    """Return the comparators of insertion sort."""
    return [(i - 1, i) for j in range(1, n) for i in range(j, 0, -1)]
