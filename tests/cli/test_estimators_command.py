import subprocess
import sys

from typer.testing import CliRunner

from satcost_gnn.cli import app
from satcost_gnn.learn.registry import CATALOGUE, NAMES, estimator_class


def test_every_estimator_has_a_line():
    found = CliRunner().invoke(app, ["estimators"], env={"COLUMNS": "120"})
    assert found.exit_code == 0
    lines = found.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(NAMES)
    forest = next(line for line in lines if line.startswith("forest "))
    assert "static, online" in forest and "moderate" in forest and "ExtraTrees" in forest
    assert max(map(len, lines)) <= 120


def test_what_the_catalogue_says_is_so():
    for name, entry in CATALOGUE.items():
        assert estimator_class(name).needs == set(entry.needs), name


def test_listing_loads_no_torch():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom satcost_gnn.cli import app\n"
        "assert CliRunner().invoke(app, ['estimators']).exit_code == 0\n"
        "print([name for name in ('torch', 'sklearn', 'scipy', 'lightgbm') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
