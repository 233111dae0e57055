from dataclasses import replace

import numpy as np
import pytest

from satcost_gnn.cli.dataset import SplitOptions, run_split
from satcost_gnn.data.card import format_card
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.race import cap_s, race_factor
from satcost_gnn.data.race_summary import common_limits, limit_counts, race_summary, raced_runs
from satcost_gnn.data.run_outcome import effective_run, outcome_within, survived_s
from satcost_gnn.data.schema import RunStatus
from satcost_gnn.data.splits import check_splits, make_splits
from satcost_gnn.errors import DatasetError


@pytest.fixture
def timed(make_run):
    """Return a function that makes the run of a solver that takes ``cost`` seconds under a limit."""

    def make(instance, solver, limit, cost=1e9):
        return make_run(
            instance, solver, status="UNSAT" if cost <= limit else "TIMEOUT", cpu_s=min(cost, limit), cpu_limit_s=limit
        )

    return make


@pytest.fixture
def raced(timed, make_row, tmp_path):
    runs = (
        # a is best after two rounds; the others are stopped at 80 s, which only b survives.
        timed("one", "a", 10.0), timed("one", "b", 10.0), timed("one", "c", 10.0),
        timed("one", "a", 30.0, 20.0), timed("one", "b", 80.0, 30.0), timed("one", "c", 80.0),
        # b alone; a and c are stopped.
        timed("two", "a", 10.0), timed("two", "b", 10.0, 5.0), timed("two", "c", 20.0),
        # Below a second nobody is compared.
        timed("three", "a", 10.0, 0.01), timed("three", "b", 1.0, 0.5), timed("three", "c", 1.0),
        # Nobody.
        timed("four", "a", 10.0), timed("four", "b", 10.0), timed("four", "c", 10.0),
    )  # fmt: skip
    return Dataset(tmp_path / "raced", tuple(make_row(name) for name in ("one", "two", "three", "four")), runs)


def test_one_effective_run_counts_for_each_solver(timed):
    short, long, solved, slower = (
        timed("i", "a", limit, cost) for limit, cost in ((10.0, 1e9), (50.0, 1e9), (100.0, 60.0), (300.0, 61.0))
    )
    assert effective_run([short, long, solved, slower]) is solved
    assert effective_run([long, short]) is long
    # The wall clock ended the longer one early.
    early = replace(long, cpu_s=5.0)
    assert survived_s(early) == 5.0
    assert effective_run([short, early]) is short
    assert effective_run([replace(short, status=RunStatus.CRASHED)]) is None


def test_a_run_that_the_wall_clock_ended_tells_nothing_beyond_what_it_used(timed):
    early = replace(timed("i", "a", 100.0), cpu_s=40.0)
    assert outcome_within([early], 30.0) == (early, RunStatus.TIMEOUT)
    assert outcome_within([early], 60.0) is None
    whole = timed("i", "a", 100.0)
    assert outcome_within([whole], 60.0) == (whole, RunStatus.TIMEOUT)


def test_runs_that_a_race_has_cut_short_are_known(raced, make_row):
    names = {make_row(name).instance: name for name in ("one", "two", "three", "four")}
    assert {(names[r.instance], r.solver, r.cpu_limit_s) for r, _ in raced_runs(raced)} == {
        ("one", "b", 80.0), ("one", "c", 80.0), ("two", "c", 20.0), ("three", "b", 1.0), ("three", "c", 1.0),
    }  # fmt: skip
    assert cap_s(20.0) == 80.0 and cap_s(0.01) == 1.0
    # A solver's own time makes no limit for itself.
    run = raced.runs_of[make_row("one").instance][3]
    assert race_factor(replace(run, cpu_limit_s=80.0), [run]) is None
    # Another factor is told from the limit, too.
    other = replace(run, solver="b", status=RunStatus.TIMEOUT, cpu_limit_s=16 * 20.0)
    assert race_factor(other, [run]) == 16.0
    assert race_factor(replace(other, cpu_limit_s=300.0), [run]) is None
    assert common_limits(raced) == (10.0, 30.0)
    counts = limit_counts(raced)
    assert sum(counts.values()) == len(raced.runs) == 15
    assert [count for name, count in counts.items() if name.startswith("4 x best")] == [5]


