"""What predictions of files have taken, kept in the user's cache directory: the next one of the same file begins there.

An entry is found by the digest of the file's bytes together with all that preprocessing depends on. It is written under
another name and renamed, so that commands at the same time see whole entries or none; one that can't be read, or is for
something else, is made again. Where there is no directory nothing is kept; where it can't be written that is said once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from satcost_gnn import __version__
from satcost_gnn.errors import ConfigError
from satcost_gnn.features.cache import instance_arrays, read_instance
from satcost_gnn.features.preprocessing import Key, Preprocessed, preprocess_many
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.sources import FormulaSource, UnreadableName
from satcost_gnn.formula.text_stream import is_regular
from satcost_gnn.runtime.logs import log

#: Variable that holds the directory's limit in mebibytes, and the limit where it is not set; 0 keeps nothing.
SIZE_VARIABLE = "SATCOST_CACHE_MIB"
DEFAULT_MIB = 2048
_SUFFIX = ".npz"
# After making room so much of the limit is taken.
_SHARE_LEFT = 0.9
# Files that a writer has left behind are removed when they are so old.
_ABANDONED_S = 3600.0
_PIECE = 1 << 20
# Searches that ended otherwise were ended by the machine: another try may get farther.
_WHOLE = ("SAT", "UNSAT", "UNKNOWN")


def cache_directory() -> Path | None:
    """Return the directory of kept results, ``satcost`` under ``$XDG_CACHE_HOME`` or ``~/.cache``; None for no home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "satcost" / "instances"
    try:
        return Path.home() / ".cache" / "satcost" / "instances"
    except RuntimeError:
        return None


def size_limit() -> int:
    """Return the limit in bytes; ConfigError if the variable holds no number."""
    text = os.environ.get(SIZE_VARIABLE, str(DEFAULT_MIB))
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"{SIZE_VARIABLE}: found {text!r}; expected a number of mebibytes, such as {DEFAULT_MIB}")
    return int(text) << 20


def _machine() -> str:
    # Seconds of a search are kept too, and a home directory may be shared between machines.
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return ""


@dataclass(frozen=True)
class Content:
    """What a file holds, and as what it was found: one that changes meanwhile is another."""

    path: str
    digest: str
    state: tuple[int, ...]


def _state(path: str) -> tuple[int, ...]:
    about = Path(path).stat()
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


