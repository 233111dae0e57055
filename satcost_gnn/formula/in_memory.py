"""Formulas that callers have in memory: clauses, and the objects of PySAT, constraints of other kinds included.

A formula of PySAT is read as PySAT's own solvers take it. Its cardinality constraints are encoded as clauses, with
variables behind those that it has (:attr:`Formula.n_auxiliary`), which models leave out. What has no reading as one
question of satisfiability, such as weights, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.cnf import MAX_VARIABLE, Formula

__all__ = ["from_memory"]


def from_memory(found: object, source: str = "") -> Formula:
    """Return the formula that an object stands for.

    Parameters
    ----------
    found
        A :class:`Formula`, an object of ``pysat.formula`` (CNF, CNFPlus, And, Or, Atom ...) or an iterable of clauses.
    source
        Name for messages; by default what kind of object it is.

    Raises
    ------
    FormulaError
        If it is none of them, is malformed, or has weights.
    """
    if isinstance(found, Formula):
        return found
    module, kind = type(found).__module__, type(found).__name__
    if module.startswith("pysat."):
        return _from_pysat(found, kind, source or f"<pysat {kind}>")
    # A class of the caller's own may be derived from PySAT's.
    if any(base.__module__ == "pysat.formula" for base in type(found).__mro__):
        return _from_pysat(found, kind, source or f"<{kind}>")
    if isinstance(found, str | bytes | dict) or not isinstance(found, Iterable):
        raise FormulaError(
            f"found {kind}; expected a formula of PySAT, clauses as lists of signed variable numbers, or the path of "
            "a file",
            source or "<memory>",
        )
    if hasattr(found, "read"):
        raise FormulaError(
            "found a stream; expected a formula: read_dimacs(stream) reads one that is open in binary mode",
            source or str(getattr(found, "name", "<stream>")),
        )
    return Formula.from_clauses(found, source=source or "<clauses>")


def _from_pysat(found: Any, kind: str, source: str) -> Formula:
    from pysat.formula import CNF, WCNF, CNFPlus
    from pysat.formula import Formula as PysatFormula

    if isinstance(found, WCNF):
        raise FormulaError(
            f"found a {kind} with {len(found.hard)} hard and {len(found.soft)} soft clauses, which is a question of "
            "MaxSAT; expected a formula without weights: give CNF(from_clauses=formula.hard) for its hard clauses",
            source,
        )
    if isinstance(found, CNFPlus):
        return _with_cardinalities(found, source)
    if isinstance(found, CNF):
        return Formula.from_clauses(found.clauses, int(found.nv), source)
    if not isinstance(found, PysatFormula):
        raise FormulaError(
            f"found an object of PySAT's class {kind}; expected one of its formulas (CNF, CNFPlus, And, Or, Atom ...)",
            source,
        )
    try:
        # As in PySAT's solvers: iterating clausifies, and simplifies constants.
        clauses = list(found)
    except Exception as error:
        raise FormulaError(f"PySAT cannot clausify this {kind}: {error or type(error).__name__}", source) from error
    return Formula.from_clauses(clauses, source=source)


def _with_cardinalities(found: Any, source: str) -> Formula:
    from pysat.card import CardEnc, EncType

    plain = Formula.from_clauses(found.clauses, int(found.nv), source)
    added: list[list[int]] = []
    constraints = [_constraint(one, number, source) for number, one in enumerate(found.atmosts, start=1)]
    # PySAT's own count of variables may lag behind: its lists can be changed by hand.
    n_vars = max([plain.n_vars, *(abs(literal) for literals, _ in constraints for literal in literals)])
    top = n_vars
    for literals, bound in constraints:
        if bound < 0:
            added.append([])
        elif bound < len(literals):
            encoded = CardEnc.atmost(literals, bound, top_id=top, encoding=EncType.seqcounter)
            added.extend(encoded.clauses)
            top = max(top, int(encoded.nv))
    made = Formula.from_clauses([*found.clauses, *added], top, source)
    return made.with_auxiliary(made.n_vars - n_vars)


def _constraint(one: Any, number: int, source: str) -> tuple[list[int], int]:
    what = f"at-most constraint {number}"
    try:
        literals, bound, *weights = one
        literals, bound = [int(literal) for literal in literals], int(bound)
    except (TypeError, ValueError) as error:
        raise FormulaError(f"{what}: found {one!r}; expected [[literals], bound]", source) from error
    if weights and any(weight != 1 for weight in weights[0]):
        raise FormulaError(
            f"{what}: found weights {list(weights[0])[:8]}; expected none: write a pseudo-Boolean constraint as "
            "clauses, as PySAT's PBEnc does",
            source,
        )
    wrong = next((literal for literal in literals if literal == 0 or abs(literal) > MAX_VARIABLE), None)
    if wrong is not None:
        raise FormulaError(f"{what}: found literal {wrong}; expected signed variable numbers", source)
    return literals, bound
