import json
import random
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from satcost_gnn.errors import ConfigError
from satcost_gnn.features.cache import InstanceCache
from satcost_gnn.features.preprocessing import preprocess, preprocess_many
from satcost_gnn.features.spec import FeatureSpec, FeatureVersions, PreprocessLimits, PreprocessSettings
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.runtime.sandbox import Outcome, Sandbox
from satcost_gnn.search.plain_run import PlainSettings
from satcost_gnn.search.probe_replicate import PREFIX
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.search.random_dives import DiveSettings

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

    before = set(threading.enumerate())
    stream = preprocess_many(counted(), SETTINGS, jobs=2)
    assert next(item for item in stream if item is not None)
    stream.close()
    assert len(taken) < 20
    # Threads of earlier tests may end meanwhile.
    assert not set(threading.enumerate()) - before


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


def test_settings_survive_json():
    features = FeatureSpec(dives=DiveSettings(dives=5, seed=3), probe_replicate=False)
    assert FeatureSpec.from_dict(json.loads(json.dumps(asdict(features)))) == features
    without = replace(features, probe=None, dives=None)
    assert FeatureSpec.from_dict(asdict(without)) == without
    limits = PreprocessLimits(graph_size_limit=1000, cpu_s=3.0)
    assert PreprocessLimits.from_dict(json.loads(json.dumps(asdict(limits)))) == limits
    with pytest.raises(ConfigError, match="colour"):
        FeatureSpec.from_dict({"colour": 1})


def test_what_is_trained_on_other_features_is_told_by_what_differs():
    features = FeatureSpec(dives=None)
    assert features.differences(features) == []
    assert features.differences(replace(features, max_graph_edges=7)) == ["max_graph_edges: 7, here 200000"]
    assert features.differences(FeatureSpec()) == ["dives: some, here none"]
    assert features.differences(replace(features, probe=ProbeSettings(conflicts=300))) == [
        "probe.conflicts: 300, here 2000"
    ]
    assert features.differences(replace(features, probe_replicate=False)) == ["probe_replicate: False, here True"]


def test_another_version_of_features_is_refused_more_of_them_and_another_release_are_not():
    today = FeatureVersions.today()
    assert today.differences(today) == [] and today.differences(replace(today, release="0.0")) == []
    # What was made before features were added finds all of its own.
    assert today.differences(replace(today, online_added=today.online_added - 1)) == []
    assert len(today.differences(replace(today, online_added=today.online_added + 1))) == 1
    for name in ("static", "online", "graph", "probe", "dives", "probe_replicate"):
        assert today.differences(replace(today, **{name: "0"})) == [
            f"version of {name}: 0, here {getattr(today, name)}"
        ]


def test_the_key_of_cached_instances_is_as_it_was():
    import pysat

    assert FeatureSpec().key() == (
        f"s1-o1.1-g2-e200000-probe1-cadical195@{pysat.__version__},chronoreusetrail=0-c2000-e5000000-o50000-s0-10s-60s"
        "-4096M-dives1-n32-w600000-l300000-s0-again1"
    )
    ergo = FeatureSpec(probe=ProbeSettings(solver="ergo"), dives=None, probe_replicate=False)
    assert f"-ergo@{pysat.__version__},emulate=m2.0-c2000-" in ergo.key()


def random_ksat(n_vars: int, n_clauses: int, seed: int) -> Formula:
    rng = random.Random(seed)
    clauses = [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, n_vars + 1), 3)] for _ in range(n_clauses)]
    return Formula.from_clauses(clauses, n_vars)


def is_second(name: str) -> bool:
    return name.startswith(PREFIX)


def test_what_the_probe_does_not_solve_is_probed_again(tmp_path):
    hard = random_ksat(220, 937, 5)
    (tmp_path / "hard.cnf").write_text(hard.to_dimacs())
    cache = InstanceCache(tmp_path, SETTINGS)
    cache.fill({"h": tmp_path / "hard.cnf"})
    once = SETTINGS.with_features(probe_replicate=False)
    with Sandbox() as sandbox:
        found = preprocess(hard, SETTINGS, sandbox).instance
        without = preprocess(hard, once, sandbox).instance
        solved = preprocess(random_ksat(50, 100, 1), SETTINGS, sandbox).instance
    assert without.replicate is None and not any(map(is_second, without.online.names))
    assert found.replicate.status == "UNKNOWN" and found.replicate.trace is None and "probe replicate" in found.timings
    both = {name: found.online[name] for name in without.online.names if is_second(PREFIX + name)}
    assert any(value != found.online[PREFIX + name] for name, value in both.items() if not name.startswith("knuth."))
    # The same inputs for all estimators, solved or not.
    assert solved.replicate is None and solved.online.names == found.online.names
    assert solved.online.is_missing[list(map(is_second, solved.online.names))].all()
    stored = cache.get("h")
    assert stored.replicate.status == found.replicate.status and stored.replicate.conflicts == found.replicate.conflicts
    assert stored.online.as_dict() == pytest.approx(found.online.as_dict(), nan_ok=True)


def test_a_second_search_that_dies_costs_nothing_else():
    hard = random_ksat(220, 937, 5)
    with Sandbox() as sandbox:
        whole = preprocess(hard, SETTINGS, sandbox)

    class Dying:
        def run(self, function, kwargs, limits):
            instance = whole.instance
            first = [name for name in instance.online.names if not is_second(name)]
            found = {"static": instance.static, "probe": instance.probe, "online": instance.online.select(first)}
            found |= {"graph": instance.graph, "timings": {"parse": 0.0}, "gbdhash": instance.gbdhash}
            return Outcome("CRASHED", found, 1.0, 1.0, 1.0, "killed by signal 11")

    found = preprocess(hard, SETTINGS, Dying())
    assert found.note.startswith("probe replicate crashed")
    # What was ended has used the seconds that no other stage has.
    assert found.instance.timings == {"parse": 0.0, "probe replicate": 1.0}
    assert found.instance.replicate is None and found.instance.graph is not None
    assert found.instance.online.names == whole.instance.online.names
    missing = dict(zip(found.instance.online.names, found.instance.online.is_missing, strict=True))
    assert all(missing[name] for name in missing if is_second(name)) and not missing["level.all.mean"]


@pytest.mark.parametrize("largest", [2811, 2810])
def test_a_formula_too_large_for_the_plain_run_is_told(largest):
    hard = random_ksat(220, 937, 5)
    settings = SETTINGS.with_features(plain=PlainSettings(stages=(1,), literals=largest), probe=None)
    with Sandbox() as sandbox:
        found = preprocess(hard, settings, sandbox)
    expected = "no plain run: the formula has 2,811 literals, more than the 2,810 it is made for"
    assert hard.n_literals == 2811
    assert found.note == ("" if largest == 2811 else expected)
    assert (found.instance.plain is None) == (largest == 2810)


def test_random_dives_are_features_of_an_unsolved_instance():
    hard = random_ksat(220, 937, 5)
    with Sandbox() as sandbox:
        with_dives = preprocess(hard, SETTINGS, sandbox).instance.online
        without = preprocess(hard, SETTINGS.with_features(dives=None), sandbox).instance.online
    assert with_dives.names == without.names
    knuth = [name.startswith("knuth.") for name in with_dives.names]
    assert not with_dives.is_missing[knuth].any() and without.is_missing[knuth].all()