class UserCache:
    """Results of preprocessing by what files hold.

    All entries together take at most ``limit`` bytes; the longest unused go first.
    """

    def __init__(self, directory: Path, settings: PreprocessSettings, limit: int) -> None:
        self.directory, self.limit = directory, limit
        self._key = json.dumps(
            [
                settings.features.key(),
                asdict(settings.limits.read),
                settings.limits.graph_size_limit,
                __version__,
                _machine(),
            ],
            sort_keys=True,
        )
        self._works = limit > 0

    @classmethod
    def of_user(cls, settings: PreprocessSettings) -> UserCache | None:
        """Return the user's own; None for a user without a home."""
        directory = cache_directory()
        return None if directory is None else cls(directory, settings, size_limit())

    def content(self, source: object) -> Content | None:
        """Return what a file holds; None for what is no regular file or can't be read, which is not kept."""
        if not self._works or isinstance(source, UnreadableName) or not isinstance(source, str | os.PathLike):
            return None
        path = os.fsdecode(source)
        try:
            if path == "-" or not is_regular(path):
                return None
            digest = hashlib.blake2b(self._key.encode(), digest_size=20)
            state = _state(path)
            with Path(path).open("rb", buffering=0) as stream:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
            return Content(path, digest.hexdigest(), state)
        except (OSError, ValueError):
            return None

    def get(self, content: Content) -> Preprocessed | None:
        """Return what is kept of a file, under the name that the file has now; None if nothing is."""
        place = self._place(content)
        try:
            instance, about = read_instance(place)
            if about["key"] != self._key:
                return None
            with contextlib.suppress(OSError):
                os.utime(place)
            return Preprocessed(
                content.path, replace(instance, path=content.path), warnings=tuple(map(str, about["warnings"]))
            )
        except Exception:
            # Whatever is wrong with an entry, it costs no more than to be made again.
            return None

    def put(self, content: Content, found: Preprocessed) -> None:
        """Keep what was found, unless another try might find more."""
        if not self._works or not _is_whole(found):
            return
        assert found.instance is not None
        place = self._place(content)
        temporary = place.with_name(f"{place.stem}.{uuid.uuid4().hex}.tmp")
        try:
            if _state(content.path) != content.state:
                return
        except OSError:
            # The file has gone.
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            about = {"key": self._key, "warnings": found.warnings}
            try:
                with temporary.open("xb") as stream:
                    np.savez_compressed(stream, allow_pickle=False, **instance_arrays(found.instance, about))
                    size = stream.tell()
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)
            self._taken += size
            if self._taken > self.limit:
                self._make_room()
        except OSError as error:
            # No room, no permission: predictions go on without, and the next file is not tried.
            self._works = False
            log.warning(
                f"{self.directory}: nothing can be kept there for the next time ({error.strerror}), predictions go on "
                "without; --no-cache does not try"
            )

    def _place(self, content: Content) -> Path:
        return self.directory / f"{content.digest}{_SUFFIX}"

    @cached_property
    def _taken(self) -> int:
        return sum(size for _, size, _ in _entries(self.directory))

    def _make_room(self) -> None:
        entries = sorted(_entries(self.directory))
        left = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if left <= _SHARE_LEFT * self.limit:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            left -= size
        self._taken = left


def _is_whole(found: Preprocessed) -> bool:
    """Whether nothing was cut off by time, memory or a crash."""
    instance = found.instance
    if instance is None or found.note:
        return False
    searches = [one for one in (instance.plain, instance.probe, instance.replicate) if one is not None]
    return all(one.status in _WHOLE for one in searches)


def _entries(directory: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each entry was last used, its bytes and its file; those that writers have left behind are removed."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                about = path.stat()
                if path.suffix == _SUFFIX:
                    yield about.st_mtime, about.st_size, path
                elif path.suffix == ".tmp" and time.time() - about.st_mtime > _ABANDONED_S:
                    path.unlink()


@dataclass(frozen=True)
class Kept:
    """How many entries there are, their bytes, and when the longest unused was used, in seconds since 1970."""

    entries: int
    bytes: int
    oldest: float | None


def kept(directory: Path) -> Kept:
    """Return what a directory holds."""
    entries = list(_entries(directory))
    return Kept(len(entries), sum(size for _, size, _ in entries), min((used for used, _, _ in entries), default=None))


def clear(directory: Path) -> int:
    """Remove all entries and return how many there were."""
    count = 0
    for _, _, path in list(_entries(directory)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            count += 1
    return count


def preprocess_cached(
    sources: Iterable[tuple[Key, FormulaSource]], settings: PreprocessSettings, cache: UserCache, *, jobs: int = 1
) -> Iterator[tuple[Key, Preprocessed] | None]:
    """Preprocess many inputs as :func:`~satcost_gnn.features.preprocessing.preprocess_many` does, but those kept."""
    contents: dict[int, Content] = {}

    def looked_up() -> Iterator[tuple[tuple[int, Key], FormulaSource | Preprocessed]]:
        for number, (key, source) in enumerate(sources):
            content = cache.content(source)
            found = cache.get(content) if content is not None else None
            if found is None and content is not None:
                contents[number] = content
            yield (number, key), source if found is None else found

    for item in preprocess_many(looked_up(), settings, jobs=jobs):
        if item is None:
            yield None
            continue
        (number, key), found = item
        content = contents.pop(number, None)
        if content is not None:
            cache.put(content, found)
        yield key, found
