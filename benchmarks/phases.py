"""Predicted phases: what they do to a solver's conflicts on satisfiable instances never seen.

    satcost train-phases datasets/corpus --root CNF --work DIR -o checkpoints/phases-v2
    python benchmarks/phases.py label   datasets/corpus --root CNF --store DIR/instances --work DIR
    python benchmarks/phases.py measure datasets/corpus --root CNF --store DIR/instances --work DIR \
        --checkpoint checkpoints/phases-v2 -o docs/benchmarks/phases.json

The first trains on the train side and stops by the validation side of the split by instance. ``label`` finds models of
instances of the test side that CaDiCaL solved after 500 to 6,000 conflicts, to compare phases with. All are small and
were solved in a fraction of a second. Each stage continues what an interrupted call has left in DIR.

``measure`` runs each test instance with its variables renamed and its clauses reordered (signs as they are), so that
the runs that an instance was chosen by are not among those that it is measured by.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.materialise import materialise
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import VARIABLE_INPUTS, CompactGraph
from satcost_gnn.formula.dimacs import read_dimacs
from satcost_gnn.learn.network.phase_samples import PhaseSample, without_probe
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.search.guided import Guidance, run_guided
from satcost_gnn.search.phase_graph import node_variables
from satcost_gnn.serve.phases import PhasePredictor, Phases
from satcost_gnn.train.phases import (
    CHOSEN_BY,
    MOST_EDGES,
    PROBE,
    SideChoice,
    choose_instances,
    label_instances,
    read_samples,
    searched_graph,
    whole_graphs,
)

Literals: TypeAlias = NDArray[np.int32]

#: Instances that are measured on. Fewer conflicts leave nothing to save, more cost too much to measure often.
TEST_SIDE = SideChoice(3, 100, 0.12, conflicts=(500, 6_000))
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


def label(options: argparse.Namespace) -> None:
    """Make the samples of the test side."""
    label_instances(
        Dataset.open(options.dataset),
        {"test": TEST_SIDE},
        options.work,
        root=options.root,
        store=options.store,
        cache=whole_graphs(options.cache),
        cpu_s=options.cpu_s,
    )


def majority(formula: Formula) -> Literals:
    """Return the literal of each variable that occurs more often; none where both occur as often."""
    surplus = np.bincount(np.abs(formula.literals), weights=np.sign(formula.literals), minlength=formula.n_vars + 1)
    variables = np.flatnonzero(surplus)
    return (np.sign(surplus[variables]) * variables).astype(np.int32)


def searched(graph: CompactGraph, variables: NDArray[np.int32]) -> Literals:
    """Return the value that each variable had more often in the early search; none where that isn't known."""
    balance = graph.variable_inputs[:, VARIABLE_INPUTS.index("positive_balance")].astype(np.float32)
    known = balance != 0
    values: Literals = (np.sign(balance[known]) * variables[known]).astype(np.int32)
    return values


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


def measure(options: argparse.Namespace) -> None:
    """Run the solvers with the phases of every arm, then sum up what there is."""
    torch.set_num_threads(1)
    dataset = Dataset.open(options.dataset)
    names = choose_instances(dataset, {"test": TEST_SIDE})["test"]
    results = options.work / "measured.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(row["instance"], row["solver"], row["guidance"], row["arm"], row["seed"]) for row in rows}
    cache = whole_graphs(options.cache)
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
                graph, result, _ = searched_graph(sandbox, formula, cache.get(name) if cache else None)
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
        accuracy = {side: agreement(read_samples(options.work, side), predictor) for side in ("validation", "test")}
    document = {
        "checkpoint": options.checkpoint.name,
        "conflict_limit": CONFLICT_LIMIT,
        "chosen": f"{CHOSEN_BY} alone, {TEST_SIDE.conflicts[0]} to {TEST_SIDE.conflicts[1]} conflicts",
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
    for stage in (labelling, measuring):
        stage.add_argument("--work", type=Path, required=True, help="directory for labels and results")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
