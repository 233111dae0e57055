import lzma
from dataclasses import replace

import numpy as np
import pytest

from satcost_gnn.data.dataset import CostUnit, Dataset, run_cost
from satcost_gnn.data.run_outcome import outcome_within
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.data.splits import make_splits
from satcost_gnn.errors import DatasetError
from satcost_gnn.formula.identity import gbdhash


def test_a_data_set_comes_back_as_it_was_written(small_dataset):
    dataset = small_dataset()
    dataset = replace(dataset, splits=make_splits(dataset.manifest))
    dataset.write()
    back = Dataset.open(dataset.directory)
    assert sorted(back.manifest, key=lambda row: row.instance) == sorted(dataset.manifest, key=lambda row: row.instance)
    assert set(back.runs) == set(dataset.runs)
    assert back.splits.to_json() == dataset.splits.to_json()
    assert sorted(path.name for path in dataset.directory.iterdir()) == [
        "manifest.parquet",
        "runs.parquet",
        "splits.json",
    ]


def test_runs_and_splits_may_come_later(small_dataset):
    dataset = small_dataset()
    dataset.write()
    (dataset.directory / "runs.parquet").unlink()
    back = Dataset.open(dataset.directory)
    assert back.runs == () and back.splits is None and len(back.instances) == 12
    assert back.cost_matrix([]).cost.shape == (12, 0)


def test_a_directory_without_a_manifest_is_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match=r"manifest\.parquet"):
        Dataset.open(tmp_path)
    with pytest.raises(DatasetError, match="no such directory"):
        Dataset.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ({"conflicts": 1000}, "conflicts", (1000.0, False)),
        ({"conflicts": 0}, "conflicts", (1.0, False)),
        ({"conflicts": None}, "conflicts", None),
        ({"cpu_s": 2.5}, "cpu_seconds", (2.5, False)),
        ({"cpu_s": 0.0}, "cpu_seconds", (1e-3, False)),
        ({"status": "TIMEOUT", "conflicts": 7}, "conflicts", (7.0, True)),
        ({"status": "TIMEOUT", "conflicts": None}, "conflicts", None),
        ({"status": "TIMEOUT", "cpu_s": 10.02}, "cpu_seconds", (10.0, True)),
        # The wall-clock limit struck: no more than the time used is known.
        ({"status": "TIMEOUT", "cpu_s": 4.0}, "cpu_seconds", (4.0, True)),
        ({"status": "MEMOUT", "cpu_s": 4.0}, "cpu_seconds", (10.0, True)),
        ({"status": "MEMOUT", "propagations": 9}, "propagations", (9.0, True)),
        ({"status": "CRASHED"}, "conflicts", None),
        ({"status": "UNSUPPORTED"}, "cpu_seconds", None),
    ],
)
def test_the_cost_of_a_run(make_run, values, unit, expected):
    assert run_cost(make_run("a", **values), unit) == expected


def test_an_unknown_unit_is_named(make_run):
    with pytest.raises(DatasetError, match="'hours', expected one of conflicts, decisions, propagations, cpu_seconds"):
        run_cost(make_run("a"), "hours")


