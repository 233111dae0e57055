"""Predicted phases: for each variable of a formula the probability that it is true in a model.

What they are good for, and what not, has been measured: see ``docs/phases.md``. A checkpoint of this network is a
directory of its own beside those of the cost models::

    phases-v<N>/
      phases.json        format, settings of the network and of its training, accuracy, hash of the weights
      model.safetensors  its weights
      CARD.md            what it was trained on and where it fails
"""

from __future__ import annotations

import csv
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from satcost_gnn import __version__
from satcost_gnn.errors import CheckpointError, DamagedFileError, FormulaError, PhaseError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.compact_graph import CompactGraph
from satcost_gnn.formula.sources import FormulaSource, for_children
from satcost_gnn.formula.text_stream import LONGEST_WAIT_S, read_text_bytes
from satcost_gnn.runtime.output_files import new_directory, replacing, write_json, write_text
from satcost_gnn.runtime.sandbox import Sandbox
from satcost_gnn.runtime.stored_files import checked, read_json_object, sha256
from satcost_gnn.search.phase_graph import PHASE_GRAPH_LIMIT, PhaseGraph, read_phase_graph
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.section import Section
from satcost_gnn.serve.checkpoint import checkpoint_directories

if TYPE_CHECKING:
    from satcost_gnn.learn.network.phase_model import PhaseModel

__all__ = ["PhasePredictor", "Phases", "find_phase_checkpoint", "read_phases", "save_phase_checkpoint"]

FORMAT_VERSION = 1
_HEADER = "phases.json"
_WEIGHTS = "model.safetensors"
_LITERALS_A_LINE = 20


