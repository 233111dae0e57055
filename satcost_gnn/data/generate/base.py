"""What every generated family is made of: a fixed random stream, parameters, families and their recipes.

Two runs with the same recipe must give the same bytes on any machine and any Python version. So the random stream is
numpy's Philox4x64-10 read as raw 64-bit words (a published counter-based generator, Salmon et al., SC 2011, whose
stream numpy guarantees), every draw is derived from those words here rather than by a library routine that may
change, no order comes from a set or from ``hash()``, and floating point is confined to operations that IEEE 754
rounds exactly (add, multiply, divide, square root).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula

Value: TypeAlias = int | float | str
Ints: TypeAlias = NDArray[np.int64]

SHUFFLE = "shuffle"

# Nobody asks for more on purpose, and it fits into a few gigabytes.
MAX_LITERALS = 200_000_000


class Draws:
    """A random stream of fixed definition: Philox4x64-10 keyed by the seed and by a name.

    Parameters
    ----------
    seed
        Any integer in ``0 .. 2**64 - 1``.
    stream
        Name that keeps the streams of different families apart (its SHA-256 is half of the key).

    Raises
    ------
    ConfigError
        If the seed is out of range.
    """

    def __init__(self, seed: int, stream: str) -> None:
        if not 0 <= seed < 2**64:
            raise ConfigError(f"seed: found {seed}, expected an integer in 0..2^64-1; choose another seed")
        name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
        self._philox = np.random.Philox(key=np.array([seed, name], dtype=np.uint64))

    def words(self, size: int) -> NDArray[np.uint64]:
        """Return the next ``size`` raw 64-bit words of the stream."""
        return np.asarray(self._philox.random_raw(size), dtype=np.uint64)

    def below(self, bound: int, size: int) -> Ints:
        """Return ``int64[size]`` in ``0 .. bound - 1`` (multiply-shift on 32 bits: bias under ``bound / 2**32``)."""
        if not 0 < bound < 2**31:
            raise ValueError(f"bound must be in 1..2^31-1, got {bound}")
        return (((self.words(size) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def one_below(self, bound: int) -> int:
        """Return one integer in ``0 .. bound - 1``."""
        return int(self.below(bound, 1)[0])

    def uniform(self, size: int) -> NDArray[np.float64]:
        """Return ``float64[size]`` in ``[0, 1)``: the upper 53 bits of each word."""
        return np.asarray((self.words(size) >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def flags(self, size: int) -> NDArray[np.bool_]:
        """Return ``size`` fair coin flips."""
        return np.asarray(self.words(size) >> np.uint64(63), dtype=np.bool_)

    def signs(self, size: int) -> Ints:
        """Return ``size`` numbers that are 1 or -1 with equal probability."""
        return 1 - 2 * self.flags(size).astype(np.int64)

    def integer(self, bits: int) -> int:
        """Return an integer of at most ``bits`` bits (of any size)."""
        n_words = (bits + 63) // 64
        value = int.from_bytes(self.words(n_words).astype("<u8").tobytes(), "little")
        return value & ((1 << bits) - 1)

    def permutation(self, n: int) -> Ints:
        """Return a random order of ``0 .. n - 1``."""
        return np.asarray(np.argsort(self.words(n), kind="stable"), dtype=np.int64)

    def sample(self, n: int, k: int) -> Ints:
        """Return ``k`` distinct numbers of ``0 .. n - 1`` in random order."""
        return self.permutation(n)[:k]

    def distinct_rows(self, rows: int, width: int, bound: int) -> Ints:
        """Return ``int64[rows, width]``: each row holds ``width`` distinct numbers below ``bound``."""
        if 2 * width > bound:
            # Drawing again would take too long: the front of a random order of all numbers, row by row.
            order = np.argsort(self.words(rows * bound).reshape(rows, bound), axis=1, kind="stable")
            return np.asarray(order[:, :width], dtype=np.int64)
        return self.distinct(lambda count: self.below(bound, count * width).reshape(count, width), rows)

    def distinct(self, draw: Callable[[int], Ints], rows: int) -> Ints:
        """Return ``rows`` rows made by ``draw(count)``, drawing again each row that repeats a number."""
        table = draw(rows)
        pending = np.arange(rows)
        while len(pending):
            ordered = np.sort(table[pending], axis=1)
            pending = pending[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
            if len(pending):
                table[pending] = draw(len(pending))
        return table

    def weighted(self, cumulative: NDArray[np.float64], size: int) -> Ints:
        """Return ``size`` indices drawn in proportion to the steps of ``cumulative`` (not normalised)."""
        return np.asarray(
            np.searchsorted(cumulative, self.uniform(size) * cumulative[-1], side="right"), dtype=np.int64
        ).clip(max=len(cumulative) - 1)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family.

    Parameters
    ----------
    name
        As written in a recipe.
    default
        Its type is the parameter's type (``int``, ``float`` or ``str``).
    help
        One line for ``--help``.
    low, high
        Inclusive bounds of a number.
    choices
        Allowed values of a string or number, if it is a choice.
    """

    name: str
    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()

    @property
    def type(self) -> type[int] | type[float] | type[str]:
        """Type of the values."""
        return type(self.default)

    def check(self, value: object, family: str) -> Value:
        """Return ``value`` (a string is parsed) as this parameter's type.

        Raises
        ------
        ConfigError
            If the value has the wrong type or is out of bounds.
        """
        try:
            if isinstance(value, bool) or (self.type is int and isinstance(value, float) and value != int(value)):
                raise ValueError
            parsed: Value = self.type(value)  # type: ignore[call-overload, arg-type]
        except (TypeError, ValueError):
            raise ConfigError(
                f"{family}: {self.name}: found {value!r}, expected {self.type.__name__}; {self.help}"
            ) from None
        if self.choices and parsed not in self.choices:
            allowed = ", ".join(map(str, self.choices))
            raise ConfigError(f"{family}: {self.name}: found {parsed!r}, expected one of {allowed}")
        if isinstance(parsed, str):
            return parsed
        too_low = self.low is not None and not parsed >= self.low
        too_high = self.high is not None and not parsed <= self.high
        if too_low or too_high or parsed != parsed:
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            raise ConfigError(f"{family}: {self.name}: found {parsed}, expected a value in {low}..{high}; {self.help}")
        return parsed


