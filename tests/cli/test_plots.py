"""`--plot` of the commands: what is asked for is drawn, and nothing is drawn of what is refused."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.errors import ConfigError
from satcost_gnn.runtime.pictures import MOST_PANELS
from satcost_gnn.serve.checkpoint import Checkpoint

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


def texts(picture: Path) -> list[str]:
    """Return what is written in an SVG."""
    return [one.text or "" for one in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_predictions_are_drawn_with_the_cutoffs_that_were_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "p.svg"
    names = [str(SAMPLES / name) for name in ("pigeonhole-5.cnf", "malformed.cnf")]
    words = ["predict", *names, "--plot", str(picture), "--estimator", "constant", "--cutoff", "2000,77"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and done.stdout.count("pigeonhole-5") > 0
    found = texts(picture)
    assert {"pigeonhole-5.cnf", "malformed.cnf", "cannot be read", "conflicts", "2,000", "77", "limit"} <= {
        text.strip() for text in found
    }
    assert set(Checkpoint.open().config.solvers) <= set(found)


def test_a_schedule_is_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "s.svg"
    words = ["schedule", str(SAMPLES / "random3-240.cnf"), "--cores", "2", "--limit", "30", "--plot", str(picture)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    found = texts(picture)
    assert {"core 1", "core 2", "CPU seconds", "limit"} <= set(found)
    # Each run that is told is in the legend.
    cores = [line for line in done.stdout.splitlines() if re.match(r"  core \d", line)]
    told = re.findall(r"(\w+) [\d.,]+ s\b", " ".join(cores))
    assert len(cores) == 2 and len(told) >= 2 and set(told) <= set(found)


@pytest.mark.parametrize("words", [["predict"], ["schedule", "--each"]])
def test_too_many_files_for_a_picture_are_refused_before_the_work(tmp_path: Path, words: list[str]) -> None:
    names = []
    for k in range(MOST_PANELS + 1):
        (tmp_path / f"{k}.cnf").write_text("p cnf 1 1\n1 0\n")
        names.append(str(tmp_path / f"{k}.cnf"))
    done = CliRunner().invoke(app, [*words, *names, "--plot", str(tmp_path / "x.svg")])
    assert isinstance(done.exception, ConfigError) and f"at most {MOST_PANELS}" in str(done.exception)
    assert done.stdout == "" and not (tmp_path / "x.svg").exists()


def test_what_an_earlier_call_predicted_is_not_drawn(tmp_path: Path) -> None:
    words = ["predict", str(SAMPLES / "pigeonhole-5.cnf"), "-o", str(tmp_path / "x.csv"), "--resume"]
    done = CliRunner().invoke(app, [*words, "--plot", str(tmp_path / "x.svg")])
    assert isinstance(done.exception, ConfigError) and "--resume" in str(done.exception)


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from satcost_gnn.cli import app;"
        "import satcost_gnn.cli.predict, satcost_gnn.cli.schedule, satcost_gnn.cli.dataset, satcost_gnn.cli.explain;"
        f"done = CliRunner().invoke(app, ['predict', {str(SAMPLES / 'pigeonhole-5.cnf')!r}]);"
        "sys.exit(done.exit_code or bool({'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
