"""Write datasets/samples: small CNFs of many families, each from its recipe, and a README that lists them.

Run it from anywhere: ``python benchmarks/generate_samples.py [DIRECTORY]``. The same bytes come out every time;
``--measure`` counts each sample's conflicts anew and says where they differ from the table below.
"""

from __future__ import annotations

import argparse
import lzma
from dataclasses import dataclass
from pathlib import Path

from satcost_gnn.data.generate import from_recipe


@dataclass(frozen=True)
class Sample:
    """A sample: its file, the recipe it is made from, and what cadical195 (PySAT 1.9.dev22) said of it."""

    file: str
    recipe: str
    status: str
    conflicts: int


SAMPLES = (
    Sample("sudoku-9.cnf", "sudoku:height=3,width=3,holes=0.6,seed=1", "SAT", 0),
    Sample("pigeonhole-5.cnf", "pigeonhole:holes=5,seed=0", "UNSAT", 133),
    Sample("factoring-12.cnf", "factoring:bits=12,kind=semiprime,multiplier=array,seed=1", "SAT", 1228),
    Sample("random3-120.cnf", "random-ksat:k=3,n=120,ratio=4.26,seed=2", "SAT", 1506),
    Sample("ordering-24.cnf", "ordering:n=24,degree=0,seed=0", "UNSAT", 1843),
    Sample("keccak-20.cnf", "keccak-preimage:lane=4,rounds=2,output=20,unknown=20,seed=1", "SAT", 3596),
    Sample("multiplier-miter-6.cnf", "multiplier-miter:bits=6,identity=commuted,second=tree,seed=0", "UNSAT", 7590),
    Sample("subset-cardinality-12.cnf", "subset-cardinality:n=12,ones=2,seed=1", "UNSAT", 8726),
    Sample("van-der-waerden-77.cnf", "van-der-waerden:n=77,first=3,second=9,fixed=0,seed=0", "UNSAT", 12_923),
    Sample("quasigroup-30.cnf.xz", "quasigroup-holes:order=30,holes=0.42,pattern=balanced,seed=1", "SAT", 12_822),
    Sample("colouring-120.cnf", "graph-colouring:n=120,colours=4,density=4.4,seed=1", "UNSAT", 16_783),
    Sample("tseitin-22.cnf", "tseitin:n=22,degree=4,charge=odd,seed=3", "UNSAT", 19_794),
    Sample("clique-colouring-9.cnf", "clique-colouring:n=9,clique=4,colours=3,seed=0", "UNSAT", 22_709),
    Sample("random3-240.cnf", "random-ksat:k=3,n=240,ratio=4.4,seed=3", "UNSAT", 41_990),
    Sample("modular-600.cnf", "modular-ksat:n=600,communities=10,modularity=0.5,ratio=4.1,seed=3", "SAT", 45_116),
    Sample("golfer-4-3-5.cnf", "social-golfer:groups=4,size=3,weeks=5,fixed=0,seed=0", "UNSAT", 55_959),
    Sample("queue-4-20.cnf", "bmc-queue:slots=4,width=2,depth=20,bug=0,seed=0", "UNSAT", 97_442),
)

MALFORMED = "malformed.cnf"
_MALFORMED_TEXT = """c The literal on line 6 is not a number: reading this file has to fail there.
p cnf 4 5
1 -2 0
2 3 0
-1 4 0
-3 four 0
2 -4 0
"""


def sample_bytes(sample: Sample) -> bytes:
    """Return the file's content."""
    text = from_recipe(sample.recipe).to_dimacs().encode()
    if sample.file.endswith(".xz"):
        # An xz file holds neither time nor name; the preset is written out so that its meaning cannot move.
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
        return lzma.compress(text, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)
    return text


def readme() -> str:
    """Return the README of the samples."""
    lines = [
        "# Sample formulas",
        "",
        "Small instances of our own generators, from trivial to about 100,000 conflicts.",
        "`python benchmarks/generate_samples.py` writes this directory again, byte for byte.",
        "",
        "| file | recipe | variables | clauses | answer | cadical195 conflicts |",
        "|---|---|---:|---:|---|---:|",
    ]
    for sample in SAMPLES:
        formula = from_recipe(sample.recipe)
        lines.append(
            f"| {sample.file} | `{formula.source}` | {formula.n_vars:,} | {formula.n_clauses:,} | {sample.status} "
            f"| {sample.conflicts:,} |"
        )
    lines += [
        "",
        f"`{MALFORMED}` is broken on purpose: on line 6 stands a word where a literal should be.",
        "",
        "Conflicts are those of one run of CaDiCaL 1.9.5 as shipped with PySAT 1.9.dev22, without options; another",
        "version may need more or fewer. A recipe is what `satcost_gnn.data.generate.from_recipe` takes. The",
        "instances are under the licence of this project (MIT).",
        "",
    ]
    return "\n".join(lines)


def write_samples(directory: Path) -> list[Path]:
    """Write all files into the directory and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {sample.file: sample_bytes(sample) for sample in SAMPLES}
    contents[MALFORMED] = _MALFORMED_TEXT.encode()
    contents["README.md"] = readme().encode()
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in contents]


def measure() -> bool:
    """Print each sample's answer and conflicts; return whether they are those of the table."""
    from satcost_gnn.runtime.sandbox import Sandbox
    from satcost_gnn.search.solver_run import run_solver

    agree = True
    with Sandbox() as sandbox:
        for sample in SAMPLES:
            run = run_solver(sandbox, "cadical195", from_recipe(sample.recipe), cpu_s=120.0)
            same = (run.status, run.conflicts) == (sample.status, sample.conflicts)
            agree &= same
            print(f"{sample.file:28s} {run.status:6s} {run.conflicts} {'' if same else '<- differs from the table'}")
    return agree


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "datasets" / "samples"
    parser.add_argument("directory", nargs="?", type=Path, default=default)
    parser.add_argument("--measure", action="store_true", help="count the conflicts instead of writing files")
    options = parser.parse_args()
    if options.measure:
        return 0 if measure() else 1
    for path in write_samples(options.directory):
        print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
