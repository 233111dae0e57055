"""Databases of GBD: what is selected and what is written is what the real gbd-tools select and read."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from satcost_gnn.data.gbd import GbdInstance, database_paths, feature_name, find_instances, write_features
from satcost_gnn.errors import ConfigError, OutputError

QUERIES = [
    "",
    "family = crypto",
    "family != crypto",
    "family like cry%",
    "family like %yp%",
    "family unlike cry%",
    "variables > 100",
    "variables <= 100",
    "variables = 100",
    "clauses < (4 * variables)",
    "clauses >= (variables + 2 * variables)",
    "variables != None",
    "variables = None",
    "author = anna",
    "author != anna",
    "author like a%",
    "author = None",
    "author != None",
    "family = crypto or family = planning and variables > 50",
    "(family = crypto or family = planning) and variables > 50",
    "not family = crypto and variables > 50",
    "not (family = crypto) and variables > 50",
    "family = 'crypto'",
    'family = "planning"',
    "hash = a1",
    "hash like a%",
    "cnf:family = crypto",
    "cnf_meta:family = crypto",
    "runtime < 10.5",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two databases made by gbd-tools, and a CSV."""
    api = pytest.importorskip("gbd_core.api")
    tmp_path = tmp_path_factory.mktemp("gbd")
    meta, local, times = tmp_path / "cnf_meta.db", tmp_path / "cnf_local.db", tmp_path / "times.csv"
    for path in (meta, local):
        sqlite3.connect(path).close()
    with api.GBD([str(meta)]) as gbd:
        gbd.create_feature("family", "unknown")
        gbd.create_feature("variables", "empty")
        gbd.create_feature("clauses", "0")
        gbd.create_feature("author")
        rows = [
            ("a1", "crypto", 50, 100),
            ("a2", "planning", 100, 450),
            ("b1", "crypto", 200, 900),
            ("b2", "random", 7, 9),
        ]
        for one, family, variables, clauses in rows:
            for name, value in (("family", family), ("variables", variables), ("clauses", clauses)):
                gbd.set_values(name, str(value), [one])
        gbd.set_values("author", "anna", ["a1", "a2"])
        gbd.set_values("author", "ben", ["a2", "b1"])
        gbd.set_values("family", "bare", ["c1"])
    with api.GBD([str(local)]) as gbd:
        gbd.create_feature("local")
        gbd.set_values("local", str(tmp_path / "one.cnf"), ["a1"])
        gbd.set_values("local", str(tmp_path / "absent.cnf"), ["a2"])
        gbd.set_values("local", str(tmp_path / "two.cnf"), ["a2"])
    (tmp_path / "two.cnf").write_text("p cnf 1 1\n1 0\n")
    times.write_text("hash,runtime\na1,3.5\na2,12\nb1,10.4\n")
    return [meta, local, times]


@pytest.fixture
def databases(made: list[Path], tmp_path: Path) -> list[Path]:
    return [Path(shutil.copy(path, tmp_path / path.name)) for path in made]


@pytest.mark.parametrize("query", QUERIES)
def test_selects_what_gbd_selects(query: str, made: list[Path]) -> None:
    api = pytest.importorskip("gbd_core.api")
    with api.GBD([str(path) for path in made]) as gbd:
        expected = sorted(gbd.query(query or None)["hash"].to_list())
    assert [one.gbdhash for one in find_instances(made, query)] == expected


def test_paths_are_those_of_local(made: list[Path]) -> None:
    tmp_path = made[0].parent
    found = {one.gbdhash: one for one in find_instances(made)}
    assert found["a1"].paths == (str(tmp_path / "one.cnf"),)
    assert found["a2"].path == str(tmp_path / "two.cnf")  # the other path leads nowhere
    assert found["b1"].path is None


def test_gbd_reads_what_is_written(databases: list[Path], tmp_path: Path) -> None:
    api = pytest.importorskip("gbd_core.api")
    fresh = tmp_path / "cnf_predictions.db"
    for path in (fresh, databases[0], databases[1]):
        write_features(path, {"a1": {"cost_q50": "12.5"}, "z9": {"cost_q50": "7", "other": 'it\'s "x"'}})
        with api.GBD([str(path)]) as gbd:
            rows = {row[0]: row[1:] for row in gbd.query("cost_q50 > 0", resolve=["cost_q50", "other"]).iter_rows()}
        assert rows == {"a1": ("12.5", "None"), "z9": ("7", 'it\'s "x"')}
        assert [one.gbdhash for one in find_instances([path], "cost_q50 < 10 and cost_q50 != None")] == ["z9"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    write_features(path, {"a": {"x": "1"}})
    with pytest.raises(OutputError, match="--overwrite"):
        write_features(path, {"a": {"x": "2"}, "b": {"y": "3"}})
    assert {one.gbdhash for one in find_instances([path])} == {"a"}
    write_features(path, {"a": {"x": "2"}}, overwrite=True)
    assert find_instances([path], "x = 2") == [GbdInstance("a")]


def test_a_database_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.db"
    write_features(path, {"a": {"x": "1"}})
    connect = sqlite3.connect
    holder = connect(path)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("satcost_gnn.data.gbd.sqlite3.connect", lambda place, **_: connect(place, timeout=0.01))
    with pytest.raises(OutputError, match="locked"):
        write_features(path, {"a": {"y": "1"}})
    holder.close()


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("family", "expected =, !="),
        ("family = ", "expected a text or a number"),
        ("family = x y", "expected 'and', 'or' or the end"),
        ("(family = x", r"expected '\)'"),
        ("colour = red", "expected one of"),
        ("author < (2 * author)", "one value"),
        ("family > None", "before None"),
        ("= 3", "name of a feature"),
    ],
)
def test_what_is_no_query_is_named(query: str, part: str, made: list[Path]) -> None:
    with pytest.raises(ConfigError, match=part):
        find_instances(made, query)


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    text, damaged = tmp_path / "a.txt", tmp_path / "b.db"
    text.write_text("p cnf 1 1\n1 0\n")
    damaged.write_bytes(b"SQLite format 3\x00" + b"x" * 200)
    for path in (text, damaged, tmp_path / "missing.db"):
        with pytest.raises(ConfigError, match=path.name):
            find_instances([path])
        if path.exists():
            with pytest.raises(OutputError, match=path.name):
                write_features(path, {"a": {"x": "1"}})


def test_names_of_features() -> None:
    assert feature_name("satcost", "cadical195:sat", "q50") == "satcost_cadical195_sat_q50"
    assert feature_name("3sat") == "f_3sat"
    assert database_paths("a.db:b.csv:") == [Path("a.db"), Path("b.csv")]
