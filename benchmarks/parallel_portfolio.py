"""What several cores bring, replayed from measured runs: a portfolio chosen jointly against seeds of the single best.

python benchmarks/parallel_portfolio.py --out docs/benchmarks/parallel_portfolio.json

Members are chosen on the training and validation sides of the own data sets (joined) and compared on the test side, on
the instances on which all of them have runs. The data sets have a second seed of cadical195 on few instances, and a
third and fourth on those of the test side: where all are there they are compared as measured. Elsewhere further seeds
are drawn from a model, which is said wherever it is used: the log cost with another seed is the own one plus
a difference drawn from pairs of seeds of the training side that have the same answer and a cost within half a decade.
A run that is censored stays so with every seed, which favours neither side. The published table (28 solvers,
5,000 s, one run each: no seeds) is cross-validated by instance in five folds: members chosen on four, compared on the
fifth; without seeds it can be compared with the single best on one core only.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.joining import join_datasets
from satcost_gnn.data.splits import LEARNT_SIDES
from satcost_gnn.decide.parallel_portfolio import candidates, fastest, member_par2, parallel_portfolio
from satcost_gnn.search.solvers import SOLVERS

Floats = NDArray[np.float64]
SINGLE, SEEDED = "cadical195", "cadical195:seed=1"
CORES = (2, 4)
DRAWS = 200
FOLDS = 5


def rounded(value: Any) -> Any:
    """Return plain values with four decimals."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def interval(first: Floats, second: Floats, rng: np.random.Generator) -> list[float]:
    """Return the ends of the 95 % interval of 1 - sum(first) / sum(second), instances drawn with replacement."""
    rows = rng.integers(0, len(first), (1000, len(first)))
    below = 1.0 - first[rows].sum(axis=1) / np.maximum(second[rows].sum(axis=1), 1e-12)
    ends: list[float] = np.quantile(below, [0.025, 0.975]).tolist()
    return ends


def seed_differences(par2: Floats, answers: NDArray[np.int64], limit_s: float) -> list[tuple[float, int, float]]:
    """Return log10 cost, answer and difference to the other seed, both ways, of pairs solved with both seeds."""
    solved = (par2 <= limit_s).all(axis=1)
    logs = np.log10(np.maximum(par2[solved], 1e-4))
    pairs = []
    for (a, b), answer in zip(logs.tolist(), answers[solved].tolist(), strict=True):
        pairs += [(a, answer, b - a), (b, answer, a - b)]
    return pairs


def modelled_seeds(
    cost: Floats, answers: NDArray[np.int64], pairs: list[tuple[float, int, float]], more: int, limit_s: float
) -> Floats:
    """Return ``float64[n]``: the mean PAR2 of the fastest of the run itself and ``more`` seeds from the model."""
    rng = np.random.default_rng(0)
    logs, known, differences = (np.array(values) for values in zip(*pairs, strict=True))
    found = np.zeros(len(cost))
    for k, (seconds, answer) in enumerate(zip(cost.tolist(), answers.tolist(), strict=True)):
        if seconds > limit_s:
            found[k] = seconds
            continue
        log = np.log10(max(seconds, 1e-4))
        near = (np.abs(logs - log) <= 0.5) & (known == answer)
        pool = differences[near] if near.sum() >= 10 else differences
        drawn = 10.0 ** (log + rng.choice(pool, (DRAWS, more)))
        found[k] = np.minimum(seconds, drawn.min(axis=1)).mean()
    return found


def answers_of(dataset: Dataset, names: list[str]) -> NDArray[np.int64]:
    """Return 1 for satisfiable, 0 for unsatisfiable, -1 for unknown."""
    known = dict(zip(dataset.instances, np.nan_to_num(dataset.satisfiable(), nan=-1).tolist(), strict=True))
    return np.array([int(known[name]) for name in names])


