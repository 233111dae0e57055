import json
import subprocess
import sys


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    modules = _modules_after("import satcost_gnn")
    assert modules.isdisjoint({"torch", "numpy", "pysat", "sklearn", "pyarrow"})


def test_help_loads_nothing_heavy_and_lists_the_commands() -> None:
    code = (
        "import sys; sys.argv = ['satcost', '--help']\nfrom satcost_gnn.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code"
    )
    modules = _modules_after(code)
    assert "satcost_gnn.cli" in modules
    assert modules.isdisjoint({"torch", "numpy", "pysat", "sklearn", "pyarrow", "lightning"})


def test_reading_and_probing_need_no_torch() -> None:
    assert "torch" not in _modules_after("import satcost_gnn.features.preprocessing")


def test_solving_imports_no_predictor_before_it_predicts() -> None:
    modules = _modules_after("import satcost_gnn.cli.solve")
    assert "satcost_gnn.decide.run" in modules and "satcost_gnn.serve.predictor" not in modules
