import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.data.arff import read_arff
from satcost_gnn.data.aslib import parse_description, read_scenario
from satcost_gnn.data.aslib_export import export_scenario, write_scenario
from satcost_gnn.data.split_groups import group_instances
from satcost_gnn.data.splits import make_splits
from satcost_gnn.errors import DatasetError
from satcost_gnn.features.instance import Instance

PUBLISHED = Path(os.environ.get("SATCOST_ASLIB", Path(__file__).parents[3] / "shared" / "aslib"))

DESCRIPTION = """\
scenario_id: tiny
performance_measures:
- runtime
maximize: [false]
performance_type:
    - runtime
algorithm_cutoff_time: 100.0
algorithm_cutoff_memory: '?'
features_cutoff_time: 10   # seconds
feature_steps:
  size:
    provides:
    - n vars
    - ratio
  probe:
    provides: ["depth", Probe-featuretime]
    requires: [size]

default_steps:
  - size
features_deterministic:
features_stochastic: null
metainfo_algorithms:
  fast:
    configuration: ''
    deterministic: true
  'slow: one':
    configuration: --it''s
"""
RUNS = """\
@RELATION runs
@ATTRIBUTE Instance_ID STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE algorithm STRING
@ATTRIBUTE runtime NUMERIC
@ATTRIBUTE runstatus {ok, timeout, memout, crash}
@DATA
'a, 1.cnf',1,fast,1,ok
'a, 1.cnf',1,'slow: one',10,ok
'a, 1.cnf',2,fast,3,ok
'a, 1.cnf',2,'slow: one',100,timeout
b.cnf,1,fast,101.5,timeout
b.cnf,1,'slow: one',30,crash
b.cnf,2,fast,5000,memout
b.cnf,2,'slow: one',120,ok
"""
VALUES = """\
@relation v
@attribute instance_id string
@attribute repetition numeric
@attribute 'n vars' numeric
@attribute ratio numeric
@attribute depth numeric
@attribute Probe-featuretime numeric
@data
b.cnf,1,20,?,6,0.5
'a, 1.cnf',1,10,4.25,2,0.25
'a, 1.cnf',2,10,4.25,4,?
"""
STATUS = """\
@relation s
@attribute instance_id string
@attribute repetition numeric
@attribute size {ok,timeout}
@attribute probe {ok,timeout}
@data
'a, 1.cnf',1,ok,ok
'a, 1.cnf',2,ok,timeout
b.cnf,1,ok,ok
"""
COSTS = """\
@relation c
@attribute instance_id string
@attribute repetition numeric
@attribute size numeric
@attribute probe numeric
@data
'a, 1.cnf',1,0.1,2
'a, 1.cnf',2,0.3,4
b.cnf,1,?,?
"""
FOLDS = """\
@relation f
@attribute instance_id string
@attribute repetition numeric
@attribute fold numeric
@data
'a, 1.cnf',1,1
b.cnf,1,2
"""
TRUTH = """\
@relation t
@attribute instance_id string
@attribute SATUNSAT {SAT,UNSAT}
@data
b.cnf,UNSAT
'a, 1.cnf',?
"""
FILES = {
    "description.txt": DESCRIPTION,
    "algorithm_runs.arff": RUNS,
    "feature_values.arff": VALUES,
    "feature_runstatus.arff": STATUS,
    "feature_costs.arff": COSTS,
    "cv.arff": FOLDS,
    "ground_truth.arff": TRUTH,
}


