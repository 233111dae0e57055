"""The static features: names, groups and meanings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

STATIC_VERSION: Final = "1"
"""Changes whenever the name or the meaning of a static feature does."""

LONGEST_XOR: Final = 6


class StaticFeature(NamedTuple):
    """What a feature means."""

    group: str
    description: str


def _moments(prefix: str, group: str, what: str) -> dict[str, StaticFeature]:
    """Describe what :func:`_distribution` returns."""
    return {
        f"{prefix}_mean_log": StaticFeature(group, f"log1p of the mean {what}"),
        f"{prefix}_cv": StaticFeature(group, f"standard deviation of the {what} over its mean"),
        f"{prefix}_min_log": StaticFeature(group, f"log1p of the smallest {what}"),
        f"{prefix}_max_log": StaticFeature(group, f"log1p of the largest {what}"),
        f"{prefix}_evenness": StaticFeature(group, f"entropy of the shares in the {what}, 1 if all are equal"),
        f"{prefix}_gini": StaticFeature(group, f"Gini coefficient of the {what}, 0 if all are equal"),
    }


_OWN: Final[dict[str, StaticFeature]] = {
    "vars_log": StaticFeature("size", "log1p of the number of variables, unused ones included"),
    "used_vars_log": StaticFeature("size", "log1p of the number of variables that occur"),
    "clauses_log": StaticFeature("size", "log1p of the number of clauses"),
    "literals_log": StaticFeature("size", "log1p of the number of literal occurrences"),
    "unused_var_share": StaticFeature("size", "share of the variables that occur in no clause"),
    "clause_var_ratio_log": StaticFeature("size", "log1p of the clauses over the variables that occur"),
    "constrainedness": StaticFeature(
        "size", "-sum log2(1 - 2^-length) over clauses, a variable: the bits by which clauses cut the assignments down"
    ),
    **{
        f"length_{name}_share": StaticFeature("length", f"share of the clauses with {literals} literals")
        for name, literals in (
            *((str(n), str(n)) for n in range(5)),
            ("5_8", "5 to 8"),
            ("9_up", "9 or more"),
        )
    },
    "length_mean_log": StaticFeature("length", "log1p of the mean clause length"),
    "length_cv": StaticFeature("length", "standard deviation of the clause length over its mean"),
    "length_min_log": StaticFeature("length", "log1p of the smallest clause length"),
    "length_max_log": StaticFeature("length", "log1p of the largest clause length"),
    "length_entropy": StaticFeature("length", "entropy of the clause lengths in bits (64 and more are one)"),
    **_moments("degree", "degree", "number of occurrences of a variable"),
    "degree_max_share": StaticFeature("degree", "largest number of occurrences of a variable over the clauses"),
    "positive_degree_cv": StaticFeature("degree", "as degree_cv, positive occurrences only"),
    "negative_degree_cv": StaticFeature("degree", "as degree_cv, negative occurrences only"),
    "weight_cv": StaticFeature("degree", "coefficient of variation of a variable's sum of 2^-length over its clauses"),
    "weight_gini": StaticFeature("degree", "Gini coefficient of a variable's sum of 2^-length over its clauses"),
    "balance_mean": StaticFeature("balance", "mean over variables of |positive - negative| / all occurrences"),
    "balance_sd": StaticFeature("balance", "standard deviation of a variable's sign imbalance"),
    "balance_min": StaticFeature("balance", "smallest sign imbalance of a variable"),
    "balance_max": StaticFeature("balance", "largest sign imbalance of a variable"),
    "balance_entropy": StaticFeature("balance", "entropy of the sign imbalance in ten bins, 1 if all are as frequent"),
    "balance_gini": StaticFeature("balance", "Gini coefficient of the sign imbalance"),
    "pure_var_share": StaticFeature("balance", "share of the variables that occur with one sign only"),
    "pure_clause_share": StaticFeature("balance", "share of the clauses that hold a variable of one sign only"),
    "weight_balance_mean": StaticFeature("balance", "as balance_mean, an occurrence counting 2^-length"),
    "positive_literal_share": StaticFeature("sign", "share of the literal occurrences that are positive"),
    "positive_in_clause_sd": StaticFeature("sign", "standard deviation over clauses of the share of positive literals"),
    "horn_share": StaticFeature("sign", "share of the clauses with at most one positive literal"),
    "dual_horn_share": StaticFeature("sign", "share of the clauses with at most one negative literal"),
    "positive_clause_share": StaticFeature("sign", "share of the clauses with literals, all positive"),
    "negative_clause_share": StaticFeature("sign", "share of the clauses with literals, all negative"),
    "clause_degree_mean_log": StaticFeature("clause_degree", "log1p of the mean over clauses of its mean degree"),
    "clause_degree_cv": StaticFeature("clause_degree", "coefficient of variation of a clause's mean variable degree"),
    "clause_degree_min_log": StaticFeature("clause_degree", "log1p of the smallest mean variable degree of a clause"),
    "clause_degree_max_log": StaticFeature("clause_degree", "log1p of the largest mean variable degree of a clause"),
    "clause_degree_lift": StaticFeature("clause_degree", "mean variable degree of a clause over that of a variable"),
    "duplicate_clause_share": StaticFeature("pattern", "share of the clauses that repeat another's literals"),
    "binary_positive_share": StaticFeature("pattern", "share of the clauses that are two positive literals"),
    "binary_mixed_share": StaticFeature("pattern", "share of the clauses that are an implication of like signs"),
    "binary_negative_share": StaticFeature("pattern", "share of the clauses that are two negative literals"),
    "exclusion_var_share": StaticFeature("pattern", "share of the variables in a clause of two negative literals"),
    "exclusion_degree_log": StaticFeature("pattern", "log1p of the mean number of such clauses of those variables"),
    "exactly_one_share": StaticFeature(
        "pattern", "share of the clauses of 3 and more positive literals with exclusions"
    ),
    "equivalence_share": StaticFeature("pattern", "share of the clauses in a XOR of 2 variables"),
    "xor_share": StaticFeature("pattern", f"share of the clauses in a XOR of 3 to {LONGEST_XOR} variables"),
    "propagated_var_share": StaticFeature("propagation", "share of variables set by unit propagation at the start"),
    "propagated_clause_share": StaticFeature("propagation", "share of the clauses satisfied by that propagation"),
    "propagation_conflict": StaticFeature("propagation", "1 if that propagation meets a conflict, else 0"),
    "propagation_rounds_log": StaticFeature("propagation", "log1p of the rounds of that propagation (at most 1000)"),
    "gap_mean": StaticFeature("order", "mean difference of neighbouring variable numbers in a clause, over n_vars"),
    "gap_log_mean": StaticFeature("order", "mean log1p of that difference over log1p of n_vars"),
    "span_mean": StaticFeature("order", "mean difference of a clause's largest and smallest variable, over n_vars"),
    "jump_mean": StaticFeature("order", "mean difference of successive clauses' first variables, over n_vars"),
}

SCALES: Final[dict[str, tuple[str, str]]] = {
    "log": ("_log", "log1p of"),
    "sd": ("_sd_log", "log1p of the square root of"),
    "share": ("_share", "over the clauses:"),
    "as is": ("", "as gbdc gives it:"),
}


def _gbdc_scales() -> dict[str, str]:
    """Return the name of each base feature of gbdc, in its order, and the scale on which it is taken over."""
    scales = dict.fromkeys(("clauses", "variables", "bytes", "ccs"), "log")
    scales |= dict.fromkeys([*(f"cls{n}" for n in range(1, 10)), "cls10p"], "share")
    scales |= dict.fromkeys(("horn", "invhorn", "positive", "negative"), "share")
    moments = {"mean": "log", "variance": "sd", "min": "log", "max": "log", "entropy": "as is"}
    for name in ("hornvars", "invhornvars", "balancecls", "balancevars"):
        bounded = name.startswith("balance")
        scales |= {f"{name}_{moment}": "as is" if bounded else scale for moment, scale in moments.items()}
    for name in ("vcg_vdegree", "vcg_cdegree", "vg_degree", "cg_degree"):
        scales |= {f"{name}_{moment}": scale for moment, scale in moments.items()}
    return scales


GBDC_SCALES: Final = _gbdc_scales()

STATIC_FEATURES: Final[Mapping[str, StaticFeature]] = _OWN | {
    f"gbdc_{name}{SCALES[scale][0]}": StaticFeature("gbdc", f"{SCALES[scale][1]} gbdc's base feature {name}")
    for name, scale in GBDC_SCALES.items()
}
"""Group and description of every static feature."""

STATIC_FEATURE_NAMES: Final[tuple[str, ...]] = tuple(STATIC_FEATURES)
"""Names in the order of the vector."""

ORDER_FEATURE_NAMES: Final = frozenset(
    name
    for name, feature in STATIC_FEATURES.items()
    if feature.group == "order" or name == "gbdc_bytes_log" or name.startswith("gbdc_balancevars_")
)
"""Those of them that depend on how variables are numbered and clauses ordered: renaming and shuffling change them.

gbdc's balance of a variable's signs leaves out the variable of the largest number. What is fitted says which features
it reads, so that a checkpoint from before a name was listed here goes on reading it.
"""
