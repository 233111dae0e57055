"""Binary proofs: decoded as PySAT decodes them, and written as the text that it makes of them."""

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pysat.solvers import Solver

from satcost_gnn.errors import SolverError
from satcost_gnn.search import binary_proof
from satcost_gnn.search.binary_proof import is_binary, proof_additions, write_as_text

Steps = list[tuple[bool, list[int]]]
literals = st.integers(-(2**31) + 1, 2**31 - 1).filter(bool)
proofs = st.lists(st.tuples(st.booleans(), st.lists(literals, max_size=6)), max_size=20)


def encode(steps: Steps) -> bytes:
    out = bytearray()
    for added, clause in steps:
        out += b"a" if added else b"d"
        for literal in clause:
            code = 2 * abs(literal) + (literal < 0)
            while code > 127:
                out.append(code & 127 | 128)
                code >>= 7
            out.append(code)
        out.append(0)
    return bytes(out)


@given(proofs, st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_proofs_are_decoded_as_pysat_does(steps: Steps, cut: int) -> None:
    data = encode(steps)
    whole = proof_additions(data)
    assert whole is not None
    found, offsets, ends = whole
    lines = Solver._proof_bin2text(bytearray(data))
    expected = [[int(x) for x in line.split()[:-1]] for line in lines if not line.startswith("d")]
    assert [found[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected
    assert [data[end - 1] for end in ends] == [0] * len(expected)
    # A last step that was not written out is left out.
    cut_off = proof_additions(data[: len(data) - cut] if cut else data)
    assert cut_off is not None and len(cut_off[2]) <= len(ends)


def test_what_is_no_binary_proof_is_not_read_as_one() -> None:
    assert proof_additions(b"1 2 0\n\0") is None
    assert proof_additions(b"") is not None


@pytest.mark.parametrize("chunk", [1, 3, 1 << 22])
@given(steps=proofs)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_text_has_every_step_whatever_is_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, steps: Steps
) -> None:
    monkeypatch.setattr(binary_proof, "_CHUNK_BYTES", chunk)
    source, target = tmp_path / "binary", tmp_path / "text"
    source.write_bytes(encode(steps))
    write_as_text(source, target)
    expected = [f"{'' if added else 'd '}{' '.join(map(str, [*clause, 0]))}" for added, clause in steps]
    assert target.read_text().splitlines() == expected


def test_binary_and_text_are_told_apart(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for data, binary in ((encode([(False, [16]), (True, [])]), True), (b"d 16 0\n0\n", False), (b"", False)):
        proof.write_bytes(data)
        assert is_binary(proof) is binary


@pytest.mark.parametrize(
    ("data", "said"), [(b"x\x02\0", "found a step 'x' in the proof"), (b"a\x02\0a\x02", "ends within a step")]
)
def test_what_is_no_whole_binary_proof_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "proof").write_bytes(data)
    with pytest.raises(SolverError, match=said):
        write_as_text(tmp_path / "proof", tmp_path / "text")
