"""Whatever happens to a file of a checkpoint: an error of ours that names it, or the next estimator and the reason."""

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaging import DAMAGES, damages_of, linked_copy
from safetensors.numpy import load_file, save_file

from satcost_gnn.data.generate import from_recipe
from satcost_gnn.decide.training_statistics import TrainingStatistics
from satcost_gnn.errors import CheckpointError
from satcost_gnn.serve.checkpoint import Checkpoint
from satcost_gnn.serve.checkpoint_contents import open_estimator
from satcost_gnn.serve.members import NETWORK, with_parts
from satcost_gnn.serve.phases import PhasePredictor, find_phase_checkpoint
from satcost_gnn.serve.predictor import Predictor

SHIPPED = Checkpoint.open()
FILES = sorted([*SHIPPED.config.files, "config.json"])
HARD = from_recipe("random-ksat:k=3,n=240,ratio=4.4,seed=3")


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """What waits for ever, as for a pipe that nobody writes to, is ended as a failure."""

    def give_up(*_: object) -> None:
        raise AssertionError("still not done")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def what_is_said(directory: Path, unit: str, changed: str = "") -> str:
    """Return the error of opening a checkpoint, or why its estimators (or that of a file) can't be had."""
    member = changed.rpartition("/")[0]
    try:
        with Predictor.from_checkpoint(directory, unit=unit, device="cpu") as predictor:
            config = predictor.checkpoint.config
            parts = {name: with_parts(config.members, config.member_for(name, unit)) for name in predictor.chain}
            chain = [name for name in predictor.chain if member not in config.members or member in parts[name]]
            found = (open_estimator(predictor._members, name) for name in chain)
            return "; ".join(reason for reason in found if isinstance(reason, str))
    except CheckpointError as error:
        return str(error)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with all the files of the shipped one, of which only the beginning is kept: it can be opened."""
    directory = tmp_path_factory.mktemp("small") / "c-v1"
    for name in FILES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        content = (SHIPPED.directory / name).read_bytes()
        (directory / name).write_bytes(content if name == "config.json" else content[:500])
    return Checkpoint.seal(directory).directory


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(name: str, small: Path, tmp_path: Path) -> None:
    unit = "cpu_seconds" if name.startswith("cpu_seconds/") else "conflicts"
    for kind, damage in damages_of(Path(name)).items():
        directory = linked_copy(small, tmp_path / kind)
        damage(directory / name)
        try:
            checkpoint = Checkpoint.open(directory)
        except CheckpointError as error:
            # Nothing can be predicted with it.
            assert str(directory / name) in str(error), kind
            assert f"{unit}/" not in name or name.endswith(("probe_offset.json", "relative_cost.json"))
        else:
            member = name.rpartition("/")[0]
            with pytest.raises(CheckpointError, match=re.escape(str(directory / name))):
                checkpoint.member(member)
            assert checkpoint.check_files()
            whole = {"/".join(file.split("/")[:2]) for file in FILES if file.startswith(("conflicts/", "cpu_seconds/"))}
            for other in whole - {member, f"{unit}/probe_offset.json", f"{unit}/relative_cost.json"}:
                if (directory / other).is_dir():
                    assert checkpoint.member(other) == directory / other
    assert Checkpoint.open(small).check_files() == []


@pytest.mark.parametrize("member", [NETWORK, "conflicts/forest", "conflicts/forest_static", "conflicts/ensemble.novel"])
def test_a_damaged_estimator_is_passed_over_with_the_reason(member: str, tmp_path: Path) -> None:
    directory = linked_copy(SHIPPED.directory, tmp_path / "c-v1")
    file = next(name for name in SHIPPED.config.files if name.startswith(f"{member}/") and not name.endswith(".json"))
    DAMAGES["flipped"](directory / file)
    said = what_is_said(directory, "conflicts")
    assert said.startswith("cannot be loaded (") and file in said
    assert what_is_said(directory, "cpu_seconds") == ("" if member != NETWORK else said)


def test_a_prediction_goes_on_with_the_next_estimator(tmp_path: Path) -> None:
    directory = linked_copy(SHIPPED.directory, tmp_path / "c-v1")
    DAMAGES["pipe"](directory / "gnn/model.safetensors")
    DAMAGES["cut"](directory / "conflicts/forest/arrays.npz")
    with Predictor.from_checkpoint(directory, unit="conflicts") as predictor:
        rows = predictor.predict(HARD).rows()
    for row in rows:
        assert (row["status"], row["source"]) == ("ok", "forest")
        assert "model.safetensors: found a named pipe" in row["error"]
        assert "conflicts/forest/arrays.npz: it differs" in row["error"]


def test_a_file_that_no_hash_is_known_of_is_not_taken_for_a_part(tmp_path: Path) -> None:
    directory = linked_copy(SHIPPED.directory, tmp_path / "c-v1")
    (directory / "portfolio.json").unlink()
    Checkpoint.seal(_with_own_config(directory))
    shutil.copy(SHIPPED.directory / "portfolio.json", directory)
    assert TrainingStatistics.of_checkpoint(Checkpoint.open(directory)).origin == "constants"


# What was written on purpose, or by another program: all hashes are right, and something else is not. -----------------


def _with_own_config(directory: Path) -> Path:
    """Give a linked copy a configuration of its own to write to."""
    content = (directory / "config.json").read_bytes()
    (directory / "config.json").unlink()
    (directory / "config.json").write_bytes(content)
    return directory


def sealed(tmp_path: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """Return a copy of the shipped checkpoint in which a JSON file was changed and all hashes fit."""
    directory = _with_own_config(linked_copy(SHIPPED.directory, tmp_path / "c-v1"))
    path = directory / name
    content = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps(change(content)))
    Checkpoint.seal(directory)
    return directory


def _reversed(*keys: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(content: dict[str, Any]) -> dict[str, Any]:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = inner[keys[-1]][::-1]
        return content

    return change


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("config.json", ("solvers",)),
        ("conflicts/forest/estimator.json", ("solvers",)),
        ("conflicts/constant/estimator.json", ("solvers",)),
        ("gnn/config.json", ("shape", "solvers", "conflicts")),
        ("conflicts/ensemble/estimator.json", ("solvers",)),
        ("conflicts/ensemble.known/estimator.json", ("solvers",)),
        ("conflicts/ensemble.novel/estimator.json", ("solvers",)),
    ],
)
def test_solvers_in_another_order_are_noticed(name: str, keys: tuple[str, ...], tmp_path: Path) -> None:
    said = what_is_said(sealed(tmp_path, name, _reversed(*keys)), "conflicts")
    solvers = SHIPPED.config.solvers
    assert ", ".join(solvers) in said and ", ".join(solvers[::-1]) in said


READ = [
    "config.json",
    "calibration.json",
    "ood_detector/detector.json",
    "conflicts/probe_offset.json",
    "conflicts/forest/estimator.json",
    "conflicts/forest_static/estimator.json",
    "conflicts/linear/estimator.json",
    "conflicts/tree_size/estimator.json",
    "conflicts/constant/estimator.json",
    "gnn/config.json",
    "conflicts/ensemble/estimator.json",
    "conflicts/ensemble.known/estimator.json",
    "conflicts/ensemble.novel/estimator.json",
]


@pytest.mark.parametrize("name", READ)
def test_json_of_another_shape_is_noticed(name: str, tmp_path: Path) -> None:
    content = json.loads((SHIPPED.directory / name).read_text())
    changes: dict[str, Callable[[Any], Any]] = {}
    # Not written by seal, or (for the other unit) not read.
    free = {"sha256", "files", "format_version", "cpu_seconds", "package_version"}
    # What has a default value in files that don't say it.
    optional = {"judged_by", "judged", "label_bounds", "solver_correlation"}
    for key in content:
        if key not in free:
            wrong: object = 7 if isinstance(content[key], list | dict | str) else {"a": []}
            changes[f"wrong {key}"] = lambda found, key=key, wrong=wrong: found | {key: wrong}
            if key not in optional:
                changes[f"no {key}"] = lambda found, key=key: {k: v for k, v in found.items() if k != key}
    if "detector.json" not in name and name not in ("calibration.json", "conflicts/probe_offset.json"):
        changes["unknown"] = lambda found: found | {"surprise": 1}
    for kind, change in changes.items():
        if (name, kind) in {("calibration.json", "no conflicts")}:
            continue
        try:
            directory = sealed(tmp_path / kind, name, change)
        except CheckpointError as error:
            said = str(error)
        else:
            said = what_is_said(directory, "conflicts", name)
        assert said, kind
        assert name.split("/")[-2 if "/" in name else 0] in said, (kind, said)
        if kind == "unknown":
            assert "found unknown key 'surprise'" in said


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("parameters", "settings", "model", "rounds"), 1_000_000),
        (("parameters", "settings", "model", "rounds"), 90),
        (("parameters", "settings", "model", "width"), 1_000_000),
        (("parameters", "settings", "model", "fused_width"), 65_536),
        (("parameters", "settings", "members"), 10_000),
        (("parameters", "settings", "members"), 2),
        (("shape", "static"), 10**12),
        (("shape", "online"), 10**6),
        (("shape", "solvers"), {"conflicts": [f"s{k}" for k in range(100_000)]}),
    ],
)
def test_a_network_of_another_size_is_noticed_before_it_is_built(
    keys: tuple[str, ...], value: object, tmp_path: Path
) -> None:
    def change(content: dict[str, Any]) -> dict[str, Any]:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return content

    said = what_is_said(sealed(tmp_path, "gnn/config.json", change), "conflicts", "gnn")
    assert "gnn" in said and ("expected" in said or "less than or equal" in said)


def test_weights_of_another_shape_or_name_are_noticed(tmp_path: Path) -> None:
    weights = load_file(SHIPPED.directory / "gnn/model.safetensors")
    first = next(iter(weights))
    for number, changed in enumerate(
        [
            weights | {first: np.zeros((3, 5), dtype=np.float32)},
            weights | {first: weights[first].astype(np.float64)},
            {name: tensor for name, tensor in weights.items() if name != first},
            weights | {"0.another": np.zeros(1, dtype=np.float32)},
        ]
    ):
        directory = _with_own_config(linked_copy(SHIPPED.directory, tmp_path / str(number)))
        (directory / "gnn/model.safetensors").unlink()
        save_file(changed, directory / "gnn/model.safetensors")
        Checkpoint.seal(directory)
        said = what_is_said(directory, "conflicts")
        assert "model.safetensors: found 0." in said and "expected" in said


def test_a_file_outside_the_directory_is_no_part_of_it(tmp_path: Path) -> None:
    directory = linked_copy(SHIPPED.directory, tmp_path / "c-v1")
    config = json.loads((directory / "config.json").read_text())
    for name in ("../x", "/etc/hostname"):
        (directory / "config.json").unlink()
        (directory / "config.json").write_text(json.dumps({**config, "files": {name: "0"}}))
        with pytest.raises(CheckpointError, match="no file of the directory"):
            Checkpoint.open(directory)


# The network of phases. -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["phases.json", "model.safetensors"])
def test_a_damaged_network_of_phases_is_named(name: str, tmp_path: Path) -> None:
    shipped = find_phase_checkpoint()
    for kind, damage in damages_of(Path(name)).items():
        directory = linked_copy(shipped, tmp_path / kind)
        damage(directory / name)
        if (name, kind) == ("phases.json", "flipped"):
            # In the middle stands how it was trained, which nothing depends on.
            continue
        with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
            PhasePredictor.from_checkpoint(directory)


def test_a_network_of_phases_of_another_size_is_noticed(tmp_path: Path) -> None:
    directory = linked_copy(find_phase_checkpoint(), tmp_path / "p-v1")
    header = json.loads((directory / "phases.json").read_text())
    for rounds in (1_000_000, 90, -1, "many"):
        (directory / "phases.json").unlink()
        (directory / "phases.json").write_text(json.dumps(header | {"model": header["model"] | {"rounds": rounds}}))
        with pytest.raises(CheckpointError, match="rounds"):
            PhasePredictor.from_checkpoint(directory)
