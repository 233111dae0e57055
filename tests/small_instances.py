"""Files of small random 3-SAT instances."""

import random
from pathlib import Path


def write_families(directory: Path, count: int, families: int) -> None:
    for k in range(count):
        rng = random.Random(k)
        n = 90 + k
        clauses = [" ".join(str(v * rng.choice((-1, 1))) for v in rng.sample(range(1, n + 1), 3)) for _ in range(4 * n)]
        folder = directory / f"family{k % families}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"i{k:02d}.cnf").write_text(f"p cnf {n} {4 * n}\n" + "".join(f"{c} 0\n" for c in clauses))
