"""The README's table of accuracy is that of the shipped checkpoint and of the evaluation that is kept."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_table_is_what_the_figures_make_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs_tools"))
    sys.modules.pop("readme_material", None)
    import readme_material  # type: ignore[import-not-found]

    made = readme_material.table()
    assert made.count("\n") == 2 + len(readme_material.NAMES)
    _, _, rest = (ROOT / "README.md").read_text().partition(readme_material.BEGIN)
    assert rest.partition(readme_material.END)[0] == made
