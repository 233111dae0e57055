import csv
import gzip
import hashlib
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.import_runtimes import import_runtimes
from satcost_gnn.data.instance_index import read_index
from satcost_gnn.data.published_tables import edition_of, read_published, track_of_file
from satcost_gnn.data.schema import RunStatus, read_runs
from satcost_gnn.data.splits import check_splits, make_splits
from satcost_gnn.data.summary import check
from satcost_gnn.errors import DatasetError

SOLVERS = ("kissat", "glucose")


def h(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of ten instances i0 .. i9 of two families."""
    path = tmp_path / "INDEX.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "family", "gbdhash", "isohash", "n_vars", "n_clauses", "bytes", "licence"])
        for k in range(10):
            writer.writerow([f"f{k % 2}/i{k}.cnf.xz", f"f{k % 2}", h(f"i{k}"), h(f"iso{k}"), 3, 4, 50, "MIT"])
    return path


def wide(path: Path, rows: list[list[object]], solvers: tuple[str, ...] = SOLVERS) -> Path:
    text = ",".join(["hash", "benchmark", "verified-result", "claimed-result", *solvers]) + "\n"
    text += "".join(",".join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return path


def long(path: Path, rows: list[tuple[object, ...]], columns: str = "gbdhash,track,solver,value") -> Path:
    path.write_text(columns + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def runs_of(directory: Path) -> dict[tuple[str, str], tuple[str, float]]:
    return {(run.instance, run.solver): (str(run.status), run.cpu_s) for run in read_runs(directory / "runs.parquet")}


def test_a_wide_table_becomes_runs_with_edition_source_limit_and_no_counters(tmp_path, index):
    table = wide(
        tmp_path / "anni2022.csv.xz",
        [
            [h("i0"), "a.cnf", "sat", "sat", 12.5, 10000.0],
            [h("i1"), "b.cnf", "unsat", "unsat", 0, 4999.5],
            [h("i2"), "c.cnf", "unknown", "unsat", 10000, 3.0],
            [h("elsewhere"), "d.cnf", "sat", "sat", 1, 2],
        ],
    )
    report = import_runtimes([table], tmp_path / "out", index=index)
    assert runs_of(tmp_path / "out") == {
        (h("i0"), "kissat@sc2022"): ("SAT", 12.5),
        (h("i0"), "glucose@sc2022"): ("TIMEOUT", 5000.0),
        (h("i1"), "kissat@sc2022"): ("UNSAT", 0.0),
        (h("i1"), "glucose@sc2022"): ("UNSAT", 4999.5),
        (h("i2"), "kissat@sc2022"): ("TIMEOUT", 5000.0),
        (h("i2"), "glucose@sc2022"): ("UNSAT", 3.0),
    }
    assert (report.instances, report.runs, report.bad) == (3, 6, False)
    assert report.skipped["unknown hash"].runs == 2 and h("elsewhere") in report.skipped["unknown hash"].examples
    dataset = Dataset.open(tmp_path / "out")
    assert {run.source for run in dataset.runs} == {"sc2022_anni"}
    assert all(run.conflicts is None and run.wall_s is None and run.cpu_limit_s == 5000 for run in dataset.runs)
    assert [run.detail for run in dataset.runs if run.cpu_s == 3.0] == ["answer claimed, not verified"]
    assert dataset.by_instance[h("i1")] == next(row for row in read_index(index) if row.instance == h("i1"))
    assert check(tmp_path / "out") == []
    cost, censored, known = dataset.cost_matrix(["glucose@sc2022"], "cpu_seconds", instances=[h("i0"), h("i1")])
    assert known.all() and censored[:, 0].tolist() == [True, False]
    assert 10 ** cost[:, 0] == pytest.approx([5000.0, 4999.5])


def test_a_long_table_has_results_among_its_solvers_and_words_among_its_times(tmp_path, index):
    i0, i1, i2 = h("i0"), h("i1"), h("i2")
    table = long(
        tmp_path / "t.csv",
        [
            (i0, "sc2021_main", "filename", "a.cnf"),
            (i0, "sc2021_main", "Kissat", "TimeOut"),
            (i0, "sc2021_main", "Maple", "unverified"),
            (i0, "sc2021_main", "Glucose", "7.5"),
            (i0, "sc2023_main", "vresult", "UNSAT"),
            (i0, "sc2023_main", "Kissat", "8"),
            (i1, "sc2023_main", "Kissat", "9"),
            (i2, "sc2023_main", "Kissat", "memout"),
            (i2, "sc2023_main", "Maple", ""),
            (i2, "sc2023_main", "Glucose", "5000.0"),
        ],
    )
    report = import_runtimes([table], tmp_path / "out", index=index)
    # The result of one track holds for the same formula in another.
    assert runs_of(tmp_path / "out") == {
        (i0, "Kissat@sc2021"): ("TIMEOUT", 5000.0),
        (i0, "Glucose@sc2021"): ("UNSAT", 7.5),
        (i0, "Kissat@sc2023"): ("UNSAT", 8.0),
        (i2, "Kissat@sc2023"): ("MEMOUT", 5000.0),
        (i2, "Glucose@sc2023"): ("TIMEOUT", 5000.0),
    }
    assert {reason: skipped.runs for reason, skipped in report.skipped.items()} == {
        "no usable result": 1,
        "answer not known": 1,
        "no run": 1,
    }
    assert f"{table}:8: Kissat@sc2023 on {i1}: 9" in report.skipped["answer not known"].examples


def test_renamed_copies_get_the_runs_unless_they_were_run_themselves(tmp_path, index):
    (tmp_path / "isomorphic.csv").write_text(
        f"hash,copy_gbdhash\n{h('x')},{h('i0')}\n{h('y')},{h('i1')}\n{h('z')},{h('nowhere')}\n"
    )
    table = wide(
        tmp_path / "race2019.csv",
        [
            [h("x"), "x", "sat", "sat", 1.5, 2.5],
            [h("y"), "y", "sat", "sat", 3.5, 4.5],
            [h("z"), "z", "sat", "sat", 3.5, 4.5],
            [h("i1"), "i1", "sat", "sat", 5.5, 10000],
        ],
    )
    report = import_runtimes([table], tmp_path / "out", index=index)
    assert report.copies == {h("x"): h("i0"), h("y"): h("i1")}
    assert runs_of(tmp_path / "out") == {
        (h("i0"), "kissat@sc2019"): ("SAT", 1.5),
        (h("i0"), "glucose@sc2019"): ("SAT", 2.5),
        (h("i1"), "kissat@sc2019"): ("SAT", 5.5),
        (h("i1"), "glucose@sc2019"): ("TIMEOUT", 5000.0),
    }
    assert {run.detail for run in read_runs(tmp_path / "out" / "runs.parquet") if run.instance == h("i0")} == {
        f"run on its renamed copy {h('x')}"
    }
    assert report.skipped["measured before"].runs == 2 and report.skipped["unknown hash"].runs == 2


def test_what_does_not_fit_is_named_counted_and_left_out_and_the_rest_imported(tmp_path, index):
    table = wide(
        tmp_path / "sc2022.csv",
        [
            [h("i0"), "a", "sat", "sat", 1.0, 6000],
            [h("i1"), "b", "sat", "sat", -512, 2.0],
            [h("i2"), "c", "sat", "sat", "fast", 2.5],
            [h("i3"), "d", "sat", "sat", 7.0],
            [h("i4"), "e", "sat", "sat", 8.0, 8.5],
            [h("i4"), "e", "sat", "sat", 8.0, 9.5],
            [h("i5"), "f", "sat", "sat", "inf", "nan"],
            [h("i6"), "g", "sat", "sat", 3.0, 3.5],
            [h("i6"), "g2", "unsat", "sat", 3.0, 3.5],
        ],
    )
    report = import_runtimes([table], tmp_path / "out", index=index)
    assert runs_of(tmp_path / "out") == {
        (h("i0"), "kissat@sc2022"): ("SAT", 1.0),
        (h("i1"), "glucose@sc2022"): ("SAT", 2.0),
        (h("i2"), "glucose@sc2022"): ("SAT", 2.5),
        (h("i4"), "kissat@sc2022"): ("SAT", 8.0),
    }
    counts = {reason: skipped.runs for reason, skipped in report.skipped.items()}
    assert counts == {
        "time above the limit": 2,
        "negative time": 1,
        "no time": 1,
        "line that is no row": 1,
        # Two values for glucose on i4 (neither is taken), the second equal one for kissat, and both of i6.
        "duplicate": 5,
        "no run": 1,
        "contradicting results": 2,
    }
    assert report.bad
    text = "\n".join(report.lines())
    assert f"{table}:2: glucose@sc2022 on {h('i0')}: 6000" in text
    assert f"{table}:5: found 5 fields, expected 6" in text
    assert f"glucose@sc2022 on {h('i4')}: 8.5 ({table}:6), 9.5 ({table}:7); none is taken" in text


def test_a_solver_that_ran_under_two_limits_is_left_out_however_it_shows(tmp_path, index):
    rows = [[h(f"i{k}"), "x", "sat", "sat", 10000, 2.5 + k, 3.5] for k in range(5)]
    for row, value in zip(rows, (1000, 1000, 1000, 12.5, 10000), strict=True):
        row[-1] = value
    report = import_runtimes([wide(tmp_path / "a2022.csv", rows, (*SOLVERS, "maple"))], tmp_path / "out", index=index)
    assert {solver for _, solver in runs_of(tmp_path / "out")} == {"kissat@sc2022", "glucose@sc2022"}
    assert report.skipped["solver under two limits"].runs == 5 and report.bad
    assert report.skipped["solver under two limits"].examples == [
        "maple@sc2022: 3 runs of 1000 s, besides those coded for 5000 s"
    ]
    # A column says so.
    table = long(
        tmp_path / "limits.csv",
        [
            (h("i0"), "sc2020", "kissat", 1, 5000),
            (h("i1"), "sc2020", "kissat", 2, 1000),
            (h("i1"), "sc2020", "maple", 2, "5e3"),
            (h("i1"), "sc2020", "verified-result", "sat", ""),
        ],
        "gbdhash,track,solver,value,limit",
    )
    report = import_runtimes([table], tmp_path / "two", index=index)
    assert runs_of(tmp_path / "two") == {(h("i1"), "maple@sc2020"): ("SAT", 2.0)}
    assert report.skipped["solver under two limits"].examples == [
        "kissat@sc2020: limits 1000, 5000 s in the table, expected 5000 s throughout"
    ]
    # The data set has its runs under another one.
    again = long(
        tmp_path / "more.csv",
        [(h("i2"), "sc2020", "maple", 2), (h("i2"), "sc2020", "new", 3), (h("i2"), "sc2020", "verified-result", "sat")],
    )
    report = import_runtimes([again], tmp_path / "two", index=index, limit_s=1000)
    assert report.skipped["solver under two limits"].examples == ["maple@sc2020: has runs at 5000 s in the data set"]
    assert set(runs_of(tmp_path / "two")) == {(h("i1"), "maple@sc2020"), (h("i2"), "new@sc2020")}


def test_several_tables_make_one_data_set_and_importing_again_changes_nothing(tmp_path, index):
    one = wide(tmp_path / "sc2022.csv", [[h("i0"), "a", "sat", "sat", 1.5, 2.5]])
    two = long(
        tmp_path / "all.csv",
        [
            (h("i0"), "sc2022", "kissat", "1.5"),
            (h("i0"), "sc2022_main", "kissat", "1.6"),
            (h("i1"), "x", "maple", "3"),
            (h("i1"), "x", "verified-result", "unsat"),
        ],
    )
    report = import_runtimes([one, two], tmp_path / "out", index=index)
    assert runs_of(tmp_path / "out") == {
        (h("i0"), "kissat@sc2022"): ("SAT", 1.5),
        (h("i0"), "glucose@sc2022"): ("SAT", 2.5),
        (h("i1"), "maple@x"): ("UNSAT", 3.0),
    }
    assert report.skipped["in several tables"].runs == 1 and report.skipped["measured before"].runs == 1
    assert not report.bad
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert import_runtimes([one, two], tmp_path / "out").runs == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    three = long(tmp_path / "more.csv", [(h("i2"), "sc2022", "kissat", "10000")])
    assert import_runtimes([three], tmp_path / "out", index=index).runs == 1
    assert len(runs_of(tmp_path / "out")) == 4 and check(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benchmark,kissat\na,1\n", r"found no column hash \(or gbdhash\)"),
        ("gbdhash,track,solver\nx,y,z\n", "found no column value"),
        ("hash,benchmark\nx,y\n", "found no column one column a solver"),
        ("hash,kissat,kissat\nx,1,2\n", "found column 'kissat' twice"),
        ("hash,kissat\n", "found no rows with run times"),
        ("", "among nothing"),
    ],
)
def test_a_table_that_is_none_leaves_everything_as_it_was(tmp_path, index, text, message):
    bad, good = tmp_path / "bad.csv", wide(tmp_path / "sc2022.csv", [[h("i0"), "a", "sat", "sat", 1.5, 2.5]])
    bad.write_text(text)
    with pytest.raises(DatasetError, match=message):
        import_runtimes([bad], tmp_path / "out", index=index)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["INDEX.csv", "bad.csv", "sc2022.csv"]
    # Others go on.
    report = import_runtimes([bad, good], tmp_path / "out", index=index)
    assert report.runs == 2 and report.bad and "table that can't be read" in report.skipped


def test_nothing_is_half_imported(tmp_path, index, monkeypatch):
    one = wide(tmp_path / "sc2022.csv", [[h("i0"), "a", "sat", "sat", 1.5, 2.5]])

    def broken(*arguments: object) -> None:
        raise DatasetError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("satcost_gnn.data.dataset.write_runs", broken)
        with pytest.raises(DatasetError, match="disk full"):
            import_runtimes([one], tmp_path / "out", index=index)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["INDEX.csv", "sc2022.csv"]
    import_runtimes([one], tmp_path / "out", index=index)
    before = runs_of(tmp_path / "out")
    two = wide(tmp_path / "sc2023.csv", [[h("i1"), "a", "sat", "sat", 1.5, 2.5]])
    with monkeypatch.context() as patch:
        patch.setattr("satcost_gnn.data.import_runtimes.write_runs", broken)
        with pytest.raises(DatasetError, match="disk full"):
            import_runtimes([two], tmp_path / "out", index=index)
    assert runs_of(tmp_path / "out") == before and check(tmp_path / "out") == []
    assert import_runtimes([two], tmp_path / "out", index=index).runs == 2


def test_sides_and_folds_are_those_of_another_data_set_also_for_relatives(tmp_path, index, make_row):
    rows = read_index(index)
    # As any other text: with a byte order mark, or packed.
    for data in (b"\xef\xbb\xbf" + index.read_bytes(), gzip.compress(index.read_bytes())):
        (tmp_path / "other.csv").write_bytes(data)
        assert read_index(tmp_path / "other.csv") == rows
    # Known: i0, and relatives of i1 (renamed) and i2 (a cube of it).
    known = [
        rows[0],
        make_row("copy", isohash=rows[1].isohash, family="f1"),
        make_row("cube", origin="cube", parent=rows[2].instance, path=None, recipe="cube:x", family="f0"),
        *(make_row(f"other{k}", family=f"f{k % 2}") for k in range(40)),
    ]
    for seed in range(4):
        other = replace(Dataset(tmp_path / f"known{seed}", tuple(known)), splits=make_splits(known, seed))
        other.write()
        table = wide(tmp_path / "sc2022.csv", [[row.instance, "a", "sat", "sat", 1.5, 2.5] for row in rows])
        import_runtimes([table], tmp_path / f"out{seed}", index=index, splits=tmp_path / f"known{seed}")
        made = Dataset.open(tmp_path / f"out{seed}").splits
        for relative, row in zip(known[:3], rows, strict=False):
            assert made.side[row.instance] == other.splits.side[relative.instance]
            assert made.fold[row.instance] == other.splits.fold[relative.instance]
        assert set(made.side) == {row.instance for row in rows}
        assert check_splits([*known, *rows], make_splits([*known, *rows], previous=other.splits)) == []


def test_labels_never_go_by_isohash(tmp_path, index, make_row, make_run):
    # Formulas that share it may even differ in their answer.
    rows = read_index(index)
    known = (make_row("copy", isohash=rows[0].isohash),)
    solved = make_run("copy", status=RunStatus.UNSAT)
    replace(Dataset(tmp_path / "known", known, (solved,)), splits=make_splits(known)).write()
    table = long(tmp_path / "sc2022.csv", [(rows[0].instance, "sc2022", "kissat", "3")])
    report = import_runtimes([table], tmp_path / "out", index=index, splits=tmp_path / "known")
    assert report.runs == 0 and report.skipped["answer not known"].runs == 1


def test_the_index_and_the_splits_must_be_there(tmp_path, index):
    table = wide(tmp_path / "sc2022.csv", [[h("i0"), "a", "sat", "sat", 1.5, 2.5]])
    with pytest.raises(DatasetError, match="found no instances to join the tables to"):
        import_runtimes([table], tmp_path / "out")
    with pytest.raises(DatasetError, match="found a file, expected a directory"):
        import_runtimes([table], table, index=index)
    with pytest.raises(DatasetError, match="limit: found nan"):
        import_runtimes([table], tmp_path / "out", index=index, limit_s=float("nan"))
    index.write_text(index.read_text().replace("f0/i0.cnf.xz,f0", "f0/i0.cnf.xz,").replace(",3,4,50", ",3,four,50", 1))
    with pytest.raises(DatasetError, match=r"INDEX.csv:2: .*four.*correct that line"):
        import_runtimes([table], tmp_path / "out", index=index)


def test_names_of_files_and_tracks_tell_the_edition(tmp_path):
    assert edition_of("sc2022_anni") == edition_of("anni2022") == "sc2022" and edition_of("race") == "race"
    assert track_of_file(Path("anni2022.csv.xz")) == "sc2022_anni" and track_of_file(Path("sc2022.csv")) == "sc2022"
    table = wide(tmp_path / "mine.csv", [[h("i0"), "a", "sat", "sat", 1.5, 2.5]])
    assert {cell.track for cell in read_published(table, "sc2018_main").cells} == {"sc2018_main"}


def test_a_packed_table_with_something_behind_its_end_is_not_read_in_part(tmp_path):
    import gzip

    table = tmp_path / "sc2018_main.csv.gz"
    table.write_bytes(gzip.compress(b"hash,benchmark,one\n" + b"a" * 32 + b",x.cnf,2.5\n") + b"and something else")
    with pytest.raises(DatasetError, match=r"sc2018_main\.csv\.gz: .*get the file again"):
        read_published(table)
