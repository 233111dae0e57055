import importlib
import subprocess
import sys

import pytest

from satcost_gnn.runtime.former_names import FORMER_NAMES, PACKAGE


@pytest.mark.parametrize(("former", "today"), sorted(FORMER_NAMES.items()))
def test_a_former_name_gives_the_module_of_today_and_says_so(former, today):
    code = (
        "import importlib, sys, warnings\n"
        "warnings.simplefilter('always')\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    found = importlib.import_module(sys.argv[1])\n"
        "assert found is importlib.import_module(sys.argv[2])\n"
        "assert found.__name__ == found.__spec__.name == sys.argv[2], (found.__name__, found.__spec__)\n"
        "texts = [str(warning.message) for warning in said]\n"
        "assert any(sys.argv[2] in text and sys.argv[1] in text for text in texts), texts\n"
    )
    subprocess.run([sys.executable, "-c", code, f"{PACKAGE}.{former}", f"{PACKAGE}.{today}"], check=True)


def test_names_that_never_were_are_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{PACKAGE}.portfolio_of_old")


def test_main_classes_are_found_at_the_top():
    import satcost_gnn

    for name in satcost_gnn.__all__:
        assert getattr(satcost_gnn, name) is not None
    assert satcost_gnn.Predictor.__module__ == "satcost_gnn.serve.predictor"
    with pytest.raises(AttributeError, match="Foreteller"):
        satcost_gnn.Foreteller  # noqa: B018
