"""What is predicted today is what was meant: see golden_values.py, and its command after a change that is meant."""

import json

import numpy as np
import pytest
from golden_values import DISTRIBUTIONS, FEATURES, PREDICTIONS, compute, differences, distributions, read_arrays

AGAIN = "if this was meant: python tests/golden_values.py"


@pytest.fixture(scope="module")
def computed() -> tuple[list[dict[str, object]], dict[str, np.ndarray]]:
    return compute()


def test_predictions(computed: tuple[list[dict[str, object]], dict[str, np.ndarray]]) -> None:
    rows = computed[0]
    expected = json.loads(PREDICTIONS.read_text())
    names = [(row["path"], row["cost_unit"], row["solver"]) for row in expected]
    assert [(row["path"], row["cost_unit"], row["solver"]) for row in rows] == names, AGAIN
    assert len({row["path"] for row in expected}) == 24
    found = [
        line
        for name, before, now in zip(names, expected, rows, strict=True)
        # As it would be read back: what JSON has no value for is written as null.
        for line in differences(before, json.loads(json.dumps(now)), " ".join(str(part) for part in name))
    ]
    assert not found, f"{AGAIN}\n" + "\n".join(found[:20])


def test_features(computed: tuple[list[dict[str, object]], dict[str, np.ndarray]]) -> None:
    expected, found = read_arrays(FEATURES), computed[1]
    for part in ("static", "online"):
        assert found[f"{part}_names"].tolist() == expected[f"{part}_names"].tolist(), AGAIN
        np.testing.assert_allclose(found[part], expected[part], rtol=1e-6, atol=1e-6, err_msg=f"{part}: {AGAIN}")


def test_distributions_for_given_features() -> None:
    expected = read_arrays(DISTRIBUTIONS)
    found = distributions(expected)
    assert {"conflicts.ensemble", "cpu_seconds.ensemble", "conflicts.forest", "novelty"} <= set(found) <= set(expected)
    for name, values in found.items():
        np.testing.assert_allclose(
            values,
            expected[name],
            rtol=0,
            atol=1e-6,
            err_msg=f"{name}: if this was meant (another checkpoint): python tests/golden_values.py --distributions",
        )


def test_a_difference_is_found() -> None:
    row = {"q50": 100.0, "error": "", "result": None}
    assert differences(row, {**row, "q50": 100.00001}) == []
    assert differences(row, {**row, "q50": 100.01}) and differences(row, {**row, "result": "SAT"})
    assert differences(row, {"q50": 100.0, "error": ""})