class PhaseHeader(Section):
    """``phases.json``: sizes of the network, hash of its weights, and how it was trained, for the record."""

    format_version: int
    package_version: str
    model: dict[str, Any]
    sha256: str
    training: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Phases:
    """Predicted phases of one formula.

    Parameters
    ----------
    variables
        ``int32[k]``: numbers of the variables that occur in the formula (but in tautologies alone), rising.
    probability
        ``float32[k]``: predicted probability that each is true.
    source
        ``network``, or ``model`` if an early search found a model, whose values these then are.
    label
        Name and version of the checkpoint.
    timings
        CPU seconds by stage.
    """

    variables: NDArray[np.int32]
    probability: NDArray[np.float32]
    source: str
    label: str
    timings: dict[str, float] = field(default_factory=dict)

    def literals(self, confidence: float = 0.5) -> NDArray[np.int32]:
        """Return the likelier literal of each variable, as PySAT's ``set_phases`` takes them.

        Parameters
        ----------
        confidence
            Least probability of the likelier literal; variables that are less sure are left out.

        Returns
        -------
        NDArray
            ``int32[<= k]``: signed variable numbers.
        """
        signs = np.where(self.probability > 0.5, 1, -1).astype(np.int32)
        sure = np.maximum(self.probability, 1 - self.probability) >= confidence
        return (signs * self.variables)[sure]

    def write(self, path: Path) -> None:
        """Write the phases to a file.

        A name that ends in ``.csv`` gets a table with the columns ``variable`` and ``probability_true``; any other gets
        the lines of values that solvers print: ``v``, signed variable numbers, and 0 at the end.
        """
        if path.suffix == ".csv":
            with replacing(path) as temporary, temporary.open("w", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(("variable", "probability_true"))
                for variable, probability in zip(self.variables.tolist(), self.probability.tolist(), strict=True):
                    writer.writerow((variable, f"{probability:.6g}"))
            return
        values = [*self.literals().tolist(), 0]
        lines = [f"c phases by {self.label}, source {self.source}"]
        for start in range(0, len(values), _LITERALS_A_LINE):
            lines.append("v " + " ".join(map(str, values[start : start + _LITERALS_A_LINE])))
        write_text(path, "\n".join(lines) + "\n")


def read_phases(path: Path | str, confidence: float = 0.5) -> list[int]:
    """Read a file that :meth:`Phases.write` has written, for PySAT's ``set_phases``.

    Parameters
    ----------
    path
        The file: value lines, or a table if its name ends in ``.csv``.
    confidence
        Least probability of the likelier literal; only for a table.

    Raises
    ------
    PhaseError
        If it can't be read.
    """
    try:
        deadline = time.monotonic() + LONGEST_WAIT_S
        text = read_text_bytes(path, "what `satcost predict --phases` writes", deadline=deadline).decode()
        if Path(path).suffix == ".csv":
            rows = list(csv.DictReader(text.splitlines()))
            pairs = [(int(row["variable"]), float(row["probability_true"])) for row in rows]
            return [v if p > 0.5 else -v for v, p in pairs if max(p, 1 - p) >= confidence]
        values = [int(word) for line in text.splitlines() if line.startswith("v") for word in line[1:].split()]
    except (FormulaError, UnicodeDecodeError) as error:
        raise PhaseError(f"{path}: cannot be read: {error}") from error
    except (ValueError, KeyError) as error:
        raise PhaseError(f"{path}: found {error}; expected what `satcost predict --phases` writes") from None
    if values[-1:] != [0] or 0 in values[:-1]:
        raise PhaseError(f"{path}: found no closing 0 in its lines of values; expected one, at the end of the last")
    return values[:-1]


def find_phase_checkpoint(where: Path | str | None = None) -> Path:
    """Return the directory of a checkpoint: the one named, or the newest that ships with the package.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    if where is not None:
        if (Path(where) / _HEADER).exists():
            return Path(where)
        raise CheckpointError(f"{where}: found no {_HEADER}; expected the directory of a phase network")
    known = [path.parent for root in checkpoint_directories() for path in root.glob(f"*-v*/{_HEADER}")]
    if not known:
        raise CheckpointError("found no phase network; expected a directory phases-v1 among the checkpoints")
    return max(known, key=lambda path: int(found[1]) if (found := re.search(r"-v(\d+)$", path.name)) else -1)


def save_phase_checkpoint(directory: Path, model: PhaseModel, training: dict[str, Any]) -> None:
    """Write a checkpoint, all but its card, into a new directory, whose name is the checkpoint's.

    What it was trained on and how (``training``) is kept for the record.

    Raises
    ------
    CheckpointError
        If the directory exists.
    """
    from safetensors.torch import save_file

    if directory.exists():
        raise CheckpointError(f"{directory} exists; checkpoints are never overwritten, choose the next version")
    with new_directory(directory) as staging:
        save_file(model.state_dict(), staging / _WEIGHTS)
        header = {
            "format_version": FORMAT_VERSION,
            "package_version": __version__,
            "model": model.config.model_dump(),
            "sha256": sha256(staging / _WEIGHTS),
            "training": training,
        }
        write_json(staging / _HEADER, header, indent=1)


class PhasePredictor:
    """Predicts phases of formulas on the CPU.

    Use it as a context manager: it holds a helper process in which formulas are read.

    Examples
    --------
    >>> from pysat.solvers import Solver
    >>> formula = Formula.from_clauses([[1, 2], [-1, 2], [1, -2, 3]])
    >>> with PhasePredictor.from_checkpoint() as predictor, Solver("minisat22", formula.clauses()) as solver:
    ...     solver.set_phases(predictor.predict(formula).literals().tolist())
    ...     solver.solve()
    True
    """

    def __init__(self, model: PhaseModel, label: str) -> None:
        self.model, self.label = model.eval(), label
        self._sandbox = Sandbox()

    @classmethod
    def from_checkpoint(cls, where: Path | str | None = None) -> Self:
        """Load a network; by default the newest that ships with the package.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged or of a newer format.
        """
        from satcost_gnn.learn.network.phase_model import PhaseModel, PhaseModelConfig
        from satcost_gnn.learn.network.stored_weights import load_weights

        directory = find_phase_checkpoint(where)
        header_path, weights = directory / _HEADER, directory / _WEIGHTS
        found = read_json_object(header_path)
        version = found.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError(
                f"{header_path}: found format version {version}, expected at most {FORMAT_VERSION}; install a "
                "newer satcost-gnn"
            )
        header = checked(PhaseHeader, found, str(header_path))
        if sha256(weights) != header.sha256:
            raise DamagedFileError(f"{weights} differs from when the checkpoint was made; get it again")
        config = checked(PhaseModelConfig, header.model, f"{header_path}: model")
        return cls(load_weights(weights, lambda: PhaseModel(config)), directory.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the helper process."""
        self._sandbox.close()

    def predict(
        self,
        source: FormulaSource,
        *,
        probe: ProbeSettings | None = None,
        size_limit: int = PHASE_GRAPH_LIMIT,
    ) -> Phases:
        """Predict the phases of one formula.

        Parameters
        ----------
        source
            A formula, an object of PySAT, clauses, or the path of a file.
        probe
            An early search whose counts the network is shown; None for the formula alone.
        size_limit
            Literal occurrences beyond which no phases are predicted.

        Raises
        ------
        PhaseError
            If the formula can't be read, is too large, or is found to be unsatisfiable on the way.
        """
        try:
            with for_children(source, deadline=time.monotonic() + LONGEST_WAIT_S) as formula:
                name = formula.source if isinstance(formula, Formula) else formula.name
                return self.predict_graph(read_phase_graph(self._sandbox, formula, probe, size_limit=size_limit), name)
        except FormulaError as error:
            raise PhaseError(str(error)) from None

    def predict_graph(self, found: PhaseGraph, name: str = "<graph>") -> Phases:
        """Predict the phases of a formula whose graph has been built; see :meth:`predict`."""
        if found.result == "UNSAT":
            raise PhaseError(f"{name}: found it to be unsatisfiable; there is no model to predict phases of")
        if found.result == "SAT" and len(found.model):
            positive = np.zeros(found.n_vars + 1, dtype=np.float32)
            positive[found.model[found.model > 0]] = 1.0
            return Phases(found.variables, positive[found.variables], "model", self.label, found.timings)
        return Phases(found.variables, self.probabilities(found.graph), "network", self.label, found.timings)

    def probabilities(self, graph: CompactGraph) -> NDArray[np.float32]:
        """Return the probability of being true of each variable node: ``float32[n_variables]``."""
        import torch

        from satcost_gnn.learn.network.device import inference
        from satcost_gnn.learn.network.phase_samples import collate_graphs

        with inference():
            found: NDArray[np.float32] = torch.sigmoid(self.model(collate_graphs([graph]))).numpy()
        return found
