"""Seeded generators of SAT instances: families by name, recipes that regenerate the same bytes, cubes, target costs.

>>> from satcost_gnn.data.generate import FAMILIES, from_recipe, recipe
>>> formula = FAMILIES["random-ksat"].generate(seed=7, n=250, ratio=4.26)
>>> formula.source
'random-ksat:k=3,n=250,ratio=4.26,seed=7'
>>> from_recipe(formula.source).to_dimacs() == formula.to_dimacs()
True
"""

from __future__ import annotations

from collections.abc import Callable

from satcost_gnn.data.generate import (
    arithmetic,
    cnfgen,
    combinatorics,
    cryptography,
    cube,
    graph_problems,
    latin_squares,
    model_checking,
    parity,
    proof_complexity,
    random_sat,
    scheduling,
)
from satcost_gnn.data.generate.base import Family, Value, recipe
from satcost_gnn.errors import ConfigError
from satcost_gnn.formula.cnf import Formula

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        *random_sat.FAMILIES,
        *parity.FAMILIES,
        *proof_complexity.FAMILIES,
        *combinatorics.FAMILIES,
        *graph_problems.FAMILIES,
        *latin_squares.FAMILIES,
        *arithmetic.FAMILIES,
        *model_checking.FAMILIES,
        *cryptography.FAMILIES,
        *scheduling.FAMILIES,
    )
}


def get_family(name: str) -> Family:
    """Return the family called ``name``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def parse_recipe(text: str) -> tuple[Family, int, dict[str, Value]]:
    """Return family, seed and parameters of a recipe such as ``random-ksat:k=3,n=250,ratio=4.26,seed=7``.

    Raises
    ------
    ConfigError
        If the text is not a recipe of a family written here.
    """
    name, colon, rest = text.strip().partition(":")
    family = get_family(name)
    params: dict[str, Value] = {}
    for item in rest.split(",") if colon and rest else ():
        key, equals, value = item.partition("=")
        if not equals or key in params:
            raise ConfigError(f"recipe {text!r}: found {item!r}, expected each name=value once, between commas")
        params[key.strip()] = value.strip()
    seed = str(params.pop("seed", "0"))
    if not seed.isdigit():
        raise ConfigError(f"recipe {text!r}: seed: found {seed!r}, expected a number of digits only")
    return family, int(seed), family.resolve(params)


def from_recipe(text: str, parent: Callable[[str], Formula] | None = None) -> Formula:
    """Return the formula of a recipe: the same bytes as when it was first generated.

    Parameters
    ----------
    text
        A recipe of a family written here, of a cube (``cube:…``) or of cnfgen (``cnfgen:…``).
    parent
        For cubes of instances that are not generated: returns the formula whose identity the recipe names. A parent
        that is a recipe itself is regenerated without it.

    Raises
    ------
    ConfigError
        If the text is not a recipe, or its parent cannot be had.
    SolverError
        If the recipe needs ``cnfgen`` and the command is missing or fails.
    """
    if text.startswith("cube:"):
        literals, identity = cube.parse_cube_recipe(text)
        name = identity.partition(":")[0]
        if name in FAMILIES or name in ("cube", "cnfgen"):
            cut = from_recipe(identity, parent)
        elif parent is not None:
            cut = parent(identity)
        else:
            raise ConfigError(
                f"the cube's parent {identity!r} is not a recipe; give the directory of the real instances"
            )
        return cube.with_units(cut, literals, identity)
    if text.startswith("cnfgen:"):
        return cnfgen.from_cnfgen_recipe(text)
    family, seed, params = parse_recipe(text)
    return family.generate(seed, **params)


__all__ = ["FAMILIES", "from_recipe", "get_family", "parse_recipe", "recipe"]
