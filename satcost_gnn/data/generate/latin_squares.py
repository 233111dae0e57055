"""Latin squares with holes, and Sudoku-like puzzles."""

from __future__ import annotations

from satcost_gnn.data.generate.base import Family, Parameter, vary
from satcost_gnn.data.generate.clauses import ClauseBuilder
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.random_stream import Draws

Square = list[list[int]]


def random_latin_square(draws: Draws, order: int, moves: int) -> Square:
    """Return the cyclic Latin square after ``moves`` random cycle switches (Wanless, 2004).

    A switch exchanges the symbols of two rows along one cycle of the permutation that maps the one row to the other.
    """
    value = [[(r + c) % order for c in range(order)] for r in range(order)]
    for first, second, start in draws.below(order, 3 * moves).reshape(moves, 3).tolist():
        if first == second:
            continue
        upper, lower = value[first], value[second]
        where = {symbol: column for column, symbol in enumerate(upper)}
        closing, column = upper[start], start
        while True:
            upper[column], lower[column] = lower[column], upper[column]
            if upper[column] == closing:
                break
            column = where[upper[column]]
    return value


def latin_clauses(given: list[list[int | None]], boxes: tuple[int, int] | None = None) -> Formula:
    """Return the clauses of a Latin square (or Sudoku, with ``boxes`` of rows by columns) with givens.

    Each cell, row, column and box has exactly one place for each symbol (the extended encoding). A variable stands
    for a symbol in an open cell that no given symbol rules out, as in the competition's encodings.
    """
    order = len(given)
    formula = ClauseBuilder()
    # The units (rows, columns, boxes) of each cell, as numbers.
    groups = [[[r, order + c] for c in range(order)] for r in range(order)]
    if boxes is not None:
        height, width = boxes
        for r in range(order):
            for c in range(order):
                groups[r][c].append(2 * order + r // height * height + c // width)
    cells = [(r, c) for r in range(order) for c in range(order)]
    used: list[set[int]] = [set() for _ in range(3 * order)]
    for r, c in cells:
        symbol = given[r][c]
        if symbol is not None:
            for group in groups[r][c]:
                used[group].add(symbol)
    places: list[dict[int, list[int]]] = [
        {s: [] for s in range(order) if s not in used[group]} for group in range(order * (2 if boxes is None else 3))
    ]
    for r, c in cells:
        if given[r][c] is None:
            allowed = [s for s in range(order) if not any(s in used[group] for group in groups[r][c])]
            variables = formula.new_vars(len(allowed))
            formula.exactly_one(variables)
            for s, variable in zip(allowed, variables, strict=True):
                for group in groups[r][c]:
                    places[group][s].append(variable)
    for table in places:
        for variables in table.values():
            formula.exactly_one(variables)
    return formula.formula()


def _balanced_holes(draws: Draws, order: int, count: int) -> list[tuple[int, int]]:
    """Return cells with (nearly) equally many in each row and column: broken diagonals of a shuffled square."""
    rows, columns = draws.permutation(order).tolist(), draws.permutation(order).tolist()
    whole, rest = divmod(count, order)
    shifts = draws.permutation(order).tolist()
    cells = [(rows[i], columns[(i + d) % order]) for d in shifts[:whole] for i in range(order)]
    if rest:
        cells += [(rows[i], columns[(i + shifts[whole]) % order]) for i in draws.sample(order, rest).tolist()]
    return cells


def _with_holes(draws: Draws, square: Square, holes: float, pattern: str) -> list[list[int | None]]:
    order = len(square)
    count = round(holes * order * order)
    given: list[list[int | None]] = [list(row) for row in square]
    if pattern == "balanced":
        cells = _balanced_holes(draws, order, count)
    else:
        cells = [divmod(i, order) for i in draws.sample(order * order, count).tolist()]
    for r, c in cells:
        given[r][c] = None
    return given


def _quasigroup_holes(draws: Draws, order: int, holes: float, pattern: str) -> Formula:
    return latin_clauses(_with_holes(draws, random_latin_square(draws, order, order * order), holes, pattern))


def _quasigroup_completion(draws: Draws, order: int, given: float) -> Formula:
    # Each cell in random order receives a random symbol its row and column still allow; the rest may be impossible.
    table: list[list[int | None]] = [[None] * order for _ in range(order)]
    rows: list[set[int]] = [set() for _ in range(order)]
    columns: list[set[int]] = [set() for _ in range(order)]
    for i in draws.sample(order * order, round(given * order * order)).tolist():
        r, c = divmod(i, order)
        allowed = [s for s in range(order) if s not in rows[r] and s not in columns[c]]
        if allowed:
            symbol = allowed[draws.one_below(len(allowed))]
            table[r][c] = symbol
            rows[r].add(symbol)
            columns[c].add(symbol)
    return latin_clauses(table)


def _sudoku(draws: Draws, height: int, width: int, holes: float) -> Formula:
    order = height * width
    # The pattern board with symbols, rows inside bands, columns inside stacks, bands and stacks shuffled.
    symbol = draws.permutation(order).tolist()
    rows = [b * height + i for b in draws.permutation(width).tolist() for i in draws.permutation(height).tolist()]
    columns = [s * width + i for s in draws.permutation(height).tolist() for i in draws.permutation(width).tolist()]
    square = [[symbol[(r % height * width + r // height + c) % order] for c in columns] for r in rows]
    return latin_clauses(_with_holes(draws, square, holes, "random"), (height, width))


FAMILIES = (
    Family(
        "quasigroup-holes",
        "A random Latin square with holes (Achlioptas, Gomes, Kautz and Selman, AAAI 2000); hardest with about 42 % "
        "of the cells empty.",
        (
            Parameter("order", 20, "rows and columns", 1, 80),
            Parameter("holes", 0.42, "share of empty cells", 0.0, 1.0),
            Parameter("pattern", "balanced", "where the holes are", choices=("random", "balanced")),
        ),
        "order",
        (8, 45),
        _quasigroup_holes,
        lambda _: True,
        variants=vary("holes pattern", (0.42, "balanced"), (0.44, "balanced"), (0.38, "random"), (0.42, "random")),
    ),
    Family(
        "quasigroup-completion",
        "A partial Latin square filled at random, row and column clashes avoided; completing it may be impossible.",
        (
            Parameter("order", 15, "rows and columns", 1, 80),
            Parameter("given", 0.42, "share of the cells that are tried to be filled", 0.0, 1.0),
        ),
        "order",
        (6, 45),
        _quasigroup_completion,
        variants=vary("given", 0.5, 0.54, 0.57),
    ),
    Family(
        "sudoku",
        "Sudoku of any box shape, from a shuffled pattern board with cells cleared.",
        (
            Parameter("height", 4, "rows of a box", 1, 9),
            Parameter("width", 4, "columns of a box", 1, 9),
            Parameter("holes", 0.6, "share of empty cells", 0.0, 1.0),
        ),
        "width",
        (2, 9),
        _sudoku,
        lambda _: True,
        variants=vary("height holes", (5, 0.5), (6, 0.5), (6, 0.46), (5, 0.55), (7, 0.48)),
    ),
)
