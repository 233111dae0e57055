"""Static features: numbers that describe a formula before any search.

Two kinds: the base features of ``gbdc`` (Global Benchmark Database, computed by its C++ code), and features of our own,
computed by array operations in time linear in the literals (up to sorting). Counts enter as ``log1p``, everything else
as shares and ratios, so that formulas of different sizes are comparable. What is undefined (a mean over no clauses) is
missing, not zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import SandboxError
from satcost_gnn.formula.cnf import Formula
from satcost_gnn.formula.dimacs import write_dimacs
from satcost_gnn.formula.gbdc_process import call_gbdc
from satcost_gnn.formula.mixing import mixed
from satcost_gnn.formula.static_feature_list import GBDC_SCALES, LONGEST_XOR, SCALES, STATIC_FEATURE_NAMES
from satcost_gnn.formula.transposition import transposed
from satcost_gnn.runtime.scratch_space import scratch_directory

_MAX_PROPAGATION_ROUNDS: Final = 1000

_T = TypeVar("_T", bound=np.generic)


def static_features(formula: Formula, *, on_partial: Callable[[FeatureVector], None] | None = None) -> FeatureVector:
    """Return the static features of a formula.

    ``gbdc`` is C++ code within this process: for formulas from strangers, call this in a limited child process, and
    let ``on_partial`` save what is there before gbdc is called.

    Parameters
    ----------
    formula
        The formula.
    on_partial
        Called once with our own features, gbdc's still missing, before gbdc runs.

    Returns
    -------
    FeatureVector
        In the order of :data:`STATIC_FEATURE_NAMES`, with the seconds of each group. Features of group ``gbdc`` leave
        empty clauses out; all of them are missing for a formula without literals, for one whose variable numbers are
        so sparse that gbdc's tables would outgrow the formula, and where gbdc fails.
    """
    values: dict[str, float] = {}
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    counts = _Counts.of(formula)
    seconds["counts"] = time.perf_counter() - start
    for group, extract in _GROUPS.items():
        start = time.perf_counter()
        with np.errstate(divide="ignore", invalid="ignore"):
            values |= extract(formula, counts)
        seconds[group] = time.perf_counter() - start
    if on_partial is not None:
        on_partial(FeatureVector.from_mapping(STATIC_FEATURE_NAMES, values, seconds))
    start = time.perf_counter()
    values |= _gbdc_features(formula)
    seconds["gbdc"] = time.perf_counter() - start
    return FeatureVector.from_mapping(STATIC_FEATURE_NAMES, values, seconds)


class _Counts(NamedTuple):
    """What several groups need. Variables are those of :meth:`Formula.dense_variables`."""

    variable: NDArray[np.int32]  # of each literal
    lengths: NDArray[np.int64]  # of each clause
    filled: NDArray[np.bool_]  # whether the clause has a literal
    starts: NDArray[np.int64]  # first literal of each clause that has one
    n_positive: NDArray[np.int64]  # in each clause that has a literal
    positive: NDArray[np.int64]  # occurrences of each variable
    negative: NDArray[np.int64]
    degree: NDArray[np.int64]
    used: NDArray[np.bool_]  # whether the variable occurs
    n_used: int
    positive_weight: NDArray[np.float64]  # of each variable: the sum of 2^-length over its positive occurrences
    negative_weight: NDArray[np.float64]

    @classmethod
    def of(cls, formula: Formula) -> _Counts:
        variable, size = formula.dense_variables()
        lengths = formula.clause_lengths
        filled = lengths > 0
        starts = formula.offsets[:-1][filled]
        is_positive = formula.literals > 0
        positive = np.bincount(variable[is_positive], minlength=size)
        degree = np.bincount(variable, minlength=size)
        used = degree > 0
        n_positive = _clause_sums(is_positive.astype(np.int64), starts)
        negative = degree - positive
        weight = np.repeat(np.exp2(-lengths.astype(np.float64)), lengths)
        positive_weight, negative_weight = (
            np.bincount(variable[chosen], weights=weight[chosen], minlength=size).astype(np.float64)
            for chosen in (is_positive, ~is_positive)
        )
        return cls(
            variable,
            lengths,
            filled,
            starts,
            n_positive,
            positive,
            negative,
            degree,
            used,
            int(np.count_nonzero(used)),
            positive_weight,
            negative_weight,
        )


def _clause_sums(values: NDArray[_T], starts: NDArray[np.int64]) -> NDArray[_T]:
    """Sum a value of each literal over each clause that has one."""
    return np.add.reduceat(values, starts) if len(starts) else values[:0]


def _distinct(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where one of each distinct key is, in order of the keys, and how often there is such a key.

    Which one is not said, so that the sort need not be stable; those of a key are alike here.
    """
    order = np.argsort(keys)
    ordered = keys[order]
    is_bound = np.ones(len(keys) + 1, dtype=np.bool_)
    is_bound[1:-1] = ordered[1:] != ordered[:-1]
    bounds = np.flatnonzero(is_bound)
    return order[bounds[:-1]], np.diff(bounds)


