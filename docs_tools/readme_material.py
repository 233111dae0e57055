"""The pictures of a terminal and the table of accuracy in README and docs, made from the real thing.

Run ``python docs_tools/readme_material.py`` from the root of a checkout after the shipped checkpoint or the output of a
command has changed: commands are run and what they print is drawn; the numbers are those of the checkpoint's
``metrics.json`` and of the evaluation on families that were left out. ``--table`` makes the table only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from satcost_gnn.serve.checkpoint import find_checkpoint

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 96
_SAMPLES = "random3-240.cnf keccak-20.cnf golfer-4-3-5.cnf"
#: Picture -> the command in it, run in ``datasets/samples``.
PICTURES = {
    "predict": f"satcost predict {_SAMPLES} --unit cpu_seconds --format text",
    "select": "satcost select golfer-4-3-5.cnf --limit 10",
}
MEASURES = (("rmse", "RMSE"), ("crps", "CRPS"), ("within_2", "within ×2"), ("coverage_80", "80 % interval covers"))
NAMES = {
    "constant": "constant of the training set",
    "linear": "online linear model",
    "forest": "forest, static features and early search",
    "ensemble": "**`ensemble`: network and forest**",
}
BEGIN, END = "<!-- accuracy: begin -->\n", "<!-- accuracy: end -->\n"


def picture(command: str) -> str:
    """Return an SVG of a terminal in which a command has been run."""
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "satcost_gnn", *words[1:]],
        cwd=ROOT / "datasets" / "samples",
        env=dict(os.environ, COLUMNS=str(WIDTH), SATCOST_MACHINE="none"),
        capture_output=True,
        text=True,
        check=True,
    )
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(Text(f"$ {command}", style="bold"), soft_wrap=True)
        console.print(Text(done.stdout.rstrip("\n")), soft_wrap=True)
        text = console.export_svg(title="satcost", unique_id="satcost")
    # The font of the web is left out: nothing is to be loaded from elsewhere.
    return re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL).replace("Fira Code", "monospace")


def _row(name: str, *found: dict[str, float]) -> str:
    cells = [
        f"{values[measure]:.{3 if measure in ('rmse', 'crps') else 2}f}" for values in found for measure, _ in MEASURES
    ]
    return f"| {NAMES.get(name, f'**`{name}`**')} | {' | '.join(cells)} |"


def table() -> str:
    """Return the table of accuracy in Markdown: known families of the checkpoint, families that were left out."""
    known: dict[str, Any] = json.loads((find_checkpoint() / "metrics.json").read_text())
    new: dict[str, Any] = json.loads((ROOT / "docs" / "evaluation" / "family" / "metrics.json").read_text())
    solver = new["solver"]
    rows = known["units"][new["unit"]]["solvers"][solver]
    away = {name: {m: one["values"][m]["value"] for m, _ in MEASURES} for name, one in new["estimators"].items()}
    names = [name for name in ("constant", "linear", "forest", *rows) if name in rows and name in away]
    shown = [name for name in dict.fromkeys(names) if name in NAMES]
    heads = [label for _, label in MEASURES]
    lines = [
        f"| | known families: {' | '.join(heads)} | new families: {' | '.join(heads)} |",
        "|---" * (1 + 2 * len(MEASURES)) + "|",
        *(_row(name, rows[name], away[name]) for name in shown),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pictures and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="the table only")
    if not parser.parse_args().table:
        for name, command in PICTURES.items():
            (ROOT / "docs" / "pictures" / f"{name}.svg").write_text(picture(command))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
