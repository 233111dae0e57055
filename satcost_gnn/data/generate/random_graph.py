"""Random graphs as edge lists, for the families that are built on one."""

from __future__ import annotations

from itertools import combinations
from typing import TypeAlias

from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.random_stream import Draws

Edge: TypeAlias = tuple[int, int]


def regular_edges(draws: Draws, n: int, degree: int) -> list[Edge]:
    """Return a random ``degree``-regular simple graph on ``n`` vertices (Steger and Wormald, 1999), sorted.

    Half-edges are paired at random, refusing loops and repeated edges; a dead end starts again.

    Raises
    ------
    ConfigError
        If there is no such graph, or none is found in many attempts.
    """
    if n <= degree or n * degree % 2:
        raise ConfigError(f"no {degree}-regular graph has {n} vertices; change n or degree")
    for _ in range(200):
        points = [v for v in range(n) for _ in range(degree)]
        edges: dict[Edge, None] = {}
        while points:
            points = [points[i] for i in draws.permutation(len(points)).tolist()]
            left: list[int] = []
            for a, b in zip(points[::2], points[1::2], strict=True):
                edge = (min(a, b), max(a, b))
                if a == b or edge in edges:
                    left += [a, b]
                else:
                    edges[edge] = None
            if len(left) == len(points) and all(
                a == b or (min(a, b), max(a, b)) in edges for a, b in combinations(left, 2)
            ):
                break
            points = left
        else:
            return sorted(edges)
    raise ConfigError(f"no simple {degree}-regular graph on {n} vertices was found; choose more vertices")


def gnm_edges(draws: Draws, n: int, m: int) -> list[Edge]:
    """Return ``m`` different random edges on ``n`` vertices, sorted.

    Raises
    ------
    ConfigError
        If there are fewer than ``m`` pairs.
    """
    pairs = n * (n - 1) // 2
    if m > pairs:
        raise ConfigError(f"{m} edges asked for, but {n} vertices have only {pairs} pairs; lower the density")
    edges: dict[Edge, None] = {}
    if 3 * m > pairs:
        chosen = draws.sample(pairs, m).tolist()
        every = list(combinations(range(n), 2))
        return sorted(every[i] for i in chosen)
    while len(edges) < m:
        for a, b in draws.distinct_rows(m - len(edges), 2, n).tolist():
            edges[min(a, b), max(a, b)] = None
    return sorted(edges)


def grid_edges(rows: int, columns: int, torus: bool) -> list[Edge]:
    """Return the edges of a grid whose vertices are numbered row by row; ``torus`` wraps both directions."""
    edges: dict[Edge, None] = {}
    for r in range(rows):
        for c in range(columns):
            for down, right in ((0, 1), (1, 0)):
                row, column = r + down, c + right
                if (row == rows or column == columns) and not torus:
                    continue
                a, b = r * columns + c, row % rows * columns + column % columns
                if a != b:
                    edges[min(a, b), max(a, b)] = None
    return sorted(edges)


def neighbours(edges: list[Edge], n: int) -> list[list[int]]:
    """Return the neighbours of each vertex, rising."""
    table: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        table[a].append(b)
        table[b].append(a)
    return [sorted(row) for row in table]
