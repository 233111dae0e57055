"""Where results may be written, and how: the one place that decides it, for every option of every command.

Before the work begins, :func:`check_outputs` refuses what can't be written or must not be: a directory, a place that is
read-only, an input (by whatever name or link), a formula. Missing directories are made when it is written. Afterwards
:func:`replacing` and the functions on top of it write: a regular file beside its place, renamed once it is complete, so
that it is never seen half written and the old one survives every error; symbolic links are followed. A FIFO, a device
and a descriptor such as ``/dev/stdout`` are written into as they are and never replaced.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import fcntl
import json
import lzma
import os
import shutil
import stat
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from satcost_gnn.errors import OutputError
from satcost_gnn.runtime.file_names import is_cnf_name

# How long a FIFO may be without a reader when a result is to be written into it.
_READER_WAIT_S = 10.0
_SNIFFED_BYTES = 1 << 16
# A file's name may have 255 bytes: what is written beside it has more than the name.
_STEM_BYTES = 180
#: How the names of pictures may end.
PICTURE_ENDINGS = (".svg", ".png", ".pdf")


def _descriptor(path: Path) -> int | None:
    """Return the number of the descriptor of ours that a path such as ``/dev/stdout`` or ``/dev/fd/3`` names."""
    place = path.absolute()
    for _ in range(40):
        folder = Path(os.path.realpath(place.parent))
        if place.name.isdecimal() and str(folder) in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(place.name)
        # Unlike Path.is_symlink, no error for a name that is too long.
        if not os.path.islink(place):  # noqa: PTH114
            return None
        place = folder / place.readlink()
    return None


def is_stream(path: Path) -> bool:
    """Whether a path is written into as it is: a FIFO, a character device, or a descriptor of ours."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def target_of(path: Path) -> Path:
    """Return the file that a path stands for: the end of its symbolic links, whether there is one there yet or not."""
    return Path(os.path.realpath(path))


# What may be written ------------------------------------------------------------------------------------------------


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    pictures: Mapping[str, Path | None] | None = None,
    formulas: bool = False,
) -> None:
    """Refuse files that can't or must not be written, before the work begins.

    Parameters
    ----------
    outputs
        Option -> the file that it names; options that are not given are None.
    inputs
        Files that are read; ``-`` is standard input, ``@FILE`` a list of files. None of them is written to, by whatever
        name or link.
    pictures
        Further outputs, whose names must end as those of pictures do.
    formulas
        Whether the outputs are formulas: only then may they take the place of one.

    Raises
    ------
    OutputError
        If one of them must not be written, or two are the same.
    """
    drawn = {option: path for option, path in (pictures or {}).items() if path is not None}
    for option, path in drawn.items():
        picture_ending(option, path)
    given = {option: path for option, path in outputs.items() if path is not None} | drawn
    seen: dict[Path, str] = {}
    for option, path in given.items():
        _check_file(option, path, formulas)
        if not is_stream(path):
            target = target_of(path)
            if target in seen:
                raise OutputError(f"{option}: {path} is what {seen[target]} names; expected another file")
            seen[target] = option
    _check_inputs(given, inputs)


def picture_ending(option: str, path: Path) -> str:
    """Return the ending of a picture's name, in small letters.

    Raises
    ------
    OutputError
        If it is none of :data:`PICTURE_ENDINGS`.
    """
    ending = path.suffix.lower()
    if ending not in PICTURE_ENDINGS:
        *others, last = PICTURE_ENDINGS
        raise OutputError(f"{option}: found {path}; expected a name that ends in {', '.join(others)} or {last}")
    return ending


def check_directory(option: str, path: Path) -> None:
    """Refuse a directory that can't be written into, before the work begins.

    Raises
    ------
    OutputError
        If it is something else than a directory, can't be made, or is read-only.
    """
    if "\0" in os.fspath(path):
        raise OutputError(f"{option}: found {os.fspath(path)!r}; expected the name of a directory")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{option}: {path} is a file; expected a directory")
    _check_writable(option, path, path)


