import json
from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from satcost_gnn.data.schema import (
    MANIFEST_SCHEMA,
    RUNS_SCHEMA,
    ManifestRow,
    Origin,
    Run,
    RunStatus,
    read_manifest,
    read_runs,
    rows_of,
    table_of,
    write_manifest,
    write_runs,
)
from satcost_gnn.errors import DatasetError


def test_every_column_says_what_it_holds_also_in_the_file(tmp_path, make_row, make_run):
    write_runs(tmp_path / "runs.parquet", [make_run("a")])
    write_manifest(tmp_path / "manifest.parquet", [make_row("a")])
    for name, schema in (("runs", RUNS_SCHEMA), ("manifest", MANIFEST_SCHEMA)):
        stored = pq.read_schema(tmp_path / f"{name}.parquet")
        assert stored.equals(schema, check_metadata=True)
        assert all(field.metadata[b"description"] for field in stored)
    assert pq.read_schema(tmp_path / "runs.parquet").field("cpu_s").metadata[b"unit"] == b"s"


def test_rows_come_back_sorted_with_their_types_and_nulls(tmp_path, make_row, make_run):
    runs = [make_run("b", conflicts=None, status="TIMEOUT"), make_run("a", seed=2), make_run("a", "other")]
    write_runs(tmp_path / "runs.parquet", runs)
    back = read_runs(tmp_path / "runs.parquet")
    assert back == sorted(runs, key=lambda run: run.key)
    assert {type(run.status) for run in back} == {RunStatus}
    rows = [
        make_row("cube", origin="cube", path=None, recipe="cube:literals=1,parent=x", parent="x", licence=None),
        make_row("real"),
    ]
    write_manifest(tmp_path / "manifest.parquet", rows)
    stored = read_manifest(tmp_path / "manifest.parquet")
    assert stored == sorted(rows, key=lambda row: row.instance)
    assert {row.origin for row in stored} == {Origin.CUBE, Origin.REAL}


def test_a_run_survives_json_and_its_key_tells_limits_apart(make_run):
    run = make_run("a", status=RunStatus.MEMOUT, conflicts=None)
    assert Run.from_dict(json.loads(json.dumps(asdict(run)))) == run
    assert run.key == (run.instance, "cadical195", 0, 10.0)
    assert replace(run, cpu_limit_s=20.0).key != run.key
    assert replace(run, wall_limit_s=99.0, cpu_s=3.0).key == run.key


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("status", "FINISHED", "SAT, UNSAT, TIMEOUT"),
        ("conflicts", -1, "count >= 0"),
        ("conflicts", 1.5, "int64 or null"),
        ("conflicts", True, "int64 or null"),
        ("cpu_s", float("nan"), "finite"),
        ("cpu_s", None, "double"),
        ("cpu_limit_s", 0, "> 0"),
        ("solver", "", "non-empty"),
        ("solver", 3, "string"),
        ("seed", -2, ">= 0"),
    ],
)
def test_a_bad_value_is_named(make_run, name, value, expected):
    record = {**asdict(make_run("a")), name: value}
    with pytest.raises(DatasetError, match=f"{name}: found .*expected .*{expected}"):
        Run.from_dict(record)


def test_missing_and_unknown_columns_are_named(make_run):
    record = asdict(make_run("a"))
    with pytest.raises(DatasetError, match="unknown columns flips"):
        Run.from_dict({**record, "flips": 3})
    del record["solver"]
    with pytest.raises(DatasetError, match="found no solver"):
        Run.from_dict(record)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.cnf", "a/../../x.cnf"])
def test_a_path_stays_inside_the_root(make_row, path):
    with pytest.raises(DatasetError, match="path inside the root"):
        make_row("a", path=path)


def test_an_instance_needs_a_source_and_is_not_its_own_parent(make_row):
    with pytest.raises(DatasetError, match="a path or a recipe"):
        make_row("a", path=None, origin="generated")
    row = make_row("a")
    with pytest.raises(DatasetError, match="parent"):
        replace(row, parent=row.instance)


def test_a_table_with_other_columns_or_a_newer_version_is_refused(make_run):
    table = table_of(Run, [make_run("a")])
    with pytest.raises(DatasetError, match=r"x\.parquet: .*missing detail"):
        rows_of(Run, table.drop_columns(["detail"]), "x.parquet")
    with pytest.raises(DatasetError, match="unknown flips"):
        rows_of(Run, table.append_column("flips", pa.array([1])))
    newer = table.replace_schema_metadata({"satcost_schema_version": "99"})
    with pytest.raises(DatasetError, match=r"version 99.*newer"):
        rows_of(Run, newer)


