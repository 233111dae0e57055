"""Arithmetic circuits: factoring, subset sums, and equivalence of multipliers, adders, counters and sorters."""

from __future__ import annotations

from collections.abc import Sequence

from satcost_gnn.data.generate.base import Family, Parameter, vary
from satcost_gnn.data.generate.circuit import (
    FALSE,
    Circuit,
    Word,
    insertion_pairs,
    odd_even_merge_pairs,
    transposition_pairs,
)
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def is_prime(number: int) -> bool:
    """Return whether the number is prime: Miller-Rabin, exact below 3.3e24 with these witnesses."""
    if number < 2 or any(number % p == 0 for p in _WITNESSES):
        return number in _WITNESSES
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(
        pow(a, odd, number) == 1 or any(pow(a, odd << k, number) == number - 1 for k in range(twos)) for a in _WITNESSES
    )


def random_prime(draws: Draws, bits: int) -> int:
    """Return a random prime of exactly ``bits`` bits (at least 2)."""
    while True:
        number = draws.integer(bits) | (1 << (bits - 1)) | (1 if bits > 2 else 0)
        if is_prime(number):
            return number


def factoring_clauses(product: int, first_bits: int, second_bits: int, multiplier: str) -> Formula:
    """Return "two numbers of these widths, both above 1, multiply to ``product``".

    The bits of the first factor are variables ``1 .. first_bits`` (least significant first), those of the second the
    next ``second_bits``.
    """
    circuit = Circuit()
    a, b = circuit.new_vars(first_bits), circuit.new_vars(second_bits)
    circuit.add_clause(a[1:])
    circuit.add_clause(b[1:])
    multiply = circuit.multiply_array if multiplier == "array" else circuit.multiply_tree
    circuit.require_equal(multiply(a, b), product)
    return circuit.formula()


def _factoring(draws: Draws, bits: int, kind: str, multiplier: str) -> Formula:
    if kind == "semiprime":
        product = random_prime(draws, bits) * random_prime(draws, bits)
    else:
        product = random_prime(draws, 2 * bits)
    return factoring_clauses(product, bits, bits, multiplier)


def subset_sum_clauses(numbers: Sequence[int], target: int, width: int) -> Formula:
    """Return "some of these numbers of ``width`` bits sum to ``target``"; variable ``i + 1`` takes number ``i``."""
    circuit = Circuit()
    chosen = circuit.new_vars(len(numbers))
    total_width = width + len(numbers).bit_length()
    total: Word = [FALSE] * total_width
    for variable, number in zip(chosen, numbers, strict=True):
        total = circuit.add_modulo(total, [variable if number >> i & 1 else FALSE for i in range(total_width)])
    circuit.require_equal(total, target)
    return circuit.formula()


def _subset_sum(draws: Draws, items: int, width: int, kind: str) -> Formula:
    numbers = [draws.integer(width) for _ in range(items)]
    picked = draws.flags(items).tolist()
    if kind == "planted":
        target = sum(number for number, take in zip(numbers, picked, strict=True) if take)
    else:
        target = sum(numbers) // 2 + draws.one_below(2)
    return subset_sum_clauses(numbers, target, width)


def _multiplier_miter(draws: Draws, bits: int, identity: str, second: str) -> Formula:
    circuit = Circuit()
    a, b = circuit.new_vars(bits), circuit.new_vars(bits)
    other = circuit.multiply_tree if second == "tree" else circuit.multiply_array
    if identity == "same":
        left, right = circuit.multiply_array(a, b), other(a, b)
    elif identity == "commuted":
        left, right = circuit.multiply_array(a, b), other(b, a)
    elif identity == "distributed":
        c = circuit.new_vars(bits)
        left = circuit.multiply_array(a, circuit.ripple_add(b, c))
        right = circuit.ripple_add(other(a, b), other(a, c))[: len(left)]
    else:
        left = circuit.multiply_array(a, a)
        # a^2 from its bits: cross terms once, shifted by one.
        total: Word = [FALSE] * (2 * bits)
        for i in range(bits):
            row = [FALSE] * (2 * bits)
            row[2 * i] = a[i]
            for j in range(i + 1, bits):
                row[i + j + 1] = circuit.land(a[i], a[j])
            total = circuit.add_modulo(total, row)
        right = total
    circuit.require_different(left, right)
    return circuit.formula()


