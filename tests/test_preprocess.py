import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.instance_cache import InstanceCache
from satcost_gnn.preprocess import PreprocessSettings, preprocess, preprocess_many
from satcost_gnn.search.random_dives import DiveSettings
from satcost_gnn.search.sandbox import Sandbox

SETTINGS = PreprocessSettings()


def formulas(count: int) -> Iterator[tuple[int, Formula]]:
    for k in range(count):
        yield k, Formula.from_clauses([[1, 2], [-1, k + 3]], source=f"formula {k}")


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_source_comes_back_once_with_its_key(jobs):
    found = [item for item in preprocess_many(formulas(10), SETTINGS, jobs=jobs) if item is not None]
    assert sorted(key for key, _ in found) == list(range(10))
    assert all(outcome.path == f"formula {key}" and outcome.instance is not None for key, outcome in found)


def test_sources_are_taken_a_few_ahead_and_no_thread_stays_when_the_caller_stops():
    taken = []

    def counted():
        for item in formulas(1000):
            taken.append(item[0])
            yield item

    before = threading.active_count()
    stream = preprocess_many(counted(), SETTINGS, jobs=2)
    assert next(item for item in stream if item is not None)
    stream.close()
    assert len(taken) < 20
    assert threading.active_count() == before


def test_error_of_the_sources_reaches_the_caller():
    def broken():
        yield from formulas(2)
        raise OSError("listing vanished")

    with pytest.raises(OSError, match="listing vanished"):
        list(preprocess_many(broken(), SETTINGS))


def test_cache_returns_what_was_preprocessed_and_reports_what_was_not(tmp_path):
    good, bad = tmp_path / "good.cnf", tmp_path / "bad.cnf"
    good.write_text("p cnf 3 2\n1 -2 0\n2 3 0\n")
    bad.write_text("p cnf 1 1\n1 x 0\n")
    cache = InstanceCache(tmp_path / "cache", SETTINGS)
    steps = []
    failed = cache.fill({"g": good, "b": bad}, jobs=2, on_step=steps.append)
    assert [outcome.path for outcome in failed] == [str(bad)] and len(steps) == 2
    stored = cache.get("g")
    assert stored is not None and stored.gbdhash == "5c199826eee734c6484e691f3c129214"
    assert stored.probe is not None and stored.probe.status == "SAT"
    assert cache.get("b") is None
    steps.clear()
    cache.fill({"g": good}, on_step=steps.append)
    assert steps == [None]


def test_settings_survive_json_and_older_ones_mean_no_dives():
    settings = PreprocessSettings(dives=DiveSettings(dives=5, seed=3))
    stored = asdict(settings)
    assert PreprocessSettings.from_dict(stored) == settings
    del stored["dives"]
    assert PreprocessSettings.from_dict(stored) == replace(settings, dives=None)


def test_former_limit_on_graphs_is_no_limit_but_a_chosen_one_is():
    stored = asdict(PreprocessSettings())
    assert PreprocessSettings.from_dict({**stored, "graph_size_limit": 4_000_000}).graph_size_limit is None
    assert PreprocessSettings.from_dict({**stored, "graph_size_limit": 1000}).graph_size_limit == 1000


def test_keys_that_serve():
    settings = PreprocessSettings(dives=None)
    key = settings.key()
    number, added = map(int, re.match(r"s1-o(\d+)\.(\d+)-", key).groups())
    assert settings.serves(key)
    assert settings.serves(re.sub("@[^,-]*", "@0.0", key))
    # What was made before features were added finds all of its own.
    assert settings.serves(re.sub(r"^s1-o[\d.]+-", f"s1-o{number}-", key))
    assert not settings.serves(re.sub(r"^s1-o[\d.]+-", f"s1-o{number}.{added + 1}-", key))
    assert not settings.serves(re.sub(r"^s1-o[\d.]+-", f"s1-o{number + 1}-", key))
    assert not settings.serves(PreprocessSettings().key())
    assert not settings.serves(key.replace("-c2000-", "-c300-"))


def test_random_dives_are_features_of_an_unsolved_instance():
    import random

    rng = random.Random(5)
    clauses = [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, 221), 3)] for _ in range(937)]
    hard = Formula.from_clauses(clauses, 220)
    with Sandbox() as sandbox:
        with_dives = preprocess(hard, SETTINGS, sandbox).instance.online
        without = preprocess(hard, replace(SETTINGS, dives=None), sandbox).instance.online
    assert with_dives.names == without.names
    knuth = [name.startswith("knuth.") for name in with_dives.names]
    assert not with_dives.is_missing[knuth].any() and without.is_missing[knuth].all()