def _ratio(part: float | np.number, whole: float | np.number) -> float:
    return float(part) / float(whole) if whole else np.nan


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _cv(values: NDArray[np.generic]) -> float:
    """Return the standard deviation over the mean; missing for no values or a zero mean."""
    return _ratio(float(values.std()), float(values.mean())) if len(values) else np.nan


def _gini(values: NDArray[np.generic]) -> float:
    """Return the Gini coefficient of values of at least 0; missing if they sum to 0."""
    ordered = np.sort(values).astype(np.float64)
    total, n = float(ordered.sum()), len(ordered)
    if not total:
        return np.nan
    ranks = np.arange(1, n + 1)
    return max(0.0, float(2 * (ranks * ordered).sum() / (n * total) - (n + 1) / n))


def _evenness(counts: NDArray[np.generic]) -> float:
    """Return the entropy of the counts' shares over that of equal shares; missing for fewer than two counts."""
    if len(counts) < 2 or not counts.any():
        return np.nan
    share = counts[counts.astype(np.bool_)] / counts.sum()
    return abs(float((share * np.log(share)).sum() / np.log(len(counts))))


def _distribution(prefix: str, values: NDArray[np.int64]) -> dict[str, float]:
    """Summarise counts; what the features mean stands in :func:`_moments`."""
    if not len(values):
        return {}
    return {
        f"{prefix}_mean_log": np.log1p(values.mean()),
        f"{prefix}_cv": _cv(values),
        f"{prefix}_min_log": np.log1p(values.min()),
        f"{prefix}_max_log": np.log1p(values.max()),
        f"{prefix}_evenness": _evenness(values),
        f"{prefix}_gini": _gini(values),
    }


def _size(formula: Formula, counts: _Counts) -> dict[str, float]:
    lengths = counts.lengths[counts.filled]
    bits = -np.log2(1.0 - np.exp2(-lengths.astype(np.float64))).sum()
    return {
        "vars_log": np.log1p(formula.n_vars),
        "used_vars_log": np.log1p(counts.n_used),
        "clauses_log": np.log1p(formula.n_clauses),
        "literals_log": np.log1p(formula.n_literals),
        "unused_var_share": _ratio(formula.n_vars - counts.n_used, formula.n_vars),
        "clause_var_ratio_log": np.log1p(_ratio(formula.n_clauses, counts.n_used)),
        "constrainedness": _ratio(bits, counts.n_used),
    }


def _length(formula: Formula, counts: _Counts) -> dict[str, float]:
    lengths = counts.lengths
    if not len(lengths):
        return {}
    clipped = np.minimum(lengths, 64)
    share = np.bincount(clipped, minlength=65) / len(lengths)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    return {
        **{f"length_{n}_share": share[n] for n in range(5)},
        "length_5_8_share": share[5:9].sum(),
        "length_9_up_share": share[9:].sum(),
        "length_mean_log": np.log1p(lengths.mean()),
        "length_cv": _cv(lengths),
        "length_min_log": np.log1p(lengths.min()),
        "length_max_log": np.log1p(lengths.max()),
        "length_entropy": abs(entropy),
    }


def _degree(formula: Formula, counts: _Counts) -> dict[str, float]:
    degree = counts.degree[counts.used]
    weight = (counts.positive_weight + counts.negative_weight)[counts.used]
    return {
        **_distribution("degree", degree),
        "degree_max_share": _ratio(float(degree.max(initial=0)), formula.n_clauses) if len(degree) else np.nan,
        "positive_degree_cv": _cv(counts.positive[counts.used]),
        "negative_degree_cv": _cv(counts.negative[counts.used]),
        "weight_cv": _cv(weight),
        "weight_gini": _gini(weight),
    }


def _balance(formula: Formula, counts: _Counts) -> dict[str, float]:
    if not counts.n_used:
        return {}
    imbalance = (np.abs(counts.positive - counts.negative) / np.maximum(counts.degree, 1))[counts.used]
    pure = counts.used & ((counts.positive == 0) | (counts.negative == 0))
    in_pure_clause = _clause_sums(pure[counts.variable].astype(np.int64), counts.starts) > 0
    positive, negative = counts.positive_weight, counts.negative_weight
    weighted = np.abs(positive - negative)[counts.used] / (positive + negative)[counts.used]
    return {
        "balance_mean": imbalance.mean(),
        "balance_sd": imbalance.std(),
        "balance_min": imbalance.min(),
        "balance_max": imbalance.max(),
        "balance_entropy": _evenness(np.bincount(np.minimum(imbalance * 10, 9).astype(np.int64), minlength=10)),
        "balance_gini": _gini(imbalance),
        "pure_var_share": _ratio(np.count_nonzero(pure), counts.n_used),
        "pure_clause_share": _ratio(np.count_nonzero(in_pure_clause), formula.n_clauses),
        "weight_balance_mean": _mean(weighted),
    }


