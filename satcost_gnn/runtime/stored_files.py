"""Reading of files that this package has written, on the assumption that they may be damaged.

A file may have been cut, changed or replaced: by something that is no regular file, by an archive that unpacks to
gigabytes, by JSON of another shape. Whatever it is, reading ends soon, takes little memory, and either returns what was
written or raises :class:`~satcost_gnn.errors.DamagedFileError`. Sizes are compared before memory is taken for them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
import zipfile
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from satcost_gnn.errors import DamagedFileError
from satcost_gnn.section import problems

Schema = TypeVar("Schema", bound=BaseModel)

#: Bytes of a file of ours at most, unless a caller expects more.
LARGEST_FILE: Final = 256 << 20
#: Bytes of a JSON file at most.
LARGEST_JSON: Final = 64 << 20
#: Bytes of all arrays of one file together, unpacked.
LARGEST_ARRAYS: Final = 1 << 30
# Arrays of one file.
_MOST_ARRAYS: Final = 100_000

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """Return a regular file's content.

    Raises
    ------
    DamagedFileError
        If there is no such file, it is no regular file, it can't be read, or it is larger than it may be.
    """
    try:
        # Opening a named pipe that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                kind = next((name for test, name in _KINDS if test(about.st_mode)), "something else")
                raise DamagedFileError(f"{path}: found {kind}; expected a regular file")
            if about.st_size > largest:
                raise DamagedFileError(f"{path}: found {about.st_size:,} bytes; expected at most {largest:,}")
            with open(handle, "rb", closefd=False) as stream:
                return stream.read(about.st_size)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise DamagedFileError(f"{path}: found no such file") from None
    except (OSError, ValueError) as error:
        # Of sockets, too: they can't be opened. ValueError: a name that no file can have.
        raise DamagedFileError(f"{path}: cannot be read: {error}") from error


def sha256(path: Path) -> str:
    """Return the hash of a regular file's content in hexadecimal; DamagedFileError if it can't be read."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def parse_json(text: str | bytes, source: str) -> Any:
    """Return what a JSON text says; DamagedFileError if it is none, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise DamagedFileError(f"{source}: found JSON that is nested too deeply") from None
    except ValueError as error:
        raise DamagedFileError(f"{source}: cannot be read as JSON: {error}") from error


def read_json(path: Path) -> Any:
    """Return what a JSON file says; DamagedFileError if it can't be read."""
    return parse_json(read_bytes(path, LARGEST_JSON), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; DamagedFileError if it can't be read or holds another value."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path}: found {json_kind(found)}; expected a JSON object")
    return found


def checked(schema: type[Schema], found: Any, source: str) -> Schema:
    """Return plain values as an object of a schema.

    Raises
    ------
    DamagedFileError
        If a key is unknown or missing, or a value is not what it should be.
    """
    if not isinstance(found, dict):
        raise DamagedFileError(f"{source}: found {json_kind(found)}; expected a JSON object")
    try:
        return schema.model_validate(found)
    except ValidationError as error:
        raise DamagedFileError(f"{source}: {'; '.join(problems(schema, error)[:5])}") from None


def json_kind(value: Any) -> str:
    """Return what a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file.

    Raises
    ------
    DamagedFileError
        If it can't be read, is no such file, is damaged, or its arrays are larger than they may be. No memory is taken
        for an array before its size is known to be that of the stored data.
    """
    content = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if len(members) > _MOST_ARRAYS or total > LARGEST_ARRAYS:
                raise DamagedFileError(
                    f"{path}: found {len(members):,} arrays of {total:,} bytes; expected at most {LARGEST_ARRAYS:,}"
                )
            arrays: dict[str, NDArray[Any]] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise ValueError(f"found array {name!r} twice")
                # Of other compressions a first block can unpack to any size.
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"found array {name!r} compressed by method {member.compress_type}")
                with archive.open(member) as stream:
                    arrays[name] = _array(stream, member.file_size)
            return arrays
    except DamagedFileError:
        raise
    except Exception as error:
        # What the modules for archives, compression and numbers raise for bytes that they were not made for is no
        # closed list: BadZipFile, zlib.error, NotImplementedError, struct.error, SyntaxError, MemoryError ...
        raise DamagedFileError(f"{path}: cannot be read as arrays: {type(error).__name__}: {error}") from error


def _array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """Return the array in a member of ``size`` bytes."""
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError("found an array of Python objects")
    start = stream.tell()
    if math.prod(shape) * dtype.itemsize != size - start:
        raise ValueError(f"found an array of shape {shape} ({dtype}) in {size - start} bytes")
    content = stream.read(size - start)
    # The end of the member is where its check sum is compared.
    if len(content) != size - start or stream.read(1):
        raise EOFError(f"found {len(content)} bytes; expected {size - start}")
    if not content:
        return np.zeros(shape, dtype)
    return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape, order="F" if fortran else "C")


__all__ = [
    "checked",
    "parse_json",
    "read_arrays",
    "read_bytes",
    "read_json",
    "read_json_object",
    "sha256",
]
