import re
from dataclasses import replace

from satcost_gnn.data.card import format_card, write_card
from satcost_gnn.data.splits import make_splits


def test_a_card_tells_what_the_tables_hold(small_dataset, make_row, make_run, tmp_path):
    dataset = small_dataset()
    rows = (
        *dataset.manifest,
        make_row("late", licence=None),
        make_row("made", origin="generated", path=None, recipe="x:n=1,seed=1", licence=None),
    )
    runs = (
        *dataset.runs,
        make_run("i1", "mute", status="CRASHED"),
        make_run("i2", "mute", status="TIMEOUT", conflicts=None),
        make_run("i0", "mute", status="UNSAT"),
    )
    dataset = replace(dataset, manifest=rows, runs=runs, splits=make_splits(rows))
    write_card(dataset, tmp_path / "CARD.md")
    card = (tmp_path / "CARD.md").read_text()
    for expected in (
        "# Data set small",
        "14 instances of 4 families and 35 runs of 3 solvers",
        "10 / 90 / 4096",
        "a machine",
        "## Noise of a label",
        "sd log10",
        "log10 conflicts of cadical195",
        "SBS",
        "MIT",
        "2 instances have no runs",
        "1 runs crashed",
        "1 runs that were cut off have no counters",
        "1 instances are in quarantine",
        "fold 4",
    ):
        assert expected in card, expected
    assert re.search(r"none stated +1\n", card)
    # Fences come in pairs: no table runs into the text.
    assert card.count("```") % 2 == 0 and all(line.startswith("```") for line in card.split("\n") if "```" in line)


def test_a_card_before_anything_was_run(small_dataset):
    card = format_card(small_dataset(runs=()))
    assert "Not measured" in card and "12 instances have no runs." in card and "## Costs" not in card
