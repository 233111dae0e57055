import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.portfolio_summary import noise_summaries, par_scores, portfolio_summary
from satcost_gnn.data.schema import write_runs
from satcost_gnn.data.splits import make_splits
from satcost_gnn.data.summary import (
    CostHistogram,
    check,
    cost_histogram,
    reference_solver,
    summarise,
)
from satcost_gnn.data.summary_picture import VIRTUAL_BEST, summary_figure
from satcost_gnn.data.summary_text import histogram_lines, plain_table, summary_text


@pytest.fixture
def portfolio(make_row, make_run, tmp_path):
    """Return five instances and three solvers under 10 s: a and b each solve something alone, c is always slower."""
    seconds = {
        "one": (1.0, 4.0, 5.0),
        "two": (None, 2.0, 5.0),
        "three": (3.0, None, None),
        "four": (None, None, None),
        "five": (2.0, 2.0, 2.0),
    }
    runs = [
        make_run(
            name,
            solver,
            cpu_s=10.0 if cpu is None else cpu,
            status="TIMEOUT" if cpu is None else "SAT",
            conflicts=100 if name == "five" else 5000,
        )
        for name, row in seconds.items()
        for solver, cpu in zip(("a", "b", "c"), row, strict=True)
    ]
    runs.append(make_run("six", "a", cpu_s=9.0))
    rows = tuple(make_row(name) for name in (*seconds, "six"))
    return Dataset(tmp_path / "portfolio", rows, tuple(runs))


def test_scores_are_of_instances_that_all_solvers_were_run_on(portfolio):
    instances, scores = par_scores(portfolio, ["a", "b", "c"], 10.0)
    assert len(instances) == 5
    np.testing.assert_allclose(scores[0], [1, 4, 5])
    np.testing.assert_allclose(scores[3], [20, 20, 20])
    _, lower = par_scores(portfolio, ["a"], 2.5)
    np.testing.assert_allclose(lower[:, 0], [1, 5, 5, 5, 2, 5])


def test_how_solvers_complement_each_other(portfolio):
    found = portfolio_summary(portfolio, ["a", "b", "c"], 10.0)
    assert found.instances == 5 and found.vbs_solved == 4
    assert found.par2 == pytest.approx({"a": 46 / 5, "b": 48 / 5, "c": 52 / 5})
    assert found.solved == {"a": 3, "b": 3, "c": 3}
    assert found.single_best == "a" and found.sbs == pytest.approx(9.2)
    assert found.vbs == pytest.approx((1 + 2 + 3 + 20 + 2) / 5)
    assert found.gain == pytest.approx(1 - 5.6 / 9.2)
    # Without a: one 1 -> 4, three 3 -> 20. Without b: two 2 -> 5. Without c nothing changes.
    assert found.marginal == pytest.approx({"a": (3 + 17) / 5, "b": 3 / 5, "c": 0})
    assert found.only == {"a": 1, "b": 0, "c": 0}
    assert found.picks == pytest.approx({"a": 3 / 4, "b": 1 / 4, "c": 0})


def test_the_middle_range_is_not_that_of_the_reference_solver_alone(portfolio):
    summary = summarise(portfolio)
    assert reference_solver(portfolio) == summary.reference == "a"
    by_scope = {found.scope: found for found in summary.portfolios}
    # "five" is easy, "four" is solved by none; "two" times out for the reference solver and still counts.
    assert by_scope["all"].instances == 5 and by_scope["mid-range"].instances == 3
    assert summary.mid_range == 3
    assert by_scope["mid-range"].solved == {"a": 2, "b": 2, "c": 2}


def test_a_single_solver_is_a_portfolio_too(portfolio):
    found = portfolio_summary(portfolio, ["a"], 10.0)
    assert found.gain == 0 and found.only == {"a": 4} and found.picks == {"a": 1}
    assert portfolio_summary(portfolio, ["a"], 10.0, "none", among=()) is None


def test_reference_is_cadical195_where_it_was_run(small_dataset):
    assert reference_solver(small_dataset()) == "cadical195"
    assert reference_solver(small_dataset(runs=())) is None


