"""Predicted phases: labels, training, and what they do to a solver's conflicts on satisfiable instances never seen.

    python benchmarks/phases.py label   datasets/corpus --root CNF --store CACHE/instances --work DIR
    python benchmarks/phases.py train   --work DIR -o checkpoints/phases-v1
    python benchmarks/phases.py measure datasets/corpus --root CNF --store CACHE/instances --work DIR \
        --checkpoint checkpoints/phases-v1 -o docs/benchmarks/phases.json

``label`` takes satisfiable instances by the data set's split by instance: the train side to learn from, the validation
side to stop training, and of the test side those that CaDiCaL solved after 500 to 6,000 conflicts, to measure on. All
are small and were solved in a fraction of a second. Each stage continues what an interrupted call has left in DIR.

``measure`` runs each test instance with its variables renamed and its clauses reordered (signs as they are), so that
the runs that an instance was chosen by are not among those that it is measured by.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.data.phase_samples import PhaseSample, without_probe
from satcost_gnn.errors import SatcostError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.formula.graph import VARIABLE_INPUTS, CompactGraph
from satcost_gnn.instance import Instance
from satcost_gnn.instance_cache import InstanceCache
from satcost_gnn.phase_training import PhaseTrainingConfig, train_phases
from satcost_gnn.phases import PhasePredictor, Phases, save_phase_checkpoint
from satcost_gnn.preprocess import PreprocessSettings
from satcost_gnn.search.guided import Guidance, run_guided
from satcost_gnn.search.model_sampling import SampledModels
from satcost_gnn.search.phase_graph import node_variables, read_phase_graph
from satcost_gnn.search.probe import ProbeSettings
from satcost_gnn.search.sandbox import Limits, Sandbox

Literals: TypeAlias = NDArray[np.int32]

CHOSEN_BY = "cadical195"
MOST_BYTES = 400_000
MOST_EDGES = 40_000
#: Larger ones are left out of training: a few of them would take most of its time.
MOST_EDGES_IN_TRAINING = 12_000
#: Side of the split -> most instances of a family, of all, and CPU seconds that the chosen run took at most.
SIDES = {"validation": (1, 24, 0.15), "train": (8, 363, 0.15), "test": (3, 100, 0.12)}
#: Conflicts of that run for the test side: fewer leave nothing to save, more cost too much to measure often.
TEST_CONFLICTS = (500, 6_000)
TRAINING = {
    "model": {"width": 24, "rounds": 4, "mean_channels": 12, "extreme_channels": 4},
    "epochs": 16,
    "patience": 6,
    "learning_rate": 5e-3,
    "edges": 24_000,
}
MODELS = 3
PROBE = ProbeSettings()
LEAST_MODELS = 3
CONFLICT_LIMIT = 10_000
#: Least probability of a phase that CaDiCaL is forced to in the arm "network, sure".
SURE = 0.8
#: (solver, guidance, arm), the most telling first: each pass is over all instances.
PASSES = (
    (
        ("minisat22", "set_phases", "default"),
        ("minisat22", "set_phases", "network"),
        ("minisat22", "set_phases", "majority"),
        ("cadical195", "set_phases", "default"),
        ("cadical195", "set_phases", "network"),
        ("cadical195", "initial", "network"),
    ),
    (
        ("glucose42", "set_phases", "default"),
        ("glucose42", "set_phases", "network"),
        ("glucose42", "set_phases", "majority"),
        ("cadical195", "initial", "majority"),
        ("cadical195", "initial", "false"),
        ("cadical195", "set_phases", "network, sure"),
    ),
    (
        ("minisat22", "set_phases", "search"),
        ("minisat22", "set_phases", "network with search"),
        ("cadical195", "initial", "search"),
        ("cadical195", "initial", "network with search"),
        ("minisat22", "set_phases", "true"),
        ("cadical195", "set_phases", "majority"),
    ),
)


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
        most, _, most_cpu_s = SIDES[side]
        if row.bytes > MOST_BYTES or run.cpu_s > most_cpu_s:
            continue
        if side == "test" and not TEST_CONFLICTS[0] <= run.conflicts <= TEST_CONFLICTS[1]:
            continue
        if taken[side, row.family] < most:
            chosen[side].append((taken[side, row.family], name))
            taken[side, row.family] += 1
    return {side: [name for _, name in sorted(names)][: SIDES[side][1]] for side, names in chosen.items()}


def instance_cache(directory: Path | None) -> InstanceCache | None:
    """Return the instances that were preprocessed with whole graphs, None without a directory."""
    if directory is None:
        return None
    return InstanceCache(directory, PreprocessSettings(probe=PROBE, again=False, max_graph_edges=MOST_EDGES))


def label_one(sandbox: Sandbox, path: Path, cached: Instance | None) -> tuple[PhaseSample | None, float]:
    """Return the sample of one instance, None if it is too large or had too few models; and CPU seconds."""
    formula = read_dimacs(path)
    if formula.n_literals > MOST_EDGES:
        return None, 0.0
    graph, result, spent = preprocessed(sandbox, formula, cached)
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
    cache = instance_cache(options.cache)
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


def samples_of(work: Path, side: str, most_edges: int = MOST_EDGES) -> dict[str, PhaseSample]:
    """Return identity -> sample of one side."""
    found = {path.stem: PhaseSample.read(path) for path in sorted((work / "labels" / side).glob("*.npz"))}
    return {name: sample for name, sample in found.items() if sample.graph.n_edges <= most_edges}


def train(options: argparse.Namespace) -> None:
    """Train the network and write its checkpoint."""
    torch.set_num_threads(1)
    config = PhaseTrainingConfig.checked(TRAINING)
    sides = {side: samples_of(options.work, side, MOST_EDGES_IN_TRAINING) for side in ("train", "validation")}
    start = time.process_time()
    model = train_phases(config, list(sides["train"].values()), list(sides["validation"].values()))
    about = {
        "command": "python benchmarks/phases.py train",
        "dataset": "corpus, split by instance",
        "instances": {side: len(samples) for side, samples in sides.items()},
        "probe_unsolved": sum(not sample.probe_result for sample in sides["train"].values()),
        "models_each": MODELS,
        "config": config.model_dump(),
        "cpu_s": round(time.process_time() - start, 1),
    }
    save_phase_checkpoint(options.out, model, about)


def majority(formula: Formula) -> Literals:
    """Return the literal of each variable that occurs more often; none where both occur as often."""
    surplus = np.bincount(np.abs(formula.literals), weights=np.sign(formula.literals), minlength=formula.n_vars + 1)
    variables = np.flatnonzero(surplus)
    return (np.sign(surplus[variables]) * variables).astype(np.int32)


def searched(graph: CompactGraph, variables: NDArray[np.int32]) -> Literals:
    """Return the value that each variable had more often in the early search; none where that isn't known."""
    balance = graph.variable_inputs[:, VARIABLE_INPUTS.index("positive_balance")].astype(np.float32)
    known = balance != 0
    return (np.sign(balance[known]) * variables[known]).astype(np.int32)


