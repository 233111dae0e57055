import json
from pathlib import Path

import pytest
from portfolio_predictions import prediction, training

from satcost_gnn.decide.objective import Objective
from satcost_gnn.decide.select import SelectionSettings, Selector, decide
from satcost_gnn.errors import ConfigError
from satcost_gnn.serve.predictor import Predictor

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


def settings(objective: str = "par2", cutoff_s: float = 10.0, risk: float = 0.0) -> SelectionSettings:
    return SelectionSettings(Objective.of(objective), cutoff_s, risk)


def test_the_solver_with_the_least_objective_is_chosen() -> None:
    found = decide(prediction({"a": (5.0, 0.3), "b": (0.5, 0.3), "c": (9.0, 0.3)}), training("abc"), settings())
    assert (found.status, found.chosen, found.single_best, found.separated) == ("selected", "b", "a", True)
    assert [row.solver for row in found.ranking] == ["b", "a", "c"]
    assert "b has the least PAR2" in found.reason and "against" in found.reason
    values = [row.value for row in found.ranking]
    assert values == sorted(values) and found.ranking[0].par2_s == pytest.approx(values[0])


def test_everything_but_reading_is_charged() -> None:
    made = prediction({"a": (1.0, 0.01)})
    found = decide(made, training("a"), settings())
    assert found.overhead_s == pytest.approx(0.2)
    assert made.distribution is not None
    assert found.ranking[0].par2_s == pytest.approx(0.2 + made.distribution.expected_par(2, 10.0)[0])


def test_without_effect_size_it_is_the_single_best_and_says_so() -> None:
    costs = {"a": (1.05, 0.5), "b": (1.0, 0.5)}
    found = decide(prediction(costs), training("ab", 0.1), settings())
    assert (found.chosen, found.separated, found.ranking[0].solver) == ("a", False, "b")
    assert "does not separate" in found.reason and "single best of the training set" in found.reason
    bold = decide(prediction(costs), training("ab", 0.0), settings())
    assert (bold.chosen, bold.separated) == ("b", True)


def test_parity_is_named_where_most_clauses_are_xor_constraints() -> None:
    costs = {"a": (1.0, 0.3), "b": (5.0, 0.3)}
    reasons = [
        decide(prediction(costs, xor_share=share), training("ab"), SelectionSettings()).reason
        for share in (float("nan"), 0.5, 0.95)
    ]
    assert ["parity" in reason for reason in reasons] == [False, False, True]
    asked = {**costs, "parity": (0.1, 0.3)}
    both = decide(prediction(asked, xor_share=0.95), training([*asked]), SelectionSettings())
    assert "shows to parity" not in both.reason


def test_equal_predictions_give_the_single_best() -> None:
    found = decide(prediction({"a": (1.0, 0.5), "b": (1.0, 0.5)}), training("ba"), settings())
    assert (found.chosen, found.effect_size) == ("b", 0.0)


def test_objectives_differ() -> None:
    # One is mostly faster and sometimes hopeless, the other is steady.
    costs = {"fast": (0.1, 1.2), "steady": (3.0, 0.1)}
    chosen = {
        name: decide(prediction(costs), training(["steady", "fast"], 0.0), settings(name)).chosen
        for name in ("expected-cost", "par10", "p-solved")
    }
    assert chosen == {"expected-cost": "fast", "par10": "steady", "p-solved": "steady"}


def test_risk_prefers_the_certain_solver() -> None:
    costs = {"fast": (0.3, 0.8), "steady": (2.5, 0.05)}
    for risk, expected in ((0.0, "fast"), (1.0, "steady")):
        assert decide(prediction(costs), training(["steady", "fast"], 0.0), settings(risk=risk)).chosen == expected


def test_overhead_beyond_the_cutoff_leaves_nothing_to_choose() -> None:
    found = decide(prediction({"a": (0.1, 0.1), "b": (0.01, 0.1)}), training("ab"), settings(cutoff_s=0.1))
    assert found.chosen == "a" and "used up" in found.reason


def test_solved_by_the_probe_and_unreadable() -> None:
    costs = {"a": (1.0, 0.1), "b": (0.5, 0.1)}
    solved = decide(prediction(costs, status="solved", result="UNSAT", source="probe"), training("ab"), settings())
    assert (solved.status, solved.result) == ("solved", "UNSAT") and "early search has solved it" in solved.reason
    broken = decide(
        prediction(costs, status="error", distribution=None, reason="x.cnf:3: no"), training("ab"), settings()
    )
    assert (broken.status, broken.chosen, broken.ranking, broken.reason) == ("error", "", (), "x.cnf:3: no")


def test_decisions_are_json() -> None:
    found = decide(prediction({"a": (5.0, 0.3), "b": (0.5, 0.3)}), training("ab"), settings())
    back = json.loads(json.dumps(found.to_json()))
    assert back["chosen"] == "b" and back["ranking"][0]["solver"] == "b"
    assert set(back) == set(found.__dataclass_fields__)


def test_predictions_of_another_unit_are_refused() -> None:
    with pytest.raises(ConfigError, match="conflicts"):
        decide(prediction({"a": (1.0, 0.1)}, unit="conflicts"), training("a"), settings())
    with Predictor.from_checkpoint(unit="conflicts") as predictor, pytest.raises(ConfigError, match="cpu_seconds"):
        Selector(predictor, settings())


@pytest.mark.parametrize(("cutoff", "risk"), [(0.0, 0.0), (float("inf"), 0.0), (1.0, -1.0)])
def test_settings_out_of_range(cutoff: float, risk: float) -> None:
    with pytest.raises(ConfigError):
        SelectionSettings(Objective.PAR2, cutoff, risk)


def test_selector_with_the_shipped_checkpoint() -> None:
    with Selector.from_checkpoint(cutoff_s=30, start="forest") as selector:
        found = {
            Path(d.path).name: d
            for d in selector.select_many(
                [str(SAMPLES / "golfer-4-3-5.cnf"), str(SAMPLES / "malformed.cnf"), str(SAMPLES / "sudoku-9.cnf")]
            )
        }
        clauses = selector.select([[1, 2], [-1, -2], [1, -2], [-1, 2]])
    assert found["golfer-4-3-5.cnf"].status == "selected"
    assert found["golfer-4-3-5.cnf"].chosen in selector.predictor.solvers
    assert found["golfer-4-3-5.cnf"].overhead_s > 0
    assert found["malformed.cnf"].status == "error" and ":6" in found["malformed.cnf"].reason
    assert found["sudoku-9.cnf"].result == "SAT"
    assert clauses.result == "UNSAT"
