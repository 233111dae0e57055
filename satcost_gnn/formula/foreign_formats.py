"""Names of the formats that are taken for DIMACS CNF, so that a reader's message says what it has been given.

Constraints of another kind are refused, never left out: a formula without them is another formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

__all__ = ["foreign_header", "foreign_name", "foreign_word"]

# Endings of names whose texts can look like clauses without a header, but aren't.
_ENDINGS: Final = {
    ".wcnf": "a weighted formula (WCNF, for MaxSAT; give its hard clauses as a CNF)",
    ".drat": "a proof",
    ".drup": "a proof",
    ".lrat": "a proof",
}
_PACKED: Final = (".gz", ".bz2", ".xz", ".lzma", ".zst")

# Second word of a header -> what such a file holds, and what to do with it.
_HEADERS: Final = {
    b"wcnf": "the header of a weighted formula (WCNF, for MaxSAT; give its hard clauses as a CNF)",
    b"cnf+": "the header of a formula with cardinality constraints (CNF+; write them as clauses, as PySAT's CardEnc)",
    b"wcnf+": "the header of a weighted formula with cardinality constraints (WCNF+)",
    b"knf": "the header of a formula with cardinality constraints (KNF; write them as clauses)",
    b"inccnf": "the header of a formula with cubes (iCNF; `satcost cubes` reads it)",
    b"qcnf": "the header of a quantified formula",
    b"sat": "the header of a formula that is not in clauses (DIMACS SAT; clausify it)",
    b"satx": "the header of a formula that is not in clauses (DIMACS SAT; clausify it)",
    b"sate": "the header of a formula that is not in clauses (DIMACS SAT; clausify it)",
    b"satex": "the header of a formula that is not in clauses (DIMACS SAT; clausify it)",
    b"gcnf": "the header of a formula in groups (GCNF; give the clauses of all groups as a CNF)",
    b"pcnf": "the header of a formula to be counted on some variables (projected model counting)",
    b"xnf": "the header of a formula of XORs (XNF; write them as clauses)",
    b"edge": "the header of a graph (DIMACS)",
    b"col": "the header of a graph (DIMACS)",
}
# First words that say by themselves what a line is.
_WORDS: Final = {
    b"p": "a second header, or a header after the first clause",
    b"w": "a weight of a weighted formula, or a weighted constraint",
    b"h": "a hard clause of a weighted formula (WCNF, for MaxSAT; give its hard clauses as a CNF)",
    b"e": "a quantifier (QDIMACS; only formulas without quantifiers can be read)",
    b"a": "a quantifier (QDIMACS), or a cube (iCNF; `satcost cubes` reads it)",
    b"d": "a deletion of a proof (DRAT), or a quantifier (DQDIMACS)",
    b"vp": "a list of variables to be counted on (projected model counting)",
    b"b": "a binarised neural network constraint (CryptoMiniSat's dialect; write it as clauses)",
    b"k": "a cardinality constraint (KNF; write it as clauses)",
    b"<=": "a cardinality constraint (CNF+; write it as clauses, as PySAT's CardEnc does)",
    b">=": "a cardinality or pseudo-Boolean constraint (write it as clauses, as PySAT's CardEnc and PBEnc do)",
    b"=": "a pseudo-Boolean constraint (OPB; write it as clauses, as PySAT's PBEnc does)",
    b"*": "a comment of a pseudo-Boolean problem (OPB; write it as clauses, as PySAT's PBEnc does)",
    b"min:": "the objective of a pseudo-Boolean problem (OPB; write its constraints as clauses)",
    b"max:": "the objective of a pseudo-Boolean problem (OPB; write its constraints as clauses)",
    b"s": "a line of a solver's answer",
    b"v": "a line of a solver's answer",
    b"aag": "the header of an and-inverter graph (AIGER; clausify it, for instance by aigtocnf)",
    b"aig": "the header of an and-inverter graph (AIGER; clausify it, for instance by aigtocnf)",
    b"nnf": "the header of a formula in negation normal form",
    b"version": "what may be a pointer of Git LFS (fetch the file itself)",
    b"%": "SATLIB's end mark, which must start its line",
}


def foreign_header(words: Sequence[bytes]) -> str:
    """Return what a header line is that is not of a CNF; empty if that isn't known."""
    return _HEADERS.get(words[1].lower(), "") if len(words) > 1 and words[0] == b"p" else ""


def foreign_name(name: str) -> str:
    """Return what a file without a header is by its name; empty if it may be a CNF."""
    path = PurePath(name.lower())
    return _ENDINGS.get((path.with_suffix("") if path.suffix in _PACKED else path).suffix, "")


def foreign_word(word: bytes) -> str:
    """Return what a word belongs to that is no part of a CNF; empty if that isn't known."""
    lower = word.lower()
    if (lower[:1] == b"x" and lower[1:].lstrip(b"-").isdigit()) or lower == b"x":
        return "a native XOR constraint (CryptoMiniSat's dialect; write it as clauses)"
    if lower in _WORDS:
        return _WORDS[lower]
    # Coefficients and variables of pseudo-Boolean problems: +2 x1 ~x3.
    if (lower[:1] in b"~" and lower[1:2] == b"x") or (lower[:1] == b"+" and lower[1:].isdigit()):
        return _WORDS[b"="]
    if lower[:1] in b"h" and lower[1:].lstrip(b"-").isdigit():
        return _WORDS[b"h"]
    if lower[:1] == b"{" and lower[1:].rstrip(b"}").isdigit():
        return "a group (GCNF; give the clauses of all groups as a CNF)"
    if lower.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "the start of a web page or XML (the download may have failed)"
    if lower.startswith(b"(") and lower[1:2].isalpha():
        return "the start of an SMT-LIB problem"
    return ""