def _check_file(option: str, path: Path, formulas: bool) -> None:
    # An empty text becomes the path of the current directory.
    if os.fspath(path) in ("", ".") or "\0" in os.fspath(path):
        raise OutputError(f"{option}: found {os.fspath(path)!r}; expected the name of a file")
    descriptor = _descriptor(path)
    if descriptor is not None:
        try:
            access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError as error:
            raise OutputError(f"{option}: {path}: {error.strerror}; expected an open descriptor") from None
        if access == os.O_RDONLY:
            raise OutputError(f"{option}: {path} is open for reading only; expected one that is written to")
        return
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        _check_writable(option, path, target_of(path).parent)
        return
    except (OSError, ValueError) as error:
        raise OutputError(f"{option}: {path} cannot be written: {_reason(error)}; name another file") from None
    if stat.S_ISDIR(mode):
        raise OutputError(f"{option}: {path} is a directory; expected a file")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OutputError(f"{option}: {path} is a block device or a socket; expected a file, a FIFO or a terminal")
    if not stat.S_ISREG(mode):
        if not os.access(path, os.W_OK):
            raise OutputError(f"{option}: {path} may not be written to; name another file")
        return
    # The superuser may write to any file: what is marked as read-only is meant to be kept all the same.
    if not mode & 0o222 or not os.access(path, os.W_OK):
        raise OutputError(f"{option}: {path} is read-only; name another file, or make it writable")
    if not formulas and (is_cnf_name(path.name) or is_cnf_name(target_of(path).name) or holds_formula(path)):
        raise OutputError(f"{option}: {path} is a formula, which is never overwritten; name another file")
    _check_writable(option, path, target_of(path).parent)


def _check_writable(option: str, path: Path, folder: Path) -> None:
    """Write a file into the directory in which the output is to be written, and remove it again.

    If it is not there yet, into the nearest one above it that is: what was made for a try and removed again would be
    there for a moment for another process that tries the same.
    """
    try:
        missing = list(takewhile(lambda place: not place.exists(), (folder, *folder.parents)))
        nearest = missing[-1].parent if missing else folder
        # Permissions say less than a try: a file system may be mounted read-only, and be full.
        # It has no name where the file system can do without one, so that a kill at this moment leaves nothing behind.
        with tempfile.TemporaryFile(prefix=".satcost-", dir=nearest):
            pass
        longest = os.pathconf(nearest, "PC_NAME_MAX")
        if any(len(os.fsencode(place.name)) > longest for place in (path, *missing)):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except (OSError, ValueError) as error:
        raise OutputError(f"{option}: {path} cannot be written: {_reason(error)}; name another place") from None


def _check_inputs(outputs: Mapping[str, Path], inputs: Iterable[str | os.PathLike[str]]) -> None:
    files: dict[tuple[int, int], tuple[str, Path]] = {}
    for option, path in outputs.items():
        if _descriptor(path) is not None:
            continue
        with contextlib.suppress(OSError):
            about = path.stat()
            if stat.S_ISCHR(about.st_mode):
                continue
            key = (about.st_dev, about.st_ino)
            files[key] = (option, path)
            for number, name in ((1, "standard output"), (2, "standard error")):
                with contextlib.suppress(OSError):
                    stream = os.fstat(number)
                    if (stream.st_dev, stream.st_ino) == key and stat.S_ISREG(stream.st_mode):
                        raise OutputError(f"{option}: {path} is what {name} goes to; expected another file")
    if not files:
        return
    for source in inputs:
        with contextlib.suppress(OSError, ValueError):
            text = os.fspath(source)
            found = os.fstat(0) if text == "-" else Path(text.removeprefix("@")).stat()
            if (found.st_dev, found.st_ino) in files:
                option, path = files[found.st_dev, found.st_ino]
                raise OutputError(f"{option}: {path} is the input {text}; expected another file")


def holds_formula(path: Path) -> bool:
    """Whether a file begins as a formula does: comments, then a header ``p cnf``, ``p wcnf`` or ``p inccnf``."""
    try:
        with path.open("rb") as stream:
            text = _unpacked(stream.read(_SNIFFED_BYTES))
    except OSError:
        return False
    for line in text.removeprefix(b"\xef\xbb\xbf").splitlines():
        if not line.strip() or line.startswith(b"c"):
            continue
        words = line.split()
        return words[0] == b"p" and len(words) > 1 and words[1] in (b"cnf", b"wcnf", b"inccnf", b"cnf+")
    return False


