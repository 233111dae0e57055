import json

import pytest

from satcost_gnn.data.card import format_card
from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.source_speed import FEWEST, read_speeds, source_speeds, write_speeds
from satcost_gnn.errors import DatasetError

LIMITS = {"wall_s": None, "peak_memory_mb": None, "wall_limit_s": None, "memory_limit_mb": None, "conflicts": None}


@pytest.fixture
def published(make_row, make_run, tmp_path):
    """Return a factory: n instances that take our solver 1, 2, 3 ... s and its relatives ``factor`` times as long."""

    def make(n=30, factor=2.0, noise=lambda k: 1.0, ours="cadical153", theirs="CadicalReorder@sc2022", **own):
        rows, runs = [], []
        for k in range(n):
            rows.append(make_row(f"i{k}"))
            seconds = 1.0 + k / 2
            runs.append(make_run(f"i{k}", ours, cpu_s=seconds, cpu_limit_s=60.0, **own))
            runs.append(
                make_run(
                    f"i{k}",
                    theirs,
                    cpu_s=factor * seconds * noise(k),
                    cpu_limit_s=5000.0,
                    source="sc2022_main",
                    **LIMITS,
                )
            )
        return Dataset(tmp_path / "published", tuple(rows), tuple(runs))

    return make


def test_the_factor_is_the_median_ratio_and_the_standard_deviation_that_of_single_ones(published, monkeypatch):
    exact = source_speeds(published())["sc2022_main"]
    assert (exact.factor, exact.generation, exact.pooled) == (pytest.approx(2.0), "CaDiCaL", False)
    assert exact.sd_log10 == pytest.approx(0, abs=1e-9)
    # Ratios of 1, 2 and 4: a median of 2, half of a decade's 1.4826 times log10 2 around it.
    noisy = source_speeds(published(noise=lambda k: 2.0 ** (k % 3 - 1)))["sc2022_main"]
    told = noisy.generations["CaDiCaL"]
    assert noisy.factor == pytest.approx(2.0) and noisy.sd_log10 == pytest.approx(1.4826 * 0.30103, rel=1e-3)
    assert 1.0 <= told.low <= 2.0 <= told.high <= 4.0 and told.low < told.high
    monkeypatch.setattr("satcost_gnn.data.source_speed.WINDOW_S", (10.0, 20.0))
    assert source_speeds(published())["sc2022_main"].generations["CaDiCaL"].instances == 11


def test_runs_of_ours_that_were_cut_off_lie_below_all_ratios(published, make_run):
    dataset = published()
    runs = [
        make_run(f"i{k}", "cadical153", status="TIMEOUT", cpu_s=60.0, cpu_limit_s=60.0) if k % 3 == 0 else None
        for k in range(30)
    ]
    cut = {run.instance for run in runs if run is not None}
    kept = [run for run in dataset.runs if run.source or run.instance not in cut]
    told = source_speeds(Dataset(dataset.directory, dataset.manifest, (*kept, *filter(None, runs))))["sc2022_main"]
    assert told.factor == pytest.approx(2.0) and told.generations["CaDiCaL"].cut_off == 10


def test_the_generation_whose_ratios_vary_least_tells(published):
    noisy = published(factor=0.5, noise=lambda k: 10.0 ** (k % 3 - 1), ours="glucose4", theirs="glucose-reboot@sc2022")
    exact = published(factor=3.0)
    both = source_speeds(Dataset(exact.directory, exact.manifest, (*exact.runs, *noisy.runs)))["sc2022_main"]
    assert both.generation == "CaDiCaL" and both.factor == pytest.approx(3.0)
    assert both.generations["Glucose"].factor == pytest.approx(0.5)


def test_a_source_with_few_instances_has_the_factor_of_all_together(published, make_run):
    dataset = published()
    few = tuple(
        make_run(f"i{k}", "CaDiCaL@sc2024", cpu_s=9.0 * (1 + k / 2), cpu_limit_s=5000.0, source="sc2024_main", **LIMITS)
        for k in range(FEWEST - 1)
    )
    speeds = source_speeds(Dataset(dataset.directory, dataset.manifest, (*dataset.runs, *few)))
    assert speeds["sc2024_main"].pooled and not speeds["sc2022_main"].pooled
    assert speeds["sc2024_main"].factor == pytest.approx(2.0)


def test_own_runs_may_be_in_other_data_sets_and_what_cannot_be_compared_is_said(published, tmp_path):
    dataset = published()
    own = Dataset(tmp_path / "own", dataset.manifest, tuple(run for run in dataset.runs if not run.source))
    there = Dataset(dataset.directory, dataset.manifest, tuple(run for run in dataset.runs if run.source))
    assert source_speeds(there, [own]) == source_speeds(dataset)
    with pytest.raises(DatasetError, match=r"fewer than 10 instances with runs of our own \(cadical153, "):
        source_speeds(there)
    with pytest.raises(DatasetError, match="found no runs with a source"):
        source_speeds(own)


def test_speeds_are_kept_with_the_data_set_and_shown_in_its_card(published):
    dataset = published()
    assert read_speeds(dataset.directory) == {}
    dataset.write()
    assert "## Sources" not in format_card(dataset)
    speeds = source_speeds(dataset)
    write_speeds(dataset.directory, speeds)
    assert read_speeds(dataset.directory) == speeds
    card = format_card(dataset)
    assert "## Sources" in card and "CaDiCaL*" in card and "30 runs are published ones" in card
    path = dataset.directory / "sources.json"
    for damage in ("{", "[]", json.dumps({"version": 9, "sources": {}}), '{"version": 1, "sources": {"a": {}}}'):
        path.write_text(damage)
        with pytest.raises(DatasetError, match=r"sources.json: found no speeds of sources .*source-speed"):
            read_speeds(dataset.directory)


def test_costs_that_are_known_in_seconds_only_are_shown_in_seconds(published):
    dataset = published()
    only = Dataset(dataset.directory, dataset.manifest, tuple(run for run in dataset.runs if run.source))
    only.write()
    card = format_card(only)
    assert "log10 cpu_seconds of CadicalReorder@sc2022" in card and "10^6 conflicts." not in card
