"""How long the network takes to train on the devices of a machine, and whether it learns the same on each.

What is trained on is packed first, where the data set and the cache are, into one file that another machine can be
given; there neither the instances nor a solver is needed. Classical estimators beside the network are not timed.

python benchmarks/training_speed.py pack --config configs/corpus.toml --root CNF --out samples.npz
python benchmarks/training_speed.py run samples.npz --config configs/corpus.toml --device cuda cpu --out speed.json
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from satcost_gnn.config import NetworkConfig, read_config
from satcost_gnn.data.execution import machine_description
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.static_feature_list import ORDER_FEATURE_NAMES
from satcost_gnn.learn.network.batching import GraphSample, TargetRow, collate, graph_sample, plan_batches
from satcost_gnn.learn.network.cost_model import CostModel
from satcost_gnn.learn.network.definition import ModelShape
from satcost_gnn.learn.network.joined_tables import marginal_logits
from satcost_gnn.learn.network.losses import batch_losses
from satcost_gnn.learn.network.training import train_member

_GRAPH = ("variable_inputs", "clause_inputs", "graph_inputs", "clause_offsets", "clause_literals")
# Every so many instances one is held out.
_HELD_OUT = 8
# What is changed in the configuration, by name: the last two are a network and graphs for a GPU.
_LARGE = {
    "model": {"width": 64, "rounds": 3, "mean_channels": 32, "extreme_channels": 16},
    "batches": {"max_graph_edges": 40_000, "edges": 2_000_000},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "as configured": {},
    "4 workers": {"batches": {"workers": 4}},
    "bf16-mixed, 4 workers": {"precision": "bf16-mixed", "batches": {"workers": 4}},
    "large, 8 workers": {**_LARGE, "batches": {**_LARGE["batches"], "workers": 8}},
    "large, bf16-mixed, 8 workers": {
        **_LARGE,
        "batches": {**_LARGE["batches"], "workers": 8},
        "precision": "bf16-mixed",
    },
}


def pack(options: argparse.Namespace) -> None:
    """Write the samples that a training run of a configuration learns from, except those of the test side."""
    from satcost_gnn.learn.labelled_instances import prepare
    from satcost_gnn.runtime.progress import ProgressLine

    config = read_config(options.config, root=options.root, cache=options.cache)
    _, data = prepare(config, ProgressLine)
    rows = data.side("train", "validation")[: options.instances]
    tables = {unit: table.subset(rows) for unit, table in data.tables.items()}
    instances = next(iter(tables.values())).instances
    online = next(one.online for one in instances if one.online is not None)
    static_names = tuple(name for name in instances[0].static.names if name not in ORDER_FEATURE_NAMES)
    samples = [graph_sample(one, static_names, online.names, options.edges) for one in instances]
    arrays: dict[str, Any] = {
        "static": np.stack([one.static for one in samples]),
        "online": np.stack([one.online for one in samples]),
        "families": np.unique(next(iter(tables.values())).groups, return_inverse=True)[1],
        "units": np.array(list(tables)),
        "solvers": np.array(next(iter(tables.values())).solvers),
    }
    for name in _GRAPH:
        parts = [getattr(one.graph, name) for one in samples]
        arrays[f"{name}.counts"] = np.array([len(part) for part in parts])
        arrays[name] = np.concatenate(parts)
    for unit, table in tables.items():
        arrays |= {
            f"{unit}.cost": np.where(table.known, table.cost, 0.0),
            f"{unit}.censored": table.censored,
            f"{unit}.known": table.known,
            f"{unit}.marginal": marginal_logits(table),
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def unpack(path: Path) -> tuple[list[GraphSample], list[GraphSample], ModelShape, dict[str, Any]]:
    """Return samples to learn from, samples held out, the network's shape, and the marginal hazards."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    parts = {}
    for name in _GRAPH:
        parts[name] = np.split(arrays[name], np.cumsum(arrays[f"{name}.counts"])[:-1])
    units, solvers = arrays["units"].tolist(), tuple(arrays["solvers"].tolist())
    count = len(arrays["static"])
    samples = [
        GraphSample(
            CompactGraph(**{name: parts[name][i] for name in _GRAPH}),
            arrays["static"][i],
            arrays["online"][i],
            {
                unit: TargetRow(
                    arrays[f"{unit}.cost"][i].astype(np.float32),
                    arrays[f"{unit}.censored"][i],
                    arrays[f"{unit}.known"][i],
                )
                for unit in units
            },
            family=int(arrays["families"][i]),
        )
        for i in range(count)
    ]
    shape = ModelShape(arrays["static"].shape[1], arrays["online"].shape[1], dict.fromkeys(units, solvers))
    marginal = {unit: arrays[f"{unit}.marginal"] for unit in units}
    learnt = [one for i, one in enumerate(samples) if i % _HELD_OUT]
    return learnt, samples[::_HELD_OUT], shape, marginal


