import itertools

import numpy as np
import pytest

from satcost_gnn.decide.static_schedule import SHARES, schedule_par2, schedule_runtimes, static_schedule

INF = np.inf


def stepped(row, schedule):
    """Seconds to the answer, counted second by second."""
    had = dict.fromkeys(range(len(row)), 0)
    clock = 0
    for solver, seconds in schedule:
        for _ in range(int(seconds)):
            had[solver] += 1
            clock += 1
            if had[solver] == row[solver]:
                return float(clock)
    return INF


@pytest.mark.parametrize("seed", range(5))
def test_a_schedule_takes_what_it_takes_second_by_second(seed):
    rng = np.random.default_rng(seed)
    runtimes = rng.integers(1, 12, size=(30, 3)).astype(float)
    runtimes[rng.random(runtimes.shape) < 0.3] = INF
    # The first solver has two turns and goes on in the second.
    schedule = [(0, 3.0), (1, 4.0), (0, 2.0), (2, 7.0)]
    assert schedule_runtimes(runtimes, schedule).tolist() == [stepped(row, schedule) for row in runtimes.tolist()]


def test_no_answer_counts_twice_the_limit():
    runtimes = np.array([[1.0, INF], [INF, INF]])
    assert schedule_par2(runtimes, [(1, 2.0), (0, 8.0)], 10.0).tolist() == [3.0, 20.0]


@pytest.mark.parametrize("seed", range(5))
def test_one_slice_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    runtimes = 10 ** rng.uniform(-1, 2.5, size=(40, 3))
    runtimes[runtimes > 100] = INF
    found = static_schedule(runtimes, 100.0, slices=1, standard_errors=0.0)
    last = found[-1][0]
    every = [[(last, 100.0)]] + [
        [(solver, share * 100.0), (last, 100.0 - share * 100.0)]
        for solver, share in itertools.product(range(3), SHARES)
    ]
    best = min(schedule_par2(runtimes, one, 100.0).mean() for one in every)
    assert schedule_par2(runtimes, found, 100.0).mean() == pytest.approx(best)
    assert sum(seconds for _, seconds in found) == pytest.approx(100.0)
    assert last == schedule_runs_alone(runtimes).argmin()


def schedule_runs_alone(runtimes):
    return np.array([schedule_par2(runtimes, [(j, 100.0)], 100.0).mean() for j in range(runtimes.shape[1])])


def test_more_slices_never_cost_more_on_the_training_side_and_limits_are_kept():
    rng = np.random.default_rng(3)
    runtimes = 10 ** rng.uniform(-1, 2.5, size=(60, 4))
    runtimes[runtimes > 100] = INF
    costs = []
    for slices in range(4):
        found = static_schedule(runtimes, 100.0, slices=slices, standard_errors=0.0, most_s=30.0)
        assert len(found) <= slices + 1
        assert sum(seconds for _, seconds in found[:-1]) <= 30.0
        costs.append(schedule_par2(runtimes, found, 100.0).mean())
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


def test_a_specialist_gets_a_short_turn_and_luck_none():
    rng = np.random.default_rng(0)
    general = 10 ** rng.uniform(0, 2, size=200)
    specialist = np.where(np.arange(200) % 4 == 0, 0.02, INF)
    general[::4] = INF
    found = static_schedule(np.stack([general, specialist], axis=1), 100.0)
    assert [solver for solver, _ in found] == [1, 0]
    assert found[0][1] == SHARES[0] * 100.0
    # A single instance that another one answers is no reason.
    lucky = np.full(200, INF)
    lucky[1] = 0.01
    general[1] = INF
    assert static_schedule(np.stack([general, lucky], axis=1), 100.0) == [(0, 100.0)]


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="at least one instance"):
        static_schedule(np.empty((0, 2)), 10.0)
