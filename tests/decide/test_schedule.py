import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.decide.objective import Objective, scores
from satcost_gnn.decide.planned_schedule import Schedule, write_aslib_schedules
from satcost_gnn.decide.schedule import Scheduler, plan, way_on, ways_on
from satcost_gnn.decide.schedule_search import (
    Expectation,
    ScheduleSettings,
    expectation,
    given_common_factor,
    greedy_plan,
    optimal_plan,
    time_grid,
)
from satcost_gnn.decide.scoring import Plan, Slice, score
from satcost_gnn.errors import ConfigError

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
GRID = GRIDS["cpu_seconds"]
OBJECTIVES = ["expected-cost", "par2", "par10", "p-solved"]


def normal(*pairs: tuple[float, float]) -> CostDistribution:
    """Medians in seconds and standard deviations in decades."""
    medians, sds = zip(*pairs, strict=True)
    return CostDistribution.normal(GRID, np.log10(medians), sds)


def settings(
    objective: str = "par2", limit: float = 10.0, cores: int = 1, copula_correlation: float = 0.0
) -> ScheduleSettings:
    return ScheduleSettings(Objective.of(objective), limit, cores, copula_correlation)


def brute_force(distribution: CostDistribution, chosen: ScheduleSettings, times: np.ndarray) -> float:
    """Least loss of all sequential schedules on the grid: every order, every set of change-over times."""
    n, best = distribution.shape[0], np.inf
    for size in range(1, n + 1):
        for order in itertools.permutations(range(n), size):
            for ends in itertools.combinations(range(1, len(times)), size):
                marks = [0.0, *times[list(ends)]]
                core = [(k, b - a) for k, a, b in zip(order, marks, marks[1:], strict=False)]
                found = expectation([core], distribution.reshape(1, n), chosen.time_limit_s)
                best = min(best, float(found.loss(chosen)[0]))
    return best


def test_the_single_best_is_left_for_a_large_promise_only() -> None:
    a_little, by_far = normal((4.0, 0.1), (3.5, 0.1)), normal((4.0, 0.1), (0.4, 0.1))
    for cores in (1, 2):
        chosen = settings(cores=cores)
        alone = ways_on(a_little, ["a", "b"], chosen, "a", 0.0)[0]
        first, *beside = way_on((alone, plan(a_little, ["a", "b"], chosen)), 0.5).cores
        assert first == (Slice("a", 10.0),)
        assert [core[0].solver for core in beside] == ["b"] * (cores - 1)
    assert plan(a_little, ["a", "b"], settings()).cores[0][0].solver == "b"
    alone = ways_on(by_far, ["a", "b"], settings(), "a", 0.0)[0]
    assert way_on((alone, plan(by_far, ["a", "b"], settings())), 0.5).cores[0][0].solver == "b"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(3))
