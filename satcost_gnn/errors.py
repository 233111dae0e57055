"""Errors that satcost_gnn raises for causes outside its own code.

Every message names the place (file and line where there is one), what was found, what was expected and what to do.
"""

from __future__ import annotations


class SatcostError(Exception):
    """Base of every error that this package raises on purpose."""


class FormulaError(SatcostError):
    """A CNF cannot be read: malformed, truncated, binary, or over a limit.

    Parameters
    ----------
    message
        What was found and what was expected.
    source
        Path or name of the input.
    line
        1-based line of the (decompressed) text, if known.
    """

    def __init__(self, message: str, source: str = "<memory>", line: int | None = None) -> None:
        self.source = source
        self.line = line
        place = source if line is None else f"{source}:{line}"
        super().__init__(f"{place}: {message}")


class ReadingTimeoutError(FormulaError):
    """A CNF has not ended within the time that there is for reading it."""


class FormulaTooLargeError(FormulaError):
    """A CNF is over one of the limits set for reading it."""


class SolverError(SatcostError):
    """A solver is unknown, or an option or call is not supported by it."""


class SandboxError(SatcostError):
    """The process that runs limited children could not be started or has died."""


class ExecutorError(SatcostError):
    """The cluster that runs are to be made on is missing, was lost, or lacks what a run needs."""


class DatasetError(SatcostError):
    """A data set directory is incomplete, corrupt or inconsistent."""


class CheckpointError(SatcostError):
    """A checkpoint is missing, incomplete, or written by an incompatible version."""


class DamagedFileError(CheckpointError):
    """A file that this package has written is missing, damaged, no regular file, or larger than it may be."""


class ConfigError(SatcostError):
    """A configuration file has an unknown key or an invalid value."""


class OutputError(ConfigError):
    """An output can't be written where it is wanted, must not be written there, or is not one to continue."""


class EstimatorError(SatcostError):
    """An estimator lacks what it needs to be fitted or to predict."""


class MissingPackageError(EstimatorError, ImportError):
    """An estimator needs an optional package that is not installed or cannot be imported."""


class EvaluationError(SatcostError):
    """An evaluation is asked for what cannot be compared, or its output is of another one."""


class PhaseError(SatcostError):
    """Phases cannot be predicted for a formula, or a file of phases cannot be read."""
