from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.portfolio_summary import par_scores
from satcost_gnn.decide import training_fit
from satcost_gnn.decide.scoring import Slice
from satcost_gnn.decide.training_fit import (
    MIN_EFFECT_SIZES,
    PRESOLVING_SHARES,
    SWITCHING_MARGINS,
    _most_cautious,
    fit_copula_correlation,
    fit_longer,
    fit_min_effect_size,
    fit_portfolio,
    fit_presolving,
    fit_turns,
    with_settings,
)
from satcost_gnn.decide.training_statistics import DEFAULT_COPULA_CORRELATION, TrainingStatistics
from satcost_gnn.errors import DatasetError

CORPUS = Path(__file__).parents[2] / "datasets" / "corpus"
GRID = GRIDS["cpu_seconds"]


def test_effect_size_is_as_large_as_held_out_gains_ask_for() -> None:
    rng = np.random.default_rng(0)
    medians = rng.uniform(0.3, 3.0, (400, 2))
    predicted = CostDistribution.normal(GRID, np.log10(medians), 0.3)
    # What is predicted comes true: every difference pays.
    assert fit_min_effect_size(predicted, medians, 0, 10.0) <= 0.02
    # The single best is always the best in fact: nothing pays.
    worse = np.stack([np.full(400, 1.0), np.full(400, 2.0)], axis=1)
    assert fit_min_effect_size(predicted, worse, 0, 10.0) == max(MIN_EFFECT_SIZES)


def test_what_chance_favours_is_not_worth_leaving_the_single_best_for() -> None:
    rng = np.random.default_rng(3)
    medians = rng.uniform(0.3, 3.0, (200, 2))
    predicted = CostDistribution.normal(GRID, np.log10(medians), 0.3)
    # Costs have nothing to do with the predictions; over all choices of another solver a little is won.
    measured = rng.lognormal(0.0, 1.0, (200, 2))
    other = medians.argmin(axis=1)
    gain = measured[:, 0] - measured[np.arange(200), other]
    measured[:, 0] -= (gain.sum() - 1.0) / (other == 1).sum() * (other == 1)
    assert fit_min_effect_size(predicted, measured, 0, 10.0) == max(MIN_EFFECT_SIZES)


def test_dependence_is_what_the_errors_have_in_common() -> None:
    rng = np.random.default_rng(0)
    predicted = CostDistribution.normal(GRID, np.zeros((2000, 2)), 0.6)
    everything = np.ones((2000, 2), dtype=bool)
    for share in (0.0, 0.5, 0.9):
        own, common = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 1))
        cost = 0.6 * (np.sqrt(1 - share) * own + np.sqrt(share) * common)
        assert fit_copula_correlation(predicted, cost, everything) == pytest.approx(share, abs=0.06)
    assert 0 < fit_copula_correlation(predicted[:5], np.zeros((5, 2)), everything[:5]) < 1


def presolving(predicted: CostDistribution, par2: Any, overhead_s: float = 0.3) -> tuple[float, float]:
    solved = np.zeros(len(par2), dtype=bool)
    return fit_presolving(predicted, np.asarray(par2, dtype=float), solved, ["a", "b"], "a", overhead_s, 10.0, 0.0)


def test_presolving_ends_early_where_predictions_pay() -> None:
    # Half is easy for the single best, and on the rest the other solver is ten times as fast.
    par2 = [[0.01, 0.02]] * 20 + [[8.0, 0.8]] * 20
    right = CostDistribution.normal(GRID, np.log10(par2), 0.1)
    seconds, gain = presolving(right, par2)
    assert 0.01 <= seconds <= 0.1
    assert gain == max(SWITCHING_MARGINS)  # They promise more than that, and keep it.
    # Where nothing is to be gained, nothing is predicted: the cutoff is presolving.
    assert presolving(right, [[0.01, 0.02]] * 20 + [[3.0, 3.0]] * 20)[0] == 10.0
    # Promises that aren't kept must be large to be believed.
    broken = [[0.01, 0.02]] * 20 + [[2.0, 9.0]] * 20
    promised = CostDistribution.normal(GRID, np.log10([[0.01, 0.02]] * 20 + [[4.0, 3.0]] * 20), 0.1)
    assert presolving(promised, broken) == (10.0, max(SWITCHING_MARGINS))