@pytest.fixture
def tiny(tmp_path):
    """Return the directory of a scenario of two instances, two algorithms, two repetitions and two feature steps."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    return directory


def assert_same(first, second):
    for name in (
        "name",
        "instances",
        "algorithms",
        "cutoff_s",
        "feature_names",
        "steps",
        "default_steps",
    ):
        assert getattr(first, name) == getattr(second, name), name
    for name in ("runtimes", "statuses", "features", "feature_costs", "folds"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_a_scenario_is_read(tiny):
    scenario = read_scenario(tiny)
    assert scenario.name == "tiny" and scenario.cutoff_s == 100
    assert scenario.instances == ("a, 1.cnf", "b.cnf") and scenario.algorithms == ("fast", "slow: one")
    np.testing.assert_array_equal(scenario.runtimes, [[[1, 3], [10, 100]], [[101.5, 5000], [30, 120]]])
    assert scenario.statuses.tolist() == [[["ok", "ok"], ["ok", "timeout"]], [["timeout", "memout"], ["crash", "ok"]]]
    assert scenario.feature_names == ("n vars", "ratio", "depth", "Probe-featuretime")
    np.testing.assert_array_equal(scenario.features, [[10, 4.25, 3, 0.25], [20, np.nan, 6, 0.5]])
    assert scenario.is_time_feature.tolist() == [False, False, False, True]
    assert [step.name for step in scenario.steps] == ["size", "probe"]
    assert scenario.steps[1].provides == ("depth", "Probe-featuretime") and scenario.steps[1].requires == ("size",)
    np.testing.assert_allclose(scenario.feature_costs, [[0.2, 3], [np.nan, np.nan]])
    np.testing.assert_allclose(scenario.feature_cost(["size", "probe"]), [3.2, np.nan])
    np.testing.assert_allclose(scenario.feature_cost(["size"]), [0.2, np.nan])
    assert scenario.default_steps == ("size",)
    assert scenario.folds.tolist() == [[1], [2]]
    assert scenario.warnings == ()


def test_penalised_runtimes_count_what_was_solved_in_time(tiny):
    scenario = read_scenario(tiny)
    # A run that is "ok" after the cutoff is no answer.
    np.testing.assert_array_equal(scenario.solved, [[[1, 1], [1, 0]], [[0, 0], [0, 0]]])
    np.testing.assert_allclose(scenario.par(2), [[2, 105], [200, 200]])
    np.testing.assert_allclose(scenario.par(10), [[2, 505], [1000, 1000]])


def test_a_scenario_comes_back_as_it_was_written(tiny, tmp_path):
    scenario = read_scenario(tiny)
    scenario = replace(scenario, steps=tuple(step._replace(requires=()) for step in scenario.steps))
    write_scenario(scenario, tmp_path / "copy")
    assert_same(scenario, read_scenario(tmp_path / "copy"))
    with pytest.raises(DatasetError, match="found a scenario there"):
        write_scenario(scenario, tmp_path / "copy")


@pytest.mark.parametrize(
    "name", ["description.txt", "algorithm_runs.arff", "feature_values.arff", "feature_runstatus.arff"]
)
def test_a_missing_file_is_named(tiny, name):
    (tiny / name).unlink()
    with pytest.raises(DatasetError, match=rf"tiny: found no {name}, expected a scenario with description\.txt, .*"):
        read_scenario(tiny)


def test_costs_folds_and_truth_may_be_missing(tiny):
    for name in ("feature_costs.arff", "cv.arff", "ground_truth.arff"):
        (tiny / name).unlink()
    scenario = read_scenario(tiny)
    assert scenario.feature_costs is None and scenario.feature_cost(["size"]) is None
    assert scenario.folds is None
    with pytest.raises(DatasetError, match="no such directory"):
        read_scenario(tiny / "nowhere")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "algorithm_runs.arff",
            "b.cnf,1,fast",
            "b.cnf,2,fast",
            r"algorithm_runs.arff:14: found b.cnf, fast, repetition 2 again",
        ),
        (
            "algorithm_runs.arff",
            "b.cnf,1,fast",
            "b.cnf,0,fast",
            r"algorithm_runs.arff:12: repetition: found 0, expected 1, 2",
        ),
        ("cv.arff", "b.cnf,1,2", "c.cnf,1,2", r"cv\.arff: found no fold of b\.cnf \(1 such"),
        ("cv.arff", "b.cnf,1,2", "b.cnf,1,?", r"cv\.arff:7: fold: found '\?'"),
        ("description.txt", "cutoff_time: 100.0", "cutoff_time: soon", "algorithm_cutoff_time: found 'soon'"),
        ("description.txt", "performance_type:\n    - runtime\n", "", "found no performance_type"),
        ("description.txt", "feature_steps:", "steps:", "found no feature_steps"),
        ("feature_values.arff", "20,?,6", "20,x,6", "feature_values.arff:9: ratio: found 'x'"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(tiny, name, old, new, message):
    text = (tiny / name).read_text()
    assert old in text
    (tiny / name).write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=message):
        read_scenario(tiny)


def test_what_does_not_fit_but_does_no_harm_is_a_warning(tiny):
    for name, old, new in (
        ("description.txt", "- runtime\n", "- PAR10\n"),
        ("description.txt", "- ratio", "- entropy"),
        ("description.txt", "  fast:", "  faster:"),
        ("feature_values.arff", "b.cnf,1", "c.cnf,1"),
        ("feature_costs.arff", "@attribute probe", "@attribute lunch"),
    ):
        text = (tiny / name).read_text()
        assert old in text
        (tiny / name).write_text(text.replace(old, new, 1))
    scenario = read_scenario(tiny)
    said = "\n".join(scenario.warnings)
    assert "found no 'PAR10' as named in description.txt; 'runtime' is taken" in said
    assert "1 features of feature_values.arff are provided by no step" in said
    assert "1 features that a step provides are not in feature_values.arff" in said
    assert "differ in fast, faster" in said
    assert "1 of 2 instances with runs are not in it" in said and "1 instances without runs are left out" in said
    assert "found no cost of feature step 'probe'" in said
    assert np.isnan(scenario.features[1]).all() and np.isnan(scenario.feature_costs[:, 1]).all()


def test_a_quality_is_no_runtime(tiny):
    text = (tiny / "description.txt").read_text().replace("    - runtime", "    - solution_quality")
    (tiny / "description.txt").write_text(text)
    with pytest.raises(DatasetError, match="tiny: found the measure 'runtime' that is no runtime"):
        read_scenario(tiny)
    (tiny / "description.txt").write_text(DESCRIPTION.replace("[false]", "[true]"))
    with pytest.raises(DatasetError, match="expected one to be minimised"):
        read_scenario(tiny)


@pytest.mark.parametrize("cutoff", ["'?'", "?", "null", ""])
def test_a_scenario_without_a_cutoff_is_refused(tiny, cutoff):
    (tiny / "description.txt").write_text(DESCRIPTION.replace("cutoff_time: 100.0", f"cutoff_time: {cutoff}"))
    with pytest.raises(DatasetError, match="found no algorithm_cutoff_time"):
        read_scenario(tiny)


def test_a_description_has_its_texts_as_they_are_written():
    parsed = parse_description(DESCRIPTION)
    assert parsed["algorithm_cutoff_time"] == "100.0" and parsed["features_cutoff_time"] == "10"
    assert parsed["maximize"] == ["false"] and parsed["features_deterministic"] == ""
    assert parsed["metainfo_algorithms"]["slow: one"] == {"configuration": "--it''s"}
    assert parsed["metainfo_algorithms"]["fast"] == {"configuration": "", "deterministic": "true"}
    assert parse_description(yaml.safe_dump(parsed)) == parsed
    odd = "a: 007\nb: [1.0, no, 2016-01-01]\nno: {7: x}\n"
    assert parse_description(odd) == {"a": "007", "b": ["1.0", "no", "2016-01-01"], "no": {"7": "x"}}


def test_descriptions_as_people_write_them():
    text = "\ufeffa: ?\nb:\n\t- x\n\t- ?\nc: 'what ?'\nd: x # ?\n...\n"
    assert parse_description(text.removeprefix("\ufeff")) == {"a": "?", "b": ["x", "?"], "c": "what ?", "d": "x"}
    assert parse_description("a: 1\r\nb:\r\n- x\r\n") == {"a": "1", "b": ["x"]}


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "No",
        "null",
        "12",
        "-3.5",
        "1e3",
        "?",
        " padded ",
        "a: b",
        "a #b",
        "it's",
        "- x",
        "[x]",
        "{",
        "%",
        "&x",
        "clauses_>=_9",
        "name+default",
        "BINARY+",
        "a'b\"c",
        "*x",
        "!x",
        "|",
        ">",
        "@x",
        "`x",
        "~",
        "x:",
        "...",
        "2016-01-01",
    ],
)
def test_any_text_survives_a_description(text):
    description = {"list": [text], text: {"inner": text}}
    assert parse_description(yaml.safe_dump(description, allow_unicode=True)) == description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "d: found nothing, expected KEY: VALUE"),
        ("- a\n- b\n", r"d: found list, expected KEY: VALUE"),
        ("just words\n", "d: found str, expected KEY: VALUE"),
        ("a: 1\n  b: 2\n", r"d:2: found no YAML"),
        ("b: 1\na: 'open", "d:2: found no YAML"),
        ("a: 1\na: 2\n", r"d:2: found no YAML \(found 'a' twice, expected each key once\)"),
        ("a: !!python/object/apply:os.getcwd []\n", "d:1: found no YAML"),
        ("a: \x00\n", "d: found no YAML"),
        ("[" * 5000, "d: found too many levels"),
    ],
)
def test_what_is_no_description_is_refused_with_its_line(text, message):
    with pytest.raises(DatasetError, match=message):
        parse_description(text, "d")


def test_codes_for_missing_values_are_missing(tiny):
    values = VALUES.replace("'a, 1.cnf',1,10,4.25,2,0.25", "'a, 1.cnf',1,-512,-1,-1,0.25").replace(
        "'a, 1.cnf',2,10,4.25,4,?", "'a, 1.cnf',2,-512,-1,-1,?"
    )
    (tiny / "feature_values.arff").write_text(values.replace("b.cnf,1,20,?,6,0.5", "b.cnf,1,20,4.25,-3,-512"))
    (tiny / "feature_costs.arff").write_text(COSTS.replace("b.cnf,1,?,?", "b.cnf,1,-1,2"))
    scenario = read_scenario(tiny)
    # -1 is a value where a feature takes negative values.
    np.testing.assert_array_equal(scenario.features, [[np.nan, np.nan, -1, 0.25], [20, 4.25, -3, np.nan]])
    np.testing.assert_allclose(scenario.feature_costs, [[0.2, 3], [np.nan, 2]])
    assert "3 values of 3 features are codes for missing ones (-512, -1)" in "\n".join(scenario.warnings)


def test_statuses_are_read_whatever_their_case(tiny):
    before = read_scenario(tiny)
    for name in ("algorithm_runs.arff", "feature_runstatus.arff"):
        text = (tiny / name).read_text()
        head, rows = text.split("@data\n" if "@data" in text else "@DATA\n")
        rows = (
            rows.replace("ok", "OK")
            .replace("timeout", "Time-Out")
            .replace("memout", "MEMOUT")
            .replace("crash", "Crash")
        )
        (tiny / name).write_text(head + "@data\n" + rows)
    after = read_scenario(tiny)
    assert_same(before, after)
    assert after.warnings == ()


def test_ids_of_digits_stay_ids(tiny):
    for name in (
        "algorithm_runs.arff",
        "feature_values.arff",
        "feature_runstatus.arff",
        "feature_costs.arff",
        "cv.arff",
    ):
        text = (tiny / name).read_text().replace("'a, 1.cnf'", "007").replace("b.cnf", "7").replace("fast", "1e1")
        text = text.replace("instance_id string", "instance_id NUMERIC").replace(
            "Instance_ID STRING", "instance_id NUMERIC"
        )
        (tiny / name).write_text(text.replace("algorithm STRING", "algorithm NUMERIC"))
    (tiny / "ground_truth.arff").unlink()
    (tiny / "description.txt").write_text(DESCRIPTION.replace("  fast:", "  1e1:").replace("n vars", "010"))
    (tiny / "feature_values.arff").write_text((tiny / "feature_values.arff").read_text().replace("'n vars'", "010"))
    scenario = read_scenario(tiny)
    assert scenario.instances == ("007", "7") and scenario.algorithms == ("1e1", "slow: one")
    assert scenario.steps[0].provides == ("010", "ratio") and scenario.warnings == ()
    np.testing.assert_array_equal(scenario.features[:, 0], [10, 20])
    assert scenario.folds.tolist() == [[1], [2]]


def test_missing_runs_negative_times_and_odd_statuses_are_said(tiny):
    runs = RUNS.replace("b.cnf,1,'slow: one',30,crash\n", "").replace("',1,fast,1,ok", "',1,fast,-512,ok")
    (tiny / "algorithm_runs.arff").write_text(runs.replace("b.cnf,1,fast,101.5,timeout", "b.cnf,1,fast,-1,presolved"))
    scenario = read_scenario(tiny)
    assert np.isnan(scenario.runtimes[:, 0, 0]).all() and scenario.statuses[1, 1, 0] == ""
    np.testing.assert_allclose(scenario.par(2), [[101.5, 105], [200, 200]])
    said = "\n".join(scenario.warnings)
    assert "1 of 8 runs are missing; they count as no answer" in said
    assert "2 negative times are taken as missing" in said
    assert "1 runs are ok but have no time" in said
    assert "found status presolved (1), which counts as no answer" in said


@pytest.mark.parametrize("cutoff", ["-1", "0", "nan", "inf"])
def test_a_cutoff_that_is_none_is_refused(tiny, cutoff):
    (tiny / "description.txt").write_text(DESCRIPTION.replace("cutoff_time: 100.0", f"cutoff_time: {cutoff}"))
    with pytest.raises(DatasetError, match=r"algorithm_cutoff_time: found .*, expected a number > 0"):
        read_scenario(tiny)


@pytest.mark.parametrize(
    "name",
    ["SAT11-HAND", "SAT15-INDU", "SAT18-EXP", "SAT2023-MAIN"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("SAT11-INDU", "SAT11-RAND", "SAT12-HAND", "SAT12-INDU")]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("SAT16-MAIN", "SAT20-MAIN", "SAT2022-MAIN")]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("SAT2022-MAIN-OLD", "SAT2023-MAIN-OLD")],
)
def test_a_published_scenario_survives_the_round_trip(tmp_path, name):
    directory = PUBLISHED / name
    if not directory.is_dir():
        pytest.skip(f"no published scenario at {directory}; set SATCOST_ASLIB to a directory of them")
    scenario = read_scenario(directory)
    assert all("codes for missing ones" in warning for warning in scenario.warnings)
    n = len(scenario.instances)
    assert scenario.statuses.shape == scenario.runtimes.shape == (n, len(scenario.algorithms), 1)
    assert set(np.unique(scenario.folds)) == set(range(1, 11)) and (scenario.statuses != "").all()
    par2 = scenario.par(2)
    assert par2.min(axis=1).mean() < par2.mean(axis=0).min() <= 2 * scenario.cutoff_s
    assert (scenario.feature_costs is None) == (name == "SAT15-INDU")
    scenario = replace(scenario, steps=tuple(step._replace(requires=()) for step in scenario.steps))
    write_scenario(scenario, tmp_path / "copy")
    assert_same(scenario, read_scenario(tmp_path / "copy"))


def test_timeouts_published_as_two_cutoffs_are_not_penalised_twice():
    directory = PUBLISHED / "SAT2023-MAIN"
    if not directory.is_dir():
        pytest.skip(f"no published scenario at {directory}; set SATCOST_ASLIB to a directory of them")
    scenario = read_scenario(directory)
    # 10,000 s stand for no answer within 5,000 s, so the file's own numbers are PAR2 already.
    np.testing.assert_allclose(scenario.par(2), scenario.runtimes[:, :, 0])
    assert scenario.par(10).max() == 50_000


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("SAT03-16_INDU", "feature_values.arff"),
        ("SAT12-ALL", "algorithm_runs.arff"),
        ("SAT12-RAND", "algorithm_runs.arff"),
    ],
)
def test_published_scenarios_that_lack_a_file_say_which(tmp_path, name, missing):
    directory = PUBLISHED / name
    if not directory.is_dir():
        pytest.skip(f"no published scenario at {directory}; set SATCOST_ASLIB to a directory of them")
    shutil.copytree(directory, tmp_path / name)
    (tmp_path / name / missing).unlink(missing_ok=True)
    with pytest.raises(DatasetError, match=f"{name}: found no {missing}, expected"):
        read_scenario(tmp_path / name)
    text = (tmp_path / name / "description.txt").read_text(encoding="utf-8-sig")
    assert parse_description(text)["scenario_id"] == name


BOTH = ("cadical195", "other")


def test_a_data_set_becomes_a_scenario(small_dataset, tmp_path):
    dataset = small_dataset()
    assert_same(export_scenario(dataset, tmp_path / "ours", solvers=BOTH), read_scenario(tmp_path / "ours"))
    back = read_scenario(tmp_path / "ours")
    assert back.warnings == () and back.name == "ours" and back.cutoff_s == 10
    assert back.instances == dataset.instances and set(back.algorithms) == {"cadical195", "other"}
    ours = dataset.cost_matrix(back.algorithms, "cpu_seconds")
    np.testing.assert_allclose(np.log10(back.runtimes[:, :, 0]), ours.cost)
    np.testing.assert_array_equal(back.statuses[:, :, 0] == "timeout", ours.censored)
    assert ours.censored.sum() == 4 and set(back.statuses.flat) == {"ok", "timeout"}
    assert back.feature_names == ("n_vars", "n_clauses", "bytes") and back.feature_costs is None
    assert back.features[3].tolist() == [13, 40, 400]
    description = (tmp_path / "ours" / "description.txt").read_text()
    assert "algorithm_cutoff_time: 10.0\nalgorithm_cutoff_memory: 4096\n" in description
    answers = read_arff(tmp_path / "ours" / "ground_truth.arff").values("satunsat")
    assert answers[:2] == ["SAT", "UNSAT"]


def test_incomplete_instances_stay_out(small_dataset, tmp_path):
    dataset = small_dataset()
    some = {run.instance for run in dataset.runs if run.solver == "other"} - {dataset.instances[0]}
    runs = tuple(run for run in dataset.runs if run.solver != "other" or run.instance in some)
    scenario = export_scenario(replace(dataset, runs=runs), tmp_path / "less", solvers=BOTH)
    assert scenario.instances == dataset.instances[1:]
    with pytest.raises(DatasetError, match="no instance with runs of other, nobody at 10 s"):
        export_scenario(dataset, tmp_path / "none", solvers=("other", "nobody"))


def test_a_lower_cutoff_cuts_longer_runs(small_dataset, tmp_path):
    scenario = export_scenario(small_dataset(), tmp_path / "ours", cutoff_s=4.5, solvers=("cadical195",))
    assert scenario.statuses[:, 0, 0].tolist() == ["ok"] * 5 + ["timeout"] * 7
    assert scenario.runtimes[5:, 0, 0].tolist() == [4.5] * 7


def test_features_are_steps_with_their_costs(small_dataset, tmp_path):
    dataset = small_dataset()
    found = {
        name: Instance(
            name,
            name,
            FeatureVector(("size",), np.array([k])),
            online=None if k == 2 else FeatureVector(("depth",), np.array([0.5])),
            timings={"read": 9.0, "features": 0.25, "probe": k / 8, "probe replicate": 1.0},
        )
        for k, name in enumerate(dataset.instances)
    }
    del found[dataset.instances[5]]
    scenario = export_scenario(dataset, tmp_path / "ours", solvers=BOTH, instances=found)
    back = read_scenario(tmp_path / "ours")
    assert_same(scenario, back)
    assert back.warnings == () and len(back.instances) == 11 and dataset.instances[5] not in back.instances
    assert [(step.name, step.provides) for step in back.steps] == [
        ("structure", ("size",)),
        ("early_search", ("depth",)),
    ]
    assert back.features[1:3].tolist()[0] == [1, 0.5] and np.isnan(back.features[2, 1])
    np.testing.assert_array_equal(back.feature_costs[2:4], [[0.25, np.nan], [0.25, 1.375]])
    states = read_arff(tmp_path / "ours" / "feature_runstatus.arff")
    assert states.values("structure")[1:3] == ["ok", "ok"] and states.values("early_search")[1:3] == ["ok", "other"]


def test_folds_are_of_groups_or_of_families(small_dataset, tmp_path):
    dataset = small_dataset()
    rows = list(dataset.manifest)
    rows[1] = replace(rows[1], isohash=rows[0].isohash)
    dataset = replace(dataset, manifest=tuple(rows))
    scenario = export_scenario(dataset, tmp_path / "groups", solvers=BOTH)
    groups = group_instances(rows)
    assert groups[rows[0].instance] == groups[rows[1].instance]
    assert scenario.folds[0] == scenario.folds[1] and len(np.unique(scenario.folds)) == 10
    with pytest.raises(DatasetError, match="found no splits"):
        export_scenario(dataset, tmp_path / "families", solvers=BOTH, folds="family")
    # The twins are of two families, so one of them has no fold.
    split = replace(dataset, splits=make_splits(rows))
    by_family = export_scenario(split, tmp_path / "families", solvers=BOTH, folds="family")
    assert len(by_family.instances) == 11
    families = dataset.families(by_family.instances)
    assert len({(family, int(fold)) for family, fold in zip(families, by_family.folds[:, 0], strict=True)}) == 3


def test_a_data_set_without_runs_is_no_scenario(small_dataset, tmp_path):
    with pytest.raises(DatasetError, match="found no runs"):
        export_scenario(small_dataset(runs=()), tmp_path / "none", solvers=BOTH)