def _adder_miter(draws: Draws, words: int, width: int, first: str, second: str) -> Formula:
    circuit = Circuit()
    operands = [circuit.new_vars(width) for _ in range(words)]
    adders = {"ripple": circuit.ripple_add, "prefix": circuit.prefix_add, "select": circuit.select_add}

    def total(order: list[int], kind: str) -> Word:
        """Add the operands along a random tree, everything as wide as the whole sum."""
        wide = width + (words - 1).bit_length()
        terms = [operands[i] + [FALSE] * (wide - width) for i in order]
        while len(terms) > 1:
            i = draws.one_below(len(terms) - 1)
            terms[i : i + 2] = [adders[kind](terms[i], terms[i + 1])[:wide]]
        return terms[0]

    left = total(draws.permutation(words).tolist(), first)
    circuit.require_different(left, total(draws.permutation(words).tolist(), second))
    return circuit.formula()


def _sorter_miter(draws: Draws, n: int, first: str, second: str) -> Formula:
    networks = {"merge": odd_even_merge_pairs, "transposition": transposition_pairs, "insertion": insertion_pairs}
    circuit = Circuit()
    wires = circuit.new_vars(n)
    left = circuit.sort(wires, networks[first](n))
    right = circuit.sort([wires[i] for i in draws.permutation(n).tolist()], networks[second](n))
    circuit.require_different(left, right)
    return circuit.formula()


def _count_miter(draws: Draws, n: int, second: str) -> Formula:
    circuit = Circuit()
    wires = circuit.new_vars(n)
    left = circuit.count_true(wires)
    order = [wires[i] for i in draws.permutation(n).tolist()]
    if second == "tree":
        right = circuit.count_true(order)
    elif second == "chain":
        right = [FALSE] * len(left)
        for wire in order:
            right = circuit.add_modulo(right, [wire] + [FALSE] * (len(left) - 1))
    else:
        # Sorted, the j-th line says "at least j + 1"; the count's bits are parities of lines that cross multiples.
        line = circuit.sort(order, odd_even_merge_pairs(n))
        right = [circuit.xor_all([line[j] for j in range((1 << bit) - 1, n, 1 << bit)]) for bit in range(len(left))]
    circuit.require_different(left, right)
    return circuit.formula()


def _mixed_identity(draws: Draws, width: int, rewrites: int) -> Formula:
    """Build x + y op … on both sides, one of them rewritten by mixed Boolean-arithmetic identities."""
    circuit = Circuit()
    x, y, z = (circuit.new_vars(width) for _ in range(3))

    def land(a: Word, b: Word) -> Word:
        return circuit.bitwise(circuit.land, a, b)

    def lor(a: Word, b: Word) -> Word:
        return circuit.bitwise(circuit.lor, a, b)

    def xor(a: Word, b: Word) -> Word:
        return circuit.bitwise(circuit.xor, a, b)

    def add(a: Word, b: Word, depth: int) -> Word:
        """Add, rewritten ``depth`` times by a random identity (Zhou and others, WISA 2007)."""
        if depth == 0:
            return circuit.add_modulo(a, b)
        rule = draws.one_below(4)
        if rule == 0:
            return add(xor(a, b), [FALSE, *land(a, b)][:width], depth - 1)
        if rule == 1:
            return add(lor(a, b), land(a, b), depth - 1)
        if rule == 2:
            twice = [FALSE, *lor(a, b)][:width]
            return add(twice, circuit.negate(xor(a, b)), depth - 1)
        # x + y = (x & ~y) + (y & ~x) + 2 (x & y)
        parts = add(land(a, [-w for w in b]), land(b, [-w for w in a]), depth - 1)
        return add(parts, [FALSE, *land(a, b)][:width], depth - 1)

    left = circuit.add_modulo(circuit.add_modulo(x, y), z)
    right = add(add(z, y, rewrites), x, rewrites)
    circuit.require_different(left, right)
    return circuit.formula()


_BITS = Parameter("bits", 12, "bits of each factor", 2, 40)
_MULTIPLIER = Parameter("multiplier", "array", "multiplier circuit", choices=("array", "tree"))


