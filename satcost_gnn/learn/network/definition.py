"""What a network is, for those who learn it with torch and for those who compute it with numpy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.config import ModelConfig
from satcost_gnn.core.distribution import grid_for
from satcost_gnn.formula.compact_graph import CLAUSE_INPUTS, GRAPH_INPUTS, VARIABLE_INPUTS

#: Bounds before an exponential: exp(8) times a million nodes is far inside the range of single precision.
SCORE_LIMIT: Final = 8.0
EXTREME_LIMIT: Final = 4.0
#: Standardised node inputs beyond this are outliers whose size carries nothing more.
INPUT_LIMIT: Final = 5.0
#: Quantiles of the training data that a feature is described by, and bounds of what becomes of a feature.
KNOTS: Final = 41
FEATURE_LIMIT: Final = 4.0
#: Hazards are kept away from 0 and 1 by this, so that no observation is impossible.
SMALLEST_HAZARD: Final = 1e-4
LOGIT_LIMIT: Final = math.log((1 - SMALLEST_HAZARD) / SMALLEST_HAZARD)
#: Slope of what becomes of a logit outside the bounds: a gradient where a plain clamp would have none.
LOGIT_SLOPE: Final = 0.01


def normal_scores() -> NDArray[np.float32]:
    """Return ``float32[KNOTS]``: the standard normal quantiles of the knots' levels."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((k + 0.5) / KNOTS) for k in range(KNOTS)], dtype=np.float32)


def hazard_basis(bins: int, basis: int) -> NDArray[np.float32]:
    """Return ``float32[basis, bins]``: bumps over a grid, in each bin shares of one."""
    centres = np.linspace(0.0, 1.0, basis)
    bumps = np.exp(-0.5 * ((np.linspace(0, 1, bins)[None] - centres[:, None]) * (basis - 1)) ** 2)
    return np.asarray(bumps / bumps.sum(axis=0), dtype=np.float32)


@dataclass(frozen=True)
class ModelShape:
    """What a network is built for: numbers of features, and unit -> solvers, in the order of the outputs."""

    static: int
    online: int
    solvers: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        solvers = {unit: list(names) for unit, names in self.solvers.items()}
        return {"static": self.static, "online": self.online, "solvers": solvers}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build it from :meth:`to_json`."""
        solvers = {str(unit): tuple(names) for unit, names in values["solvers"].items()}
        return cls(int(values["static"]), int(values["online"]), solvers)


def planned_weights(config: ModelConfig, shape: ModelShape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return all weights of a network, to compare a file's with before memory is taken for them."""
    plan: dict[str, tuple[str, tuple[int, ...]]] = {}

    def take(name: str, *sizes: int, kind: str = "float32") -> None:
        plan[name] = (kind, sizes)

    def linear(name: str, inputs: int, outputs: int, *, bias: bool = True) -> None:
        take(f"{name}.weight", outputs, inputs)
        if bias:
            take(f"{name}.bias", outputs)

    def norm(name: str, width: int) -> None:
        take(f"{name}.weight", width)
        take(f"{name}.bias", width)

    def features(name: str, count: int) -> int:
        take(f"{name}.knots", count, KNOTS)
        for each in ("varies", "indicated"):
            take(f"{name}.{each}", count, kind="bool")
        return 2 * count

    width, sent = config.width, config.mean_channels + config.extreme_channels
    joined = len(config.modalities)
    if "graph" in config.modalities:
        for name, count in (("variable", len(VARIABLE_INPUTS)), ("clause", len(CLAUSE_INPUTS))):
            for each in ("mean", "scale"):
                take(f"encoder.{name}_inputs.{each}", count)
        linear("encoder.embed_variable.0", len(VARIABLE_INPUTS), width)
        linear("encoder.embed_variable.2", width, width)
        linear("encoder.embed_clause", len(CLAUSE_INPUTS), width)
        for number in range(config.rounds):
            here = f"encoder.rounds.{number}"
            linear(f"{here}.to_clause", width, 2 * sent)
            linear(f"{here}.to_variable", width, sent)
            for kind, heard in (("clause", sent), ("variable", 4 * sent)):
                linear(f"{here}.{kind}_own", width, width)
                linear(f"{here}.{kind}_heard", heard, width, bias=False)
                norm(f"{here}.{kind}_norm", width)
        for nodes in ("variables", "clauses"):
            linear(f"encoder.pool_{nodes}.score", width, config.heads)
        linear("fusion.narrow.0", 6 * width + features("graph_inputs", len(GRAPH_INPUTS)), config.graph_width)
        norm("fusion.narrow.1", config.graph_width)
        joined += config.graph_width
    for name, count in (("static", shape.static), ("online", shape.online)):
        if name in config.modalities:
            joined += features(name, count)
    take("fusion.scales", config.fused_members, joined)
    linear("fusion.layers.0", joined, config.fused_width)
    linear("fusion.layers.3", config.fused_width, config.fused_width)
    for unit, solvers in shape.solvers.items():
        outputs = len(solvers) * config.hazard_basis
        take(f"heads.{unit}.bias", len(solvers), grid_for(unit).bins)
        take(f"heads.{unit}.coefficients", config.fused_members, config.fused_width, outputs)
        take(f"heads.{unit}.member_bias", config.fused_members, outputs)
    return plan