def _unpacked(data: bytes) -> bytes:
    """Return the beginning of what was packed, as far as it can be unpacked; other data as it is."""
    try:
        if data.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(data, _SNIFFED_BYTES)
        if data.startswith(b"BZh"):
            return bz2.BZ2Decompressor().decompress(data, _SNIFFED_BYTES)
        if data.startswith(b"\xfd7zXZ\x00"):
            return lzma.LZMADecompressor().decompress(data, _SNIFFED_BYTES)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            import zstandard

            return zstandard.ZstdDecompressor().decompressobj().decompress(data)[:_SNIFFED_BYTES]
    except Exception:
        return data
    return data


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# How it is written --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose contents are written to ``path`` when the block ends well.

    A regular file appears whole: its contents are flushed to the disk, then it takes the place of the old one, whose
    permissions it keeps. A FIFO, a device or a descriptor is written into.

    Raises
    ------
    OutputError
        If it can't be written; an old file stays as it is.
    """
    try:
        with staging_directory(path) as folder:
            # Not tempfile's: its files are private, and a result is as readable as any other file of the user.
            temporary = folder / "written"
            temporary.touch()
            yield temporary
            publish(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({_reason(error)}); if there was a file, it is left as it was"
        ) from error


def _remove_abandoned(folder: Path, stem: str) -> None:
    """Remove what writers of the same file have left that were killed: it is locked no more."""
    for path in folder.iterdir():
        if not (path.name.startswith(stem) and path.name.endswith(".tmp") and len(path.name) == len(stem) + 36):
            continue
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)


def publish(written: Path, path: Path) -> None:
    """Move a complete file to where it is wanted; into a FIFO, a device or a descriptor its contents are copied.

    Parameters
    ----------
    written
        The file, on the file system of ``path`` unless that is no regular file (see :func:`staging_directory`).
    path
        Where it is wanted.

    Raises
    ------
    OSError
        If it can't be written.
    """
    if is_stream(path):
        _pour(written, path)
        written.unlink()
        return
    target = target_of(path)
    with contextlib.suppress(OSError):
        written.chmod(stat.S_IMODE(target.stat().st_mode))
    with written.open("rb") as stream:
        os.fsync(stream.fileno())
    written.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory that becomes ``path`` when the block ends well, and is removed if it doesn't.

    Raises
    ------
    OutputError
        If ``path`` exists, or can't be written.
    """
    if path.exists():
        raise OutputError(f"{path} exists; name another directory")
    try:
        with staging_directory(path) as folder:
            staging = folder / path.name
            staging.mkdir()
            yield staging
            staging.rename(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error


@contextlib.contextmanager
def staging_directory(path: Path) -> Iterator[Path]:
    """Yield a private directory for files of which one is to be published at ``path``; removed at the end.

    What writers of the same file have left that were killed is removed at the next call.

    Raises
    ------
    OutputError
        If it can't be made.
    """
    folder, prefix, suffix = None, ".satcost-", ""
    try:
        if not is_stream(path):
            target = target_of(path)
            folder, suffix = target.parent, ".tmp"
            folder.mkdir(parents=True, exist_ok=True)
            stem = f".{os.fsdecode(os.fsencode(target.name)[:_STEM_BYTES])}."
            _remove_abandoned(folder, stem)
            prefix = f"{stem}{uuid.uuid4().hex[:24]}"
        made, handle = _locked_directory(prefix, suffix, folder)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    with made as name:
        try:
            yield Path(name)
        finally:
            os.close(handle)


def _locked_directory(prefix: str, suffix: str, folder: Path | None) -> tuple[tempfile.TemporaryDirectory[str], int]:
    """Make a directory that is locked while the descriptor is open."""
    while True:
        made = tempfile.TemporaryDirectory(prefix=prefix, suffix=suffix, dir=folder, ignore_cleanup_errors=True)
        # Somebody may take it for an abandoned one just before it is locked.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(made.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            if Path(made.name).exists():
                return made, handle
            os.close(handle)
        made.cleanup()


def _pour(written: Path, path: Path) -> None:
    with written.open("rb") as source, open_stream(path) as stream:
        shutil.copyfileobj(source, stream, 1 << 20)


def open_stream(path: Path) -> BinaryIO:
    """Open a FIFO, a device or a descriptor for writing; a FIFO must find a reader within some seconds.

    Raises
    ------
    OSError
        If it can't be opened, or nobody reads the FIFO.
    """
    descriptor = _descriptor(path)
    if descriptor is not None:
        # A copy shares its place in the file: opened anew, a file that it goes to would be written from its beginning.
        return os.fdopen(os.dup(descriptor), "wb")
    end = time.monotonic() + _READER_WAIT_S
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > end:
                raise
            time.sleep(0.02)
            continue
        os.set_blocking(handle, True)
        return os.fdopen(handle, "wb")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file as :func:`replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8 as :func:`replacing` does."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any, **style: Any) -> None:
    """Write a value as JSON, with the style that ``json.dumps`` is given, as :func:`replacing` does."""
    write_text(path, json.dumps(value, **style) + "\n")
