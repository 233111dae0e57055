import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from damaging import DAMAGES

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.runtime.stored_files import read_arrays, read_bytes, read_json, read_json_object


def npy(header: str, data: bytes = b"") -> bytes:
    """Return an array file with a header of our own."""
    text = header.encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as stream:
        for name, content in members.items():
            stream.writestr(name, content)
    return path


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(order: str, tmp_path: Path) -> None:
    arrays = {
        "numbers": np.asarray(np.arange(12.0).reshape(3, 4), order=order),
        "words": np.array(["a", "später"]),
        "single": np.array(7),
        "none": np.zeros((0, 3), dtype=np.int16),
        "truth": np.array([True, False]),
        "nothing": np.array([], dtype=np.str_),
    }
    np.savez_compressed(tmp_path / "a.npz", allow_pickle=False, **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.f_contiguous == array.flags.f_contiguous
    found["numbers"][0, 0] = 1.0


@pytest.mark.parametrize("kind", sorted(DAMAGES))
def test_a_damaged_file_of_arrays_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, allow_pickle=False, x=np.arange(1000))
    DAMAGES[kind](path)
    if kind == "longer":
        # What follows an archive is no part of it.
        assert len(read_arrays(path)["x"]) == 1000
        return
    with pytest.raises(DamagedFileError, match=r"a\.npz"):
        read_arrays(path)


def test_every_flipped_byte_is_noticed_or_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, allow_pickle=False, x=np.arange(20), y=np.array("text"))
    content, expected = path.read_bytes(), read_arrays(path)
    noticed = 0
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            found = read_arrays(path)
        except DamagedFileError:
            noticed += 1
        else:
            # Times, attributes and versions of the archive, and names of members, which nothing sums up.
            for array in found.values():
                assert any(np.array_equal(array, other) for other in expected.values())
    assert noticed > len(content) // 2


def test_arrays_are_measured_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = archive(tmp_path / "zeros.npz", {"x.npy": bytes(60_000_000)})
    shape = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }"
    cases = [
        archive(tmp_path / "long.npz", {"x.npy": npy(shape % 10**12, bytes(64))}),
        archive(tmp_path / "negative.npz", {"x.npy": npy(shape % -8, bytes(64))}),
        archive(tmp_path / "short.npz", {"x.npy": npy(shape % 1, bytes(64))}),
        archive(
            tmp_path / "objects.npz",
            {"x.npy": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8))},
        ),
        archive(tmp_path / "code.npz", {"x.npy": npy("__import__('os').abort()", bytes(8))}),
        archive(tmp_path / "packed.npz", {"x.npy": npy(shape % 2, bytes(16))}, zipfile.ZIP_LZMA),
    ]
    # A directory that says six gibibytes of a member of a few bytes.
    stated = bytearray(archive(tmp_path / "stated.npz", {"x.npy": npy(shape % 2, bytes(16))}).read_bytes())
    place = stated.rindex(b"PK\x01\x02") + 24
    stated[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "stated.npz").write_bytes(stated)
    cases.append(tmp_path / "stated.npz")
    tracemalloc.start()
    try:
        for path in cases:
            with pytest.raises(DamagedFileError, match=path.name):
                read_arrays(path)
        monkeypatch.setattr("satcost_gnn.runtime.stored_files.LARGEST_ARRAYS", 1_000_000)
        with pytest.raises(DamagedFileError, match="expected at most"):
            read_arrays(zeros)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_an_archive_with_a_name_twice_is_damaged(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("x.npy", buffer.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            stream.writestr("x.npy", buffer.getvalue())
    with pytest.raises(DamagedFileError, match="twice"):
        read_arrays(path)


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": [1, None]}))
    assert read_json(path) == read_json_object(path) == {"a": [1, None]}
    for text, said in (
        ("[1]", "found a list"),
        ("true", "found true or false"),
        ("3", "found a number"),
        ('"x"', "found a text"),
        ("null", "found null"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "nested too deeply"),
    ):
        path.write_text(text)
        with pytest.raises(DamagedFileError, match=said):
            read_json_object(path)


def test_files_that_are_too_large_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    assert read_bytes(path, 10) == bytes(10)
    with pytest.raises(DamagedFileError, match="found 10 bytes; expected at most 9"):
        read_bytes(path, 9)
    for kind, said in (("directory", "a directory"), ("pipe", "a named pipe"), ("endless", "a device")):
        other = tmp_path / kind
        other.write_bytes(b"")
        DAMAGES[kind](other)
        with pytest.raises(DamagedFileError, match=f"found {said}; expected a regular file"):
            read_bytes(other)
    with pytest.raises(DamagedFileError, match="cannot be read"):
        read_bytes(tmp_path / "no\0name")
