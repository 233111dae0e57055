"""Scheduling and packing: job shop, open shop, and timetables."""

from __future__ import annotations

from itertools import combinations

from satcost_gnn.data.generate.base import Family, Parameter, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

_FREE = 1 << 40


def shop_clauses(durations: list[list[int]], machines: list[list[int]] | None, makespan: int) -> Formula:
    """Return the order encoding of a shop problem (Tamura and others, Constraints 2009).

    Parameters
    ----------
    durations
        ``durations[j][i]``: time of operation ``i`` of job ``j``.
    machines
        Machine of each operation, whose order in the job is fixed (job shop); None: operation ``i`` needs machine
        ``i`` and a job's operations come in any order (open shop).
    makespan
        Everything ends by then.
    """
    formula = ClauseBuilder()
    operations = [(j, i) for j in range(len(durations)) for i in range(len(durations[j]))]
    # late[op][t - 1]: operation starts at t or later, for t in 1 .. latest start.
    late: dict[tuple[int, int], list[int]] = {}
    for j, i in operations:
        latest = makespan - durations[j][i]
        if latest < 0:
            formula.add()
        late[j, i] = formula.new_vars(max(latest, 0))
        for earlier, later in zip(late[j, i], late[j, i][1:], strict=False):
            formula.add(-later, earlier)

    def starts_from(op: tuple[int, int], t: int) -> int:
        """Literal of "starts at t or later", or a constant."""
        if t <= 0:
            return _FREE
        return late[op][t - 1] if t <= len(late[op]) else -_FREE

    def precedes(first: tuple[int, int], second: tuple[int, int], condition: tuple[int, ...]) -> None:
        """The first operation ends before the second starts, if no literal of the condition is true."""
        duration = durations[first[0]][first[1]]
        for t in range(len(late[first]) + 1):
            clause = [-starts_from(first, t), starts_from(second, t + duration), *condition]
            if _FREE not in clause:
                formula.add_clause(literal for literal in clause if literal != -_FREE)

    def apart(first: tuple[int, int], second: tuple[int, int]) -> None:
        order = formula.new_var()
        precedes(first, second, (-order,))
        precedes(second, first, (order,))

    for j, row in enumerate(durations):
        for i in range(1, len(row)):
            if machines is not None:
                precedes((j, i - 1), (j, i), ())
        if machines is None:
            for i, k in combinations(range(len(row)), 2):
                apart((j, i), (j, k))
    machine_of = {(j, i): (machines[j][i] if machines is not None else i) for j, i in operations}
    for first, second in combinations(operations, 2):
        if first[0] != second[0] and machine_of[first] == machine_of[second]:
            apart(first, second)
    return formula.formula()


def _job_shop(draws: Draws, jobs: int, machines: int, longest: int, slack: float, order: str) -> Formula:
    durations = [(draws.below(longest, machines) + 1).tolist() for _ in range(jobs)]
    if order == "open":
        routes = None
        load = [sum(row[i] for row in durations) for i in range(machines)]
    else:
        routes = [
            (
                draws.permutation(machines) if order == "job" else draws.permutation(machines) * 0 + range(machines)
            ).tolist()
            for _ in range(jobs)
        ]
        load = [
            sum(
                t
                for row, route in zip(durations, routes, strict=True)
                for t, m in zip(row, route, strict=True)
                if m == i
            )
            for i in range(machines)
        ]
    bound = max(*load, *(sum(row) for row in durations), 1)
    return shop_clauses(durations, routes, round(slack * bound))


def timetable_clauses(allowed: list[list[bool]], clashes: list[tuple[int, int]], rooms: int) -> Formula:
    """Return "each event in one slot open to it, clashing events apart, at most ``rooms`` events in a slot"."""
    formula = ClauseBuilder()
    slots = len(allowed[0]) if allowed else 0
    table = formula.new_table(len(allowed), slots)
    for row, permitted in zip(table, allowed, strict=True):
        formula.exactly_one(row)
        for variable, may in zip(row, permitted, strict=True):
            if not may:
                formula.add(-variable)
    for a, b in clashes:
        for x, y in zip(table[a], table[b], strict=True):
            formula.add(-x, -y)
    for slot in range(slots):
        formula.at_most([row[slot] for row in table], rooms)
    return formula.formula()


def _timetable(draws: Draws, events: int, slots: int, rooms: int, density: float, allowed: float) -> Formula:
    permitted = (draws.uniform(events * slots).reshape(events, slots) < allowed).tolist()
    together = (draws.uniform(events * (events - 1) // 2) < density).tolist()
    pairs = combinations(range(events), 2)
    return timetable_clauses(permitted, [pair for pair, clash in zip(pairs, together, strict=True) if clash], rooms)


FAMILIES = (
    Family(
        "shop-scheduling",
        "Job shop, flow shop or open shop with random durations in the order encoding; the makespan is the trivial "
        "lower bound times `slack`.",
        (
            Parameter("jobs", 5, "jobs", 1, 50),
            Parameter("machines", 5, "machines", 1, 50),
            Parameter("longest", 9, "longest duration of an operation", 1, 100),
            Parameter("slack", 1.05, "makespan over the lower bound", 0.1, 10.0),
            Parameter("order", "job", "order of a job's operations", choices=("job", "flow", "open")),
        ),
        "jobs",
        (3, 20),
        _job_shop,
        variants=vary(
            "machines longest slack order",
            (4, 5, 1.05, "job"),
            (5, 4, 1.1, "flow"),
            (6, 5, 1.15, "flow"),
            (5, 6, 1.0, "open"),
            (4, 4, 1.05, "flow"),
            (8, 5, 1.1, "job"),
        ),
    ),
    Family(
        "timetable",
        "Events into slots: random clashes, random availability, at most `rooms` events in a slot.",
        (
            Parameter("events", 40, "events", 1, 2000),
            Parameter("slots", 8, "slots", 1, 100),
            Parameter("rooms", 6, "rooms", 1, 100),
            Parameter("density", 0.2, "share of pairs that clash", 0.0, 1.0),
            Parameter("allowed", 0.7, "share of slots open to an event", 0.0, 1.0),
        ),
        "events",
        (10, 300),
        _timetable,
        variants=vary(
            "slots rooms density allowed", (8, 8, 0.45, 0.6), (10, 8, 0.5, 0.6), (12, 6, 0.55, 0.6), (6, 12, 0.35, 0.7)
        ),
    ),
)
