from __future__ import annotations

import numpy as np
import pytest
from online_selection import select_after_window

from satcost_gnn.errors import EvaluationError

COST = np.array([[10.0, 50.0, 30.0], [90.0, 40.0, 100.0], [3.0, 70.0, 60.0], [80.0, 4.0, 2.0]])
SOLVED = np.array([[True, True, True], [True, True, False], [True, True, True], [True, True, True]])
WINDOW = np.minimum(COST, 5.0)
IN_WINDOW = COST < 5.0


def test_the_other_solvers_windows_are_charged() -> None:
    predicted = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [9.0, 9.0, 9.0], [0.0, 9.0, 9.0]])
    found = select_after_window(COST, SOLVED, WINDOW, IN_WINDOW, predicted)
    # Picked rightly: 10 + 5 + 5. Picked wrongly, and stopped at the budget: 5 + 5 + 100.
    assert found.cost[:2].tolist() == [20.0, 110.0]
    assert found.choice[:2].tolist() == [0, 2] and found.solved[:2].tolist() == [True, False]


def test_a_solver_that_finishes_within_its_window_ends_the_matter() -> None:
    found = select_after_window(COST, SOLVED, WINDOW, IN_WINDOW, np.zeros(COST.shape))
    # The first solver's 3; the window of the first and all 4 of the second.
    assert found.cost[2:].tolist() == [3.0, 9.0]
    assert found.choice[2:].tolist() == [0, 1] and found.in_window.tolist() == [False, False, True, True]
    assert found.pick_shares(3).tolist() == [1.0, 0.0, 0.0]


def test_a_missing_prediction_is_never_picked() -> None:
    predicted = np.full(COST.shape, np.nan)
    predicted[:, 1] = 99.0
    assert select_after_window(COST, SOLVED, WINDOW, IN_WINDOW, predicted).choice[:2].tolist() == [1, 1]


def test_bad_input_is_named() -> None:
    with pytest.raises(EvaluationError, match="predicted"):
        select_after_window(COST, SOLVED, WINDOW, IN_WINDOW, np.zeros((4, 2)))
    with pytest.raises(EvaluationError, match="window"):
        select_after_window(COST, SOLVED, COST + 1.0, IN_WINDOW, np.zeros(COST.shape))