FAMILIES = (
    Family(
        "factoring",
        "Factor the product of two random primes (satisfiable), or try to factor a prime (unsatisfiable), through an "
        "array or Wallace-tree multiplier.",
        (_BITS, Parameter("kind", "semiprime", "the number", choices=("semiprime", "prime")), _MULTIPLIER),
        "bits",
        (5, 26),
        _factoring,
        lambda p: p["kind"] == "semiprime",
        variants=vary(
            "kind multiplier", ("semiprime", "array"), ("semiprime", "tree"), ("prime", "array"), ("prime", "tree")
        ),
    ),
    Family(
        "subset-sum",
        "Choose numbers with a given sum, by ripple-carry additions.",
        (
            Parameter("items", 16, "numbers", 1, 200),
            Parameter("width", 16, "bits of each number", 1, 64),
            Parameter("kind", "planted", "target: the sum of some subset, or half of all", choices=("planted", "half")),
        ),
        "items",
        (6, 60),
        _subset_sum,
        lambda p: True if p["kind"] == "planted" else None,
        variants=vary("width kind", (16, "planted"), (12, "half"), (24, "planted")),
    ),
    Family(
        "multiplier-miter",
        "Two multiplier circuits that differ on some input: never. Same operands, commuted, distributed over a sum, "
        "or a square by cross terms.",
        (
            Parameter("bits", 5, "bits of each operand", 1, 24),
            Parameter(
                "identity",
                "commuted",
                "what the two sides compute",
                choices=("same", "commuted", "distributed", "square"),
            ),
            Parameter("second", "tree", "second multiplier", choices=("array", "tree")),
        ),
        "bits",
        (3, 10),
        _multiplier_miter,
        lambda _: False,
        variants=vary(
            "identity second",
            ("commuted", "array"),
            ("commuted", "tree"),
            ("same", "tree"),
            ("distributed", "array"),
            ("square", "array"),
        ),
    ),
    Family(
        "adder-miter",
        "Two ways to add several numbers (order, tree and adder circuit differ) that give different sums: never.",
        (
            Parameter("words", 4, "numbers to add", 2, 20),
            Parameter("width", 6, "bits of each number", 1, 64),
            Parameter("first", "ripple", "adder of the first side", choices=("ripple", "prefix", "select")),
            Parameter("second", "prefix", "adder of the second side", choices=("ripple", "prefix", "select")),
        ),
        "width",
        (2, 64),
        _adder_miter,
        lambda _: False,
        variants=vary(
            "words first second",
            (3, "ripple", "prefix"),
            (3, "select", "prefix"),
            (4, "ripple", "ripple"),
            (5, "ripple", "select"),
            (6, "ripple", "prefix"),
        ),
    ),
    Family(
        "sorter-miter",
        "Two sorting networks whose outputs differ on some input, the inputs of the second permuted: never.",
        (
            Parameter("n", 8, "lines", 1, 64),
            Parameter("first", "merge", "first network", choices=("merge", "transposition", "insertion")),
            Parameter("second", "transposition", "second network", choices=("merge", "transposition", "insertion")),
        ),
        "n",
        (4, 30),
        _sorter_miter,
        lambda _: False,
        variants=vary(
            "first second",
            ("merge", "transposition"),
            ("merge", "insertion"),
            ("merge", "merge"),
            ("insertion", "transposition"),
        ),
    ),
    Family(
        "count-miter",
        "Two circuits that count the ones of a word (adder trees, a chain of increments, a sorter) and differ: never.",
        (
            Parameter("n", 12, "bits to count", 1, 200),
            Parameter("second", "tree", "second circuit", choices=("tree", "chain", "sorter")),
        ),
        "n",
        (5, 60),
        _count_miter,
        lambda _: False,
        variants=vary("second", "tree", "chain", "sorter"),
    ),
    Family(
        "mixed-boolean-arithmetic",
        "x + y + z against itself rewritten by mixed Boolean-arithmetic identities, as obfuscators do: they differ on "
        "no input.",
        (Parameter("width", 8, "bits", 1, 64), Parameter("rewrites", 2, "rewritings of each addition", 0, 6)),
        "width",
        (3, 64),
        _mixed_identity,
        lambda _: False,
        variants=vary("rewrites", 1, 2, 3, 4),
    ),
)
