"""The sample files are what their recipes say, and the script writes them again byte for byte."""

from __future__ import annotations

import importlib.util
import lzma
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pysat.solvers import Solver

from satcost_gnn.data.generate import from_recipe, parse_recipe
from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.dimacs import read_dimacs

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "datasets" / "samples"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_samples", ROOT / "benchmarks" / "generate_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate_samples"] = module
    spec.loader.exec_module(module)
    return module


def test_the_script_writes_the_committed_files(script: ModuleType, tmp_path: Path) -> None:
    written = script.write_samples(tmp_path)
    assert sorted(path.name for path in written) == sorted(path.name for path in SAMPLES.iterdir())
    for path in written:
        ours, theirs = path.read_bytes(), (SAMPLES / path.name).read_bytes()
        if path.suffix == ".xz":
            # Another version of liblzma may compress otherwise; the formula has to be the same.
            ours, theirs = lzma.decompress(ours), lzma.decompress(theirs)
        assert ours == theirs, path.name


def test_the_samples_are_many_and_small(script: ModuleType) -> None:
    families = {parse_recipe(sample.recipe)[0].name for sample in script.SAMPLES}
    assert len(script.SAMPLES) >= 10
    assert len(families) >= 8
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 1_000_000
    costs = [sample.conflicts for sample in script.SAMPLES]
    assert min(costs) == 0
    assert 5e4 < max(costs) < 2e5


def test_answers_of_the_cheap_samples(script: ModuleType) -> None:
    for sample in script.SAMPLES:
        if sample.conflicts < 10_000:
            with Solver("cadical195", bootstrap_with=from_recipe(sample.recipe).clauses()) as solver:
                assert solver.solve() == (sample.status == "SAT"), sample.file


def test_every_sample_is_read_and_the_malformed_one_names_its_line(script: ModuleType) -> None:
    for sample in script.SAMPLES:
        formula = read_dimacs(SAMPLES / sample.file)
        assert formula.clauses() == from_recipe(sample.recipe).clauses()
    with pytest.raises(FormulaError) as failure:
        read_dimacs(SAMPLES / script.MALFORMED)
    assert failure.value.line == 6
