"""What every generated family is made of: parameters, families and their recipes.

Two runs with the same recipe must give the same bytes on any machine and any Python version. So all random numbers come
from :class:`~satcost_gnn.runtime.random_stream.Draws`, no order comes from a set or from ``hash()``, and floating point
is confined to operations that IEEE 754 rounds exactly (add, multiply, divide, square root).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.shuffle import shuffled
from satcost_gnn.runtime.random_stream import Draws

Value: TypeAlias = int | float | str

SHUFFLE = "shuffle"

# Nobody asks for more on purpose, and it fits into a few gigabytes.
MAX_LITERALS = 200_000_000


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
        The parameter that drives the cost, which grows with it.
    size_range
        Values of it between which ``--target-cost`` searches.
    build
        Called with a :class:`Draws` and the parameters by name; returns the formula.
    known
        Given the parameters, whether the formula is satisfiable by construction (None: unknown).
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
        try:
            formula = self.build(Draws(seed, self.name), **resolved)
        except ConfigError as error:
            # What families have in common does not know which one it is.
            named = str(error).startswith(f"{self.name}:")
            raise ConfigError(str(error) if named else f"{self.name}: {error}") from None
        if shuffle:
            formula = shuffled(formula, Draws(shuffle, "shuffle"))
        return replace(formula, source=source)

    def satisfiable(self, **params: Value) -> bool | None:
        """Return whether formulas with these parameters are satisfiable by construction (None: not known)."""
        return self.known(self.resolve(params))


def vary(names: str, *rows: Value | tuple[Value, ...]) -> tuple[Mapping[str, Value], ...]:
    """Return variants of a family: settings of the parameters of these names (between blanks), a row of values each."""
    listed = (row if isinstance(row, tuple) else (row,) for row in rows)
    return tuple(dict(zip(names.split(), row, strict=True)) for row in listed)


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


def from_rows(rows: NDArray[np.integer], n_vars: int) -> Formula:
    """Return the formula whose clauses are the rows of a matrix of literals."""
    count, width = rows.shape
    return Formula.from_arrays(rows.reshape(-1), np.arange(count + 1, dtype=np.int64) * width, n_vars)


def require(condition: bool, family: str, message: str) -> None:
    """Raise a :class:`ConfigError` that names the family unless ``condition`` holds."""
    if not condition:
        raise ConfigError(f"{family}: {message}")
