"""Ways in which a file may come to harm, for tests of what reads it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def linked_copy(source: Path, target: Path) -> Path:
    """Copy a directory without its contents: damage replaces files, it never writes into one."""
    return Path(shutil.copytree(source, target, copy_function=os.link))


def _replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _cut(path: Path) -> None:
    content = path.read_bytes()
    _replaced(path, content[: len(content) // 2])


def _emptied(path: Path) -> None:
    _replaced(path, b"")


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    _replaced(path, bytes(content))


def _longer(path: Path) -> None:
    _replaced(path, path.read_bytes() + b"0")


def _gone(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    _replaced(path, b"")
    # Takes no space on the disk, and too much memory for anyone who reads it whole.
    os.truncate(path, 1 << 40)


def _other_json(value: object) -> Callable[[Path], None]:
    return lambda path: _replaced(path, json.dumps(value).encode())


def _deep(path: Path) -> None:
    _replaced(path, b"[" * 200_000 + b"]" * 200_000)


def _not_text(path: Path) -> None:
    _replaced(path, b"\xff\xfe{}")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut": _cut,
    "emptied": _emptied,
    "flipped": _flipped,
    "longer": _longer,
    "gone": _gone,
    "directory": _directory,
    "pipe": _pipe,
    "dangling": _dangling,
    "endless": _endless,
    "huge": _huge,
}
JSON_DAMAGES: dict[str, Callable[[Path], None]] = {
    "list": _other_json([]),
    "null": _other_json(None),
    "number": _other_json(7),
    "object": _other_json({}),
    "deep": _deep,
    "not text": _not_text,
}


def damages_of(path: Path) -> dict[str, Callable[[Path], None]]:
    """Return what can be done to a file."""
    return DAMAGES | (JSON_DAMAGES if path.suffix == ".json" else {})