def test_what_a_race_tells_of_each_solver(raced):
    rows = {row.solver: row for row in race_summary(raced)}
    assert {name: (r.instances, r.solved, r.compared, r.best, r.close) for name, r in rows.items()} == {
        "a": (4, 2, 2, 1, 1),
        "b": (4, 3, 2, 1, 2),
        "c": (4, 0, 2, 0, 0),
    }
    # Without a: 10 s more on one. Without b: at least 5 s more on two, where a has gone through 10 s.
    assert rows["a"].without_s == pytest.approx(10 / 2)
    assert rows["b"].without_s == pytest.approx(5 / 2)
    assert rows["c"].without_s == 0.0
    assert [row.solver for row in race_summary(raced)] == ["b", "a", "c"]


def test_the_card_says_that_censoring_depends_on_another_solver(raced, timed, make_row, tmp_path):
    card = format_card(raced)
    assert "## Races" in card and "5 runs, 3 of which it cut off" in card
    assert "depends on how fast another solver was" in card
    plain = Dataset(tmp_path / "plain", (make_row("one"),), (timed("one", "a", 10.0), timed("one", "b", 10.0, 3.0)))
    assert "Races" not in format_card(plain)


def test_labels_of_instances_that_share_an_isohash_stay_apart(timed, make_row, tmp_path):
    # Parity formulas of both answers can have one isohash.
    rows = (make_row("even", isohash="same"), make_row("odd", isohash="same"))
    runs = (replace(timed("even", "a", 10.0, 2.0), status=RunStatus.SAT), timed("odd", "a", 10.0, 7.0))
    dataset = Dataset(tmp_path / "parity", rows, runs)
    assert not dataset.contradictions and dataset.instances == tuple(row.instance for row in rows)
    np.testing.assert_array_equal(dataset.satisfiable(), [1, 0])
    matrix = dataset.cost_matrix(["a"], "cpu_seconds")
    np.testing.assert_allclose(10 ** matrix.cost[:, 0], [2.0, 7.0])
    unlabelled = Dataset(tmp_path / "parity", rows, runs[:1])
    assert not unlabelled.cost_matrix(["a"]).known[1, 0]
    # They are on one side all the same.
    assert len(set(make_splits(rows).side.values())) == 1


def test_splits_like_those_of_another_data_set(make_row, tmp_path):
    known = [make_row(f"k{k}", isohash=f"iso{k}", family=f"f{k % 4}") for k in range(40)]
    corpus = replace(Dataset(tmp_path / "corpus", tuple(known)), splits=make_splits(known, 3))
    corpus.write()
    test = sorted(name for name, side in corpus.splits.side.items() if side == "test")
    rows = (
        *known[::3],
        *(make_row(f"copy-{name}", isohash=corpus.by_instance[name].isohash, family="f0") for name in test),
        *(make_row(f"cube-{name}", isohash=f"c{name}", family="f1", parent=name) for name in test),
        *(make_row(f"new{k}", isohash=f"n{k}", family="f2") for k in range(20)),
    )
    Dataset(tmp_path / "long", tuple(sorted(rows, key=lambda row: row.instance))).write()
    assert run_split(SplitOptions(tmp_path / "long", like=tmp_path / "corpus")) == 0
    made = Dataset.open(tmp_path / "long")
    for row in known[::3]:
        assert made.splits.side[row.instance] == corpus.splits.side[row.instance]
    relatives = [make_row(f"{kind}-{name}").instance for name in test for kind in ("copy", "cube")]
    assert {made.splits.side[name] for name in relatives} == {"test"} and len(relatives) >= 8
    assert set(made.splits.side) == set(made.by_instance)
    assert check_splits([*made.manifest, *(row for row in known if row not in made.manifest)], replace(
        made.splits, side={**corpus.splits.side, **made.splits.side}, fold={**corpus.splits.fold, **made.splits.fold}
    )) == []  # fmt: skip
    # Again, it stays as it is.
    before = made.splits.side
    assert run_split(SplitOptions(tmp_path / "long", like=tmp_path / "corpus")) == 0
    assert Dataset.open(tmp_path / "long").splits.side == before
    with pytest.raises(DatasetError, match=r"found no splits\.json"):
        Dataset(tmp_path / "bare", tuple(known)).write()
        run_split(SplitOptions(tmp_path / "long", like=tmp_path / "bare"))
