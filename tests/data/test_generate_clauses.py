"""Constraints and circuits against plain arithmetic, over all inputs of small sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import product

import pytest
from pysat.solvers import Solver

from satcost_gnn.data.generate import FAMILIES, clauses
from satcost_gnn.data.generate.circuit import (
    FALSE,
    TRUE,
    Circuit,
    constant,
    insertion_pairs,
    odd_even_merge_pairs,
    transposition_pairs,
)
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.data.generate.cryptography import (
    keccak_permute,
    known_value,
    md4_compress,
    speck_encrypt,
    trivium_keystream,
)
from satcost_gnn.errors import ConfigError


def accepted(formula: ClauseBuilder, variables: list[int]) -> set[tuple[bool, ...]]:
    """Return the assignments of these variables that extend to a model."""
    found = set()
    with Solver("minisat22", bootstrap_with=formula.formula().clauses()) as solver:
        for values in product((False, True), repeat=len(variables)):
            assumptions = [v if value else -v for v, value in zip(variables, values, strict=True)]
            if solver.solve(assumptions=assumptions):
                found.add(values)
    return found


def expected(count: int, rule: Callable[[tuple[bool, ...]], bool]) -> set[tuple[bool, ...]]:
    return {values for values in product((False, True), repeat=count) if rule(values)}


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("bound", range(7))
def test_counting_constraints_accept_just_the_right_assignments(count: int, bound: int) -> None:
    most, least, direct = ClauseBuilder(count), ClauseBuilder(count), ClauseBuilder(count)
    variables = list(range(1, count + 1))
    most.at_most(variables, bound)
    direct.at_most_direct(variables, bound)
    assert accepted(most, variables) == expected(count, lambda v: sum(v) <= bound)
    assert accepted(direct, variables) == expected(count, lambda v: sum(v) <= bound)
    if 1 <= bound <= count:
        least.at_least(variables, bound)
        assert accepted(least, variables) == expected(count, lambda v: sum(v) >= bound)


def test_a_formula_that_grows_without_bound_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clauses, "MAX_LITERALS", 100)
    with pytest.raises(ConfigError, match="beyond 100 literals"):
        FAMILIES["pigeonhole"].generate(0, holes=10)


@pytest.mark.parametrize("encoding", ["pairwise", "sequential"])
def test_exactly_one(encoding: str) -> None:
    formula = ClauseBuilder(6)
    formula.exactly_one([1, 2, 3, 4, 5, 6], encoding)
    assert accepted(formula, [1, 2, 3, 4, 5, 6]) == expected(6, lambda v: sum(v) == 1)


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("piece", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_parity(count: int, piece: int, odd: bool) -> None:
    variables = list(range(1, count + 1))
    direct, chain = ClauseBuilder(count), ClauseBuilder(count)
    direct.parity(variables, odd)
    chain.parity_chain(variables, odd, piece)
    want = expected(count, lambda v: sum(v) % 2 == odd)
    assert accepted(direct, variables) == want
    assert accepted(chain, variables) == want


def outputs(build: Callable[[Circuit, list[int]], list[int]], count: int) -> dict[int, int]:
    """Return for each input number what a circuit of variables computes, found by the solver."""
    circuit = Circuit()
    inputs = circuit.new_vars(count)
    word = build(circuit, inputs)
    table = {}
    with Solver("minisat22", bootstrap_with=circuit.formula().clauses()) as solver:
        for number in range(1 << count):
            assert solver.solve(assumptions=[v if number >> i & 1 else -v for i, v in enumerate(inputs)])
            model = set(solver.get_model())
            table[number] = sum(1 << i for i, w in enumerate(word) if w == TRUE or w in model)
            # The outputs follow from the inputs: no second value is possible.
            wires = [w if w in model else -w for w in word if abs(w) != TRUE]
            assert all(
                not solver.solve(assumptions=[*literals, -w]) for w in wires for literals in [_fixed(inputs, number)]
            )
    return table


def _fixed(inputs: list[int], number: int) -> list[int]:
    return [v if number >> i & 1 else -v for i, v in enumerate(inputs)]


BINARY: dict[str, tuple[Callable[[Circuit, list[int], list[int]], list[int]], Callable[[int, int], int]]] = {
    "ripple": (lambda c, a, b: c.ripple_add(a, b), lambda a, b: a + b),
    "ripple with carry": (lambda c, a, b: c.ripple_add(a, b, TRUE), lambda a, b: a + b + 1),
    "prefix": (lambda c, a, b: c.prefix_add(a, b), lambda a, b: a + b),
    # A bit more than a block, so that a carry goes from one to the next.
    "select": (lambda c, a, b: c.select_add([*a, FALSE], [*b, FALSE])[:4], lambda a, b: a + b),
    "modulo": (lambda c, a, b: c.add_modulo(a, b), lambda a, b: (a + b) % 8),
    "negate": (lambda c, a, b: c.add_modulo(a, c.negate(b)), lambda a, b: (a - b) % 8),
    "array": (lambda c, a, b: c.multiply_array(a, b), lambda a, b: a * b),
    "tree": (lambda c, a, b: c.multiply_tree(a, b), lambda a, b: a * b),
}


@pytest.mark.parametrize("name", BINARY)
def test_arithmetic_circuits(name: str) -> None:
    build, meaning = BINARY[name]
    table = outputs(lambda circuit, word: build(circuit, word[:3], word[3:]), 6)
    assert table == {number: meaning(number & 7, number >> 3) for number in range(64)}


@pytest.mark.parametrize("name", BINARY)
def test_circuits_fold_constants_to_the_same_function(name: str) -> None:
    build, meaning = BINARY[name]
    circuit = Circuit()
    for a, b in product(range(8), repeat=2):
        assert known_value(build(circuit, constant(a, 3), constant(b, 3))) == meaning(a, b)
    assert circuit.formula().n_clauses == 0


def test_gates_with_one_constant_input() -> None:
    for a, b, c in product((FALSE, TRUE, None), repeat=3):
        circuit = Circuit()
        fixed = [a, b, c]
        inputs = [circuit.new_var() if value is None else value for value in fixed]
        wires = [circuit.mux(*inputs), circuit.majority(*inputs), circuit.xor3(*inputs), circuit.and_all(inputs)]
        open_ = [wire for wire in inputs if abs(wire) != TRUE]
        with Solver("minisat22", bootstrap_with=circuit.formula().clauses()) as solver:
            for values in product((False, True), repeat=len(open_)):
                assert solver.solve(assumptions=[w if v else -w for w, v in zip(open_, values, strict=True)])
                model = {*solver.get_model(), TRUE}
                # A variable that no clause mentions is missing from the model, but not from the assumptions.
                model |= {w if v else -w for w, v in zip(open_, values, strict=True)}
                x, y, z = (wire in model for wire in inputs)
                got = [wire in model for wire in wires]
                assert got == [y if x else z, x + y + z >= 2, (x + y + z) % 2 == 1, x and y and z]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_population_count(count: int) -> None:
    table = outputs(lambda circuit, word: circuit.count_true(word), count)
    assert table == {number: number.bit_count() for number in range(1 << count)}


@pytest.mark.parametrize("pairs", [odd_even_merge_pairs, transposition_pairs, insertion_pairs])
@pytest.mark.parametrize("count", range(1, 9))
def test_sorting_networks_sort_every_binary_input(pairs: Callable[[int], list[tuple[int, int]]], count: int) -> None:
    # By the 0-1 principle they then sort everything.
    circuit = Circuit()
    for number in range(1 << count):
        line = circuit.sort(constant(number, count), pairs(count))
        assert known_value(line) == (1 << number.bit_count()) - 1


# Primitives against published test vectors ----------------------------------------------------------------------


def test_md4_of_abc() -> None:
    block = b"abc\x80" + bytes(52) + (24).to_bytes(8, "little")
    message = [constant(int.from_bytes(block[i : i + 4], "little"), 32) for i in range(0, 64, 4)]
    digest = b"".join(known_value(word).to_bytes(4, "little") for word in md4_compress(Circuit(), message, 48))
    assert digest.hex() == "a448017aaf21d8525fc10ae87aa6729d"  # RFC 1320, A.5


def test_keccak_is_the_permutation_of_sha3() -> None:
    block = bytearray(200)
    block[:5], block[5], block[135] = b"hello", 6, 0x80
    state = keccak_permute(Circuit(), constant(int.from_bytes(block, "little"), 1600), 24)
    assert known_value(state).to_bytes(200, "little")[:32] == hashlib.sha3_256(b"hello").digest()


@pytest.mark.parametrize(
    ("word", "rounds", "key", "plain", "cipher"),
    [
        (16, 22, 0x1918111009080100, (0x6574, 0x694C), 0xA86842F2),
        (32, 27, 0x1B1A1918131211100B0A090803020100, (0x3B726574, 0x7475432D), 0x8C6FA548454E028B),
    ],
)
def test_speck_vectors(word: int, rounds: int, key: int, plain: tuple[int, int], cipher: int) -> None:
    words = (constant(plain[0], word), constant(plain[1], word))
    assert known_value(speck_encrypt(Circuit(), constant(key, 4 * word), words, rounds)) == cipher


def test_trivium_keystream_of_zero_key_and_initial_value() -> None:
    state = [FALSE] * 285 + [TRUE] * 3
    stream = trivium_keystream(Circuit(), state, 1152 + 64, "trivium")[1152:]
    assert known_value(stream).to_bytes(8, "little").hex() == "fbe0bf265859051b"