def test_the_histogram_counts_costs_and_bounds_apart(small_dataset):
    histogram = cost_histogram(small_dataset(), "cadical195")
    assert histogram.edges[0] == 0 and histogram.edges[-1] == 6.0
    assert sum(histogram.solved) == 10 and sum(histogram.censored) == 2
    assert histogram.solved[:4] == (1, 1, 1, 1) and histogram.censored[-2:] == (1, 1)
    silent = tuple(replace(run, conflicts=None) for run in small_dataset().runs)
    seconds = cost_histogram(small_dataset(runs=silent), "cadical195")
    assert seconds.unit == "cpu_seconds" and sum(seconds.solved) == 10


def test_a_histogram_as_text_shows_every_bin():
    lines = histogram_lines(CostHistogram("s", "conflicts", (1.0, 1.5, 2.0, 2.5), (100, 0, 1), (50, 0, 2)), width=30)
    assert lines[1].endswith("100    50  " + "#" * 20 + ">" * 10)
    assert lines[2].endswith("0     0")
    assert lines[3].endswith("1     2  #>")


def test_a_data_set_as_a_picture(portfolio):
    figure = summary_figure(portfolio, cost_histogram(portfolio, "a"))
    left, right = figure.axes
    assert left.get_xlabel() == "log10 conflicts of a" and left.get_ylabel() == "instances"
    solved, cut = ([bar.get_height() for bar in container] for container in left.containers)
    assert (sum(solved), sum(cut)) == (4, 2)
    assert right.get_xlabel() == "CPU seconds" and right.get_xscale() == "log"
    curves = {line.get_label(): line for line in right.get_lines()}
    assert set(curves) == {"a: 4 of 6", "b: 3 of 5", "c: 3 of 5", f"{VIRTUAL_BEST}: 5 of 6"}
    assert len({line.get_color() for line in curves.values()}) == 4
    # As many instances as it answers, the fastest first; the virtual best is nowhere later.
    best = curves[f"{VIRTUAL_BEST}: 5 of 6"].get_xdata()
    for line in curves.values():
        seconds, count = line.get_data()
        assert list(count) == list(range(1, len(seconds) + 1)) and list(seconds) == sorted(seconds)
        assert (best[: len(seconds)] <= seconds).all()


def test_noise_is_the_change_between_seeds(make_row, make_run, tmp_path):
    runs = []
    for k, (status, ratio) in enumerate([("SAT", 10), ("SAT", 1), ("UNSAT", 1.5), ("TIMEOUT", 3)]):
        runs.append(make_run(f"i{k}", status=status, conflicts=1000))
        runs.append(make_run(f"i{k}", status=status, conflicts=int(1000 * ratio), seed=1))
    rows = tuple(make_row(f"i{k}") for k in range(4))
    by_answer = {noise.answer: noise for noise in noise_summaries(Dataset(tmp_path, rows, tuple(runs)))}
    assert by_answer["any"].instances == 3
    assert by_answer["any"].within_2 == pytest.approx(2 / 3) and by_answer["any"].median_ratio == pytest.approx(1.5)
    assert by_answer["SAT"].instances == 2
    # Two values one decade apart have the sample variance 1/2, two equal ones 0.
    assert by_answer["SAT"].sd_log10 == pytest.approx(np.sqrt(0.25))
    assert by_answer["UNSAT"].sd_log10 == pytest.approx(np.log10(1.5) / np.sqrt(2))
    assert noise_summaries(Dataset(tmp_path, rows, tuple(run for run in runs if run.seed == 0))) == ()


def test_counts_by_family_and_status(small_dataset, make_row, make_run):
    dataset = small_dataset()
    extra = make_row("extra", family="family-0", isohash=dataset.manifest[0].isohash)
    runs = (
        *dataset.runs,
        make_run("i0", "liar", status="UNSAT"),
        make_run("i1", "liar", status="CRASHED"),
        make_run("nobody"),
    )
    summary = summarise(replace(dataset, manifest=(*dataset.manifest, extra), runs=runs))
    first = summary.families[0]
    assert (first.family, first.instances, first.without_runs) == ("family-0", 5, 1)
    # i0 is contradicted, i3 and i9 are odd, i6 is even.
    assert (first.satisfiable, first.unsatisfiable, first.unsolved) == (1, 2, 1)
    assert {solver.solver: solver.statuses["TIMEOUT"] for solver in summary.solvers} == {
        "cadical195": 2,
        "other": 4,
        "liar": 0,
    }
    assert [len(its) for its in summary.duplicates.values()] == [2]
    assert len(summary.contradictions) == 1 and summary.unlisted_runs == 1
    assert sum(family.instances for family in summary.families) == summary.instances == 13