SHUFFLE_PARAMETER = Parameter(
    SHUFFLE, 0, "rename variables, flip signs and reorder clauses at random by this number (0: leave as built)", 0
)


@dataclass(frozen=True)
class Family:
    """A family of formulas: what ``satcost generate`` knows by name.

    Parameters
    ----------
    name
        As written on the command line and in recipes.
    description
        One or two sentences.
    parameters
        In the order in which a recipe lists them. Every family takes ``shuffle`` besides.
    size_parameter
        The parameter that drives the cost.
    size_range
        Values of it between which ``--target-cost`` searches.
    build
        Called with a :class:`Draws` and the parameters by name; returns the formula.
    known
        Given the parameters, whether the formula is satisfiable by construction (None: unknown).
    increasing
        Whether the cost grows with the size parameter.
    variants
        Settings of the other parameters that span the family: what a spread of costs cycles through.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    size_parameter: str
    size_range: tuple[float, float]
    build: Callable[..., Formula]
    known: Callable[[Mapping[str, Any]], bool | None] = lambda _: None
    increasing: bool = True
    variants: tuple[Mapping[str, Value], ...] = ({},)

    def parameter(self, name: str) -> Parameter:
        """Return the parameter called ``name``.

        Raises
        ------
        ConfigError
            If there is none.
        """
        for parameter in (*self.parameters, SHUFFLE_PARAMETER):
            if parameter.name == name:
                return parameter
        names = ", ".join(p.name for p in (*self.parameters, SHUFFLE_PARAMETER))
        raise ConfigError(f"{self.name}: unknown parameter {name!r}; expected one of {names}")

    def resolve(self, params: Mapping[str, object]) -> dict[str, Value]:
        """Return all parameters with their defaults filled in, checked.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is out of bounds.
        """
        for name in params:
            self.parameter(name)
        every = (*self.parameters, SHUFFLE_PARAMETER)
        return {p.name: p.check(params.get(p.name, p.default), self.name) for p in every}

    def generate(self, seed: int = 0, **params: Value) -> Formula:
        """Return the formula of this seed and these parameters; its ``source`` is its recipe.

        Raises
        ------
        ConfigError
            If a parameter is unknown, out of bounds, or does not fit the others.
        """
        resolved = self.resolve(params)
        source = recipe(self, seed, resolved)
        shuffle = int(resolved.pop(SHUFFLE))
        formula = self.build(Draws(seed, self.name), **resolved)
        if shuffle:
            formula = shuffled(formula, Draws(shuffle, "shuffle"))
        return replace(formula, source=source)

    def satisfiable(self, **params: Value) -> bool | None:
        """Return whether formulas with these parameters are satisfiable by construction (None: not known)."""
        return self.known(self.resolve(params))


def recipe(family: Family, seed: int, params: Mapping[str, object]) -> str:
    """Return the line from which :func:`satcost_gnn.data.generate.from_recipe` makes the same bytes again.

    Every parameter is written, defaults too, so that a later change of a default leaves old recipes as they are.
    """
    resolved = family.resolve(params)
    if not resolved[SHUFFLE]:
        del resolved[SHUFFLE]
    listed = "".join(
        f"{name}={value!r}," if not isinstance(value, str) else f"{name}={value}," for name, value in resolved.items()
    )
    return f"{family.name}:{listed}seed={seed}"


def shuffled(formula: Formula, draws: Draws) -> Formula:
    """Return an isomorphic copy: variables renamed, signs flipped, clauses and the literals in them reordered."""
    rename = draws.permutation(formula.n_vars) + 1
    flip = draws.signs(formula.n_vars)
    literals = formula.literals.astype(np.int64)
    variables = np.abs(literals) - 1
    renamed = np.sign(literals) * rename[variables] * flip[variables]
    order = draws.permutation(formula.n_clauses)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    clause = np.repeat(place, formula.clause_lengths)
    # Sorted by the clause's new place, then by a random word: a random order inside each clause.
    arranged = np.lexsort((draws.words(len(literals)), clause))
    offsets = np.zeros(formula.n_clauses + 1, dtype=np.int64)
    np.cumsum(formula.clause_lengths[order], out=offsets[1:])
    return Formula.from_arrays(renamed[arranged], offsets, formula.n_vars, formula.source)


def from_rows(rows: NDArray[np.integer], n_vars: int) -> Formula:
    """Return the formula whose clauses are the rows of a matrix of literals."""
    count, width = rows.shape
    return Formula.from_arrays(rows.reshape(-1), np.arange(count + 1, dtype=np.int64) * width, n_vars)


def require(condition: bool, family: str, message: str) -> None:
    """Raise a :class:`ConfigError` that names the family unless ``condition`` holds."""
    if not condition:
        raise ConfigError(f"{family}: {message}")


def index_by_name(families: Sequence[Family]) -> dict[str, Family]:
    """Return the families by name, in order; a name given twice is an error in this package."""
    table = {family.name: family for family in families}
    assert len(table) == len(families), "two families share a name"
    return table
