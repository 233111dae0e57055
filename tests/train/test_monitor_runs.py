"""Which runs a monitor is fitted on, and the way from a data set to its model."""

import json
from pathlib import Path

import numpy as np
import pytest
from plain_runs import plain_run
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.generate import FAMILIES
from satcost_gnn.data.schema import ManifestRow, Origin, RunStatus
from satcost_gnn.data.splits import Splits
from satcost_gnn.decide.monitored_runs import MonitoredRun
from satcost_gnn.decide.reestimate import Reestimator, SearchState
from satcost_gnn.errors import DatasetError
from satcost_gnn.formula.identity import gbdhash
from satcost_gnn.train.monitor import (
    Sample,
    Stratum,
    by_stratum,
    chosen_runs,
    fit_monitor,
    joined_runs,
    population,
)

SAMPLE = Sample("calibration", (Stratum(1.0, 1), Stratum(10.0, 4), Stratum(np.inf, np.inf)))
TIMEOUT = RunStatus.TIMEOUT


def of_sides(directory: Path, sides: dict[str, str], runs: list) -> Dataset:
    rows = tuple(
        ManifestRow(name, name, "family", f"{name}.cnf", 9, 9, 99, Origin.REAL, None, None, None) for name in sides
    )
    splits = Splits(0, {"train": 0.5, "calibration": 0.5}, 2, sides, dict.fromkeys(sides, 0))
    return Dataset(directory, rows, tuple(runs), splits)


def names(count: int, first: int = 0) -> list[str]:
    return [f"{k:032x}" for k in range(first, first + count)]


def test_strata_and_samples(tmp_path: Path) -> None:
    cheap, dear, stopped, short, elsewhere = (names(8, 100 * k) for k in range(5))
    everyone = [*cheap, *dear, *stopped, *short, *elsewhere]
    sides = dict.fromkeys(everyone, "calibration") | dict.fromkeys(elsewhere, "train")
    runs = [
        *(plain_run(name, conflicts=9000, cpu_s=0.5) for name in [*cheap, *elsewhere]),
        *(plain_run(name, conflicts=90_000, cpu_s=5.0) for name in dear),
        *(plain_run(name, conflicts=90_000, cpu_s=10.0, status=TIMEOUT) for name in stopped),
        *(plain_run(name, conflicts=3999, cpu_s=0.5) for name in short),
        *(plain_run(name, conflicts=9000, cpu_s=0.5, seed=1) for name in short),
        plain_run(cheap[0], solver="glucose42", conflicts=9000, cpu_s=0.5),
    ]
    dataset = of_sides(tmp_path, sides, runs)
    found = by_stratum(dataset, SAMPLE)
    assert {place: {name for name, _ in members} for place, members in found.items()} == {
        0: set(cheap),
        1: set(dear),
        2: set(stopped),
    }
    chosen = chosen_runs(dataset, SAMPLE, ["cadical195"])
    assert {solver for _, solver in chosen} == {"cadical195"}
    taken = [sum(name in group for name, _ in chosen) for group in (cheap, dear, stopped)]
    assert taken == [8, 2, 0]
    assert len(chosen_runs(dataset, SAMPLE, ["cadical195"], share=0.5)) == 4 + 1
    assert chosen == chosen_runs(dataset, SAMPLE, ["cadical195"])
    with pytest.raises(DatasetError, match="found no splits"):
        by_stratum(Dataset(tmp_path, dataset.manifest, dataset.runs), SAMPLE)


def test_runs_that_were_not_recorded_have_passed_their_counts(tmp_path: Path) -> None:
    first, second, unpredicted = names(3)
    sides = dict.fromkeys([first, second, unpredicted], "calibration")
    runs = [plain_run(name, conflicts=10_000, cpu_s=2.0) for name in sides]
    recorded = MonitoredRun(
        first, "cadical195", "SAT", (SearchState(5000, 9, 9, 1, 1.0), SearchState(8000, 9, 9, 1, 2.0))
    )
    prior = CostDistribution.normal(GRIDS["conflicts"], np.array(4.0), 0.5)
    priors = {name: {"conflicts": {"cadical195": prior}} for name in (first, second)}
    found = {run.instance: run for run, _ in joined_runs(of_sides(tmp_path, sides, runs), SAMPLE, [recorded], priors)}
    assert set(found) == {first, second}
    assert found[first] == recorded
    states = found[second].states
    assert states[0].conflicts == 2000 and states[-1].conflicts == 10_000
    np.testing.assert_allclose([state.cpu_s for state in states], [state.conflicts * 2e-4 for state in states])
    assert all(state.decisions is None for state in states)


def test_population_is_of_long_runs_of_the_training_side(tmp_path: Path) -> None:
    long, short, other = names(3)
    sides = {long: "train", short: "train", other: "calibration"}
    runs = [
        plain_run(long, conflicts=10_000, cpu_s=2.0),
        plain_run(short, conflicts=1999),
        plain_run(other, conflicts=99_999),
    ]
    dataset = of_sides(tmp_path, sides, runs)
    found = population(dataset, ["cadical195"])
    assert float(found["conflicts"].median()) == pytest.approx(4.0, abs=0.13)
    assert float(found["cpu_seconds"].median()) == pytest.approx(np.log10(2.0), abs=0.13)
    with pytest.raises(DatasetError, match="no run of the train side"):
        population(dataset, ["glucose42"])


def generated(directory: Path) -> Dataset:
    """Return two formulas that take some tenths of a second, one of either side."""
    rows, sides, runs = [], {}, []
    for k, side in enumerate(("train", "calibration")):
        formula = FAMILIES["random-ksat"].generate(seed=k, n=200, ratio=4.3)
        name = gbdhash(formula)
        rows.append(
            ManifestRow(
                name, name, "a", None, 200, formula.n_clauses, 9999, Origin.GENERATED, None, formula.source, None
            )
        )
        sides[name] = side
        runs.append(plain_run(name, conflicts=20_000, cpu_s=0.4))
    splits = Splits(0, {"train": 0.5, "calibration": 0.5}, 2, sides, dict.fromkeys(sides, 0))
    dataset = Dataset(directory, tuple(rows), tuple(runs), splits)
    dataset.write()
    return dataset


def test_from_a_data_set_to_a_model(tmp_path: Path) -> None:
    dataset = generated(tmp_path / "set")
    work, target = tmp_path / "work", tmp_path / "model.json"
    call = ["fit-monitor", str(dataset.directory), "--work", str(work), "-o", str(target)]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, (done.output, done.exception)
    model = Reestimator.from_json(json.loads(target.read_text()))
    assert model.provenance["recorded"] == model.provenance["runs"] == 1
    assert set(model.stages) == {"conflicts", "cpu_seconds"}
    (recorded,) = (work / "training.jsonl").read_text().splitlines()
    (instance,) = (name for name, side in dataset.splits.side.items() if side == "calibration")
    assert json.loads(recorded)["instance"] == instance
    # A line that a kill has cut off is made again; what is whole isn't.
    priors = (work / "priors.jsonl").read_text()
    with (work / "priors.jsonl").open("a") as stream:
        stream.write('{"instance": "cut')
    again = fit_monitor(dataset, work)
    assert again.to_json() == model.to_json()
    assert (work / "training.jsonl").read_text().splitlines() == [recorded]
    assert (work / "priors.jsonl").read_text() == priors
    done = CliRunner().invoke(app, call)
    assert done.exit_code != 0 and "give --overwrite" in str(done.exception)
