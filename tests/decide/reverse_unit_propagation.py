"""A checker of DRUP proofs for small formulas, text or CaDiCaL's binary; deletions are passed over."""

import itertools
from collections.abc import Iterable

from satcost_gnn.search.binary_proof import proof_additions


def _additions(proof: bytes) -> Iterable[list[int]]:
    if proof[:1] in (b"a", b"d") and not proof[1:2].isspace():
        decoded = proof_additions(proof)
        assert decoded is not None
        literals, offsets, _ = decoded
        return [literals[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    lines = [line.split() for line in proof.decode().splitlines() if line]
    return [[int(word) for word in line[:-1]] for line in lines if line[0] != "d"]


def _conflicts(clauses: list[list[int]], assumed: Iterable[int]) -> bool:
    """Whether unit propagation under assumptions runs into a conflict."""
    true = set(assumed)
    changed = True
    while changed:
        changed = False
        for clause in clauses:
            if any(literal in true for literal in clause):
                continue
            free = [literal for literal in clause if -literal not in true]
            if not free:
                return True
            if len(free) == 1:
                true.add(free[0])
                changed = True
    return False


def is_refutation(clauses: list[list[int]], proof: bytes) -> bool:
    """Whether every clause that the proof adds follows by unit propagation, and the last of them is the empty one."""
    known = [list(dict.fromkeys(clause)) for clause in clauses]
    for clause in _additions(proof):
        if not _conflicts(known, [-literal for literal in clause]):
            return False
        if not clause:
            return True
        known.append(clause)
    return False
