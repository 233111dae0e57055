"""The table that ``satcost predict`` writes: its columns."""

from __future__ import annotations

from collections.abc import Sequence

#: Column -> (type, meaning). Quantiles are in the row's cost unit, not logarithms.
COLUMNS: dict[str, tuple[type, str]] = {
    "path": (str, "file as it was named or found"),
    "gbdhash": (str, "identity of the normalised formula"),
    "solver": (str, "solver that the cost is of; empty in a row that reports an unreadable file"),
    "cost_unit": (str, "conflicts or cpu_seconds"),
    "q05": (float, "5 % quantile of the cost; a quantile that is missing lies above known_up_to"),
    "q10": (float, "10 % quantile"),
    "q25": (float, "25 % quantile"),
    "q50": (float, "median"),
    "q75": (float, "75 % quantile"),
    "q90": (float, "90 % quantile"),
    "q95": (float, "95 % quantile"),
    "mean_log10": (float, "mean of log10 of the cost, with what lies above known_up_to counted there: a lower bound"),
    "p_solved": (float, "probability that the cost is at most the cutoff; missing for a cutoff above known_up_to"),
    "cutoff": (float, "the cutoff of p_solved, in the cost unit"),
    "known_up_to": (float, "largest cost of the solver that the training labels tell about, in the cost unit"),
    "p_above": (float, "probability of a cost above known_up_to"),
    "survived": (float, "what the solver was seen to spend without an answer, in the cost unit: a lower bound"),
    "source": (
        str,
        "ensemble, gnn, forest, structure, linear, tree_size, constant; search: the exact cost; relative_cost, probe",
    ),
    "checkpoint": (str, "name and version of the checkpoint"),
    "in_distribution": (bool, "whether the instance resembles the training data"),
    "parse_s": (float, "CPU seconds for reading the file"),
    "probe_s": (float, "CPU seconds for the early search: plain run, probe, probe replicate"),
    "features_s": (float, "CPU seconds for the features and the graph"),
    "inference_s": (float, "CPU seconds for inference, shared out over the instances of a batch"),
    "status": (str, "ok: predicted; solved: this solver was run, the cost is exact; error: see the column error"),
    "result": (str, "SAT or UNSAT if the early search found it, by whichever run"),
    "error": (str, "what is wrong with the file, or why a fallback was taken"),
    "warnings": (str, "what was odd about the file, though it could be read"),
}


def cutoff_column(cutoff: float) -> str:
    """Return the column of the probability of being solved by a cutoff."""
    return f"p_solved_{cutoff:.12g}"


def columns_for(cutoffs: Sequence[float]) -> dict[str, tuple[type, str]]:
    """Return the columns of a table with several cutoffs in the cost unit: after ``p_above`` one for each of them."""
    found: dict[str, tuple[type, str]] = {}
    for name, column in COLUMNS.items():
        found[name] = column
        if name == "p_above":
            for cutoff in cutoffs:
                found[cutoff_column(cutoff)] = (float, f"probability that the cost is at most {cutoff:.12g}")
    return found
