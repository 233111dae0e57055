"""Keys of a formula that do not depend on its file: layout, comments, compression, or names of its variables.

The hashes are those of the Global Benchmark Database (M. Iser, C. Sinz, "A problem meta-data library for research in
SAT", 2018; package ``gbdc``), computed here from the arrays. So they exist for whatever this package can read (formulas
in memory, SATLIB's endings, comments within clauses), and cost no second pass over the file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from satcost_gnn.formula.clause_text import clause_text, render_integers
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs

__all__ = ["Identity", "gbdhash", "identity", "isohash"]


@dataclass(frozen=True)
class Identity:
    """Keys of one formula.

    Parameters
    ----------
    gbdhash
        32 hexadecimal digits, the same for the same sequence of clauses and literals.
    isohash
        32 hexadecimal digits, the same under renaming and flipping of variables and reordering of clauses and
        literals. Formulas with the same degrees share it too: equality is necessary for isomorphism, not sufficient.
    """

    gbdhash: str
    isohash: str


def identity(formula: Formula) -> Identity:
    """Return the keys of a formula."""
    return Identity(gbdhash(formula), isohash(formula))


def gbdhash(formula: Formula | str | os.PathLike[str]) -> str:
    """Return the MD5 of the clauses' text: numbers separated by one blank, zeros included, no header.

    Raises
    ------
    FormulaError
        If a file is given that cannot be read.
    """
    formula = formula if isinstance(formula, Formula) else read_dimacs(formula)
    digest = hashlib.md5(usedforsecurity=False)
    held = b""
    for text in clause_text(formula, newline=False):
        digest.update(held)
        held = text
    digest.update(held[:-1])
    return digest.hexdigest()


def isohash(formula: Formula) -> str:
    """Return the MD5 of the sorted pairs (rarer, commoner) of each variable's occurrences by sign."""
    variables, size = formula.dense_variables()
    positive = formula.literals > 0
    by_sign = [np.bincount(variables[chosen], minlength=size) for chosen in (positive, ~positive)]
    pairs = np.sort(np.stack(by_sign, axis=1), axis=1)
    pairs = pairs[pairs[:, 1] > 0]
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return hashlib.md5(render_integers(pairs.ravel()), usedforsecurity=False).hexdigest()