def _sign(formula: Formula, counts: _Counts) -> dict[str, float]:
    if not formula.n_clauses:
        return {}
    lengths = counts.lengths[counts.filled]
    n_negative = lengths - counts.n_positive
    n_empty = formula.n_clauses - len(lengths)
    return {
        "positive_literal_share": _ratio(float(counts.n_positive.sum()), formula.n_literals),
        "positive_in_clause_sd": float((counts.n_positive / lengths).std()) if len(lengths) else np.nan,
        "horn_share": _ratio(np.count_nonzero(counts.n_positive <= 1) + n_empty, formula.n_clauses),
        "dual_horn_share": _ratio(np.count_nonzero(n_negative <= 1) + n_empty, formula.n_clauses),
        "positive_clause_share": _ratio(np.count_nonzero(n_negative == 0), formula.n_clauses),
        "negative_clause_share": _ratio(np.count_nonzero(counts.n_positive == 0), formula.n_clauses),
    }


def _clause_degree(formula: Formula, counts: _Counts) -> dict[str, float]:
    if not len(counts.starts):
        return {}
    mean_degree = _clause_sums(counts.degree[counts.variable], counts.starts) / counts.lengths[counts.filled]
    return {
        "clause_degree_mean_log": np.log1p(mean_degree.mean()),
        "clause_degree_cv": _cv(mean_degree),
        "clause_degree_min_log": np.log1p(mean_degree.min()),
        "clause_degree_max_log": np.log1p(mean_degree.max()),
        "clause_degree_lift": mean_degree.mean() * counts.n_used / counts.degree.sum(),
    }


def _pattern(formula: Formula, counts: _Counts) -> dict[str, float]:
    n_clauses = formula.n_clauses
    if not n_clauses:
        return {}
    lengths = counts.lengths[counts.filled]
    of_variable = mixed(np.arange(len(counts.degree), dtype=np.uint64))
    of_literal = np.concatenate([of_variable, ~of_variable * np.uint64(0xD6E8FEB86659FD93)])
    # Sums do not depend on the order of a clause's literals, so nothing has to be sorted within clauses.
    variables_key = _clause_sums(of_variable[counts.variable], counts.starts)
    place = counts.variable + np.int32(len(of_variable)) * (formula.literals < 0)
    clause_key = _clause_sums(of_literal[place], counts.starts)
    first, _ = _distinct(clause_key)
    n_distinct = len(first) + (len(lengths) < n_clauses)  # all empty clauses are the same
    length = lengths[first]
    parity = (length - counts.n_positive[first]) & 1
    short = (length >= 2) & (length <= LONGEST_XOR)
    group_key = variables_key[first][short] * np.uint64(2) + parity[short].astype(np.uint64)
    one, size = _distinct(group_key)
    width = length[short][one]
    is_xor = size >= 2 ** (width - 1)
    n_positive = counts.n_positive
    is_exclusion = (lengths == 2) & (n_positive == 0)
    excluded = np.zeros(len(counts.degree), dtype=np.int64)
    exclusion_starts = counts.starts[is_exclusion]
    for position in (0, 1):
        excluded += np.bincount(counts.variable[exclusion_starts + position], minlength=len(excluded))
    n_excluded = _clause_sums((excluded > 0)[counts.variable].astype(np.int64), counts.starts)
    exactly_one = (lengths >= 3) & (n_positive == lengths) & (n_excluded == lengths)
    return {
        "duplicate_clause_share": 1.0 - n_distinct / n_clauses,
        "binary_positive_share": np.count_nonzero((lengths == 2) & (n_positive == 2)) / n_clauses,
        "binary_mixed_share": np.count_nonzero((lengths == 2) & (n_positive == 1)) / n_clauses,
        "binary_negative_share": np.count_nonzero(is_exclusion) / n_clauses,
        "exclusion_var_share": _ratio(np.count_nonzero(excluded), counts.n_used),
        "exclusion_degree_log": np.log1p(_mean(excluded[excluded > 0])) if excluded.any() else 0.0,
        "exactly_one_share": np.count_nonzero(exactly_one) / n_clauses,
        "equivalence_share": size[is_xor & (width == 2)].sum() / n_clauses,
        "xor_share": size[is_xor & (width > 2)].sum() / n_clauses,
    }


