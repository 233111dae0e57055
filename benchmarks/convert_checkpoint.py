"""Convert a checkpoint of format 2 to format 3: ``python benchmarks/convert_checkpoint.py OLD NEW``.

Until format 2 the network's directory held what it was mixed with, some of it more than once, and the versions of the
features stood in one text. Predictions stay the same: no estimator is fitted again.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from satcost_gnn.config import ensemble_moved
from satcost_gnn.learn.calibration import Calibration
from satcost_gnn.learn.ensemble.mixture import Mixture
from satcost_gnn.learn.ensemble.ood_gate import OutOfDistributionGate
from satcost_gnn.learn.ensemble.within_reach import WithinReach
from satcost_gnn.learn.out_of_distribution import OODDetector
from satcost_gnn.learn.registry import load_estimator
from satcost_gnn.serve.checkpoint import Checkpoint, CheckpointConfig
from satcost_gnn.serve.members import NETWORK, MemberStore

_LIMITS = ("read", "graph_size_limit", "cpu_s", "wall_s", "memory_mb")
_MIXED = ("ensemble_member", "ensemble_member_weight", "ood_fallback_weight", "ood_fallback_constant")


def _versions(key: str) -> dict[str, Any]:
    """Return the versions of features from a text such as ``s1-o1.1-g2-e40000-probe1-cadical195@1.9-...``."""
    words = key.split("-")
    static, online, graph = (word[1:] for word in words[:3])
    online, _, added = online.partition(".")
    release = next((word.partition("@")[2].partition(",")[0] for word in words if "@" in word), "")
    return {
        "static": static,
        "online": online,
        "online_added": int(added or 0),
        "graph": graph,
        "probe": "1",
        "dives": "1",
        "probe_replicate": 1,
        "release": release,
    }


class _Network:
    """A network of format 2, with what it was mixed with in one unit."""

    def __init__(self, directory: Path, scratch: Path) -> None:
        header = json.loads((directory / "config.json").read_text())
        self.directory, self.units = directory, tuple(header["shape"]["solvers"])
        self.members = header.pop("ensemble_members")
        model = header["parameters"]["settings"]["model"]
        self.settings = {name: model.pop(name) for name in _MIXED}
        place = Path(tempfile.mkdtemp(dir=scratch))
        shutil.copy(directory / "model.safetensors", place)
        (place / "config.json").write_text(json.dumps(header, indent=1, sort_keys=True) + "\n")
        self.network: Any = load_estimator(NETWORK, place, device="cpu")
        gate = directory / "ood-fallback"
        self.detector = OODDetector.load(gate / "ood_detector") if gate.exists() else None
        self.later = directory / "earlier"

    def in_unit(self, unit: str) -> Any:
        """Return the network as it predicted in a unit."""
        found, share = self.network.for_unit(unit), self.settings["ensemble_member_weight"]
        if unit in self.members:
            member = load_estimator(self.members[unit], self.directory / f"ensemble-member-{unit}")
            found = Mixture.of([found, member], [1.0 - share, share])
        if self.detector is None:
            return found
        early, constant = self.settings["ood_fallback_weight"], self.settings["ood_fallback_constant"]
        parts = {"known": found, "detector": self.detector}
        if early:
            parts["novel"] = load_estimator("forest", self.directory / "ood-fallback" / unit)
        if constant:
            parts["constant"] = load_estimator("constant", self.directory / "ood-fallback" / f"constant-{unit}")
        return OutOfDistributionGate.of(parts, early, constant)


def convert(old: Path, new: Path) -> None:
    """Write a checkpoint of format 2 as one of today."""
    values = json.loads((old / "config.json").read_text())
    settings = values.pop("preprocess")
    values["limits"] = {name: value for name, value in settings.items() if name in _LIMITS}
    values["features"] = {name: value for name, value in settings.items() if name not in _LIMITS}
    values["feature_versions"] = _versions(values.pop("preprocess_key"))
    values["training"]["config"], _ = ensemble_moved(values["training"]["config"])
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        staging = scratch / new.name
        staging.mkdir()
        store = MemberStore(staging)
        later = _Network(old / "gnn", scratch)
        store.add(NETWORK, later.network)
        before = _Network(later.later, scratch) if later.later.exists() else None
        about = json.loads((later.later / "about.json").read_text()) if before is not None else {}
        for unit in values["units"]:
            for place in sorted((old / unit).iterdir()):
                if place.is_dir():
                    kind = json.loads((place / "estimator.json").read_text())["estimator"]
                    store.add(f"{unit}/{place.name}", load_estimator(kind, place))
            best = later.in_unit(unit)
            if before is not None and unit in about["reach"]:
                maps = [Calibration.from_json(about[name][unit]) for name in ("calibrations", "on_new")]
                best = WithinReach.of(before.in_unit(unit), best, about["reach"][unit], *maps)
            store.add(f"{unit}/ensemble", best)
        for name in ("background.npz", "portfolio.json", "CARD.md"):
            if (old / name).exists():
                shutil.copy(old / name, staging)
        shutil.copytree(old / "ood_detector", staging / "ood_detector")
        for unit in values["units"]:
            for place in sorted((old / unit).iterdir()):
                if place.is_file():
                    shutil.copy(place, staging / unit)
        for name in ("calibration.json", "metrics.json"):
            text = (old / name).read_text().replace('"gnn"', '"ensemble"')
            (staging / name).write_text(text)
        values["members"] = {name: one.model_dump() for name, one in store.members.items()}
        values["chain"] = ["ensemble" if name == NETWORK else name for name in values["chain"]]
        values["format_version"] = 3
        Checkpoint.write(staging, new, CheckpointConfig.from_dict(values, str(old / "config.json")))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