def phases_of(formula: Formula, graph: CompactGraph, probed: bool, predictor: PhasePredictor) -> dict[str, Literals]:
    """Return what each arm tells the solver; arms that need an early search only where it left the formula open."""
    variables = node_variables(formula, graph.n_variables)
    alone = Phases(variables, predictor.probabilities(without_probe(graph)), "network", predictor.label)
    found = {
        "false": -variables,
        "true": variables,
        "majority": majority(formula),
        "network": alone.literals(),
        "network, sure": alone.literals(SURE),
    }
    if probed:
        found["search"] = searched(graph, variables)
        both = Phases(variables, predictor.probabilities(graph), "network", predictor.label)
        found["network with search"] = both.literals()
    return found


def preprocessed(sandbox: Sandbox, formula: Formula, cached: Instance | None) -> tuple[CompactGraph, str, float]:
    """Return the whole graph after an early search, how that ended if it solved the formula, and CPU seconds."""
    if cached is not None and cached.graph is not None and cached.graph.kept_clause_share == 1 and cached.probe:
        return cached.graph, cached.probe.status if cached.probe.solved else "", 0.0
    found = read_phase_graph(sandbox, formula, PROBE)
    return found.graph, found.result, sum(found.timings.values())


def measure(options: argparse.Namespace) -> None:
    """Run the solvers with the phases of every arm, then sum up what there is."""
    torch.set_num_threads(1)
    dataset = Dataset.open(options.dataset)
    names = choose(dataset)["test"]
    results = options.work / "measured.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(row["instance"], row["solver"], row["guidance"], row["arm"], row["seed"]) for row in rows}
    cache = instance_cache(options.cache)
    start = time.monotonic()
    files = materialise(dataset, options.root, options.store, instances=names, on_problem=print)
    with (
        Sandbox() as sandbox,
        PhasePredictor.from_checkpoint(options.checkpoint) as predictor,
        results.open("a") as stream,
    ):
        for seed, runs in itertools.product(range(1, options.seeds + 1), PASSES):
            for name in names:
                wanted = [run for run in runs if (name, *run, seed) not in done]
                if name not in files or not wanted or time.monotonic() - start > options.wall_s:
                    continue
                formula = read_dimacs(files[name])
                if formula.n_literals > MOST_EDGES:
                    continue
                graph, result, _ = preprocessed(sandbox, formula, cache.get(name) if cache else None)
                arms: dict[str, Literals | None] = {"default": None}
                arms |= phases_of(formula, graph, not result, predictor)
                for solver, guidance, arm in wanted:
                    if arm not in arms:
                        continue
                    run = run_guided(
                        sandbox,
                        solver,
                        formula,
                        arms[arm],
                        guidance=Guidance(guidance),
                        seed=seed,
                        conflicts=CONFLICT_LIMIT,
                    )
                    row = {"instance": name, "solver": solver, "guidance": guidance, "arm": arm, "seed": seed}
                    rows.append(row | asdict(run))
                    stream.write(json.dumps(rows[-1]) + "\n")
                    stream.flush()
        accuracy = {side: agreement(samples_of(options.work, side), predictor) for side in ("validation", "test")}
    document = {
        "checkpoint": options.checkpoint.name,
        "conflict_limit": CONFLICT_LIMIT,
        "chosen": f"{CHOSEN_BY} alone, {TEST_CONFLICTS[0]} to {TEST_CONFLICTS[1]} conflicts",
        "search_conflicts": PROBE.conflicts,
        "families": len({dataset.by_instance[row["instance"]].family for row in rows}),
        "arms": compare(rows, {row["instance"]: dataset.by_instance[row["instance"]].family for row in rows}),
        "agreement_with_models": accuracy,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")


def compare(rows: list[dict[str, Any]], family: dict[str, str]) -> list[dict[str, Any]]:
    """Return for each arm the geometric mean of its conflicts over those of others, run by run.

    Conflicts are taken plus one, those of a run that was stopped as the limit, which favours whoever is stopped more
    often; those of the early search are not in them, unless ``search_charged`` says so. Intervals are of a bootstrap
    over instances.
    """
    costs: dict[tuple[str, str, str], dict[tuple[str, int], tuple[float, bool]]] = defaultdict(dict)
    for row in rows:
        solved = row["status"] == "SAT"
        spent = row["conflicts"] if solved else CONFLICT_LIMIT
        costs[row["solver"], row["guidance"], row["arm"]][row["instance"], row["seed"]] = (spent, solved)
    found = []
    for (solver, guidance, arm), cost in sorted(costs.items()):
        rivals = [("set_phases", "default", 0), (guidance, "majority", 0)] if arm != "default" else []
        if "search" in arm:
            rivals += [("set_phases", "default", PROBE.conflicts), (guidance, "search", 0)]
        for rival_guidance, rival, extra in rivals:
            other = costs.get((solver, rival_guidance, rival), {})
            keys = sorted(cost.keys() & other.keys())
            if rival == arm or not keys:
                continue
            by_instance: dict[str, list[float]] = defaultdict(list)
            for key in keys:
                by_instance[key[0]].append(math.log10((1 + cost[key][0] + extra) / (1 + other[key][0])))
            differences = {name: float(np.mean(values)) for name, values in by_instance.items()}
            values = np.array(list(differences.values()))
            random = np.random.default_rng(0)
            means = values[random.integers(0, len(values), size=(4000, len(values)))].mean(axis=1)
            low, high = np.quantile(means, [0.025, 0.975])
            by_family: dict[str, list[float]] = defaultdict(list)
            for name, value in differences.items():
                by_family[family[name]].append(value)
            found.append(
                {
                    "solver": solver,
                    "guidance": guidance,
                    "arm": arm,
                    "against": rival,
                    "search_charged": bool(extra),
                    "instances": len(values),
                    "runs": len(keys),
                    "ratio": round(10 ** float(values.mean()), 3),
                    "ratio_95": [round(10 ** float(low), 3), round(10 ** float(high), 3)],
                    "fewer_conflicts": int((values < 0).sum()),
                    "more_conflicts": int((values > 0).sum()),
                    "solved": sum(cost[key][1] for key in keys),
                    "solved_by_other": sum(other[key][1] for key in keys),
                    "geometric_mean_of_other": round(
                        10 ** float(np.mean([math.log10(1 + other[key][0]) for key in keys])), 1
                    ),
                    "ratio_by_family": {
                        name: round(10 ** float(np.mean(each)), 3) for name, each in sorted(by_family.items())
                    },
                }
            )
    return found


def agreement(samples: dict[str, PhaseSample], predictor: PhasePredictor) -> dict[str, Any]:
    """Return how often phases agree with most of the models found, and with the backbone: means over formulas.

    Variables that are true in half of the models are left out; a variable that an arm says nothing of counts half.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    backbone: dict[str, list[float]] = defaultdict(list)
    for sample in samples.values():
        graph, balance = sample.graph, sample.graph.variable_inputs.astype(np.float32)
        signs = {
            "false": -np.ones(len(sample.variables)),
            "majority": np.sign(balance[:, VARIABLE_INPUTS.index("sign_balance")]),
            "network": predictor.probabilities(without_probe(graph)) - 0.5,
        }
        if not sample.probe_result:
            signs["search"] = balance[:, VARIABLE_INPUTS.index("positive_balance")]
            signs["network with search"] = predictor.probabilities(graph) - 0.5
        for truth, table in ((sample.true_share - 0.5, scores), (sample.backbone, backbone)):
            known = truth != 0
            if known.any():
                for name, sign in signs.items():
                    table[name].append(float(np.mean((1 + np.sign(sign[known]) * np.sign(truth[known])) / 2)))
    return {
        "formulas": len(samples),
        "models": {name: [round(float(np.mean(each)), 4), len(each)] for name, each in scores.items()},
        "backbone": {name: [round(float(np.mean(each)), 4), len(each)] for name, each in backbone.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    labelling = stages.add_parser("label", help="find models and backbones")
    labelling.set_defaults(run=label)
    labelling.add_argument("--cpu-s", type=float, default=900.0, help="CPU seconds after which it stops")
    measuring = stages.add_parser("measure", help="measure on the test side")
    measuring.set_defaults(run=measure)
    measuring.add_argument("--checkpoint", type=Path, required=True)
    measuring.add_argument("--seeds", type=int, default=1, help="renamed and reordered copies of each instance")
    measuring.add_argument("--wall-s", type=float, default=1e9, help="seconds after which no run is started")
    measuring.add_argument("-o", "--out", type=Path, required=True, help="JSON file of the results")
    for stage in (labelling, measuring):
        stage.add_argument("--cache", type=Path, help="directory with preprocessed instances, to spare their probes")
        stage.add_argument("dataset", type=Path)
        stage.add_argument("--root", type=Path, required=True, help="directory with the real instances")
        stage.add_argument("--store", type=Path, required=True, help="directory for generated instances")
    training = stages.add_parser("train", help="train the network")
    training.set_defaults(run=train)
    training.add_argument("-o", "--out", type=Path, required=True, help="directory of the new checkpoint")
    for stage in (labelling, training, measuring):
        stage.add_argument("--work", type=Path, required=True, help="directory for labels and results")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
