"""A hundred checkpoints changed at random, all hashes right; ``checkpoint_mutating.py`` makes as many as wanted."""

from pathlib import Path

import pytest
from checkpoint_mutating import run


@pytest.mark.slow
def test_a_changed_checkpoint_is_named_or_passed_over(tmp_path: Path) -> None:
    noticed, wrong = run(100, 0, tmp_path)
    assert wrong == []
    # The rest are numbers and texts that nothing can know to be others.
    assert noticed >= 50