def test_rare_solvers_are_not_part_of_the_portfolio(small_dataset, make_run):
    dataset = small_dataset()
    summary = summarise(replace(dataset, runs=(*dataset.runs, make_run("i1", "rare", status="UNSAT"))))
    assert set(summary.portfolios[0].par2) == {"cadical195", "other"} and summary.portfolios[0].instances == 12


def test_a_summary_as_text(small_dataset):
    dataset = small_dataset()
    text = "\n".join(summary_text(summarise(replace(dataset, splits=make_splits(dataset.manifest)))))
    for expected in (
        "small: 12 instances (12 real) of 3 families, 32 runs of 2 solvers",
        "family-1",
        "SBS",
        "median ratio",
        "0 isohashes are shared",
        "splits: train",
    ):
        assert expected in text
    assert "\x1b" not in text


def test_a_summary_before_anything_was_run(small_dataset):
    dataset = small_dataset(runs=())
    dataset.write()
    (dataset.directory / "journal").mkdir()
    (dataset.directory / "journal" / "x.jsonl").touch()
    text = "\n".join(summary_text(summarise(dataset)))
    assert "12 instances" in text and "0 runs of 0 solvers" in text and "1 journals" in text


def test_instances_of_only_timeouts_are_no_trouble(make_row, make_run, tmp_path):
    rows = tuple(make_row(f"i{k}") for k in range(2))
    runs = tuple(make_run(f"i{k}", status="TIMEOUT", conflicts=None, cpu_s=10.0) for k in range(2))
    summary = summarise(Dataset(tmp_path, rows, runs))
    assert summary.histogram.solved == (0,) and summary.mid_range == 0
    assert [found.scope for found in summary.portfolios] == ["all"]
    assert "2 instances" in summary_text(summary)[0]


def test_check_passes_a_sound_data_set(small_dataset):
    dataset = small_dataset()
    replace(dataset, splits=make_splits(dataset.manifest)).write()
    assert check(dataset.directory) == []


def test_check_finds_what_is_wrong(small_dataset, make_run, tmp_path):
    dataset = small_dataset()
    dataset.write()
    (problem,) = check(dataset.directory)
    assert "found no splits.json" in problem

    splits = make_splits(dataset.manifest)
    moved = next(row for row in dataset.manifest if splits.fold[row.instance] != 4)
    broken = replace(splits, fold={**splits.fold, moved.instance: 4})
    replace(dataset, splits=broken).write()
    assert [line for line in check(dataset.directory) if f"block {moved.family} straddles folds" in line]

    replace(dataset, splits=splits).write()
    write_runs(dataset.directory / "runs.parquet", [*dataset.runs, make_run("x"), make_run("x", seed=1)])
    (problem,) = check(dataset.directory)
    assert "2 runs of" in problem and "not in the manifest" in problem

    (dataset.directory / "runs.parquet").write_bytes(b"rubbish")
    (problem,) = check(dataset.directory)
    assert "no readable parquet table" in problem


def test_check_looks_into_files_that_are_there(small_dataset, tmp_path):
    dataset = small_dataset()
    replace(dataset, splits=make_splits(dataset.manifest)).write()
    root = tmp_path / "root"
    (root / "family-0").mkdir(parents=True)
    (root / "family-0" / "i0.cnf").write_text("p cnf 1 1\n1 0\n")
    (problem,) = check(dataset.directory, root)
    assert problem.endswith(f"i0.cnf: found another formula, expected {dataset.manifest[0].instance}")
    assert "no such directory" in check(dataset.directory, root / "nowhere")[0]


def test_tables_align_numbers_to_the_right():
    assert plain_table(("name", "n", "share"), [("a", 5, "7.5%"), ("longer", 10, "-12.0%")]) == [
        "name     n   share",
        "a        5    7.5%",
        "longer  10  -12.0%",
    ]
    assert plain_table(("name", "n"), []) == ["name  n"]


def test_reading_a_data_set_loads_neither_torch_nor_matplotlib():
    code = "import sys, satcost_gnn.data.summary, satcost_gnn.data.card, satcost_gnn.data.aslib; "
    code += "sys.exit(bool({'torch', 'matplotlib', 'pysat', 'gbdc'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
