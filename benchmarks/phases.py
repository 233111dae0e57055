"""Predicted phases: labels, training, and what they do to a solver's conflicts on satisfiable instances never seen.

    python benchmarks/phases.py label   datasets/corpus --root CNF --store CACHE/instances --work DIR
    python benchmarks/phases.py train   --work DIR -o checkpoints/phases-v1
    python benchmarks/phases.py measure datasets/corpus --root CNF --store CACHE/instances --work DIR \
        --checkpoint checkpoints/phases-v1 -o docs/benchmarks/phases.json

``label`` takes satisfiable instances by the data set's split by instance: the train side to learn from, the validation
side to stop training, and of the test side those that CaDiCaL solved after 500 to 15,000 conflicts, to measure on. All
are small and were solved in a fraction of a second. Each stage continues what an interrupted call has left in DIR.

``measure`` runs each test instance with its variables renamed and its clauses reordered (signs as they are), so that
the runs that an instance was chosen by are not among those that it is measured by.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from pathlib import Path

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.phase_samples import PhaseSample
from satcost_gnn.errors import SatcostError
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.instance import Instance
from satcost_gnn.instance_cache import InstanceCache
from satcost_gnn.preprocess import PreprocessSettings
from satcost_gnn.search.model_sampling import SampledModels
from satcost_gnn.search.phase_graph import node_variables, read_phase_graph
from satcost_gnn.search.probe import ProbeSettings
from satcost_gnn.search.sandbox import Limits, Sandbox

CHOSEN_BY = "cadical195"
MOST_BYTES = 400_000
MOST_EDGES = 40_000
#: Side of the split -> most instances of a family, and most CPU seconds that the chosen run took.
SIDES = {"train": (10, 0.15), "validation": (3, 0.15), "test": (4, 0.5)}
#: Conflicts of that run for the test side: fewer leave nothing to save, more cost too much to measure often.
TEST_CONFLICTS = (500, 15_000)
MODELS = 3
PROBE = ProbeSettings()
LEAST_MODELS = 3


def choose(dataset: Dataset) -> dict[str, list[str]]:
    """Return the identities of each side's instances, families in turn, so that any prefix is a mixture of families."""
    assert dataset.splits is not None
    runs = {run.instance: run for run in dataset.runs if run.seed == 0 and run.solver == CHOSEN_BY}
    taken: Counter[tuple[str, str]] = Counter()
    chosen: dict[str, list[tuple[int, str]]] = {side: [] for side in SIDES}
    for name in sorted(dataset.instances, key=lambda name: hashlib.blake2b(name.encode()).digest()):
        row, run, side = dataset.by_instance[name], runs.get(name), dataset.splits.side.get(name, "")
        if side not in SIDES or run is None or run.status.value != "SAT" or run.conflicts is None:
            continue
        most, most_cpu_s = SIDES[side]
        if row.bytes > MOST_BYTES or run.cpu_s > most_cpu_s:
            continue
        if side == "test" and not TEST_CONFLICTS[0] <= run.conflicts <= TEST_CONFLICTS[1]:
            continue
        if taken[side, row.family] < most:
            chosen[side].append((taken[side, row.family], name))
            taken[side, row.family] += 1
    return {side: [name for _, name in sorted(names)] for side, names in chosen.items()}


def label_one(sandbox: Sandbox, path: Path, cached: Instance | None) -> tuple[PhaseSample | None, float]:
    """Return the sample of one instance, None if it is too large or had too few models; and CPU seconds."""
    formula = read_dimacs(path)
    if formula.n_literals > MOST_EDGES:
        return None, 0.0
    if cached is not None and cached.graph is not None and cached.graph.kept_clause_share == 1 and cached.probe:
        graph, result, spent = cached.graph, cached.probe.status if cached.probe.solved else "", 0.0
    else:
        found = read_phase_graph(sandbox, formula, PROBE)
        graph, result, spent = found.graph, found.result, sum(found.timings.values())
    outcome = sandbox.run(
        "satcost_gnn.search.model_sampling:sample_models_child",
        {
            "formula": formula,
            "count": MODELS,
            "seed": 1,
            "conflicts": 40_000,
            "models_cpu_s": 2.0,
            "backbone_cpu_s": 0.1,
        },
        Limits(15.0, 300.0, 4096),
    )
    spent += outcome.cpu_s
    if outcome.status != "OK":
        print(f"{path.name}: {outcome.status} {outcome.detail}", file=sys.stderr)
        return None, spent
    sampled = SampledModels(**outcome.value)
    if len(sampled.models) < LEAST_MODELS:
        return None, spent
    variables = node_variables(formula, graph.n_variables)
    sample = PhaseSample(
        graph,
        variables,
        sampled.true_share[variables - 1].astype("float32"),
        sampled.backbone[variables - 1],
        len(sampled.models),
        result,
    )
    return sample, spent


def label(options: argparse.Namespace) -> None:
    """Make the samples of all sides."""
    dataset = Dataset.open(options.dataset)
    chosen = choose(dataset)
    cache = None
    if options.cache is not None:
        cache = InstanceCache(options.cache, PreprocessSettings(probe=PROBE, max_graph_edges=MOST_EDGES))
    spent = 0.0
    with Sandbox() as sandbox:
        for side, names in chosen.items():
            folder = options.work / "labels" / side
            folder.mkdir(parents=True, exist_ok=True)
            files = materialise(dataset, options.root, options.store, instances=names, on_problem=print)
            for name in names:
                target = folder / f"{name}.npz"
                refused = target.with_suffix(".refused")
                if name not in files or target.exists() or refused.exists():
                    continue
                if spent > options.cpu_s:
                    print(f"stopped at {spent:.0f} CPU seconds", file=sys.stderr)
                    return
                try:
                    sample, used = label_one(sandbox, files[name], cache.get(name) if cache else None)
                except SatcostError as error:
                    print(error, file=sys.stderr)
                    continue
                spent += used
                if sample is None:
                    refused.touch()
                else:
                    sample.write(target)
            print(f"{side}: {len(list(folder.glob('*.npz')))} of {len(names)}; {spent:.0f} CPU s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    labelling = stages.add_parser("label", help="find models and backbones")
    labelling.set_defaults(run=label)
    labelling.add_argument("--cache", type=Path, help="directory with preprocessed instances, to spare their probes")
    labelling.add_argument("--cpu-s", type=float, default=900.0, help="CPU seconds after which it stops")
    for stage in (labelling,):
        stage.add_argument("dataset", type=Path)
        stage.add_argument("--root", type=Path, required=True, help="directory with the real instances")
        stage.add_argument("--store", type=Path, required=True, help="directory for generated instances")
    for stage in (labelling,):
        stage.add_argument("--work", type=Path, required=True, help="directory for labels and results")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
