"""What README and docs point to is there, and what is measured doesn't swell the repository."""

import re
from pathlib import Path

import pytest

from satcost_gnn.cli.config import VARIABLES
from satcost_gnn.config import read_config

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT)
    for place in ("README.md", "docs/**/*.md", "examples/*.md", "findings/*.md", "checkpoints/*/*.md")
    for path in ROOT.glob(place)
)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    text = FENCE.sub("", (ROOT / page).read_text())
    found = [one or other for one, other in LINK.findall(text)]
    return [link for link in found if not re.match(r"[a-z]+:|#", link)]


def anchors(page: Path) -> set[str]:
    """Return the names that the headings of a page have on the web."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_there_are_links() -> None:
    assert sum(len(links(page)) for page in PAGES) > 60


def test_docs_are_small() -> None:
    # The notebook has a limit of its own: tests/test_notebook.py.
    files = [path for path in (ROOT / "docs").rglob("*") if path.is_file() and path.suffix != ".ipynb"]
    assert sum(path.stat().st_size for path in files) < 2_000_000


def test_tables_that_the_checkpoint_is_trained_on_are_there() -> None:
    config = read_config(ROOT / "configs" / "corpus.toml")
    for place in (config.data.dataset, *config.data.also):
        assert (ROOT / place / "splits.json").is_file(), place
    assert not config.checkpoint.new_families or (ROOT / config.checkpoint.new_families).is_file()


def test_every_variable_of_ours_is_on_the_page_of_settings() -> None:
    code = "".join(path.read_text() for path in (ROOT / "satcost_gnn").rglob("*.py"))
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    found = set(re.findall(r"SATCOST_[A-Z_]+", code))
    assert found and not [name for name in found if f"`{name}`" not in page]
    assert found <= {one.name for one in VARIABLES}
    assert not [one.name for one in VARIABLES if f"`{one.name}`" not in page]