def held_out_crps(model: CostModel, samples: Sequence[GraphSample], config: NetworkConfig, unit: str) -> float:
    """Return the mean CRPS of the members on samples, in decades."""
    total = count = 0.0
    edges = [one.graph.n_edges for one in samples]
    for part in plan_batches(edges, max_edges=config.batches.edges, max_graphs=config.batches.graphs):
        batch = collate([samples[i] for i in part])
        with torch.inference_mode():
            losses = batch_losses(model(batch), batch, config.loss)
        total += float(losses.crps[unit])
        count += float(losses.count[unit])
    return total / count


def timed(
    config: NetworkConfig, device: str, data: tuple[list[GraphSample], list[GraphSample], ModelShape, dict[str, Any]]
) -> dict[str, Any]:
    """Train once and return seconds by kind of epoch, memory and accuracy."""
    learnt, held_out, shape, marginal = data
    config = config.model_copy(update={"accelerator": "gpu" if device == "cuda" else "cpu"})
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        model = train_member(config, shape, learnt, [], marginal, directory=Path(place))
        total = time.monotonic() - start
        with (Path(place) / "log.csv").open(newline="") as stream:
            seconds = [float(row["seconds"]) for row in csv.DictReader(stream)]
    learning = config.optimiser.encoder_epochs
    found: dict[str, Any] = {
        "seconds": round(total, 1),
        # The first epoch has warming up in it.
        "graph_epoch_seconds": round(float(np.median(seconds[1:learning])), 2) if learning > 1 else None,
        # The first epoch after the encoder's last has the encoding of all graphs in it.
        "fusion_epoch_seconds": round(float(np.median(seconds[learning + 1 :])), 2)
        if len(seconds) > learning + 1
        else None,
        "epochs": len(seconds),
        "held_out_crps": round(held_out_crps(model, held_out, config, next(iter(shape.solvers))), 4),
    }
    if device == "cuda":
        found["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


def run(options: argparse.Namespace) -> None:
    """Train in each way on each device, and write what was measured."""
    data = unpack(options.samples)
    base = read_config(options.config).network
    rows: list[dict[str, Any]] = []
    if options.out.exists() and options.add:
        rows = json.loads(options.out.read_text())["runs"]
    for device in options.device:
        for name in options.variant:
            values = base.model_dump(mode="json")
            for section, change in VARIANTS[name].items():
                values[section] = {**values[section], **change} if isinstance(change, dict) else change
            if options.epochs:
                values["optimiser"]["epochs"] = options.epochs
                values["optimiser"]["encoder_epochs"] = min(options.epochs, values["optimiser"]["encoder_epochs"])
            if options.threads and device == "cpu":
                torch.set_num_threads(options.threads)
            row = {
                "machine": machine_description(),
                "device": torch.cuda.get_device_name() if device == "cuda" else device,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "variant": name,
                "instances": len(data[0]),
                "mean_edges": round(float(np.mean([one.graph.n_edges for one in data[0]]))),
            }
            row |= timed(NetworkConfig.checked(values), device, data)
            print(json.dumps(row), flush=True)
            rows.append(row)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps({"runs": rows}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write the training samples of a configuration into one file")
    packing.add_argument("--config", type=Path, required=True)
    packing.add_argument("--root", type=Path)
    packing.add_argument("--cache", type=Path)
    packing.add_argument("--edges", type=int, default=2_000, help="literal occurrences kept of a graph")
    packing.add_argument("--instances", type=int, help="only so many instances")
    packing.add_argument("--out", type=Path, required=True)
    running = commands.add_parser("run", help="train on packed samples and measure")
    running.add_argument("samples", type=Path)
    running.add_argument("--config", type=Path, required=True)
    running.add_argument("--device", nargs="+", choices=("cuda", "cpu"), default=["cpu"])
    running.add_argument("--variant", nargs="+", choices=tuple(VARIANTS), default=["as configured"])
    running.add_argument("--epochs", type=int, help="fewer epochs than configured")
    running.add_argument("--threads", type=int, help="threads of the CPU")
    running.add_argument("--add", action="store_true", help="add to the runs that the output has already")
    running.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (pack if options.command == "pack" else run)(options)


if __name__ == "__main__":
    main()
