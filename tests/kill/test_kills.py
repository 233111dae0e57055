"""Ten kills of each command, fewer of the dear ones; ``killing.py`` beside this file makes as many as wanted."""

from pathlib import Path

import pytest
from killing import SCENARIOS, kill_and_compare


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_commands_end_as_undisturbed_ones(tmp_path: Path, name: str) -> None:
    scenario = SCENARIOS[name]
    kills, completed = kill_and_compare(scenario, tmp_path, scenario.kills)
    assert kills >= scenario.kills and completed >= 1
