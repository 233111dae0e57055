import bz2
import gzip
import json
import lzma
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime import output_files
from satcost_gnn.runtime.output_files import (
    check_directory,
    check_outputs,
    holds_formula,
    new_directory,
    publish,
    replacing,
    staging_directory,
    write_bytes,
    write_json,
    write_text,
)

CNF = b"c a comment\n\np cnf 2 2\n1 2 0\n-1 2 0\n"


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_leaves_nothing_beside_it(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "é\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "é\n".encode()
    assert listing(tmp_path / "a") == ["b.txt"]
    write_json(tmp_path / "a" / "b.txt", {"x": 1})
    assert json.loads((tmp_path / "a" / "b.txt").read_text()) == {"x": 1}


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    write_text(path, "old")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    with pytest.raises(OutputError, match="left as it was"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and listing(tmp_path) == ["x"]


def test_permissions_of_the_old_file_and_of_the_user(tmp_path):
    path = tmp_path / "x"
    write_text(path, "old")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "file"
    (tmp_path / "link").symlink_to("again")
    (tmp_path / "again").symlink_to(target)
    write_text(tmp_path / "link", "1")
    write_text(tmp_path / "link", "2")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "again").is_symlink()
    assert target.read_text() == "2" and listing(target.parent) == ["file"]


def test_the_other_name_of_a_file_keeps_its_contents(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    write_text(tmp_path / "b", "new")
    assert (tmp_path / "a").read_text() == "old" and (tmp_path / "b").read_text() == "new"


def test_a_fifo_is_written_into(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    staged = tmp_path / "staged"
    staged.write_bytes(b"x" * 200_000)
    got: list[bytes] = []
    for write in (lambda: write_bytes(fifo, b"x" * 200_000), lambda: publish(staged, fifo)):
        reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
        reader.start()
        check_outputs({"-o": fifo})
        write()
        reader.join(timeout=20)
    assert got == [b"x" * 200_000] * 2
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_fifo_that_nobody_reads_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(output_files, "_READER_WAIT_S", 0.1)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OutputError, match="fifo"):
        write_text(tmp_path / "fifo", "x")


def test_devices_are_written_into():
    before = Path("/dev/null").stat()
    check_outputs({"-o": Path("/dev/null"), "--json": Path("/dev/full")})
    write_text(Path("/dev/null"), "x")
    assert Path("/dev/null").stat().st_ino == before.st_ino and stat.S_ISCHR(before.st_mode)
    with pytest.raises(OutputError, match=r"/dev/full.*No space"):
        write_text(Path("/dev/full"), "x")


def test_descriptors_are_written_into_where_they_stand(tmp_path):
    code = (
        "from pathlib import Path\n"
        "from satcost_gnn.runtime.output_files import check_outputs, write_text\n"
        "print('first', flush=True)\n"
        "for name in ('/dev/stdout', '/dev/fd/1', '/proc/self/fd/1', 'link'):\n"
        "    check_outputs({'-o': Path(name)})\n"
        "    write_text(Path(name), name + '\\n')\n"
        "print('last')\n"
    )
    (tmp_path / "link").symlink_to("/dev/stdout")
    with (tmp_path / "out").open("w") as stream:
        subprocess.run([sys.executable, "-c", code], stdout=stream, cwd=tmp_path, check=True)
    expected = ["first", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link", "last"]
    assert (tmp_path / "out").read_text().split() == expected


def test_what_a_killed_writer_left_is_removed_but_not_what_is_being_written(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom satcost_gnn.runtime.output_files import replacing\n"
        "with replacing(Path(sys.argv[1])) as t:\n    t.write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], check=False)
    assert len(listing(tmp_path)) == 1
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("first")
        write_text(tmp_path / "x", "second")
        assert temporary.read_text() == "first"
    assert listing(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "first"


@pytest.mark.parametrize(
    "name", ["directory", "empty", "dot", "below a file", "read-only", "unwritable", "long", "nul"]
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, name):
    (tmp_path / "file").write_text("x")
    (tmp_path / "locked").write_text("x")
    (tmp_path / "locked").chmod(0o444)
    path = {
        "directory": tmp_path,
        "empty": Path(""),  # noqa: PTH201
        "dot": Path("."),  # noqa: PTH201
        "below a file": tmp_path / "file" / "x.json",
        "read-only": tmp_path / "locked",
        "unwritable": Path("/proc/satcost/x.json"),
        "long": tmp_path / ("x" * 300),
        "nul": tmp_path / "a\0b",
    }[name]
    with pytest.raises(OutputError, match="--json"):
        check_outputs({"--json": path})
    assert listing(tmp_path) == ["file", "locked"] and (tmp_path / "locked").read_text() == "x"


def test_missing_directories_are_no_obstacle_and_are_not_made_yet(tmp_path):
    check_outputs({"-o": tmp_path / "a" / "b" / "x.csv", "--json": None})
    check_directory("-o", tmp_path / "c" / "d")
    assert listing(tmp_path) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "x", Path("/proc/satcost")):
        with pytest.raises(OutputError, match="-o"):
            check_directory("-o", path)


def test_a_missing_directory_is_not_made_for_the_try(tmp_path, monkeypatch):
    # For a moment it would be there for another process, and then be gone.
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("a directory was made"))
    check_outputs({"-o": tmp_path / "a" / "b" / "x.csv"})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    for name in (f"a/{'n' * 300}/x.csv", f"a/{'n' * 300}"):
        with pytest.raises(OutputError, match="cannot be written"):
            check_outputs({"-o": tmp_path / name})


def test_no_input_is_written_to_by_any_name(tmp_path, monkeypatch):
    data = tmp_path / "data.txt"
    data.write_text("1 2 0\n")
    (tmp_path / "hard").hardlink_to(data)
    (tmp_path / "soft").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    for path in (data, tmp_path / "hard", tmp_path / "soft", Path("data.txt"), tmp_path / "." / "data.txt"):
        for source in (str(data), "data.txt", f"@{data}"):
            with pytest.raises(OutputError, match="is the input"):
                check_outputs({"-o": path}, ["missing", source])
    check_outputs({"-o": tmp_path / "other"}, [data])
    assert data.read_text() == "1 2 0\n"


def test_no_input_is_written_to_that_comes_from_standard_input_and_no_file_twice(tmp_path):
    (tmp_path / "in.txt").write_text("x")
    code = (
        "import sys\nfrom pathlib import Path\nfrom satcost_gnn.runtime.output_files import check_outputs\n"
        "check_outputs({'-o': Path(sys.argv[1])}, ['-'])\n"
    )
    for name, target in (("in.txt", "in.txt"), ("out.txt", "out.txt")):
        with (tmp_path / "in.txt").open() as stdin, (tmp_path / "out.txt").open("w") as stdout:
            done = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / target)],
                stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert "OutputError" in done.stderr and name in done.stderr
    (tmp_path / "link").symlink_to("new")
    with pytest.raises(OutputError, match=r"--json.*--proof"):
        check_outputs({"--proof": tmp_path / "new", "--json": tmp_path / "link"})


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_formulas_are_kept_whatever_they_are_called(tmp_path, pack):
    path = tmp_path / "notes.txt"
    path.write_bytes(pack(CNF))
    with pytest.raises(OutputError, match="is a formula"):
        check_outputs({"--proof": path})
    check_outputs({"-o": path}, formulas=True)
    assert path.read_bytes() == pack(CNF)


def test_formulas_are_told_by_name_and_by_header(tmp_path):
    for name in ("a.cnf", "a.CNF.xz", "b.dimacs.gz"):
        (tmp_path / name).write_text("1 2 0\n")
        with pytest.raises(OutputError, match="is a formula"):
            check_outputs({"--json": tmp_path / name})
    (tmp_path / "link").symlink_to("a.cnf")
    with pytest.raises(OutputError, match="is a formula"):
        check_outputs({"--json": tmp_path / "link"})
    check_outputs({"--proof": tmp_path / "new.cnf"})
    for text, whether in ((b"p wcnf 1 1\n", True), (b"p inccnf\n", True), (b"{}\n", False), (b"d 1 2 0\n", False)):
        (tmp_path / "x").write_bytes(text)
        assert holds_formula(tmp_path / "x") == whether


def test_a_directory_appears_whole(tmp_path):
    with pytest.raises(KeyError), new_directory(tmp_path / "a" / "v1") as staging:
        (staging / "x").touch()
        raise KeyError
    assert listing(tmp_path / "a") == []
    with new_directory(tmp_path / "a" / "v1") as staging:
        (staging / "x").touch()
        assert not (tmp_path / "a" / "v1").exists()
    assert listing(tmp_path / "a") == ["v1"] and listing(tmp_path / "a" / "v1") == ["x"]
    with pytest.raises(OutputError, match="exists"), new_directory(tmp_path / "a" / "v1"):
        pass


def test_staged_files_are_beside_their_place_and_go(tmp_path):
    path = tmp_path / "new" / "proof"
    with staging_directory(path) as folder:
        assert folder.parent == path.parent
        (folder / "1").write_text("x")
        (folder / "2").write_text("y")
        publish(folder / "2", path)
    assert listing(path.parent) == ["proof"] and path.read_text() == "y"
    with pytest.raises(OutputError, match="cannot be written"), staging_directory(path / "below"):
        pass


@pytest.mark.parametrize("stages", ["staging_directory", "new_directory"])
def test_what_a_killed_process_has_staged_goes_at_the_next_call(tmp_path, stages):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        f"from satcost_gnn.runtime.output_files import {stages} as stages\n"
        "with stages(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "proof")], check=False)
    assert len(listing(tmp_path)) == 1
    with staging_directory(tmp_path / "proof") as mine:
        assert listing(tmp_path) == [mine.name]
        with staging_directory(tmp_path / "proof") as other:
            # That of a live process stays.
            assert listing(tmp_path) == sorted([mine.name, other.name])
    assert listing(tmp_path) == []
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "proof")], check=False)
    assert len(listing(tmp_path)) == 1
    with new_directory(tmp_path / "proof") as mine:
        assert listing(tmp_path) == [mine.parent.name]
    assert listing(tmp_path) == ["proof"]


def test_full_disk_is_one_error_and_keeps_the_old_file(tmp_path):
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from satcost_gnn.runtime.output_files import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(Path(sys.argv[1]), b'x' * 5000)\n"
    )
    (tmp_path / "x").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")], capture_output=True, text=True, check=False
    )
    assert "OutputError" in done.stderr and "left as it was" in done.stderr
    assert listing(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "old"


def test_looking_whether_an_output_can_be_written_leaves_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []
    make = output_files.tempfile.TemporaryFile

    def watched(**options: Any) -> Any:
        made = make(**options)
        # A kill at this moment would leave what is in the directory.
        seen.append(list(tmp_path.iterdir()))
        return made

    monkeypatch.setattr(output_files.tempfile, "TemporaryFile", watched)
    check_outputs({"-o": tmp_path / "table.csv"})
    assert seen == [[]] and list(tmp_path.iterdir()) == []
