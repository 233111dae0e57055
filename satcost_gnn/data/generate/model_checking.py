"""Bounded model checking: small sequential machines unrolled, with a bug that first shows at a known depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from satcost_gnn.data.generate.base import Family, Parameter, require, vary
from satcost_gnn.data.generate.circuit import FALSE, TRUE, Circuit, Word, constant, shift_left
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws


def _chosen_constant(circuit: Circuit, inputs: Sequence[int], constants: Sequence[int], width: int) -> Word:
    """Return the one of four constants that two input wires choose."""
    zero, one, two, three = (constant(value, width) for value in constants)
    return [
        circuit.mux(inputs[1], circuit.mux(inputs[0], d, c), circuit.mux(inputs[0], b, a))
        for a, b, c, d in zip(zero, one, two, three, strict=True)
    ]


def _counter(draws: Draws, width: int, depth: int, kind: str) -> Formula:
    # A counter that adds one of four constants a step, seen through a product with an odd number. Buggy: it is to
    # show a value that a random walk of `depth` steps leads to. Safe: a second counter adds the constants' products,
    # so that it always shows the same, and the formula asks for a difference in the middle bit alone.
    circuit = Circuit()
    modulus = 1 << width
    constants = [draws.integer(width) for _ in range(4)]
    moves = draws.below(4, depth).tolist()
    factor = draws.integer(width) | 1
    first, second = constant(0, width), constant(0, width)
    for _ in range(depth):
        inputs = circuit.new_vars(2)
        first = circuit.add_modulo(first, _chosen_constant(circuit, inputs, constants, width))
        if kind == "safe":
            products = [value * factor % modulus for value in constants]
            second = circuit.add_modulo(second, _chosen_constant(circuit, inputs, products, width))
    # Times a constant: shifted copies added up.
    shown: Word = [FALSE] * width
    for i in range(width):
        if factor >> i & 1:
            shown = circuit.add_modulo(shown, shift_left(first, i))
    if kind == "safe":
        shifted = circuit.add_modulo(shown, constant(1 << (width // 2), width))
        for x, y in zip(second, shifted, strict=True):
            circuit.require(circuit.xor(x, y), False)
    else:
        circuit.require_equal(shown, sum(constants[move] for move in moves) * factor % modulus)
    return circuit.formula()


def _queue(draws: Draws, slots: int, width: int, depth: int, bug: int) -> Formula:
    # Two queues driven alike: one shifts its entries, one is a ring buffer with pointers. They must show the same
    # head whenever they are not empty. With bug > 0 the ring forgets to wrap its write pointer once it has wrapped
    # `bug` times: the first wrong head is seen at step (bug + 1) * slots + 2 at the earliest.
    circuit = Circuit()
    shift = [constant(0, width) for _ in range(slots)]
    ring = [constant(0, width) for _ in range(slots)]
    # One-hot pointers and count, so that no width has to be a power of two.
    count = [TRUE] + [FALSE] * slots
    read = [TRUE] + [FALSE] * (slots - 1)
    write = [TRUE] + [FALSE] * (slots - 1)
    wraps = [TRUE] + [FALSE] * bug
    differences: list[int] = []
    for _ in range(depth):
        push, pop = circuit.new_vars(2)
        data = circuit.new_vars(width)
        push = circuit.land(push, -count[slots])
        pop = circuit.land(pop, -count[0])
        head = [circuit.or_all([circuit.land(read[i], ring[i][bit]) for i in range(slots)]) for bit in range(width)]
        wrong = circuit.or_all([circuit.xor(x, y) for x, y in zip(head, shift[0], strict=True)])
        differences.append(circuit.land(-count[0], wrong))
        # Shifting queue: on a pop everything moves one place down; a push goes to place count (or count - 1).
        moved = [
            [circuit.mux(pop, shift[i + 1][bit] if i + 1 < slots else FALSE, shift[i][bit]) for bit in range(width)]
            for i in range(slots)
        ]
        place = [circuit.mux(pop, count[i + 1], count[i]) for i in range(slots)]
        shift = [
            [circuit.mux(circuit.land(push, place[i]), data[bit], moved[i][bit]) for bit in range(width)]
            for i in range(slots)
        ]
        ring = [
            [circuit.mux(circuit.land(push, write[i]), data[bit], ring[i][bit]) for bit in range(width)]
            for i in range(slots)
        ]
        stuck = circuit.land(wraps[bug], write[slots - 1]) if bug else FALSE
        wrapping = circuit.land(push, write[slots - 1])
        advance = circuit.land(push, -stuck)
        write = [circuit.mux(advance, write[i - 1], write[i]) for i in range(slots)]
        read = [circuit.mux(pop, read[i - 1], read[i]) for i in range(slots)]
        up, down = circuit.land(push, -pop), circuit.land(pop, -push)
        count = [
            circuit.mux(
                up,
                count[i - 1] if i else FALSE,
                circuit.mux(down, count[i + 1] if i < slots else FALSE, count[i]),
            )
            for i in range(slots + 1)
        ]
        if bug:
            wraps = [
                circuit.mux(
                    wrapping,
                    circuit.lor(wraps[i - 1], wraps[bug]) if i == bug else (wraps[i - 1] if i else FALSE),
                    wraps[i],
                )
                for i in range(bug + 1)
            ]
    circuit.require_clause(differences)
    return circuit.formula()


def _lock(draws: Draws, width: int, depth: int, rounds: int, early: int) -> Formula:
    # A combination lock: each step xors an input nibble into a state that is then mixed by rotations and additions;
    # the lock opens when the state equals a value that some inputs of `depth` steps reach.
    circuit = Circuit()
    mask = (1 << width) - 1
    inputs_per_step = max(1, width // 4)
    key = [draws.integer(width) | 1 for _ in range(rounds)]
    turns = [1 + draws.one_below(width - 1) for _ in range(rounds)]
    secret = [draws.integer(inputs_per_step) for _ in range(depth)]

    value = 0
    for given in secret:
        value ^= given
        for k, r in zip(key, turns, strict=True):
            value = (value + (value << r & mask) + k) & mask
            value ^= value >> r
    state: Word = constant(0, width)
    for step in range(depth):
        given_wires = circuit.new_vars(inputs_per_step)
        for wire, bit in zip(given_wires, range(inputs_per_step), strict=True):
            if step < early:
                circuit.require(wire, bool(secret[step] >> bit & 1))
        state = [circuit.xor(wire, given_wires[i]) if i < inputs_per_step else wire for i, wire in enumerate(state)]
        for k, r in zip(key, turns, strict=True):
            state = circuit.add_modulo(circuit.add_modulo(state, shift_left(state, r)), constant(k, width))
            state = [circuit.xor(state[i], state[i + r]) if i + r < width else state[i] for i in range(width)]
    circuit.require_equal(state, value)
    return circuit.formula()


def _random_netlist(
    draws: Draws, circuit: Circuit, inputs: Sequence[int], gates: int
) -> tuple[list[tuple[int, int, int, int]], Word]:
    """Return gates (kind, a, b, signs) and the wires; operands are recent with high probability, for depth."""
    wires = list(inputs)
    listing: list[tuple[int, int, int, int]] = []
    for kind, first, second, signs in zip(
        draws.below(3, gates).tolist(),
        draws.uniform(gates).tolist(),
        draws.uniform(gates).tolist(),
        draws.below(4, gates).tolist(),
        strict=True,
    ):
        window = min(len(wires), 3 * len(inputs))
        a = len(wires) - 1 - int(first * window)
        b = len(wires) - 1 - int(second * window)
        if a == b:
            b = (a + 1) % len(wires)
        listing.append((kind, a, b, signs))
        wires.append(_gate(circuit, kind, wires[a] * (1 - 2 * (signs & 1)), wires[b] * (1 - (signs & 2))))
    return listing, wires


def _gate(circuit: Circuit, kind: int, a: int, b: int) -> int:
    table: tuple[Callable[[int, int], int], ...] = (circuit.land, circuit.xor, circuit.lor)
    return table[kind](a, b)


def _netlist_miter(draws: Draws, inputs: int, gates: int, outputs: int, fault: str) -> Formula:
    # A random netlist against a rewritten copy: each gate built from others that compute the same.
    require(outputs <= gates, "netlist-miter", f"outputs={outputs} is more than gates={gates}")
    circuit = Circuit()
    given = circuit.new_vars(inputs)
    listing, wires = _random_netlist(draws, circuit, given, gates)
    changed = draws.one_below(gates) if fault == "yes" else -1
    rules = draws.below(3, gates).tolist()
    copy: Word = list(given)
    for number, ((kind, i, j, signs), rule) in enumerate(zip(listing, rules, strict=True)):
        a, b = copy[i] * (1 - 2 * (signs & 1)), copy[j] * (1 - (signs & 2))
        if number == changed:
            kind = (kind + 1) % 3
        if rule == 0:
            wire = _gate(circuit, kind, b, a)
        elif kind == 1:
            wire = circuit.lor(circuit.land(a, -b), circuit.land(-a, b)) if rule == 1 else circuit.mux(a, -b, b)
        elif kind == 0:
            wire = circuit.mux(a, b, FALSE) if rule == 1 else circuit.xor(a, circuit.land(a, -b))
        else:
            wire = circuit.mux(a, TRUE, b) if rule == 1 else circuit.xor(circuit.xor(a, b), circuit.land(a, b))
        copy.append(wire)
    circuit.require_different(wires[-outputs:], copy[-outputs:])
    return circuit.formula()


FAMILIES = (
    Family(
        "bmc-counter",
        "A counter that adds one of four constants a step: is a bug state reached after `depth` steps? By a hidden "
        "walk, or never, because two counters keep in step.",
        (
            Parameter("width", 16, "bits of the counter", 2, 64),
            Parameter("depth", 10, "steps", 1, 500),
            Parameter("kind", "buggy", "whether the bug can be reached", choices=("buggy", "safe")),
        ),
        "depth",
        (2, 60),
        _counter,
        lambda p: p["kind"] == "buggy",
        variants=vary("width kind", (16, "buggy"), (24, "buggy"), (12, "safe"), (32, "buggy"), (8, "safe")),
    ),
    Family(
        "bmc-queue",
        "A shifting queue against a ring buffer over `depth` steps: equal without a bug; with bug=b the ring's write "
        "pointer sticks at the end after b wraps, which shows once depth is large enough.",
        (
            Parameter("slots", 3, "entries of the queue", 2, 32),
            Parameter("width", 2, "bits of an entry", 1, 32),
            Parameter("depth", 10, "steps", 1, 300),
            Parameter("bug", 0, "wraps before the pointer sticks; 0: no bug", 0, 50),
        ),
        "depth",
        (3, 80),
        _queue,
        # The sticking write, a ring full of pushes later, has to be read again: one pop and one look more.
        lambda p: p["bug"] > 0 and p["depth"] >= (p["bug"] + 1) * p["slots"] + 2,
        variants=vary("slots width bug", (3, 2, 0), (4, 3, 0), (4, 2, 2), (6, 1, 1), (8, 4, 0)),
    ),
    Family(
        "bmc-lock",
        "A combination lock: inputs mixed into a state, step by step, until it opens; the first `early` are given.",
        (
            Parameter("width", 16, "bits of the state", 4, 64),
            Parameter("depth", 5, "steps", 1, 200),
            Parameter("rounds", 1, "mixing rounds a step", 1, 8),
            Parameter("early", 0, "steps whose inputs are given", 0, 200),
        ),
        "depth",
        (1, 40),
        _lock,
        lambda _: True,
        variants=vary("width rounds", (16, 1), (20, 2), (24, 1), (32, 2)),
    ),
    Family(
        "netlist-miter",
        "A random netlist against a copy whose gates are rewritten one by one: equal, or with one gate replaced.",
        (
            Parameter("inputs", 16, "inputs", 2, 500),
            Parameter("gates", 200, "gates", 1, 50_000),
            Parameter("outputs", 4, "outputs compared", 1, 500),
            Parameter("fault", "no", "replace one gate of the copy", choices=("no", "yes")),
        ),
        "gates",
        (30, 20_000),
        _netlist_miter,
        lambda p: False if p["fault"] == "no" else None,
        variants=vary("inputs outputs fault", (16, 4, "no"), (30, 8, "no"), (24, 2, "yes"), (60, 4, "no")),
    ),
)