def test_a_bad_row_of_a_table_is_numbered(make_run):
    table = table_of(Run, [make_run("a"), make_run("b"), make_run("a")])
    with pytest.raises(DatasetError, match=r"t: row 2: found .* again \(first in row 0\)"):
        rows_of(Run, table, "t")
    statuses = pa.array(["SAT", "LOST"])
    two = table_of(Run, [make_run("a"), make_run("b")])
    broken = two.set_column(two.schema.get_field_index("status"), RUNS_SCHEMA.field("status"), statuses)
    with pytest.raises(DatasetError, match=r"t: row 1: status: found 'LOST'"):
        rows_of(Run, broken, "t")
    nulls = two.set_column(two.schema.get_field_index("solver"), "solver", pa.array(["s", None]))
    with pytest.raises(DatasetError, match=r"t: row 1: solver: found null"):
        rows_of(Run, nulls, "t")
    words = two.set_column(two.schema.get_field_index("seed"), "seed", pa.array(["one", "two"]))
    with pytest.raises(DatasetError, match=r"column seed: found string, expected int64"):
        rows_of(Run, words, "t")


def test_narrower_integers_are_read(make_run):
    table = table_of(Run, [make_run("a", seed=3)])
    narrow = table.set_column(table.schema.get_field_index("seed"), "seed", pa.array([3], pa.int32()))
    assert rows_of(Run, narrow)[0].seed == 3


def test_a_key_is_written_once(tmp_path, make_run):
    with pytest.raises(DatasetError, match="twice"):
        write_runs(tmp_path / "runs.parquet", [make_run("a"), make_run("a", conflicts=5)])
    assert list(tmp_path.iterdir()) == []


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"runs\.parquet: found no such file"):
        read_runs(tmp_path / "runs.parquet")
    (tmp_path / "runs.parquet").write_bytes(b"PAR1 but then rubbish")
    with pytest.raises(DatasetError, match=r"runs\.parquet: found no readable parquet table"):
        read_runs(tmp_path / "runs.parquet")


def test_a_written_file_has_ordinary_permissions(tmp_path, make_row):
    write_manifest(tmp_path / "m.parquet", [make_row("a")])
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / "m.parquet").stat().st_mode == plain.stat().st_mode


def test_the_same_rows_give_the_same_bytes(tmp_path, make_run):
    runs = [make_run(f"i{k}", seed=k) for k in range(20)]
    write_runs(tmp_path / "a", runs)
    write_runs(tmp_path / "b", reversed(runs))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_table_is_a_table(tmp_path):
    write_manifest(tmp_path / "m", [])
    assert read_manifest(tmp_path / "m") == []
    assert table_of(ManifestRow, []).schema.equals(MANIFEST_SCHEMA)


def test_a_table_of_the_first_version_is_read_with_an_empty_source(tmp_path, make_run):
    runs = [make_run("a"), make_run("b", status="TIMEOUT")]
    table = table_of(Run, runs).drop_columns(["source"])
    old = table.replace_schema_metadata({**table.schema.metadata, b"satcost_schema_version": b"1"})
    pq.write_table(old, tmp_path / "runs.parquet")
    assert read_runs(tmp_path / "runs.parquet") == runs and runs[0].source == ""
    # A line of a journal that an earlier version wrote.
    record = asdict(runs[0])
    del record["source"]
    assert Run.from_dict(record) == runs[0]
    with pytest.raises(DatasetError, match="missing source"):
        rows_of(Run, table)


def test_a_published_run_has_a_source_and_may_lack_what_its_table_does_not_tell(tmp_path, make_run):
    unknown = dict.fromkeys(("wall_s", "peak_memory_mb", "wall_limit_s", "memory_limit_mb"))
    run = make_run("a", "kissat@sc2022", source="sc2022_main", **unknown)
    write_runs(tmp_path / "runs.parquet", [run])
    assert read_runs(tmp_path / "runs.parquet") == [run]
    assert run.limits == "10 / ? / ?" and make_run("a").limits == "10 / 90 / 4096"
    with pytest.raises(DatasetError, match="cpu_limit_s: found None, expected a finite number > 0"):
        make_run("a", cpu_limit_s=None)
