import subprocess
import sys

import pytest

from satcost_gnn.errors import SandboxError
from satcost_gnn.formula.gbdc_process import call_gbdc
from satcost_gnn.runtime.sandbox import Limits, Sandbox


def test_refusal_is_an_error_in_a_caller_and_in_a_child(tmp_path):
    path = str(tmp_path / "missing.cnf")
    with pytest.raises(SandboxError, match="extract_base_features"):
        call_gbdc("extract_base_features", path)
    with Sandbox() as sandbox:
        outcome = sandbox.run(
            "satcost_gnn.formula.gbdc_process:call_gbdc", {"args": ("extract_base_features", path)}, Limits()
        )
    assert (outcome.status, outcome.error_type) == ("ERROR", "SandboxError")


def test_death_is_an_error_and_the_next_call_works(tmp_path):
    # A clause that begins with its closing zero makes this version of gbdc crash.
    bad, good = tmp_path / "bad.cnf", tmp_path / "good.cnf"
    bad.write_text("p cnf 1 1\n0\n")
    good.write_text("p cnf 3 2\n1 -2 0\n2 3 0\n")
    with pytest.raises(SandboxError, match="CRASHED"):
        call_gbdc("extract_base_features", str(bad))
    assert call_gbdc("gbdhash", str(good)) == "5c199826eee734c6484e691f3c129214"


def test_features_leave_gbdc_out_of_the_process_so_that_pyg_can_be_imported():
    script = (
        "import sys\n"
        "from satcost_gnn.formula import Formula\n"
        "from satcost_gnn.formula.features import static_features\n"
        "from satcost_gnn.formula.graph import clause_variable_graph, to_pyg\n"
        "formula = Formula.from_clauses([[1, 2], [-1, 3]])\n"
        "assert not static_features(formula).is_missing.all()\n"
        "assert 'gbdc' not in sys.modules\n"
        "print(to_pyg(clause_variable_graph(formula))['clause'].x.shape[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "2"
