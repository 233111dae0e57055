import hashlib
import math
from dataclasses import replace

import pytest

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.joining import Relatives, borrowed_runs, join_datasets
from satcost_gnn.data.source_speed import GenerationSpeed, SourceSpeed, write_speeds
from satcost_gnn.data.splits import Splits
from satcost_gnn.errors import DatasetError
from satcost_gnn.learn.labelled_instances import largest_limits

UNTOLD = {"wall_s": None, "peak_memory_mb": None, "wall_limit_s": None, "memory_limit_mb": None, "conflicts": None}
SPEEDS = {
    "sc2022_anni": SourceSpeed(2.0, 0.2, "CaDiCaL", False, {"CaDiCaL": GenerationSpeed(2.0, 1.5, 2.5, 0.2, 40, 0)})
}
RELATIVES = {"kissat404": Relatives("CaDiCaL", ("kissat-sc2022-*@*",))}


def digest(name):
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def _published(make_run, instance, solver, seconds, status="SAT"):
    return make_run(instance, solver, status=status, cpu_s=seconds, cpu_limit_s=5000.0, source="sc2022_anni", **UNTOLD)


def _splits(side, fold):
    by_hash = ({digest(name): its for name, its in told.items()} for told in (side, fold))
    return Splits(0, {"train": 0.8, "test": 0.2}, 5, *by_hash, {})


def test_the_middle_relative_stands_for_a_solver_in_seconds_of_our_machine(make_run):
    runs = [
        _published(make_run, "a", f"kissat-sc2022-{name}@sc2022", seconds)
        for name, seconds in (("bulky", 300.0), ("light", 100.0), ("third", 4000.0))
    ]
    (found,) = borrowed_runs(runs, RELATIVES, SPEEDS)
    assert (found.solver, found.cpu_s, found.cpu_limit_s) == ("kissat404", 150.0, 2500.0)
    assert found.source == "sc2022_anni" and found.conflicts is None
    # A run that was stopped is slower than all that were not.
    two = [("bulky", 5000.0, "TIMEOUT"), ("third", 4000.0, "SAT")]
    for name in "abcdefgh":
        runs = [_published(make_run, name, f"kissat-sc2022-{one}@sc2022", *its) for one, *its in two]
        (found,) = borrowed_runs(runs, RELATIVES, SPEEDS)
        assert (found.status.solved, found.cpu_limit_s) in {(True, 2500.0), (False, 2500.0)}


def test_of_an_even_number_of_relatives_neither_the_faster_nor_the_slower_is_favoured(make_run):
    told = []
    for number in range(400):
        name = digest(str(number))
        runs = [
            _published(make_run, name, f"kissat-sc2022-{one}@sc2022", seconds)
            for one, seconds in (("bulky", 10.0), ("light", 1000.0), ("third", 100.0), ("fourth", 1.0))
        ]
        (found,) = borrowed_runs(runs, RELATIVES, SPEEDS)
        assert borrowed_runs(runs[::-1], RELATIVES, SPEEDS) == (found,)
        told.append(found.cpu_s)
    assert set(told) == {5.0, 50.0} and 160 < told.count(5.0) < 240


def test_an_own_answer_and_an_own_bound_count_before_those_of_relatives(make_run):
    theirs = [_published(make_run, "a", "kissat-sc2022-bulky@sc2022", 30.0)]
    answered = make_run("a", "kissat404", cpu_s=3.0, cpu_limit_s=10.0)
    assert borrowed_runs([*theirs, answered], RELATIVES, SPEEDS) == ()
    # 30 s there are 15 s here: that contradicts who has survived 20 s, and not who has survived 10 s.
    for limit, count in ((20.0, 0), (10.0, 1)):
        stopped = make_run("a", "kissat404", status="TIMEOUT", cpu_s=limit, cpu_limit_s=limit)
        assert len(borrowed_runs([*theirs, stopped], RELATIVES, SPEEDS)) == count
    # A run that failed for other reasons tells nothing.
    crashed = make_run("a", "kissat404", status="CRASHED", cpu_s=1.0, cpu_limit_s=10.0)
    assert len(borrowed_runs([*theirs, crashed], RELATIVES, SPEEDS)) == 1


def test_a_source_of_unknown_speed_is_named(make_run):
    with pytest.raises(DatasetError, match=r"sc2022_anni.*source-speed"):
        borrowed_runs([_published(make_run, "a", "kissat-sc2022-bulky@sc2022", 30.0)], RELATIVES, {})


def test_a_joined_data_set_has_all_runs_and_relatives_on_one_side(make_row, make_run, tmp_path):
    own = Dataset(
        tmp_path / "own",
        (make_row("a", isohash="x"), make_row("b", isohash="y"), make_row("c", isohash="z")),
        (make_run("a", "kissat404", cpu_s=3.0, cpu_limit_s=10.0),),
        _splits({"a": "train", "b": "train", "c": "validation"}, {"a": 0, "b": 1, "c": 2}),
    )
    other = Dataset(
        tmp_path / "published",
        (make_row("copy", isohash="x"), make_row("b", isohash="y"), make_row("d", isohash="w")),
        (
            _published(make_run, "b", "kissat-sc2022-bulky@sc2022", 5000.0, "TIMEOUT"),
            _published(make_run, "d", "kissat-sc2022-bulky@sc2022", 2000.0),
        ),
        _splits({"copy": "test", "b": "calibration", "d": "train"}, {"copy": 3, "b": 1, "d": 4}),
    )
    write_speeds(other.directory, SPEEDS)
    joined = join_datasets([own, other], RELATIVES)
    names = ["a", "b", "c", "copy", "d"]
    assert sorted(joined.instances) == sorted(map(digest, names))
    matrix = joined.cost_matrix(["kissat404"], "cpu_seconds", instances=[digest(name) for name in names])
    assert (10 ** matrix.cost[:, 0]).tolist() == pytest.approx([3.0, 2500.0, math.nan, math.nan, 1000.0], nan_ok=True)
    assert matrix.censored[:, 0].tolist() == [False, True, False, False, False]
    # a's copy is tested on: so is a. Where folds differ, the group is in none.
    sides = [joined.splits.side[digest(name)] for name in names]
    assert sides == ["test", "calibration", "validation", "test", "train"]
    assert [joined.splits.fold[digest(name)] for name in names] == [None, 1, 2, None, 4]


def test_one_data_set_stays_as_it_is_and_splits_are_needed_everywhere(make_row, tmp_path):
    with_splits = Dataset(tmp_path / "a", (make_row("a"),), (), _splits({"a": "train"}, {"a": 0}))
    assert join_datasets([with_splits]) is with_splits
    without = Dataset(tmp_path / "b", (make_row("b"),))
    assert join_datasets([without, without]).splits is None
    with pytest.raises(DatasetError, match=r"b: found no splits\.json"):
        join_datasets([with_splits, without])
    with pytest.raises(DatasetError, match="no data set"):
        join_datasets([])


def test_the_largest_limit_of_an_instance_is_over_all_its_runs(make_run, small_dataset):
    runs = (
        make_run("a", "cadical195", cpu_limit_s=10.0),
        make_run("a", "glucose42", cpu_limit_s=300.0),
        _published(make_run, "b", "IsaSAT@sc2022", 7.0),
        make_run("b", "cadical195", cpu_limit_s=10.0),
    )
    found = largest_limits(replace(small_dataset(), runs=runs), [digest(name) for name in "abc"])
    assert found.tolist() == [300.0, 5000.0, 0.0]