def test_fit_does_not_look_at_the_test_side() -> None:
    dataset = Dataset.open(CORPUS)
    assert dataset.splits is not None
    solvers = ("cadical195", "minisat22")
    held_out = [name for name, side in dataset.splits.side.items() if side == "calibration"]
    predicted = CostDistribution.normal(GRID, np.zeros((len(held_out), 2)), 0.5)
    found = fit_portfolio(dataset, solvers, dataset.splits.side, 10.0, held_out, predicted, 0.2)
    learnt = [name for name, side in dataset.splits.side.items() if side in ("train", "validation")]
    assert found is not None
    assert found.par2 == TrainingStatistics.of_dataset(dataset, solvers, learnt, 10.0).par2  # type: ignore[union-attr]
    assert fit_portfolio(dataset, solvers, {}, 10.0, [], predicted, 0.2) is None


def test_turns_are_kept_only_where_they_pay() -> None:
    # b answers in .1 s what a takes 8 s for, on half of the instances.
    par2 = np.array([[8.0, 0.1], [3.0, 20.0]] * 50)
    turns = fit_turns(par2, par2, ["a", "b"], "a", 0.5, 10.0)
    assert [part.solver for part in turns] == ["b"] and 0.1 <= turns[0].cpu_s < 1.0
    # Elsewhere it answers nothing.
    useless = np.array([[8.0, 20.0], [3.0, 20.0]] * 50)
    assert fit_turns(par2, useless, ["a", "b"], "a", 0.5, 10.0) == ()
    # Presolving has all the time, or leaves nothing.
    assert fit_turns(par2, par2, ["a", "b"], "a", 10.0, 10.0) == ()
    assert fit_turns(par2, par2[:1] * 0.01, ["a", "b"], "a", 0.5, 10.0) == ()


