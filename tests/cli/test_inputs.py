import bz2
import gzip
import io
import lzma
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from satcost_gnn.cli.inputs import expand, expand_all, read_list
from satcost_gnn.errors import ConfigError, FormulaError
from satcost_gnn.formula.sources import UnreadableName

PACKERS = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@contextmanager
def nobody() -> Iterator[None]:
    """The superuser may look into everything: become somebody else for a moment."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_directories_globs_lists_and_files_each_once(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    names = ["d/b.cnf", "d/a.cnf.xz", "d/e/c.dimacs.gz", "d/readme.txt"]
    for name in names:
        (tmp_path / name).write_text("")
    listing = tmp_path / "list.txt"
    listing.write_text(f"# chosen\n{tmp_path}/d/b.cnf\n\n{tmp_path}/gone.cnf\n")
    folder = tmp_path / "d"
    found = list(expand([str(folder), str(folder / "*.cnf"), f"@{listing}", str(tmp_path / "x.cnf"), "-"]))
    expected = ["d/a.cnf.xz", "d/b.cnf", "d/e/c.dimacs.gz", "gone.cnf", "x.cnf"]
    assert found == [*(str(tmp_path / name) for name in expected), "-"]
    assert list(expand([str(tmp_path / "*")])) == [*(str(tmp_path / name) for name in expected[:3]), str(listing)]


def test_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "odd[1].txt"
    path.write_text("p cnf 0 0\n")
    assert list(expand([str(path)])) == [str(path)]


def test_pattern_without_match_is_kept_for_an_error_row(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*.cnf")
    assert list(expand([pattern])) == [pattern]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize(
    "text",
    [
        b"one.cnf\ntwo words.cnf\nthree.cnf",
        b"\xef\xbb\xbfone.cnf\n# comment\n\ntwo words.cnf\nthree.cnf\n",
        b"one.cnf\r\ntwo words.cnf\r\n\r\nthree.cnf\r\n",
        b"one.cnf\0two words.cnf\0three.cnf\0",
    ],
)
def test_lists_in_every_layout_packing_and_way(
    text: bytes, packer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, pipe = tmp_path / "list", tmp_path / "pipe"
    listing.write_bytes(PACKERS[packer](text))
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(listing.read_bytes(),))
    writer.start()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listing.read_bytes())))
    for argument in (f"@{listing}", f"@{pipe}", "@-"):
        assert list(expand([argument])) == ["one.cnf", "two words.cnf", "three.cnf"]
    writer.join()


def test_names_that_are_no_utf8_and_separators_of_other_alphabets_are_kept(tmp_path: Path) -> None:
    names = [b"m\xe9s.cnf", "zeile\u2028a\x0bb\x1c.cnf".encode()]
    listing = tmp_path / "list"
    listing.write_bytes(b"\n".join(names) + b"\n")
    assert [os.fsencode(name) for name in expand([f"@{listing}"])] == names


def test_entries_are_numbered_by_line(tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_text("# first\n\na\n  b  \n")
    assert read_list(listing, "names") == [(3, "a"), (4, "b")]
    with pytest.raises(FormulaError, match="none: no such file; expected names"):
        read_list(tmp_path / "none", "names")


def test_a_list_that_cannot_be_read_is_a_name_that_says_why(tmp_path: Path) -> None:
    damaged = tmp_path / "list.gz"
    damaged.write_bytes(gzip.compress(b"a.cnf\n" * 99)[:-9])
    found = list(expand([f"@{tmp_path}/none", f"@{damaged}", f"@{tmp_path}", "x.cnf"]))
    reasons = [name.reason if isinstance(name, UnreadableName) else "" for name in found]
    for reason, wanted in zip(
        reasons, ["no such file; expected a list", "end early", "found a directory", ""], strict=True
    ):
        assert wanted in reason


@pytest.mark.parametrize("argument", ["", "@"])
def test_empty_names_are_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match="found an empty file name"):
        expand_all(["a.cnf", argument])


def test_directories_without_permission_get_a_row_each(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.owner() != "root" or parent.name.startswith(("pytest", "popen")):
            parent.chmod(0o755)
    for name in ("a", "b", "locked"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "f.cnf").write_text("")
    locked = tmp_path / "d" / "locked"
    locked.chmod(0)
    try:
        for argument in (f"{tmp_path}/d", f"{tmp_path}/d/*", f"{tmp_path}/d/*/*.cnf", f"{tmp_path}/d/**/*.cnf"):
            with nobody():
                found = list(expand([argument]))
            good = [name for name in found if not isinstance(name, UnreadableName)]
            assert good == [f"{tmp_path}/d/a/f.cnf", f"{tmp_path}/d/b/f.cnf"], argument
            (bad,) = [name for name in found if isinstance(name, UnreadableName)]
            assert str(bad).rstrip("/") == str(locked) and "cannot be read" in bad.reason
        with nobody():
            assert list(expand([f"{locked}/f.cnf"])) == [f"{locked}/f.cnf"]
    finally:
        locked.chmod(0o755)


def test_names_that_are_too_long_are_kept_for_an_error_row() -> None:
    long = "x" * 300
    assert list(expand([long, f"{long}*", f"a/{long}/b.cnf"])) == [long, f"{long}*", f"a/{long}/b.cnf"]
