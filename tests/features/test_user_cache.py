"""What predictions keep: found again by content, made again when damaged, never more than its limit."""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.errors import ConfigError
from satcost_gnn.features import preprocessing, user_cache
from satcost_gnn.features.early_budget import within_limit
from satcost_gnn.features.preprocessing import Preprocessed, preprocess
from satcost_gnn.features.spec import FeatureSpec, PreprocessSettings
from satcost_gnn.features.user_cache import UserCache, cache_directory, clear, kept, preprocess_cached, size_limit
from satcost_gnn.formula.dimacs import ReadLimits
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.probe_settings import ProbeSettings

SETTINGS = within_limit(PreprocessSettings(FeatureSpec(probe=ProbeSettings(conflicts=50))), 20.0, "cadical195")
EASY = "p cnf 3 3\n1 -2 0\n2 3 0\n-1 -3 0\n"
LIMIT = 1 << 30


def hard(n: int = 150, seed: int = 1) -> str:
    """Return a random formula at the threshold, which isn't answered in the plain run that the settings allow."""
    rng = np.random.default_rng(seed)
    rows = [(rng.choice(n, 3, replace=False) + 1) * rng.choice([-1, 1], size=3) for _ in range(round(4.26 * n))]
    return f"p cnf {n} {len(rows)}\n" + "".join(" ".join(map(str, row)) + " 0\n" for row in rows)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as opened:
        yield opened


@pytest.fixture
def cache(tmp_path: Path) -> UserCache:
    return UserCache(tmp_path / "kept", SETTINGS, LIMIT)


def found_by(cache: UserCache, *paths: Path) -> list[Preprocessed]:
    items = preprocess_cached(enumerate(map(str, paths)), SETTINGS, cache)
    return [found for _, found in sorted((one for one in items if one is not None), key=lambda one: one[0])]


def no_child(*_: object) -> Preprocessed:
    raise AssertionError("a file was preprocessed again")