def test_dynamic_programming_is_optimal_on_the_grid(objective: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    distribution = CostDistribution.normal(GRID, rng.uniform(-1, 1.5, 3), rng.uniform(0.2, 1.5, 3))
    chosen, times = settings(objective), time_grid(10.0, 7)
    (core,) = optimal_plan(distribution, chosen, times)
    value = float(expectation([core], distribution.reshape(1, 3), 10.0).loss(chosen)[0])
    assert value == pytest.approx(brute_force(distribution, chosen, times), abs=1e-9)


def test_division_among_cores_is_optimal_for_the_probability() -> None:
    rng = np.random.default_rng(5)
    distribution = CostDistribution.normal(GRID, rng.uniform(0, 1.5, 4), rng.uniform(0.3, 1.5, 4))
    chosen, times = settings("p-solved", cores=2), time_grid(10.0, 6)
    found = expectation(optimal_plan(distribution, chosen, times), distribution.reshape(1, 4), 10.0).unsolved[0]
    one = settings("p-solved")
    best = 1.0
    for mask in itertools.product((0, 1), repeat=4):
        parts = [[k for k in range(4) if mask[k] == side] for side in (0, 1)]
        best = min(best, float(np.prod([brute_force(distribution[part], one, times) for part in parts if part])))
    assert float(found) == pytest.approx(best, rel=1e-6)


def test_one_solver_alone_agrees_with_the_objective() -> None:
    distribution = normal((3.0, 0.6))
    for objective in OBJECTIVES:
        found = plan(distribution, ["a"], settings(objective))
        assert found.cores == ((Slice("a", 10.0),),)
        assert found.value == pytest.approx(float(scores(distribution, Objective.of(objective), 10.0).value[0]))


def test_a_presolver_comes_first_where_it_pays() -> None:
    # Quick or never, against slow and sure.
    found = plan(normal((0.02, 1.5), (4.0, 0.1)), ["quick", "sure"], settings())
    (core,) = found.cores
    assert [part.solver for part in core] == ["quick", "sure"]
    assert core[0].cpu_s < 2
    assert sum(part.cpu_s for part in core) == pytest.approx(10.0)
    alone = plan(normal((4.0, 0.1)), ["sure"], settings())
    assert found.value < alone.value


def test_dependence_takes_the_point_out_of_switching() -> None:
    # Equal solvers: independent ones are worth trying in turn, ones that fail together are not.
    distribution = normal((3.0, 1.2), (3.3, 1.2))
    free, tied = (plan(distribution, ["a", "b"], settings(copula_correlation=r)) for r in (0.0, 0.95))
    assert len(free.cores[0]) == 2
    assert tied.cores == ((Slice("a", 10.0),),)
    assert tied.p_solved < free.p_solved


def test_common_factor_leaves_the_distributions_as_they_are_on_average() -> None:
    distribution = normal((1.0, 0.5), (5.0, 1.0)).reshape(1, 2)
    cases, weights = given_common_factor(distribution, 0.5)
    assert weights.sum() == pytest.approx(1)
    assert np.tensordot(weights, cases.cdf, 1) == pytest.approx(distribution.cdf[0], abs=2e-3)


@pytest.mark.parametrize("cores", [2, 3, 5])
def test_every_core_is_used_and_none_longer_than_the_limit(cores: int) -> None:
    distribution = normal((1.0, 1.0), (2.0, 1.0), (3.0, 0.5), (0.5, 1.5))
    found = plan(distribution, list("abcd"), settings(cores=cores, copula_correlation=0.3))
    assert len(found.cores) == min(cores, 4)
    names = [part.solver for core in found.cores for part in core]
    assert len(names) == len(set(names))
    assert all(sum(part.cpu_s for part in core) <= 10.0 + 1e-9 for core in found.cores)
    one = plan(distribution, list("abcd"), settings(copula_correlation=0.3))
    assert found.value < one.value and found.p_solved > one.p_solved


def test_two_cores_agree_with_sampling() -> None:
    distribution = normal((1.0, 0.8), (3.0, 0.5)).reshape(1, 2)
    found = expectation([[(0, 10.0)], [(1, 10.0)]], distribution, 10.0)
    rng = np.random.default_rng(0)
    costs = np.stack([10.0 ** np.interp(rng.uniform(size=100_000), distribution.cdf[0, k], GRID.edges) for k in (0, 1)])
    first = costs.min(axis=0)
    assert float(found.seconds[0]) == pytest.approx(np.minimum(first, 10.0).mean(), rel=0.01)
    assert float(found.unsolved[0]) == pytest.approx((first > 10.0).mean(), abs=0.005)


def test_one_schedule_for_a_set_is_no_worse_than_any_single_solver() -> None:
    rng = np.random.default_rng(1)
    distribution = CostDistribution.normal(GRID, rng.uniform(-1, 2, (20, 3)), rng.uniform(0.1, 0.6, (20, 3)))
    found = plan(distribution, list("abc"), settings())
    assert found.instances == 20
    alone = distribution.expected_par(2, 10.0).mean(axis=0)
    assert found.value <= alone.min() + 1e-9


def test_the_score_of_a_schedule() -> None:
    cores = ((Slice("a", 2.0), Slice("b", 8.0)), (Slice("c", 10.0),))
    assert score(Plan(cores), {"a": 1.0, "b": 9.0, "c": 50.0}, 10.0) == 1.0
    assert score(Plan(cores), {"a": 3.0, "b": 1.0, "c": 50.0}, 10.0, overhead_s=0.5) == 3.5
    assert score(Plan(cores), {"a": 3.0, "b": 7.9, "c": 50.0}, 10.0, overhead_s=0.5) == 20.0
    assert score(Plan(cores), {"a": 3.0, "b": 7.9, "c": 50.0}, 10.0, overhead_s=0.5, k=10) == 100.0
    assert score(Plan(cores), {"a": 3.0, "b": float("inf"), "c": 4.0}, 10.0) == 4.0


def test_more_solvers_than_can_be_planned_leave_the_best() -> None:
    distribution = CostDistribution.normal(GRID, np.linspace(0, 2, 12), 0.5)
    found = plan(distribution, [f"s{k:02d}" for k in range(12)], settings())
    assert {part.solver for part in found.cores[0]} <= {f"s{k:02d}" for k in range(6)}


def test_json_and_aslib(tmp_path: Path) -> None:
    found = plan(normal((0.02, 1.5), (4.0, 0.1)), ["quick", "sure"], settings())
    back = json.loads(json.dumps(found.to_json()))
    assert back["cores"][0][0] == {"solver": "quick", "cpu_s": found.cores[0][0].cpu_s}
    write_aslib_schedules(tmp_path / "s.csv", {"x.cnf": found})
    with (tmp_path / "s.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["instanceID"], row["runID"], row["solver"]) for row in rows] == [
        ("x.cnf", "1", "quick"),
        ("x.cnf", "2", "sure"),
    ]
    two = Schedule((found.cores[0], found.cores[0]), 10.0, "par2", 1.0, 1.0, 1.0, 0.0)
    with pytest.raises(ConfigError, match="sequential"):
        write_aslib_schedules(tmp_path / "s.csv", {"x.cnf": two})


@pytest.mark.parametrize("wrong", [{"limit": 0.0}, {"cores": 0}, {"copula_correlation": 1.0}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        settings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        plan(normal((1.0, 1.0)), [], settings())


def test_scheduler_with_the_shipped_checkpoint() -> None:
    with Scheduler.from_checkpoint(time_limit_s=30, start="forest") as scheduler:
        one = scheduler.schedule(SAMPLES / "golfer-4-3-5.cnf")
        solved = scheduler.schedule([[1], [-1]])
        broken = scheduler.schedule(SAMPLES / "malformed.cnf")
        names = [str(SAMPLES / name) for name in ("golfer-4-3-5.cnf", "sudoku-9.cnf", "malformed.cnf")]
        together = scheduler.schedule_predictions(scheduler.predictor.predict_many(names))
        with pytest.raises(ConfigError, match=r"malformed.cnf:6"):
            scheduler.schedule_predictions(scheduler.predictor.predict_many(names[2:]))
    assert one.status == "planned" and one.overhead_s > 0
    assert one.time_limit_s == pytest.approx(30 - one.overhead_s)
    assert sum(part.cpu_s for part in one.cores[0]) == pytest.approx(one.time_limit_s)
    assert (solved.status, solved.result, solved.cores) == ("solved", "UNSAT", ())
    assert broken.status == "error" and ":6" in broken.error
    assert together.instances == 2 and "malformed.cnf:6" in together.error
    assert together.time_limit_s == 30


def test_ways_on_take_into_account_what_has_been_spent() -> None:
    names = ["a", "b"]
    both = normal((1.0, 0.5), (1.5, 0.3))
    fresh = ways_on(both, names, settings(), "a", 0.0)
    assert [[part.solver for part in way.cores[0]] for way in fresh] == [["a"], ["b"]]
    assert fresh[0].value == pytest.approx(float(scores(both[0], Objective.PAR2, 10.0).value), rel=1e-6)
    assert fresh[1].value == pytest.approx(float(scores(both[1], Objective.PAR2, 10.0).value), rel=1e-6)
    # A heavy tail: the longer it has run, the longer it will; independence leaves the other as it was.
    late = ways_on(both, names, settings(), "a", 5.0)
    assert late[0].value > fresh[0].value and late[1].value == pytest.approx(fresh[1].value)
    # If the instance is to blame, the other is worse too.
    assert ways_on(both, names, settings(copula_correlation=0.8), "a", 5.0)[1].value > 1.2 * late[1].value
    assert way_on(late, 0.0) is late[1] and way_on(late, 0.99) is late[0]


def test_ways_on_with_several_cores_or_without_others() -> None:
    three = normal((1.0, 0.5), (1.5, 0.3), (2.0, 0.3))
    (way,) = ways_on(three, ["a", "b", "c"], settings(cores=2), "b", 1.0)
    assert way.cores[0] == (Slice("b", 10.0),) and {part.solver for part in way.cores[1]} <= {"a", "c"}
    (alone,) = ways_on(three[:1], ["a"], settings(), "a", 100.0)
    assert alone.cores == ((Slice("a", 10.0),),) and way_on([alone], 0.0) is alone
    with pytest.raises(ValueError, match="not in list"):
        ways_on(three, ["a", "b", "c"], settings(), "d", 1.0)


def test_the_score_after_a_head_start() -> None:
    goes_on, instead = ways_on(normal((1.0, 0.5), (1.5, 0.3)), ["a", "b"], settings(), "a", 1.0)

    def par2(way: Schedule | None, a: float, b: float = 1.0, presolving_s: float = 1.0) -> float:
        return score(Plan(way.cores if way else (), (Slice("a", presolving_s),)), {"a": a, "b": b}, 10.0, 0.5)

    assert par2(instead, 0.9) == 0.9
    assert par2(goes_on, 3.0) == 3.5 and par2(goes_on, 9.8) == 20.0
    assert par2(instead, 3.0) == 2.5 and par2(instead, 3.0, np.inf) == 20.0
    # On a core beside it another solver may answer first.
    beside = Plan(((Slice("a", 8.5),), (Slice("b", 8.5),)), (Slice("a", 1.0),))
    assert (
        score(beside, {"a": 3.0, "b": 1.0}, 10.0, 0.5) == 2.5 and score(beside, {"a": 3.0, "b": 5.0}, 10.0, 0.5) == 3.5
    )
    # The probe's own answer costs what the probe does.
    assert par2(None, 3.0) == 1.5
    # Nothing is predicted when presolving is all there is.
    assert par2(None, 9.8, presolving_s=10.0) == 9.8 and par2(None, np.inf, presolving_s=10.0) == 20.0


def test_no_core_is_given_more_than_the_limit() -> None:
    # The longest slice promises by far the most, and is longer than the limit.
    promising = normal((9.0, 0.1), (9.5, 0.1)).reshape(1, 2)
    times = np.array([0.0, 4.0, 6.0, 14.0])
    for cores in (1, 2):
        found = greedy_plan(promising, np.ones(1), settings(cores=cores), times)
        spent = [sum(length for _, length in core) for core in found]
        assert max(spent) <= 10.0 and min(spent) > 0.0


def test_however_little_is_left_a_hundredth_of_the_limit_is_to_be_run() -> None:
    settings = ScheduleSettings(Objective.PAR2, 50.0)
    assert settings.after(20.0).time_limit_s == 30.0
    assert settings.after(60.0).time_limit_s == settings.after(49.9).time_limit_s == 0.5


def test_without_a_correlation_there_is_one_case_for_each_instance() -> None:
    distribution = CostDistribution.normal(GRID, [[0.0, 1.0], [0.5, 0.2], [2.0, 1.0]], 0.5)
    cases, weights = given_common_factor(distribution, 0.0)
    assert cases.cdf.tolist() == distribution.cdf.tolist()
    assert weights == pytest.approx([1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("cores", [1, 2])
def test_the_greedy_plan_may_give_a_core_all_of_its_time(cores: int) -> None:
    # The probability to be solved only rises with the time: the longest slice that fits is the limit itself.
    two = normal((3.0, 0.6), (4.0, 0.6))[:cores].reshape(1, cores)
    found = greedy_plan(two, np.ones(1), settings("p-solved", cores=cores), time_grid(10.0))
    assert found == [[(0, 10.0)], [(1, 10.0)]][:cores]


@pytest.mark.parametrize(("limit", "first"), [(10.0, 0.02), (40.0, 0.02), (100.0, 0.05), (0.01, 0.005)])
def test_times_begin_at_a_fiftieth_of_a_second_or_a_two_thousandth_of_the_limit(limit: float, first: float) -> None:
    times = time_grid(limit)
    assert len(times) == 40 and times[0] == 0.0
    assert (times[1], times[-1]) == pytest.approx((first, limit))
    steps = np.diff(np.log(times[1:]))
    assert steps == pytest.approx(np.full(38, steps[0]))


def test_the_greedy_plan_takes_the_most_solved_for_its_time() -> None:
    # a: six in ten at once, then nothing more; b: all within a second.
    quick = np.where(GRID.edges >= -1.0, 0.6, 0.0)
    sure = np.where(GRID.edges >= 0.0, 1.0, 0.0)
    both = CostDistribution(GRID, np.stack([quick, sure])).reshape(1, 2)
    times = np.array([0.0, 0.1, 1.0, 10.0])
    assert greedy_plan(both, np.ones(1), settings(), times) == [[(0, 0.1), (1, 1.0)]]
    # For the probability alone the time doesn't matter: b solves more.
    assert greedy_plan(both, np.ones(1), settings("p-solved"), times)[0][0] == (1, 1.0)
    # What b does is worth nothing where a has solved it: of two cases the one that is left counts.
    cases = CostDistribution(
        GRID, np.stack([[sure, sure, 0 * sure], [0 * sure, 0 * sure, np.where(GRID.edges >= 0.5, 1.0, 0.0)]])
    )
    found = greedy_plan(cases, np.array([0.6, 0.4]), settings(), np.array([0.0, 1.0, 10.0**0.5, 10.0]))
    assert [column for column, _ in found[0]][:2] == [0, 2]


def test_settings_and_what_an_instance_counts() -> None:
    usual = ScheduleSettings()
    assert (usual.objective, usual.time_limit_s, usual.cores, usual.copula_correlation) == (
        Objective.PAR2,
        10.0,
        1,
        0.0,
    )
    assert settings(limit=0.5, copula_correlation=0.0).time_limit_s == 0.5
    for wrong in ({"limit": np.inf}, {"limit": np.nan}, {"limit": -1.0}, {"cores": -1}, {"copula_correlation": -0.1}):
        with pytest.raises(ConfigError):
            settings(**wrong)
    # Four seconds, of which ten for each of the three in ten that aren't solved.
    found = Expectation(np.array([4.0]), np.array([0.3]))
    for objective, loss in (("expected-cost", 4.0), ("par2", 7.0), ("par10", 31.0), ("p-solved", 0.3)):
        assert found.loss(settings(objective)) == pytest.approx([loss])


@pytest.mark.parametrize(
    "cores",
    [
        [[(0, 10.0)]],
        [[(0, 3.0), (1, 7.0)]],
        [[(1, 0.5), (2, 2.0), (0, 4.0)]],
        # What is planned beyond the limit is not run.
        [[(1, 6.0), (0, 9.0)]],
        [[(1, 10.0), (0, 5.0)]],
        [[(0, 3.0), (1, 7.0)], [(2, 10.0)]],
        [[(0, 1.0), (1, 2.0)], [(2, 0.5)]],
    ],
)
def test_what_a_schedule_does_is_what_samples_say(cores: list[list[tuple[int, float]]]) -> None:
    distribution = normal((1.0, 0.8), (3.0, 0.5), (5.0, 1.0)).reshape(1, 3)
    rng = np.random.default_rng(1)
    costs = [10.0 ** np.interp(rng.uniform(size=200_000), distribution.cdf[0, k], GRID.edges) for k in range(3)]
    first = np.full(200_000, np.inf)
    for core in cores:
        start = 0.0
        for column, length in core:
            answered = (costs[column] <= length) & (start + costs[column] <= 10.0)
            first = np.where(answered, np.minimum(first, start + costs[column]), first)
            start += length
    found = expectation(cores, distribution, 10.0)
    assert float(found.seconds[0]) == pytest.approx(np.minimum(first, 10.0).mean(), rel=0.01)
    assert float(found.unsolved[0]) == pytest.approx(np.isinf(first).mean(), abs=0.005)


def test_a_plan_has_no_slice_without_time() -> None:
    rng = np.random.default_rng(2)
    for objective in OBJECTIVES:
        distribution = CostDistribution.normal(GRID, rng.uniform(-1, 3, 4), rng.uniform(0.1, 1.0, 4))
        (core,) = optimal_plan(distribution, settings(objective), time_grid(10.0))
        assert core and min(length for _, length in core) > 0.0
        assert sum(length for _, length in core) <= 10.0 + 1e-9


def test_a_slice_that_is_a_little_too_long_does_not_fit() -> None:
    promising = normal((10.4, 0.001)).reshape(1, 1)
    assert greedy_plan(promising, np.ones(1), settings(), np.array([0.0, 5.0, 10.5])) == [[(0, 5.0)]]