def _propagation(formula: Formula, counts: _Counts) -> dict[str, float]:
    """Propagate the unit clauses round by round; each round costs the occurrences of what it sets.

    Clauses keep the number and the sum of their unfalsified literals: a sum of one is the literal itself.
    """
    if not formula.n_clauses:
        return {}
    if not (counts.lengths == 1).any():
        empty = formula.has_empty_clause
        return {
            "propagated_var_share": 0.0,
            "propagated_clause_share": 0.0,
            "propagation_conflict": float(empty),
            "propagation_rounds_log": 0.0,
        }
    n_codes = 2 * len(counts.degree)
    code = 2 * counts.variable.astype(np.int64) + (formula.literals < 0)
    bounds, clause_of = transposed(formula.offsets, code, n_codes)

    def clauses_with(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        first, number = bounds[codes], bounds[codes + 1] - bounds[codes]
        inside = np.arange(int(number.sum())) - np.repeat(np.cumsum(number) - number, number)
        return clause_of[np.repeat(first, number) + inside].astype(np.int64), np.repeat(codes, number)

    left = counts.lengths.copy()
    left_sum = np.zeros(formula.n_clauses, dtype=np.int64)
    left_sum[counts.filled] = _clause_sums(code, counts.starts)
    satisfied = np.zeros(formula.n_clauses, dtype=np.bool_)
    is_true = np.zeros(n_codes, dtype=np.bool_)
    conflict = formula.has_empty_clause
    frontier = np.unique(left_sum[left == 1])
    rounds = 0
    while len(frontier) and not conflict and rounds < _MAX_PROPAGATION_ROUNDS:
        rounds += 1
        is_true[frontier] = True
        conflict = bool(is_true[frontier ^ 1].any())
        satisfied[clauses_with(frontier)[0]] = True
        touched, codes = clauses_with(frontier ^ 1)
        np.subtract.at(left, touched, 1)
        np.subtract.at(left_sum, touched, codes)
        touched = np.unique(touched)
        open_clauses = touched[~satisfied[touched]]
        conflict = conflict or bool((left[open_clauses] == 0).any())
        frontier = np.unique(left_sum[open_clauses[left[open_clauses] == 1]])
    n_set = np.count_nonzero(is_true[0::2] | is_true[1::2])
    return {
        "propagated_var_share": _ratio(n_set, counts.n_used),
        "propagated_clause_share": np.count_nonzero(satisfied) / formula.n_clauses,
        "propagation_conflict": float(conflict),
        "propagation_rounds_log": np.log1p(rounds),
    }


def _order(formula: Formula, counts: _Counts) -> dict[str, float]:
    if not len(counts.starts):
        return {}
    number = np.abs(formula.literals)
    gaps = np.abs(np.diff(number))
    within = np.ones(len(number), dtype=np.bool_)
    within[counts.starts] = False
    gaps = gaps[within[1:]]
    span = np.maximum.reduceat(number, counts.starts) - np.minimum.reduceat(number, counts.starts)
    jumps = np.abs(np.diff(number[counts.starts]))
    return {
        "gap_mean": _mean(gaps) / formula.n_vars,
        "gap_log_mean": _mean(np.log1p(gaps)) / np.log1p(formula.n_vars),
        "span_mean": _mean(span) / formula.n_vars,
        "jump_mean": _mean(jumps) / formula.n_vars,
    }


_GROUPS: Final[dict[str, Callable[[Formula, _Counts], dict[str, float]]]] = {
    "size": _size,
    "length": _length,
    "degree": _degree,
    "balance": _balance,
    "sign": _sign,
    "clause_degree": _clause_degree,
    "pattern": _pattern,
    "propagation": _propagation,
    "order": _order,
}


def _gbdc_features(formula: Formula) -> dict[str, float]:
    # gbdc reads the first literal of every clause, so that an empty one crashes it, as does a formula without clauses;
    # its tables have an entry for every number up to the largest variable.
    largest = int(np.abs(formula.literals).max(initial=0))
    if not formula.n_literals or largest > 16 * formula.n_literals + 1_000_000:
        return {}
    lengths = formula.clause_lengths
    filled = Formula.from_arrays(
        formula.literals, np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths[lengths > 0])])
    )
    # gbdc refuses comments within clauses and SATLIB's end mark: it reads our own text of the formula.
    with scratch_directory() as directory:
        path = directory / "formula.cnf"
        write_dimacs(filled, path)
        try:
            base = call_gbdc("extract_base_features", str(path))
        except SandboxError:
            return {}
    scaled = {}
    for name, scale in GBDC_SCALES.items():
        value = float(base[name])
        if scale == "log":
            value = np.log1p(value)
        elif scale == "sd":
            value = np.log1p(np.sqrt(max(value, 0.0)))
        elif scale == "share":
            value /= filled.n_clauses
        scaled[f"gbdc_{name}{SCALES[scale][0]}"] = value
    return scaled
