"""The data set `published` as it is committed: published run times next to the data set `corpus`."""

from collections import Counter
from pathlib import Path

import pytest

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.portfolio_summary import portfolio_summary
from satcost_gnn.data.source_speed import read_speeds
from satcost_gnn.data.summary import check

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.fixture(scope="module")
def published():
    return Dataset.open(DATASETS / "published")


@pytest.fixture(scope="module")
def corpus():
    return Dataset.open(DATASETS / "corpus")


def test_it_is_sound_and_has_what_its_card_says(published):
    assert check(published.directory) == []
    runs = Counter(run.solver for run in published.runs if run.source == "sc2022_anni")
    assert len(runs) == 28 and min(runs.values()) >= 319
    assert {run.cpu_limit_s for run in published.runs if run.source} == {5000.0}
    assert all(run.conflicts is None for run in published.runs if run.source)
    assert {run.source for run in published.runs} >= {f"sc{year}_main" for year in range(2021, 2025)}
    assert not published.contradictions
    card = (published.directory / "CARD.md").read_text()
    assert f"{len(published.manifest)} instances" in card and f"{len(published.runs)} runs" in card


def test_instances_and_their_copies_are_on_the_side_and_in_the_fold_of_the_corpus(published, corpus):
    sides: dict[str, set[str]] = {}
    for row in corpus.manifest:
        sides.setdefault(row.isohash, set()).add(corpus.splits.side[row.instance])
    shared = copies = 0
    for row in published.manifest:
        side = published.splits.side[row.instance]
        if row.instance in corpus.by_instance:
            shared += 1
            assert side == corpus.splits.side[row.instance]
            assert published.splits.fold[row.instance] == corpus.splits.fold[row.instance]
        elif row.isohash in sides:
            copies += 1
            assert side in sides[row.isohash] | {"excluded"}
    assert shared > 80 and set(published.splits.side.values()) >= {"train", "validation", "calibration", "test"}
    # Answers of both data sets agree.
    both = [name for name in published.instances if name in corpus.by_instance]
    pairs = zip(published.satisfiable(both).tolist(), corpus.satisfiable(both).tolist(), strict=True)
    assert all(-1 in pair or pair[0] == pair[1] for pair in pairs)


def test_every_source_has_a_speed_and_the_portfolio_its_gain(published):
    assert set(read_speeds(published.directory)) == {run.source for run in published.runs if run.source}
    relatives = ("kissat-sc2022-bulky", "CaDiCaL_DVDL_V1", "glucose-reboot", "MapleLCMDistChrBt-DL-v3")
    four = portfolio_summary(published, [f"{name}@sc2022" for name in relatives], 5000.0)
    assert four.single_best == "kissat-sc2022-bulky@sc2022" and four.gain == pytest.approx(0.124, abs=0.001)
    everyone = sorted({run.solver for run in published.runs if run.source == "sc2022_anni"})
    assert portfolio_summary(published, everyone, 5000.0).gain == pytest.approx(0.281, abs=0.001)