def test_a_correlation_is_of_runs_that_both_have_solved() -> None:
    rng = np.random.default_rng(4)
    cost = rng.normal(size=(60, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    predicted = CostDistribution.normal(GRID, np.zeros((60, 2)), 1.0)
    solved = np.ones((60, 2), dtype=bool)
    solved[:20, 0] = solved[40:, 1] = False
    score = ndtri(predicted.cdf_at(cost))
    expected = np.corrcoef(score[20:40].T)[0, 1]
    assert fit_copula_correlation(predicted, cost, solved) == pytest.approx(expected, abs=1e-6)
    # Fewer than twenty tell nothing.
    solved[20, 0] = False
    assert fit_copula_correlation(predicted, cost, solved) == DEFAULT_COPULA_CORRELATION


def test_choices_rise_from_none_to_all() -> None:
    for choices in (MIN_EFFECT_SIZES, PRESOLVING_SHARES, SWITCHING_MARGINS):
        assert list(choices) == sorted(set(choices))
    # What is left for any promise at all; a promise of more than the objective can't be kept; all of the cutoff.
    assert MIN_EFFECT_SIZES[0] == SWITCHING_MARGINS[0] == 0.0 < PRESOLVING_SHARES[0]
    assert SWITCHING_MARGINS[-1] < PRESOLVING_SHARES[-1] == 1.0


def test_a_solver_that_promises_the_same_is_not_turned_to() -> None:
    # What a tie would win is large, but no least separation, not even none, makes the single best be left for it.
    tie = CostDistribution.normal(GRID, np.zeros((50, 2)), 0.3)
    measured = np.tile([1.0, 5.0], (50, 1))
    assert fit_min_effect_size(tie, measured, 1, 10.0) == max(MIN_EFFECT_SIZES)


def test_the_cautious_choice_is_within_two_standard_errors_of_the_best() -> None:
    # Over 100 instances 50 of +x and 50 of -x about a mean of m: a sum of 100 m, and a standard error of 10 x.
    sign = np.tile([1.0, -1.0], 50)
    for mean, choice in ((0.19, 1), (0.21, 0)):
        assert _most_cautious(np.stack([np.zeros(100), mean + sign])) == choice
        # However many choices there are between.
        assert _most_cautious(np.stack([np.zeros(100), np.ones(100), mean + sign])) == 2 * choice


def test_scores_that_never_vary_have_no_correlation() -> None:
    rng = np.random.default_rng(2)
    solved = np.ones((30, 2), dtype=bool)
    predicted = CostDistribution.normal(GRID, np.zeros((30, 2)), 1.0)
    for constant in (0, 1):
        cost = rng.normal(size=(30, 2))
        cost[:, constant] = 0.5
        assert fit_copula_correlation(predicted, cost, solved) == DEFAULT_COPULA_CORRELATION


def test_turns_win_by_more_than_two_standard_errors() -> None:
    learnt = np.array([[8.0, 0.1], [3.0, 20.0]] * 50)
    (turn,) = fit_turns(learnt, learnt, ["a", "b"], "a", 0.5, 10.0)

    def judged_by(winners: int) -> tuple[Slice, ...]:
        fresh = np.array([[8.0, 0.1]] * winners + [[3.0, 20.0]] * (100 - winners))
        return fit_turns(learnt, fresh, ["a", "b"], "a", 0.5, 10.0)

    # After half a second b wins 7.5 - .1 s where it answers and costs its turn where it doesn't.
    won, lost = 7.4, turn.cpu_s
    # Turns are the limit by a power of two, of which this is the first that is enough for b.
    assert turn == Slice("b", 9.5 / 64)
    for winners, pays in ((4, False), (8, True)):
        share = winners / 100
        total = winners * won - (100 - winners) * lost
        error = 10 * (won + lost) * np.sqrt(share * (1 - share))
        assert total > 0 and (total > 2 * error) == pays
        assert judged_by(winners) == ((turn,) if pays else ())


def test_what_presolving_just_answers_is_not_left_for_turns() -> None:
    learnt = np.array([[8.0, 0.1], [3.0, 20.0]] * 50)
    (turn,) = fit_turns(learnt, learnt, ["a", "b"], "a", 0.5, 10.0)
    # Were the many counted that end with presolving, the turn would cost more than it wins on the few.
    fresh = np.array([[8.0, 0.1]] * 2 + [[0.5, 20.0]] * 200)
    assert 200 * turn.cpu_s > 2 * 7.4
    assert fit_turns(learnt, fresh, ["a", "b"], "a", 0.5, 10.0) == (turn,)


def test_the_unit_of_time_does_not_matter_to_presolving() -> None:
    par2 = np.array([[0.01, 0.02]] * 20 + [[8.0, 0.8]] * 20)
    found = presolving(CostDistribution.normal(GRID, np.log10(par2), 0.1), par2)
    tenth = CostDistribution.normal(GRID, np.log10(par2 / 10), 0.1)
    nothing = np.zeros(40, dtype=bool)
    seconds, gain = fit_presolving(tenth, par2 / 10, nothing, ["a", "b"], "a", 0.03, 1.0, 0.0)
    assert (10 * seconds, gain) == pytest.approx(found)


def test_a_prediction_that_comes_too_late_is_not_waited_for() -> None:
    # After presolving and the prediction nothing is left in which the other solver could answer.
    par2 = np.array([[8.0, 0.8]] * 40)
    right = CostDistribution.normal(GRID, np.log10(par2), 0.1)
    assert presolving(right, par2, overhead_s=1.0)[0] < 10.0
    assert presolving(right, par2, overhead_s=9.99)[0] == 10.0


def test_a_correlation_is_kept_between_none_and_nearly_all() -> None:
    rng = np.random.default_rng(5)
    score = rng.normal(size=40)
    predicted = CostDistribution.normal(GRID, np.zeros((40, 2)), 0.5)
    solved = np.ones((40, 2), dtype=bool)
    for factor, expected in ((-1.0, 0.0), (1.0, 0.95)):
        cost = 0.5 * np.stack([score, factor * score], axis=1)
        assert fit_copula_correlation(predicted, cost, solved) == expected


def test_a_cost_that_was_all_but_impossible_counts_as_one_in_a_thousand() -> None:
    rng = np.random.default_rng(6)
    cost = rng.normal(size=(30, 2))
    predicted = CostDistribution.normal(GRID, np.zeros((30, 2)), 1.0)
    score = ndtri(predicted.cdf_at(cost))
    # Two below the grid, one beyond it.
    cost[0, 0], cost[1, 1], cost[2, 0] = -9.0, -9.0, 99.0
    score[0, 0] = score[1, 1] = ndtri(0.001)
    score[2, 0] = ndtri(0.999)
    expected = max(np.corrcoef(score.T)[0, 1], 0.0)
    assert fit_copula_correlation(predicted, cost, np.ones((30, 2), dtype=bool)) == pytest.approx(expected, abs=1e-6)


def test_what_is_answered_right_at_the_end_of_presolving_has_cost_it() -> None:
    # Were it free, presolving of just a tenth would look best.
    par2 = np.array([[1.0, 2.0]] * 40)
    assert presolving(CostDistribution.normal(GRID, np.log10(par2), 0.1), par2)[0] == 10.0


def test_presolving_may_leave_no_time_at_all() -> None:
    par2 = np.array([[20.0, 0.8]] * 40)
    right = CostDistribution.normal(GRID, np.log10([[40.0, 0.8]] * 40), 0.1)
    # The shortest: .05 s of the single best, then .8 s of the other.
    assert presolving(right, par2, overhead_s=0.0) == (0.05, max(SWITCHING_MARGINS))


def test_predictions_do_not_count_where_the_probe_answers() -> None:
    par2 = np.array([[8.0, 20.0]] * 40)
    # They say the other solver, which would not answer; the probe does, after the shortest presolving.
    wrong = CostDistribution.normal(GRID, np.log10([[9.0, 0.1]] * 40), 0.1)
    everything = np.ones(40, dtype=bool)
    found = fit_presolving(wrong, par2, everything, ["a", "b"], "a", 0.3, 10.0, 0.0)
    assert found == (0.05, max(SWITCHING_MARGINS))
    assert fit_presolving(wrong, par2, ~everything, ["a", "b"], "a", 0.3, 10.0, 0.0)[0] == 10.0


def test_turns_at_the_ends_of_the_time() -> None:
    unsolved = np.array([[20.0, 0.1]] * 50)
    # Half a second is left, or none; a turn is the half second by a power of two.
    assert fit_turns(unsolved, unsolved, ["a", "b"], "a", 9.5, 10.0) == (Slice("b", 0.125),)
    assert fit_turns(unsolved, unsolved, ["a", "b"], "a", 10.0, 10.0) == ()
    # Nothing is left of the one side, or of the other.
    easy = np.array([[0.1, 0.1]] * 50)
    assert fit_turns(easy, unsolved, ["a", "b"], "a", 0.5, 10.0) == ()
    assert fit_turns(unsolved, easy, ["a", "b"], "a", 0.5, 10.0) == ()


def test_what_the_single_best_answers_at_the_cutoff_a_turn_would_lose() -> None:
    learnt = np.array([[8.0, 0.1], [3.0, 20.0]] * 50)
    winners = [[8.0, 0.1]] * 8
    # Each of them costs 9.5 s without a turn, and twice that with one.
    assert fit_turns(learnt, np.array([*winners, *[[10.0, 20.0]] * 7]), ["a", "b"], "a", 0.5, 10.0) == ()
    assert len(fit_turns(learnt, np.array([*winners, *[[20.0, 20.0]] * 7]), ["a", "b"], "a", 0.5, 10.0)) == 1


def test_each_side_has_its_part_in_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset.open(CORPUS)
    assert dataset.splits is not None
    solvers, cutoff_s = ("cadical195", "minisat22"), 10.0
    sides = dict(dataset.splits.side)
    names, costs = par_scores(dataset, solvers, cutoff_s)
    measured = dict(zip(names, costs.tolist(), strict=True))
    calibration = [name for name, side in sides.items() if side == "calibration"]
    # The probe has answered every third; of one that is held out nothing is measured.
    held_out = [*(name for k, name in enumerate(calibration) if k % 3), "unmeasured"]
    predicted = CostDistribution.normal(GRID, np.linspace(-1.0, 1.0, 2 * len(held_out)).reshape(-1, 2), 0.5)
    called: list[tuple[Any, ...]] = []
    monkeypatch.setattr(training_fit, "with_settings", lambda *values: called.append(values))
    fit_portfolio(dataset, solvers, sides, cutoff_s, held_out, predicted, 0.2)
    ((_, _, trained, par2, easy, of_held_out, overhead_s, cutoff),) = called

    def of_sides(*wanted: str, but: list[str] | None = None) -> list[Any]:
        return [
            measured[name] for name in sides if sides[name] in wanted and name in measured and name not in (but or [])
        ]

    assert trained.tolist() == of_sides("train")
    assert easy.tolist() == of_sides("validation", "calibration", but=held_out)
    rows = [k for k, name in enumerate(held_out) if name in measured]
    assert 0 < len(rows) < len(held_out)
    assert par2.tolist() == [measured[held_out[k]] for k in rows]
    assert of_held_out.cdf.tolist() == predicted.cdf[rows].tolist()
    assert (overhead_s, cutoff) == (0.2, cutoff_s)


def test_what_the_probe_answers_is_charged_but_not_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, solvers = Dataset.open(CORPUS), ("cadical195", "minisat22")
    training = TrainingStatistics.of_dataset(dataset, solvers, dataset.instances, 10.0)
    assert training is not None
    par2, easy = np.array([[10.0, 1.0], [0.5, 2.0], [20.0, 3.0]]), np.array([[0.1, 0.2], [0.3, 0.1]])
    predicted = CostDistribution.normal(GRID, np.log10(par2), 0.3)
    seen: dict[str, tuple[Any, ...]] = {}
    for name, value in (("fit_presolving", (1.0, 0.2)), ("fit_copula_correlation", 0.4), ("fit_turns", ())):
        monkeypatch.setattr(
            training_fit, name, lambda *given, name=name, value=value: seen.update({name: given}) or value
        )
    found = with_settings(training, solvers, par2, par2, easy, predicted, 0.2, 10.0)
    distribution, everything, by_probe, *_ = seen["fit_presolving"]
    assert distribution.shape == (5, 2)
    assert distribution.cdf[:3].tolist() == predicted.cdf.tolist()
    assert everything.tolist() == [*par2.tolist(), *easy.tolist()]
    assert by_probe.tolist() == [False, False, False, True, True]
    # What takes until the cutoff is solved.
    assert seen["fit_copula_correlation"][2].tolist() == [[True, True], [True, True], [False, True]]
    assert seen["fit_turns"][1].tolist() == everything.tolist()
    assert (found.presolving_s, found.switching_margin, found.copula_correlation) == (1.0, 0.2, 0.4)
    assert (found.presolving, found.prediction_s) == ((), 0.2)


def test_a_longer_limit_has_a_single_best_of_its_own(tmp_path: Path) -> None:
    corpus = Dataset.open(CORPUS)
    solved = next(run for run in corpus.runs if run.status.solved)
    out_of_time = next(run for run in corpus.runs if run.status.censored)
    short = TrainingStatistics(
        {"cadical195": 1.0, "kissat404": 2.0, "minisat22": 3.0}, {}, 10.0, 99, 1.2, parallel=("x",)
    )
    rows, runs = [], []
    for number in range(60):
        name = f"{number:032x}"
        rows.append(replace(corpus.manifest[0], instance=name))
        hard = number < 40
        # Those that had 10 s only are easy, and cadical195 is far better on them.
        easy = {"cadical195": 0.1, "kissat404": 9.0}
        seconds = {"cadical195": 2000.0 if number % 2 else 60.0, "kissat404": 80.0} if hard else easy
        limit = 2500.0 if hard else 10.0
        runs += [
            replace(solved, instance=name, solver=solver, seed=0, cpu_s=cost, cpu_limit_s=limit)
            for solver, cost in seconds.items()
        ]
        # It has told nothing of hard ones but that they take more than 10 s.
        if hard:
            stopped = replace(out_of_time, instance=name, solver="minisat22", seed=0, cpu_s=10.0, cpu_limit_s=10.0)
            runs.append(stopped)
    dataset = Dataset(tmp_path, tuple(rows), tuple(runs), None)
    names = [row.instance for row in rows]
    found = fit_longer(short, dataset, tuple(short.par2), names, 1000.0)
    assert (found.par2, found.longer[0].cutoff_s) == (short.par2, 1000.0)
    (long,) = found.longer
    assert long.instances == 40 and long.par2 == {"cadical195": pytest.approx(1030.0), "kissat404": pytest.approx(80.0)}
    assert (long.min_effect_size, long.presolving_s) == (1.2, 10.0)
    # Beside it runs who is faster on half of them, then who was chosen for shorter limits.
    assert long.parallel == ("kissat404", "cadical195", "x")
    # So may a solver that nothing is predicted of, where it has runs that long.
    mine = [replace(run, solver="mine", cpu_s=50.0) for run in runs if run.solver == "cadical195" and run.cpu_s >= 2000]
    mine += [replace(run, solver="mine") for run in runs if run.solver == "cadical195" and run.cpu_s < 2000]
    with_mine = replace(dataset, runs=(*runs, *mine))
    for others, second in (((), "cadical195"), (("mine", "minisat22"), "mine")):
        (wider,) = fit_longer(short, with_mine, tuple(short.par2), names, 1000.0, others).longer
        assert (wider.par2, wider.parallel[:2]) == (long.par2, ("kissat404", second))
    # Made again, it takes the place of the former; another limit stands beside it.
    again = fit_longer(
        fit_longer(found, dataset, tuple(short.par2), names, 1000.0), dataset, tuple(short.par2), names, 500.0
    )
    assert [one.cutoff_s for one in again.longer] == [500.0, 1000.0] and again.longer[1] == long
    # What has no runs that long comes last, and a portfolio of one is a portfolio.
    assert again.at(1000.0).order(["minisat22", "cadical195", "kissat404"]) == ["kissat404", "cadical195", "minisat22"]
    alone = fit_longer(short, dataset, ("cadical195",), names, 1000.0).longer[0]
    assert (alone.single_best(), alone.instances) == ("cadical195", 40)
    with pytest.raises(DatasetError, match=r"found 20 instances with a run of 1000 CPU seconds.*expected 30"):
        fit_longer(short, dataset, tuple(short.par2), names[20:], 1000.0)