def own_runs(paths: list[Path], limit_s: float, rng: np.random.Generator) -> dict[str, Any]:
    """Compare on the test side of the own data sets."""
    dataset = join_datasets([Dataset.open(path) for path in paths])
    assert dataset.splits is not None
    sides = dataset.splits.side
    names = candidates(dataset, SOLVERS)
    single, seeded = names.index(SINGLE), names.index(SEEDED)
    learnt = frozenset(name for name, side in sides.items() if side in LEARNT_SIDES)
    tested = frozenset(name for name, side in sides.items() if side == "test")
    learnt_names, train, train_survived = member_par2(dataset, names, learnt, limit_s)
    test_names, test, test_survived = member_par2(dataset, names, tested, limit_s)
    both = np.isfinite(train[:, [single, seeded]]).all(axis=1)
    train_answers = answers_of(dataset, learnt_names)
    pairs = seed_differences(train[both][:, [single, seeded]], train_answers[both], limit_s)
    test_answers = answers_of(dataset, test_names)
    seeds = [k for k, name in enumerate(names) if ":seed=" in name]
    result: dict[str, Any] = {"limit_s": limit_s, "pairs_of_seeds": len(pairs) // 2}
    for label, without in (("chosen", []), ("chosen without seeds", seeds)):
        masked = train.copy()
        masked[:, without] = np.nan
        members = parallel_portfolio(masked, train_survived, single)
        result[label] = {"members": [names[k] for k in members]}
        for cores in CORES:
            chosen = members[:cores]
            together = fastest(test, test_survived, chosen)
            rows = np.isfinite(together) & np.isfinite(test[:, single])
            portfolio, alone = together[rows], test[rows, single]
            modelled = modelled_seeds(alone, test_answers[rows], pairs, cores - 1, limit_s)
            scopes = {"all": np.ones(len(alone), dtype=bool), "single best over 1 s": alone > 1.0}
            result[label][f"{cores} cores"] = {
                scope: {
                    "instances": int(taken.sum()),
                    "single_best_par2_s": float(alone[taken].mean()),
                    "portfolio_par2_s": float(portfolio[taken].mean()),
                    "modelled_seeds_par2_s": float(modelled[taken].mean()),
                    "solved": {
                        "single best": int((alone[taken] <= limit_s).sum()),
                        "portfolio": int((portfolio[taken] <= limit_s).sum()),
                    },
                    "below_single_best": float(1 - portfolio[taken].sum() / alone[taken].sum()),
                    "below_modelled_seeds": float(1 - portfolio[taken].sum() / modelled[taken].sum()),
                    "below_modelled_seeds_95": interval(portfolio[taken], modelled[taken], rng),
                }
                for scope, taken in scopes.items()
                if taken.any()
            }
    own_seeds = [single, *(k for k in seeds if names[k].startswith(f"{SINGLE}:seed="))]
    chosen_members = [names.index(name) for name in result["chosen"]["members"]]
    result["against measured seeds"] = {}
    for cores in CORES:
        chosen, also = chosen_members[:cores], own_seeds[:cores]
        together = fastest(test, test_survived, chosen)
        told = np.isfinite(np.column_stack([together, test[:, also]])).all(axis=1)
        if len(also) < cores or not told.any():
            continue
        portfolio, seeded_runs = together[told], test[told][:, also].min(axis=1)
        result["against measured seeds"][f"{cores} cores"] = {
            "instances": int(told.sum()),
            "single_best_par2_s": float(test[told, single].mean()),
            "portfolio_par2_s": float(portfolio.mean()),
            "seeds_par2_s": float(seeded_runs.mean()),
            "solved": {
                "single best": int((test[told, single] <= limit_s).sum()),
                "portfolio": int((portfolio <= limit_s).sum()),
                "seeds": int((seeded_runs <= limit_s).sum()),
            },
            "below_seeds": float(1 - portfolio.sum() / seeded_runs.sum()),
            "below_seeds_95": interval(portfolio, seeded_runs, rng),
        }
    two = np.isfinite(test[:, [single, seeded]]).all(axis=1)
    measured = test[two][:, [single, seeded]].min(axis=1)
    modelled = modelled_seeds(test[two, single], test_answers[two], pairs, 1, limit_s)
    result["two seeds as measured"] = {
        "instances": int(two.sum()),
        "single_best_par2_s": float(test[two, single].mean()),
        "two_seeds_par2_s": float(measured.mean()),
        "two_seeds_by_the_model_par2_s": float(modelled.mean()),
    }
    return result


def published(path: Path, limit_s: float, rng: np.random.Generator) -> dict[str, Any]:
    """Compare on the published table, cross-validated by instance."""
    dataset = Dataset.open(path)
    runs = Counter(run.solver for run in dataset.runs if run.source)
    most = max(runs.values())
    names = sorted(name for name, count in runs.items() if count == most)
    par2 = member_par2(dataset, names, frozenset(dataset.instances), limit_s)[1]
    rows = np.isfinite(par2).all(axis=1)
    par2 = par2[rows]
    fold = np.random.default_rng(0).permutation(len(par2)) % FOLDS
    result: dict[str, Any] = {"limit_s": limit_s, "solvers": len(names), "instances": len(par2), "seeds": 0}
    costs: dict[str, Floats] = {"single best": np.zeros(len(par2)), "virtual best": par2.min(axis=1)}
    for cores in CORES:
        costs[f"{cores} cores"] = np.zeros(len(par2))
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        single = int(par2[inside].mean(axis=0).argmin())
        members = parallel_portfolio(par2[inside], np.zeros_like(par2[inside]), single, most=max(CORES))
        costs["single best"][outside] = par2[outside, single]
        for cores in CORES:
            costs[f"{cores} cores"][outside] = par2[outside][:, members[:cores]].min(axis=1)
    between = (costs["virtual best"] > 10.0) & (costs["virtual best"] <= limit_s)
    for scope, taken in (("all", np.ones(len(par2), dtype=bool)), ("virtual best between 10 s and the limit", between)):
        alone = costs["single best"][taken]
        result[scope] = {
            "instances": int(taken.sum()),
            **{
                name: {
                    "par2_s": float(cost[taken].mean()),
                    "solved": int((cost[taken] <= limit_s).sum()),
                    "below_single_best": float(1 - cost[taken].sum() / alone.sum()),
                    "below_single_best_95": interval(cost[taken], alone, rng),
                }
                for name, cost in costs.items()
            },
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own = [Path("datasets") / name for name in ("corpus", "kissat", "long", "members")]
    parser.add_argument("--own", type=Path, nargs="+", default=own)
    parser.add_argument("--published", type=Path, default=Path("datasets/published"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    result = {
        "data_sets": [path.name for path in options.own],
        "own runs, 10 s": own_runs(options.own, 10.0, rng),
        "own runs, 100 s": own_runs(options.own, 100.0, rng),
        "published runs": published(options.published, 5000.0, rng),
    }
    options.out.write_text(json.dumps(rounded(result)) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
