"""What `satcost predict` says to people, sentence by sentence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.cli.prediction_text import PredictionText, head_text, solver_text
from satcost_gnn.core.cost_text import amount_text, bounded_amount, percent_text
from satcost_gnn.core.distribution import GRIDS, CostDistribution
from satcost_gnn.core.observed import observed_up_to
from satcost_gnn.serve.prediction import Prediction

HARD = Path(__file__).parents[2] / "datasets" / "samples" / "golfer-4-3-5.cnf"


def prediction(unit: str = "cpu_seconds", bound: float = 5000.0, **changes: Any) -> Prediction:
    distribution = CostDistribution.normal(GRIDS[unit], np.log10([720.0, 1.5]), [0.7, 0.1])
    fields: dict[str, Any] = {
        "path": "a/b.cnf", "gbdhash": "0" * 32, "status": "ok", "unit": unit, "solvers": ("cadical195", "glucose42"),
        "distribution": observed_up_to(distribution, bound), "source": "ensemble", "reason": "", "result": "",
        "in_distribution": True, "checkpoint": "satcost-v11", "cutoff": 3600.0,
    }  # fmt: skip
    return Prediction(**{**fields, **changes})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0004, "cpu_seconds", "under 1 ms"), (0.0123, "cpu_seconds", "12 ms"), (0.996, "cpu_seconds", "1 s"),
        (9.96, "cpu_seconds", "10 s"), (59.8, "cpu_seconds", "1 min"), (90.0, "cpu_seconds", "1.5 min"),
        (720.0, "cpu_seconds", "12 min"), (3600.0, "cpu_seconds", "1 h"), (100_000.0, "cpu_seconds", "1.2 days"),
        (4e9, "cpu_seconds", "130 years"), (0.0, "conflicts", "0"), (57.4, "conflicts", "57"),
        (31_234.0, "conflicts", "31,000"), (463_999.99, "conflicts", "460,000"), (999_900.0, "conflicts", "1 million"),
        (2_420_000.0, "conflicts", "2.4 million"), (3.1e9, "conflicts", "3.1 billion"),
    ],
)  # fmt: skip
def test_amounts(value: float, unit: str, text: str) -> None:
    assert amount_text(value, unit) == text


def test_bounds_and_shares() -> None:
    assert (
        bounded_amount(None, 10.0, "cpu_seconds") == "> 10 s" and bounded_amount(None, None, "conflicts") == "unknown"
    )
    assert [percent_text(p) for p in (0.0, 0.004, 0.41, 0.996, 1.0)] == [
        "0 %",
        "under 1 %",
        "41 %",
        "over 99 %",
        "100 %",
    ]


def test_a_sentence_for_each_solver() -> None:
    rows = prediction().rows()
    assert solver_text(rows[0]) == "about 12 min (80 %: 1.5 min to > 1.4 h); 16 % not within 1 h"
    assert solver_text(rows[1]) == "about 1.4 s (80 %: 1 s to 2.5 s); 0 % not within 1 h"


def test_what_lies_beyond_the_labels_is_said_to_be_beyond_them() -> None:
    cutoffs = (60.0, 1000.0, 3600.0)
    rows = prediction(bound=100.0).rows(cutoffs)
    assert solver_text(rows[0], cutoffs) == (
        "more than 1.7 min (80 %: 1.5 min to > 1.7 min); 94 % not within 1 min, at most 89 % not within 17 min or 1 h"
    )
    assert rows[0]["q50"] is None and rows[0]["known_up_to"] == pytest.approx(100.0)
    assert rows[0]["p_solved_60"] == pytest.approx(0.06, abs=0.01)
    assert rows[0]["p_solved_1000"] is None and rows[0]["p_solved_3600"] is None


def test_what_was_solved_is_said_to_be() -> None:
    exact = CostDistribution.normal(GRIDS["conflicts"], np.log10([412.0, 500.0]), 0.2)
    found = prediction("conflicts", distribution=exact, status="solved", result="SAT", source="search",
                       known={"cadical195": 412.0}, in_distribution=None)  # fmt: skip
    rows = found.rows()
    assert head_text(rows[0]) == "SAT, answered by cadical195 in the early search"
    assert solver_text(rows[0]) == "412, measured" and solver_text(rows[1]).startswith("about 490 (80 %: ")
    assert head_text(replace(found, status="ok", source="probe", known={}, result="UNSAT").rows()[0]).startswith(
        "UNSAT, "
    )


def test_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    writer = PredictionText()
    writer.write(prediction().rows())
    writer.write(prediction(in_distribution=False).rows())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CPU seconds: ") and lines[1] == "b.cnf: predicted by ensemble"
    assert lines[2].startswith("  cadical195: about 12 min") and lines[3].startswith("  glucose42:  about 1.4 s")
    assert lines[4] == "b.cnf: predicted by ensemble; unlike the training data: trust the numbers less"


def test_several_cutoffs_have_a_column_each(tmp_path: Path) -> None:
    words = ["predict", str(HARD), "--estimator", "forest", "--unit", "cpu_seconds", "--cutoff", "0.5,10,36000"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("nothing is known of costs above 4270 CPU seconds") == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        assert row["cutoff"] == 0.5 and row["p_solved"] == row["p_solved_0.5"]
        assert row["p_solved_0.5"] <= row["p_solved_10"] <= 1 and row["p_solved_36000"] is None
        # Both ends of the interval that people are told.
        assert row["q05"] <= row["q10"] <= row["q25"]
    for suffix in ("csv", "parquet"):
        table = tmp_path / f"rows.{suffix}"
        assert CliRunner().invoke(app, [*words, "-o", str(table)]).exit_code == 0
        assert CliRunner().invoke(app, [*words, "-o", str(table), "--resume"]).exit_code == 0
        other = CliRunner().invoke(app, [*words[:-1], "0.5,20", "-o", str(table), "--resume"])
        assert other.exit_code != 0 and "columns" in str(other.exception)
