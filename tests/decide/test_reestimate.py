import json

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.decide.reestimate import (
    EARLIER,
    FEATURES,
    LEADS,
    RecordedRun,
    Reestimator,
    SearchState,
    conditional,
    half_way,
    search_features,
)
from satcost_gnn.errors import EstimatorError

GRID = GRIDS["conflicts"]


def state(conflicts: float, rate: float = 2.0, cpu_s: float | None = None) -> SearchState:
    n = int(conflicts)
    return SearchState(n, int(rate * n), 40 * n, n // 100, n * 1e-4 if cpu_s is None else cpu_s)


def checkpoints(total: float, rate: float = 2.0) -> tuple[SearchState, ...]:
    counts = [1000.0]
    while counts[-1] * 1.25 < total:
        counts.append(counts[-1] * 1.25)
    return tuple(state(count, rate) for count in counts)


def recorded(seed: int, n: int = 120, informative: bool = True) -> list[RecordedRun]:
    """Runs whose decisions per conflict tell by what factor the prediction is off."""
    rng = np.random.default_rng(seed)
    runs = []
    for k in range(n):
        centre, off = rng.uniform(4.0, 5.5), rng.normal(0.0, 0.4)
        total = 10.0 ** (centre + off)
        rate = 10.0 ** (0.3 + (off if informative else rng.normal(0.0, 0.4)))
        prior = CostDistribution.normal(GRID, centre, 0.45)
        censored = k % 10 == 0
        stop = total * 0.5 if censored else total
        runs.append(
            RecordedRun(f"i{k}", checkpoints(stop, rate), state(stop, rate), {"conflicts": prior}, censored=censored)
        )
    return runs


ANYONE = {"conflicts": CostDistribution.normal(GRID, 4.5, 1.0)}


def mean_crps(model: Reestimator | None, runs: list[RecordedRun]) -> float:
    found = []
    for run in runs:
        if run.censored:
            continue
        total = run.total.conflicts
        history = [s for s in run.history if s.conflicts <= 0.3 * total]
        if not history or history[-1].conflicts < 2000:
            continue
        prior = run.priors["conflicts"]
        if model is None:
            distribution = conditional(prior, history[-1].conflicts)
        else:
            distribution = model.reestimate("conflicts", prior, history)
        found.append(float(distribution.crps(np.log10(total))))
    assert len(found) > 20
    return float(np.mean(found))


def test_a_limit_on_the_runs_is_not_taken_for_their_end() -> None:
    rng = np.random.default_rng(0)
    prior = CostDistribution.normal(GRID, 4.5, 0.6)
    limit, runs, ends = 10**4.6, [], []
    for k in range(400):
        total = 10.0 ** rng.normal(4.5, 0.6)
        ends.append(total)
        stop = min(total, limit)
        censored = total > limit
        runs.append(RecordedRun(f"i{k}", checkpoints(stop), state(stop), {"conflicts": prior}, censored=censored))
    model = Reestimator.fit(runs, ANYONE)
    totals = np.array(ends)
    for used in (5e3, 1e4, 2e4):
        history = [s for s in checkpoints(1e9) if s.conflicts <= used]
        alive = totals[totals > history[-1].conflicts]
        said = float(model.reestimate("conflicts", prior, history).cdf_at(np.log10(limit)))
        # Nothing but luck tells these runs apart: what share of those that got so far ends by the limit?
        assert said == pytest.approx(np.mean(alive <= limit), abs=0.06)


def test_conditional_is_bayes_rule_from_what_has_been_used() -> None:
    prior = CostDistribution.normal(GRID, 5.0, 0.5)
    found = conditional(prior, 3e4)
    assert found.grid.low == pytest.approx(np.log10(3e4))
    assert float(found.quantile(0.0)) >= np.log10(3e4)
    x = 5.2
    used = np.log10(3e4)
    exact = (prior.cdf_at(x) - prior.cdf_at(used)) / (1 - prior.cdf_at(used))
    # But for the share of vagueness.
    assert float(found.cdf_at(x)) == pytest.approx(float(exact), abs=0.05)


def test_a_run_that_outlives_its_prediction_is_still_given_one() -> None:
    found = conditional(CostDistribution.normal(GRID, 3.0, 0.1), 1e6)
    assert float(found.median()) > 6.0
    assert float(found.quantile(0.9) - found.quantile(0.1)) > 0.5


def test_half_way_is_the_last_state_with_half_the_conflicts() -> None:
    history = [state(n) for n in (1000, 2000, 4000, 8000)]
    assert half_way(history) == 2
    assert half_way(history[:1]) == -1
    assert half_way([state(1000), state(1900)]) == -1


def test_features_are_ratios() -> None:
    prior = CostDistribution.normal(GRID, 5.0, 0.5)
    history = [state(1000, 2.0), state(4000, 2.0)]
    x = dict(zip(FEATURES, search_features(history, prior, "conflicts"), strict=True))
    assert x["log10_conflicts"] == pytest.approx(np.log10(4001))
    assert x["log10_decisions_per_conflict"] == pytest.approx(np.log10(2.0), abs=1e-3)
    assert x["log10_conflicts_per_restart"] == pytest.approx(2.0, abs=0.02)
    # Nothing has changed since half way.
    assert x["decisions_trend"] == pytest.approx(0.0, abs=1e-3)
    assert x["seconds_trend"] == pytest.approx(0.0, abs=1e-3)
    assert x["prior_survival"] == pytest.approx(0.0, abs=0.02)
    faster = [state(1000, 2.0), SearchState(4000, 2000 + 3000 * 8, 160_000, 40, 0.1 + 3000 * 2e-4)]
    y = dict(zip(FEATURES, search_features(faster, prior, "conflicts"), strict=True))
    assert y["decisions_trend"] == pytest.approx(np.log10(4.0), abs=1e-2)
    assert y["seconds_trend"] == pytest.approx(np.log10(2.0), abs=1e-2)


def test_what_is_not_counted_is_missing() -> None:
    prior = CostDistribution.normal(GRID, 5.0, 0.5)
    silent = [SearchState(1000, 2000, None, 5, 0.1), SearchState(4000, 8000, None, 20, 0.4)]
    x = dict(zip(FEATURES, search_features(silent, prior, "conflicts"), strict=True))
    missing = {name for name, value in x.items() if np.isnan(value)}
    assert missing == {"log10_propagations_per_conflict", "propagations_trend"}
    first = dict(zip(FEATURES, search_features(silent[:1], prior, "conflicts"), strict=True))
    assert np.isnan(first["decisions_trend"]) and np.isnan(first["restarts_trend"])


def test_it_learns_what_the_search_says() -> None:
    model = Reestimator.fit(recorded(0, 200), ANYONE)
    held_out = recorded(1)
    assert mean_crps(model, held_out) < 0.85 * mean_crps(None, held_out)


def test_it_does_little_harm_where_the_search_says_nothing() -> None:
    model = Reestimator.fit(recorded(0, 200, informative=False), ANYONE)
    held_out = recorded(1, informative=False)
    assert mean_crps(model, held_out) < 1.1 * mean_crps(None, held_out)


def test_an_estimate_begins_at_what_has_been_used() -> None:
    model = Reestimator.fit(recorded(0), ANYONE)
    run = recorded(1)[1]
    for prior in (run.priors["conflicts"], None):
        found = model.reestimate("conflicts", prior, run.history)
        assert found.shape == ()
        assert float(found.quantile(0.001)) >= np.log10(run.history[-1].conflicts) - 1e-9


def test_censored_runs_count_up_to_where_they_were_stopped() -> None:
    runs = recorded(0, 200)
    blind = [
        RecordedRun(r.group, r.history, r.total, r.priors) if r.censored else r for r in runs
    ]  # a bound taken for the cost
    honest, naive = (Reestimator.fit(found, ANYONE) for found in (runs, blind))
    run = recorded(1)[1]
    later = [
        float(model.reestimate("conflicts", run.priors["conflicts"], run.history).mean()) for model in (honest, naive)
    ]
    assert later[0] > later[1]


def test_weights_count_as_repetitions() -> None:
    runs = recorded(0, 40)
    heavy = [RecordedRun(r.group, r.history, r.total, r.priors, r.censored, weight=2.0) for r in runs]
    twice, weighted = Reestimator.fit(runs + runs, ANYONE), Reestimator.fit(heavy, ANYONE)
    for one, two in zip(twice.stages["conflicts"], weighted.stages["conflicts"], strict=True):
        np.testing.assert_allclose(one.weights, two.weights, atol=5e-3)


def test_json_and_back() -> None:
    model = Reestimator.fit(recorded(0), ANYONE, provenance={"runs": 120})
    again = Reestimator.from_json(json.loads(json.dumps(model.to_json())))
    run = recorded(1)[2]
    for prior in (run.priors["conflicts"], None):
        one, two = (m.reestimate("conflicts", prior, run.history) for m in (model, again))
        np.testing.assert_allclose(one.cdf, two.cdf, atol=1e-3)
    assert again.provenance == {"runs": 120}


def test_another_version_is_refused() -> None:
    values = Reestimator.fit(recorded(0, 30), ANYONE).to_json()
    with pytest.raises(EstimatorError, match="other features"):
        Reestimator.from_json({**values, "features": [EARLIER]})
    with pytest.raises(EstimatorError, match="other features"):
        Reestimator.from_json({**values, "leads": LEADS[:-1].tolist()})


def test_unknown_unit_and_no_history_are_errors() -> None:
    model = Reestimator.fit(recorded(0, 30), ANYONE)
    with pytest.raises(EstimatorError, match="expected one of conflicts"):
        model.reestimate("cpu_seconds", None, [state(5000)])
    with pytest.raises(EstimatorError, match="no state"):
        model.reestimate("conflicts", None, [])
    with pytest.raises(EstimatorError, match="found no run"):
        Reestimator.fit([], ANYONE)


def test_cost_of_a_state() -> None:
    assert state(5000).cost("conflicts") == 5000
    assert state(5000, cpu_s=1.5).cost("cpu_seconds") == 1.5
    assert np.isnan(SearchState(1, 1, None, 1, 1.0).cost("propagations"))
    with pytest.raises(ValueError, match="parsecs"):
        state(1).cost("parsecs")