def test_cost_matrix_keeps_costs_bounds_and_gaps_apart(make_row, make_run, tmp_path):
    rows = tuple(make_row(name) for name in "abcd")
    runs = (
        make_run("a", conflicts=100),
        make_run("a", "other", status="TIMEOUT", conflicts=5000),
        make_run("b", status="CRASHED", conflicts=50),
        make_run("b", "other", status="MEMOUT", conflicts=0),
        make_run("c", seed=1, conflicts=10),
        make_run("x", conflicts=10),
    )
    dataset = Dataset(tmp_path, rows, runs)
    matrix = dataset.cost_matrix(["cadical195", "other"])
    np.testing.assert_allclose(matrix.cost, [[2, np.log10(5000)], [np.nan, 0], [np.nan] * 2, [np.nan] * 2])
    np.testing.assert_array_equal(matrix.censored, [[0, 1], [0, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(matrix.known, [[1, 1], [0, 1], [0, 0], [0, 0]])
    cost, censored, known = dataset.cost_matrix(["cadical195"], seed=1, instances=[rows[2].instance])
    assert (cost.item(), censored.item(), known.item()) == (1.0, False, True)
    seconds = dataset.cost_matrix(["other"], CostUnit.CPU_SECONDS)
    np.testing.assert_allclose(seconds.cost[:2, 0], [0.0, 1.0])
    np.testing.assert_array_equal(seconds.censored[:2, 0], [True, True])


def test_of_runs_under_several_limits_the_best_informed_counts(make_row, make_run, tmp_path):
    runs = (
        make_run("a", status="TIMEOUT", conflicts=100, cpu_limit_s=1.0),
        make_run("a", status="TIMEOUT", conflicts=900, cpu_limit_s=5.0),
        make_run("a", status="CRASHED", conflicts=10**6, cpu_limit_s=7.0),
        make_run("b", status="UNSAT", conflicts=2000, cpu_limit_s=5.0),
        make_run("b", status="TIMEOUT", conflicts=9000, cpu_limit_s=1.0),
    )
    for order in (runs, runs[::-1]):
        cost, censored, _ = Dataset(tmp_path, (make_row("a"), make_row("b")), order).cost_matrix()
        np.testing.assert_allclose(10 ** cost[:, 0], [900, 2000])
        assert censored[:, 0].tolist() == [True, False]


def test_contradicted_instances_are_in_quarantine(make_row, make_run, tmp_path):
    rows = (make_row("a"), make_row("b"))
    runs = (
        make_run("a"),
        make_run("a", "liar", status="UNSAT"),
        make_run("a", "other", status="TIMEOUT"),
        make_run("b"),
        make_run("b", "liar", status="CRASHED"),
    )
    dataset = Dataset(tmp_path, rows, runs)
    (found,) = dataset.contradictions.items()
    assert found[0] == rows[0].instance and f"{rows[0].instance}: SAT by cadical195, UNSAT by liar; in" in found[1]
    assert dataset.instances == (rows[1].instance,)
    both = [row.instance for row in rows]
    assert dataset.satisfiable(both).tolist() == [-1, 1]
    assert dataset.cost_matrix(instances=both).known[0].tolist() == [False, False, False]


def test_a_contradiction_between_seeds_counts_too(make_row, make_run, tmp_path):
    runs = (make_run("a"), make_run("a", seed=1, status="UNSAT"))
    assert Dataset(tmp_path, (make_row("a"),), runs).instances == ()


def test_unknown_solvers_and_instances_are_named(small_dataset):
    dataset = small_dataset()
    with pytest.raises(DatasetError, match="no runs of solver 'kissat', expected one of cadical195, other"):
        dataset.cost_matrix(["kissat"])
    with pytest.raises(DatasetError, match="no instance 'nobody'"):
        dataset.cost_matrix(instances=["nobody"])


def test_what_happens_within_a_cutoff(make_run):
    quick, slow = make_run("a", cpu_s=2.0), make_run("a", cpu_s=8.0)
    assert outcome_within([quick], 5.0) == (quick, RunStatus.SAT)
    assert outcome_within([slow], 5.0) == (slow, RunStatus.TIMEOUT)
    short = make_run("a", status="TIMEOUT", cpu_s=3.0, cpu_limit_s=3.0)
    assert outcome_within([short], 5.0) is None
    assert outcome_within([short], 2.0) == (short, RunStatus.TIMEOUT)
    assert outcome_within([short, slow], 9.0) == (slow, RunStatus.SAT)
    crashed, full = make_run("a", status="CRASHED"), make_run("a", status="MEMOUT", cpu_s=1.0, cpu_limit_s=20.0)
    assert outcome_within([crashed], 5.0) == (crashed, RunStatus.CRASHED)
    assert outcome_within([crashed, full], 5.0) == (full, RunStatus.MEMOUT)
    assert outcome_within([], 5.0) is None


@pytest.fixture
def formulas(tmp_path, make_row):
    """Three formula files under a root, and a data set that knows them by path, and one instance with a recipe."""
    root = tmp_path / "root"
    root.mkdir()
    rows = []
    for k in range(3):
        text = f"p cnf 3 2\n1 -2 0\n{-(k + 1)} 0\n"
        path = root / f"f{k}.cnf"
        path.write_text(text)
        rows.append(make_row(f"f{k}", instance=gbdhash(path), path=f"f{k}.cnf", bytes=len(text)))
    rows.append(make_row("made", path=None, origin="generated", recipe="tseitin:n=4,seed=1"))
    return root, Dataset(tmp_path, tuple(rows))


def test_files_are_found_at_their_paths(formulas):
    root, dataset = formulas
    for verify in (False, True):
        located = dataset.locate(root, verify=verify)
        assert [located.paths[row.instance].name for row in dataset.manifest[:3]] == ["f0.cnf", "f1.cnf", "f2.cnf"]
        # One that is made from its recipe is not missed.
        assert located.missing == () and located.wrong == {}


def test_files_elsewhere_are_found_by_an_index_in_the_root(formulas):
    root, dataset = formulas
    (root / "f1.cnf").rename(root / "renamed.cnf")
    assert dataset.locate(root).missing == (dataset.manifest[1].instance,)
    identity = dataset.manifest[1].instance
    (root / "INDEX.csv").write_text(f"file,gbdhash\nrenamed.cnf,{identity}\n../out.cnf,{identity}\n")
    assert dataset.locate(root).paths[identity] == root / "renamed.cnf"


def test_a_file_that_holds_something_else_is_reported_and_searched_for(formulas):
    root, dataset = formulas
    (root / "f0.cnf").rename(root / "moved.cnf")
    (root / "f0.cnf").write_text("p cnf 3 1\n1 2 3 0\n")
    identity = dataset.manifest[0].instance
    (root / "INDEX.csv").write_text(f"file,gbdhash\nmoved.cnf,{identity}\n")
    assert dataset.locate(root).paths[identity] == root / "f0.cnf"
    located = dataset.locate(root, verify=True)
    assert located.wrong == {identity: root / "f0.cnf"}
    assert located.paths[identity] == root / "moved.cnf"


def test_comments_do_not_change_the_identity(formulas):
    root, dataset = formulas
    (root / "f0.cnf").write_text("c a comment\n" + (root / "f0.cnf").read_text())
    assert dataset.locate(root, verify=True).wrong == {}


def test_a_cut_short_file_is_wrong_not_fatal(formulas):
    root, dataset = formulas
    (root / "f0.cnf.xz").write_bytes(lzma.compress((root / "f0.cnf").read_bytes())[:-20])
    row = replace(dataset.manifest[0], path="f0.cnf.xz")
    located = Dataset(dataset.directory, (row,)).locate(root, verify=True)
    assert located.wrong == {row.instance: root / "f0.cnf.xz"} and located.missing == (row.instance,)


def test_a_root_that_is_not_there_is_an_error(formulas):
    root, dataset = formulas
    with pytest.raises(DatasetError, match="no such directory"):
        dataset.locate(root / "nowhere")
