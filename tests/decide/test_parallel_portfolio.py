import shutil
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.decide.parallel_portfolio import fastest, fit_parallel_portfolio, member_par2, parallel_portfolio
from satcost_gnn.decide.solving import Member
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.search.solvers import SOLVERS
from satcost_gnn.serve.checkpoint import Checkpoint

DATASETS = Path(__file__).parents[2] / "datasets"


def test_names_of_members() -> None:
    for member in (Member("a"), Member("cadical195:sat"), Member("cadical195:sat", 3)):
        assert Member.of(member.name) == member
    assert Member("cadical195", 1).name == "cadical195:seed=1"


def test_members_are_chosen_jointly() -> None:
    # The second best alone is a copy of the best; the worst alone is fast where the best is slow.
    par2 = np.array([[1.0, 1.1, 20.0]] * 40 + [[20.0, 20.0, 1.0]] * 20)
    assert parallel_portfolio(par2, 0 * par2, first=0) == [0, 2]
    assert parallel_portfolio(par2, 0 * par2, first=2) == [2, 0]
    assert parallel_portfolio(par2, 0 * par2, first=0, most=1) == [0]


def test_a_member_is_judged_where_all_have_runs() -> None:
    par2 = np.array([[10.0, 9.0, np.nan]] * 40 + [[10.0, np.nan, 1.0]] * 29)
    # The last one looks best, on too few instances.
    assert parallel_portfolio(par2, 0 * par2, first=0) == [0, 1]
    assert parallel_portfolio(par2, 0 * par2, first=0, least=29) == [0, 2]


def test_a_member_that_was_stopped_after_another_had_answered_is_not_the_fastest() -> None:
    # The second one answers 30 of 90 in a tenth; on the others it was stopped at twice the time of the first.
    par2 = np.array([[10.0, 1.0, 9.0]] * 30 + [[10.0, np.nan, 1.0]] * 60)
    stopped = np.array([[0.0, 0.0, 0.0]] * 30 + [[0.0, 20.0, 0.0]] * 60)
    assert fastest(par2, stopped, [0, 1]).tolist() == [1.0] * 30 + [10.0] * 60
    assert fastest(par2, stopped, [1]).tolist()[:30] == [1.0] * 30 and np.isnan(fastest(par2, stopped, [1])[30:]).all()
    # By the 30 alone it would come first.
    assert parallel_portfolio(par2, stopped, first=0) == [0, 2, 1]
    assert parallel_portfolio(par2, 0 * stopped, first=0)[1] == 1
    # Nor is one that another one has stopped: it would have taken that long at least.
    turned = np.array([[5.0, np.nan]] * 100 + [[np.nan, 10.0]] * 100)
    caps = np.array([[0.0, 20.0]] * 100 + [[40.0, 0.0]] * 100)
    assert parallel_portfolio(turned, caps, first=0) == [0, 1]
    # Stopped before the other has answered it may have been the fastest.
    assert np.isnan(fastest(par2, 0.4 * stopped, [0, 1])[30:]).all()


def test_members_of_the_corpus() -> None:
    dataset = Dataset.open(DATASETS / "corpus")
    assert dataset.splits is not None
    learnt = [name for name, side in dataset.splits.side.items() if side == "train"]
    members = fit_parallel_portfolio(dataset, SOLVERS, learnt, 10.0, "cadical195")
    assert members[0] == "cadical195" and len(members) == len(set(members)) > 2
    assert fit_parallel_portfolio(dataset, SOLVERS, learnt, 10.0, "cadical300") == ()
    names, par2, survived = member_par2(dataset, members, learnt, 10.0)
    assert survived.shape == par2.shape == (len(names), len(members)) and set(names) <= set(learnt)
    assert np.nanmax(par2) == 20.0 and np.isfinite(par2[:, 0]).mean() > 0.99


def test_it_is_written_into_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from satcost_gnn.cli.fit_portfolio import FitPortfolioOptions, run_fit_portfolio

    shutil.copytree(Checkpoint.open().directory, tmp_path / "mine-v1")
    before = TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "mine-v1"))
    assert run_fit_portfolio(FitPortfolioOptions(tmp_path / "mine-v1", [DATASETS / "corpus"], 10.0)) == 0
    after = TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "mine-v1"))
    assert capsys.readouterr().out.splitlines() == [f"{k} {name}" for k, name in enumerate(after.parallel, start=1)]
    assert after.parallel[0] == before.single_best() and len(after.parallel) > 2
    assert (after.par2, after.presolving_s) == (before.par2, before.presolving_s)


def test_a_cutoff_beyond_that_of_the_training_is_one_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from satcost_gnn.cli.fit_portfolio import FitPortfolioOptions, run_fit_portfolio

    shutil.copytree(Checkpoint.open().directory, tmp_path / "mine-v1")
    before = TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "mine-v1"))
    places = [DATASETS / name for name in ("corpus", "kissat", "published")]
    assert run_fit_portfolio(FitPortfolioOptions(tmp_path / "mine-v1", places, 2000.0)) == 0
    after = TrainingStatistics.of_checkpoint(Checkpoint.open(tmp_path / "mine-v1"))
    # What is said of shorter limits stays; published runs of relatives tell about the longer one.
    assert (after.par2, after.parallel, after.cutoff_s) == (before.par2, before.parallel, before.cutoff_s)
    (longer,) = (one for one in after.longer if one.cutoff_s == 2000.0)
    assert longer.cutoff_s == 2000.0 and set(longer.par2) == {"cadical195", "kissat404", "glucose42"}
    assert longer.instances > 100 and all(500 < seconds < 3000 for seconds in longer.par2.values())
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == list(longer.parallel)
    # The published table has runs of it, but it is no member: it has a turn of its own.
    assert "parity" in Dataset.open(DATASETS / "published").solvers and "parity" not in longer.parallel
