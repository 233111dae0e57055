"""Seconds charged to a decision are the sum of all stages that are made for it, the probe replicate among them."""

import pytest

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.scoring import CHARGED_STAGES, charge, charged_stages
from satcost_gnn.serve.predictor import Predictor


def test_every_stage_is_charged_once() -> None:
    stages = ["parse", "plain run", "features", "probe", "probe replicate", "graph", "inference"]
    timings = {stage: 2.0**k for k, stage in enumerate(stages)}
    # Reading alone is free: every solver has to do it.
    assert charge(timings) == 2.0 + 4.0 + 8.0 + 16.0 + 32.0 + 64.0
    for stage in stages:
        others = {name: value for name, value in timings.items() if name != stage}
        expected = 0.0 if stage == "parse" else timings[stage]
        assert charge(timings) - charge(others) == expected
    assert charge({}) == 0.0
    # An estimator without needs pays for the plain run, the probe and its inference.
    assert charge(timings, charged_stages(())) == 2.0 + 8.0 + 64.0
    assert charge(timings, charged_stages(("static", "online"))) == 2.0 + 4.0 + 8.0 + 16.0 + 64.0


def test_a_prediction_has_no_stage_that_is_not_charged() -> None:
    with Predictor.from_checkpoint(unit="cpu_seconds", start="forest", machine_factor=1.0) as predictor:
        found = predictor.predict(from_recipe("random-ksat:k=3,n=240,ratio=4.4,seed=3"))
    assert found.source == "forest" and found.timings["probe replicate"] > 0
    assert set(found.timings) - {"parse"} <= set(CHARGED_STAGES)
    assert charge(found.timings) == pytest.approx(sum(found.timings.values()) - found.timings["parse"])
    early = found.timings["plain run"], found.timings["probe"], found.timings["probe replicate"]
    assert min(early) > 0 and found.searched_s == pytest.approx(sum(early))