def test_the_same_content_is_found_again_under_any_name(
    cache: UserCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.with_features(plain=None)
    cache = UserCache(tmp_path / "kept", settings, LIMIT)
    first, second = tmp_path / "first.cnf", tmp_path / "second.cnf"
    for path in (first, second):
        path.write_text("p cnf 100 639\n" + hard().partition("\n")[2])
    made = next(item for item in preprocess_cached([(0, str(first))], settings, cache) if item is not None)[1]
    assert made.instance is not None and made.instance.graph is not None and made.warnings
    monkeypatch.setattr(preprocessing, "preprocess", no_child)
    again = next(item for item in preprocess_cached([(0, str(second))], settings, cache) if item is not None)[1]
    assert again.path == str(second) and again.warnings == made.warnings and again.instance is not None
    for part in ("static", "online"):
        before, now = getattr(made.instance, part), getattr(again.instance, part)
        assert now.names == before.names
        np.testing.assert_array_equal(now.values, before.values)
    assert again.instance.gbdhash == made.instance.gbdhash and again.instance.graph is not None
    np.testing.assert_array_equal(again.instance.graph.clause_literals, made.instance.graph.clause_literals)
    np.testing.assert_array_equal(again.instance.graph.variable_inputs, made.instance.graph.variable_inputs)
    assert again.instance.timings == made.instance.timings


def test_an_answer_of_the_plain_run_is_kept_without_its_model(
    cache: UserCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    (made,) = found_by(cache, path)
    monkeypatch.setattr(preprocessing, "preprocess", no_child)
    (again,) = found_by(cache, path)
    assert made.instance is not None and made.instance.plain is not None and made.instance.plain.model is not None
    assert again.instance is not None and again.instance.plain is not None and again.instance.plain.model is None
    assert again.instance.plain.stages == made.instance.plain.stages


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "directory", "another key"])
def test_a_damaged_entry_is_made_again(cache: UserCache, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    found_by(cache, path)
    (entry,) = cache.directory.iterdir()
    whole = entry.read_bytes()
    if damage == "another key":
        other = UserCache(tmp_path / "other", SETTINGS.with_features(max_graph_edges=7), LIMIT)
        found_by(other, path)
        entry.write_bytes(next(other.directory.iterdir()).read_bytes())
    elif damage == "directory":
        entry.unlink()
        entry.mkdir()
    else:
        entry.write_bytes({"cut": whole[:-40], "other": b"PK" + bytes(500), "empty": b""}[damage])
    content = cache.content(str(path))
    assert content is not None and cache.get(content) is None
    (again,) = found_by(cache, path)
    assert again.instance is not None and again.instance.plain is not None
    if damage != "directory":
        assert cache.get(content) is not None


def test_what_preprocessing_depends_on_is_part_of_the_key(cache: UserCache, tmp_path: Path) -> None:
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    found_by(cache, path)
    for settings in (
        SETTINGS.with_features(max_graph_edges=7),
        SETTINGS.with_limits(graph_size_limit=7),
        SETTINGS.with_limits(read=ReadLimits(relaxed=True)),
        SETTINGS.with_features(plain=None),
    ):
        other = UserCache(cache.directory, settings, LIMIT)
        content = other.content(str(path))
        assert content is not None and other.get(content) is None
    path.write_text(EASY.replace("-1 -3", "1 3"))
    content = cache.content(str(path))
    assert content is not None and cache.get(content) is None


def test_what_another_try_might_better_is_not_kept(cache: UserCache, tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    whole = preprocess(str(path), SETTINGS, sandbox)
    assert whole.instance is not None and whole.instance.plain is not None
    content = cache.content(str(path))
    assert content is not None
    cut = replace(whole.instance.plain.stages[-1], status="TIMEOUT")
    by_time = replace(whole.instance, plain=replace(whole.instance.plain, stages=(cut,)))
    cache.put(content, replace(whole, note="probe crashed"))
    cache.put(content, replace(whole, instance=by_time))
    cache.put(content, Preprocessed(str(path), None, error="not a CNF"))
    path.write_text(EASY + "c changed while it was read\n")
    cache.put(content, whole)
    assert not cache.directory.exists()


def test_what_is_no_regular_file_is_not_kept(cache: UserCache, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in ("-", str(pipe), str(tmp_path / "missing"), str(tmp_path), "a\0b", [[1, 2]], "/dev/fd/0"):
        assert cache.content(source) is None


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = UserCache(tmp_path / "kept", SETTINGS, LIMIT)
    paths = [tmp_path / f"{k}.cnf" for k in range(5)]
    for k, path in enumerate(paths):
        path.write_text(f"c {k}\n{EASY}")
    found_by(cache, *paths)
    contents = [cache.content(str(path)) for path in paths]
    size = kept(cache.directory).bytes // 5
    for k, content in enumerate(contents):
        assert content is not None
        os.utime(cache._place(content), (1000 + k, 1000 + k))
    # A use counts.
    assert contents[0] is not None and cache.get(contents[0]) is not None
    (cache.directory / "left.behind.tmp").write_bytes(b"x")
    os.utime(cache.directory / "left.behind.tmp", (1000, 1000))
    (cache.directory / "under.way.tmp").write_bytes(b"x")
    small = UserCache(cache.directory, SETTINGS, round(4.5 * size))
    sixth = tmp_path / "sixth.cnf"
    sixth.write_text(f"c 6\n{EASY}")
    found_by(small, sixth)
    there = [cache.get(content) is not None for content in contents if content is not None]
    assert there == [True, False, False, True, True]
    assert kept(cache.directory).bytes <= small.limit
    assert sorted(path.name for path in cache.directory.glob("*.tmp")) == ["under.way.tmp"]


def test_without_a_place_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    for cache in (UserCache(tmp_path / "file/kept", SETTINGS, LIMIT), UserCache(tmp_path / "kept", SETTINGS, 0)):
        for _ in range(2):
            (found,) = found_by(cache, path)
            assert found.instance is not None
    assert not (tmp_path / "kept").exists()

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(user_cache.Path, "home", no_home)
    assert cache_directory() is None and UserCache.of_user(SETTINGS) is None


@pytest.mark.parametrize("kind", ["a file in its place", "no such place", "full"])
def test_a_place_that_cannot_be_written_is_named_once_and_not_tried_again(
    kind: str, tmp_path: Path, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    directory = {"a file in its place": tmp_path / "file/kept", "no such place": Path("/proc/self/kept")}.get(
        kind, tmp_path / "kept"
    )
    cache = UserCache(directory, SETTINGS, LIMIT)
    paths = [tmp_path / f"{k}.cnf" for k in range(3)]
    for k, path in enumerate(paths):
        path.write_text(f"c {k}\n{EASY}")
    whole = [preprocess(str(path), SETTINGS, sandbox) for path in paths]
    contents = [cache.content(str(path)) for path in paths]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if kind == "full":
            # No file may be longer: an entry is, and ends as on a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        for content, found in zip(contents, whole, strict=True):
            assert content is not None
            cache.put(content, found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (said,) = caplog.messages
    assert str(directory) in said and "--no-cache" in said and "\n" not in said
    # From then on files are not even read for it.
    assert cache.content(str(paths[0])) is None
    assert not directory.is_dir() or not list(directory.iterdir())


def test_a_file_that_has_gone_meanwhile_is_no_reason_to_stop(
    cache: UserCache, tmp_path: Path, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    gone, there = tmp_path / "gone.cnf", tmp_path / "there.cnf"
    for path in (gone, there):
        path.write_text(EASY)
    whole, content = preprocess(str(gone), SETTINGS, sandbox), cache.content(str(gone))
    gone.unlink()
    assert content is not None
    cache.put(content, whole)
    assert not cache.directory.exists() and caplog.messages == []
    found_by(cache, there)
    assert kept(cache.directory).entries == 1


def test_writers_at_the_same_time(cache: UserCache, tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    whole, content = preprocess(str(path), SETTINGS, sandbox), cache.content(str(path))
    assert content is not None
    cache.put(content, whole)
    seen: list[bool] = []
    stop = time.monotonic() + 1.0

    def write() -> None:
        own = UserCache(cache.directory, SETTINGS, LIMIT)
        while time.monotonic() < stop:
            own.put(content, whole)
            seen.append(own.get(content) is not None)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen and all(seen)
    assert [entry.suffix for entry in cache.directory.iterdir()] == [".npz"]


def test_place_and_limit_are_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "satcost" / "instances"
    # The specification: a relative path is invalid and is to be ignored.
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path.home() / ".cache/satcost/instances"
    monkeypatch.setenv("SATCOST_CACHE_MIB", "3")
    assert size_limit() == 3 << 20
    monkeypatch.setenv("SATCOST_CACHE_MIB", "lots")
    with pytest.raises(ConfigError, match="SATCOST_CACHE_MIB: found 'lots'"):
        size_limit()
    assert clear(tmp_path / "nowhere") == 0


def test_entries_are_plain_arrays_and_json(cache: UserCache, tmp_path: Path) -> None:
    path = tmp_path / "easy.cnf"
    path.write_text(EASY)
    found_by(cache, path)
    (entry,) = cache.directory.iterdir()
    with np.load(entry, allow_pickle=False) as arrays:
        assert json.loads(str(arrays["header"]))["about"]["key"] == cache._key
