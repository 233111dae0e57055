"""What only this process can read is handed to children; reading ends with its limits."""

import contextlib
import gzip
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from satcost_gnn.errors import FormulaError, FormulaTooLargeError, ReadingTimeoutError
from satcost_gnn.formula import Formula, ReadLimits, read_dimacs
from satcost_gnn.formula.sources import FormulaFile, UnreadableName, for_children, load
from satcost_gnn.formula.text_stream import is_regular

TEXT = b"p cnf 3 2\n1 2 0\n-1 3 0\n"
CLAUSES = [[1, 2], [-1, 3]]


def in_another_process(file: FormulaFile) -> list[list[int]]:
    code = f"from satcost_gnn.formula import read_dimacs; print(read_dimacs({file.path!r}).clauses())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[list[int]] = eval(done.stdout)
    return found


def piped(data: bytes) -> int:
    reader, writer = os.pipe()

    def write() -> None:
        # Who has read enough leaves the rest.
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as stream:
            stream.write(data)

    threading.Thread(target=write).start()
    return reader


@pytest.mark.parametrize("data", [TEXT, gzip.compress(TEXT, mtime=0)])
@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_a_descriptor_of_this_process_is_read_here_and_again_and_again_there(name: str, data: bytes) -> None:
    descriptor = piped(data)
    try:
        with for_children(name.format(descriptor)) as file:
            assert isinstance(file, FormulaFile) and file.name == name.format(descriptor)
            assert in_another_process(file) == in_another_process(file) == CLAUSES
            assert load(file).source == file.name
        with pytest.raises(FormulaError, match="no such file"):
            load(file)
    finally:
        os.close(descriptor)


def test_a_named_pipe_and_links_to_descriptors(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(TEXT,)).start()
    with for_children(pipe) as file:
        assert isinstance(file, FormulaFile) and in_another_process(file) == CLAUSES
    regular = tmp_path / "f.cnf"
    regular.write_bytes(TEXT)
    with regular.open() as stream:
        link = tmp_path / "link"
        link.symlink_to(f"/dev/fd/{stream.fileno()}")
        # To another process the same name is another file.
        assert not is_regular(str(link)) and not is_regular(f"/dev/fd/{stream.fileno()}")
        with for_children(link) as file:
            assert isinstance(file, FormulaFile) and in_another_process(file) == CLAUSES
    assert is_regular(str(regular)) and is_regular(str(tmp_path)) and is_regular("none")
    with for_children(regular) as file:
        assert file == FormulaFile(str(regular), str(regular))


def test_a_socket_is_read_like_a_pipe() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(TEXT)
        theirs.shutdown(socket.SHUT_WR)
        assert read_dimacs(f"/dev/fd/{ours.fileno()}").clauses() == CLAUSES


@pytest.mark.parametrize("how", ["nobody", "silent", "endless"])
def test_reading_a_pipe_ends_at_the_deadline(how: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stop = threading.Event()

    def write() -> None:
        with pipe.open("wb", buffering=0) as stream:
            while not stop.is_set():
                try:
                    stream.write(b"c nothing\n")
                except BrokenPipeError:
                    return
                stop.wait(3600 if how == "silent" else 0.01)

    writer = threading.Thread(target=write)
    if how != "nobody":
        writer.start()
    try:
        begin = time.monotonic()
        with pytest.raises(ReadingTimeoutError, match="pipe: reading ran out of time"):
            read_dimacs(pipe, deadline=time.monotonic() + 0.3)
        if how == "nobody":
            with pytest.raises(ReadingTimeoutError), for_children(pipe, deadline=time.monotonic() + 0.1):
                pass
        # A bound to tell a hang.
        assert time.monotonic() - begin < 60
    finally:
        stop.set()
        if how != "nobody":
            writer.join()


def test_a_pipe_is_no_way_around_the_limit_of_size(tmp_path: Path) -> None:
    descriptor = piped(b"c" * 100_000)
    try:
        with (
            pytest.raises(FormulaTooLargeError, match="more than 5000 bytes; raise max_bytes"),
            for_children(f"/dev/fd/{descriptor}", ReadLimits(max_bytes=5000)),
        ):
            pass
    finally:
        os.close(descriptor)
    # A small file that becomes a large one, with a deadline that has passed.
    path = tmp_path / "f.cnf.gz"
    path.write_bytes(gzip.compress(b"c\n" * 2_000_000, mtime=0))
    with pytest.raises(ReadingTimeoutError):
        read_dimacs(path, deadline=time.monotonic())


def test_names_that_are_of_no_use() -> None:
    bad = UnreadableName("there", "cannot be read, for a reason")
    for use in (load, lambda name: for_children(name).__enter__()):
        with pytest.raises(FormulaError, match="there: cannot be read, for a reason"):
            use(bad)
        with pytest.raises(FormulaError, match="found an empty file name"):
            use("")


def test_what_is_in_memory_goes_as_it_is() -> None:
    formula = Formula.from_clauses(CLAUSES)
    with for_children(formula) as same:
        assert same is formula
    with for_children(CLAUSES) as made:
        assert isinstance(made, Formula) and made.clauses() == CLAUSES
