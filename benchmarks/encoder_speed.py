"""What encoding a graph costs, beside the same encoder as one would write it with torch-geometric.

python benchmarks/encoder_speed.py --out docs/benchmarks/encoder_speed.json

The peer has the same weights and gives the same vectors (checked here to 1e-3 of the largest), with
``MessagePassing`` along an ``edge_index``, which gathers a row an edge and scatters it, and torch-geometric's pooling.
Graphs are those of random 3-SAT with 4.2 clauses a variable, widths those of a configuration. Every measurement is made
in a process of its own with one thread, both ways in turn: CPU seconds are the median of its runs after a first one,
bytes the growth of the process beyond the batch and the weights.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

from large_stages import resident_kib
from scaling import random_formula

from satcost_gnn.config import read_config
from satcost_gnn.data.execution import machine_description

WAYS = ("ours", "gather-scatter")
#: Without gradients, as in a prediction; forwards and backwards, as in training.
MODES = ("inference", "training")
_SEED = 0


def _peer(encoder: Any) -> Any:
    """Return the encoder, with its weights, as torch-geometric would have it."""
    import torch
    from torch.nn import functional
    from torch_geometric.nn import MessagePassing, global_add_pool, global_max_pool, global_mean_pool

    from satcost_gnn.learn.network.definition import EXTREME_LIMIT, SCORE_LIMIT
    from satcost_gnn.learn.network.encoder import soft_bounded

    class Mean(MessagePassing):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(aggr="mean")

        def forward(self, values: Any, edge_index: Any, receivers: int) -> Any:
            return self.propagate(edge_index, x=(values, None), size=(len(values), receivers))

    mean = Mean()

    def heard_by(messages: Any, step: Any, edge_index: Any, receivers: int) -> Any:
        channels = step.aggregation.mean_channels
        extreme = soft_bounded(messages[:, channels:], EXTREME_LIMIT)
        found = mean(torch.cat([messages[:, :channels], extreme.exp()], dim=1), edge_index, receivers)
        return torch.cat([found[:, :channels], found[:, channels:].clamp(min=torch.e**-EXTREME_LIMIT).log()], dim=1)

    def pooled(pooling: Any, nodes: Any, graph_of: Any, graphs: int) -> Any:
        weights = soft_bounded(pooling.score(nodes), SCORE_LIMIT).exp()
        heads = nodes.view(len(nodes), pooling.heads, -1)
        total = global_add_pool((heads * weights[:, :, None]).flatten(1), graph_of, graphs)
        weight = global_add_pool(weights, graph_of, graphs)
        attention = (total.view(graphs, pooling.heads, -1) / weight[:, :, None]).flatten(1)
        return torch.cat(
            [global_mean_pool(nodes, graph_of, graphs), attention, global_max_pool(nodes, graph_of, graphs)], dim=1
        )

    def encode(batch: Any) -> Any:
        clause_of = torch.repeat_interleave(batch.clause_offsets.diff())
        to_clause = torch.stack([batch.clause_literals, clause_of])
        to_literal = to_clause.flip(0)
        degree = batch.literal_offsets.diff()
        variables = encoder.embed_variable(encoder.variable_inputs(batch.variable_inputs) * encoder.seen)
        clauses = encoder.embed_clause(encoder.clause_inputs(batch.clause_inputs))
        for step in encoder.rounds:
            sent = step.aggregation.channels
            heard = heard_by(step.to_clause(variables).view(-1, sent), step, to_clause, len(clauses))
            clauses = step.clause_norm(clauses + functional.gelu(step.clause_own(clauses) + step.clause_heard(heard)))
            heard = heard_by(step.to_variable(clauses), step, to_literal, 2 * len(variables))
            scaled = heard * (degree.log1p() / 3.0)[:, None]
            both = torch.cat([heard.view(-1, 2 * sent), scaled.view(-1, 2 * sent)], dim=1)
            variables = step.variable_norm(
                variables + functional.gelu(step.variable_own(variables) + step.variable_heard(both))
            )
        graphs = len(batch.variables.counts)
        return torch.cat(
            [
                pooled(pooling, nodes, torch.repeat_interleave(ranges.counts), graphs)
                for pooling, nodes, ranges in (
                    (encoder.pool_variables, variables, batch.variables),
                    (encoder.pool_clauses, clauses, batch.clauses),
                )
            ],
            dim=1,
        )

    return encode


def _measured(way: str, mode: str, edges: int, config: str, runs: int, results: Any) -> None:
    import numpy as np
    import torch

    from satcost_gnn.formula.graph import clause_variable_graph
    from satcost_gnn.learn.network.batching import GraphSample, collate
    from satcost_gnn.learn.network.encoder import GraphEncoder

    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    graph = clause_variable_graph(random_formula(edges, _SEED), None, max_edges=edges)
    nothing = np.zeros(1, dtype=np.float32)
    batch = collate([GraphSample(graph, nothing, nothing)])
    encoder = GraphEncoder(read_config(Path(config)).network.model)
    encode = encoder if way == "ours" else _peer(encoder)

    def run() -> Any:
        if mode == "inference":
            with torch.no_grad():
                return encode(batch)
        vector = encode(batch)
        vector.square().mean().backward()
        return vector.detach()

    Path("/proc/self/clear_refs").write_text("5")
    before_kib = resident_kib("VmRSS")
    vector = run()
    grown = 1024 * (resident_kib("VmHWM") - before_kib)
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    results.put((statistics.median(seconds), grown, vector.numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/corpus.toml")
    parser.add_argument("--edges", type=float, nargs="+", default=[1e5, 1e6])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found = []
    for edges in map(int, options.edges):
        for mode in MODES:
            rows: dict[str, list[Any]] = {way: [] for way in WAYS}
            for _ in range(options.repeats):
                for way in WAYS:
                    results: Any = context.Queue()
                    arguments = (way, mode, edges, options.config, options.runs, results)
                    process = context.Process(target=_measured, args=arguments)
                    process.start()
                    rows[way].append(results.get(timeout=900))
                    process.join()
            ours, peer = (rows[way][0][2] for way in WAYS)
            difference = float(abs(ours - peer).max() / abs(peer).max())
            if difference > 1e-3:
                raise SystemExit(f"the two encoders differ by {difference:.2g} of the largest value")
            row: dict[str, Any] = {"edges": edges, "mode": mode, "difference": float(f"{difference:.2g}")}
            for way in WAYS:
                row[way] = {
                    "cpu_s": round(statistics.median(one[0] for one in rows[way]), 4),
                    "bytes_an_edge": round(statistics.median(one[1] for one in rows[way]) / edges, 1),
                }
            row["speed"] = round(row["gather-scatter"]["cpu_s"] / row["ours"]["cpu_s"], 2)
            row["memory"] = round(row["ours"]["bytes_an_edge"] / row["gather-scatter"]["bytes_an_edge"], 2)
            found.append(row)
            print(json.dumps(row), flush=True)
    report = {"machine": machine_description(), "date": time.strftime("%F"), "repeats": options.repeats}
    options.out.write_text(json.dumps({**report, "found": found}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
