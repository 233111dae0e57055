import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satcost_gnn.errors import SandboxError
from satcost_gnn.formula import Formula, parse_dimacs, write_dimacs
from satcost_gnn.formula.features import static_features
from satcost_gnn.formula.gbdc_process import call_gbdc
from satcost_gnn.formula.static_feature_list import (
    ORDER_FEATURE_NAMES,
    STATIC_FEATURE_NAMES,
    STATIC_FEATURES,
    STATIC_VERSION,
)

SMALL = Formula.from_clauses([[1, -2], [2, 3], [-1], [-2, -3, 4]], n_vars=5)
ORDER = {name for name, feature in STATIC_FEATURES.items() if feature.group == "order"}
GBDC = {name for name, feature in STATIC_FEATURES.items() if feature.group == "gbdc"}


def random_formula(seed, n_vars=60, n_clauses=200):
    rng = np.random.default_rng(seed)
    clauses = [
        (rng.choice(n_vars, size, replace=False) + 1) * rng.choice([-1, 1], size)
        for size in rng.choice([1, 2, 2, 3, 3, 3, 4, 7], n_clauses)
    ]
    return Formula.from_clauses([clause.tolist() for clause in clauses], n_vars)


def test_names_and_descriptions():
    assert tuple(STATIC_FEATURES) == STATIC_FEATURE_NAMES
    assert len(GBDC) == 58 == len(call_gbdc("base_feature_names"))
    assert STATIC_VERSION
    for name, feature in STATIC_FEATURES.items():
        assert name.islower()
        assert len(feature.description) > 10
    descriptions = [feature.description for feature in STATIC_FEATURES.values()]
    assert len(set(descriptions)) == len(descriptions)


def test_small_formula_by_hand():
    features = static_features(SMALL)
    assert features.names == STATIC_FEATURE_NAMES
    expected = {
        "vars_log": math.log(6),
        "used_vars_log": math.log(5),
        "clauses_log": math.log(5),
        "literals_log": math.log(9),
        "unused_var_share": 1 / 5,
        "clause_var_ratio_log": math.log(2),
        "constrainedness": (2 * math.log2(4 / 3) + 1 + math.log2(8 / 7)) / 4,
        "length_0_share": 0,
        "length_1_share": 1 / 4,
        "length_2_share": 2 / 4,
        "length_3_share": 1 / 4,
        "length_5_8_share": 0,
        "length_mean_log": math.log(3),
        "length_cv": math.sqrt(1 / 2) / 2,
        "length_entropy": 1.5,
        # degrees 2, 3, 2, 1
        "degree_mean_log": math.log(3),
        "degree_cv": math.sqrt(1 / 2) / 2,
        "degree_min_log": math.log(2),
        "degree_max_log": math.log(4),
        "degree_evenness": -sum(p * math.log(p) for p in (2 / 8, 3 / 8, 2 / 8, 1 / 8)) / math.log(4),
        "degree_gini": 2 * (1 * 1 + 2 * 2 + 3 * 2 + 4 * 3) / (4 * 8) - 5 / 4,
        "degree_max_share": 3 / 4,
        "positive_degree_cv": 0,
        "negative_degree_cv": math.sqrt(1 / 2),
        # imbalances 0, 1/3, 0, 1
        "balance_mean": 1 / 3,
        "balance_sd": math.sqrt((1 / 9 + 0 + 1 / 9 + 4 / 9) / 4),
        "balance_min": 0,
        "balance_max": 1,
        "balance_entropy": -(0.5 * math.log(0.5) + 0.5 * math.log(0.25)) / math.log(10),
        "pure_var_share": 1 / 4,
        "pure_clause_share": 1 / 4,
        # weights by sign: (1/4, 1/2), (1/4, 3/8), (1/4, 1/8), (1/8, 0)
        "weight_balance_mean": (1 / 3 + 1 / 5 + 1 / 3 + 1) / 4,
        "positive_literal_share": 4 / 8,
        "horn_share": 3 / 4,
        "dual_horn_share": 3 / 4,
        "positive_clause_share": 1 / 4,
        "negative_clause_share": 1 / 4,
        # mean degrees in clauses: 2.5, 2.5, 2, 2
        "clause_degree_mean_log": math.log(3.25),
        "clause_degree_cv": 0.25 / 2.25,
        "clause_degree_min_log": math.log(3),
        "clause_degree_max_log": math.log(3.5),
        "clause_degree_lift": 2.25 / 2,
        "duplicate_clause_share": 0,
        "binary_positive_share": 1 / 4,
        "binary_mixed_share": 1 / 4,
        "binary_negative_share": 0,
        # -1, then -2, then 3
        "propagated_var_share": 3 / 4,
        "propagated_clause_share": 1,
        "propagation_conflict": 0,
        "propagation_rounds_log": math.log(4),
        "gap_mean": 1 / 5,
        "gap_log_mean": math.log(2) / math.log(6),
        "span_mean": 1 / 5,
        "jump_mean": 1 / 5,
    }
    found = features.as_dict()
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_gbdc_features_are_gbdc_s(tmp_path):
    formula = random_formula(4)
    path = tmp_path / "formula.cnf"
    write_dimacs(formula, path)
    base = call_gbdc("extract_base_features", str(path))
    found = static_features(formula)
    assert found["gbdc_clauses_log"] == pytest.approx(math.log1p(200))
    assert found["gbdc_cls3_share"] == pytest.approx(base["cls3"] / 200)
    assert found["gbdc_vg_degree_mean_log"] == pytest.approx(math.log1p(base["vg_degree_mean"]))
    assert found["gbdc_vg_degree_variance_sd_log"] == pytest.approx(math.log1p(math.sqrt(base["vg_degree_variance"])))
    assert found["gbdc_balancevars_variance"] == pytest.approx(base["balancevars_variance"])
    assert found["gbdc_cg_degree_entropy"] == pytest.approx(base["cg_degree_entropy"])
    assert not any(math.isnan(found[name]) for name in GBDC)


def test_seconds_of_every_group():
    seconds = static_features(SMALL).seconds
    assert set(seconds) == {feature.group for feature in STATIC_FEATURES.values()} | {"counts"}
    assert all(spent >= 0 for spent in seconds.values())


def test_oddities_give_the_same():
    odd = parse_dimacs(b"p cnf 5 4\n1 -2\nc in between\n0 2 3 0 -1 0\n-2 -3 4 0\n%\n0\n")
    np.testing.assert_array_equal(static_features(odd).values, static_features(SMALL).values)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_clauses_and_literals_matters_to_the_order_group_only(seed):
    formula = random_formula(seed)
    rng = np.random.default_rng(seed)
    clauses = [rng.permutation(clause).tolist() for clause in formula.clauses()]
    rng.shuffle(clauses)
    first, second = static_features(formula), static_features(Formula.from_clauses(clauses, formula.n_vars))
    for name in STATIC_FEATURE_NAMES:
        if name not in ORDER:
            assert first[name] == pytest.approx(second[name], rel=1e-5, abs=1e-6, nan_ok=True), name
    assert first["jump_mean"] != second["jump_mean"]


@pytest.mark.parametrize("seed", range(3))
def test_names_of_variables_matter_to_the_order_group_only(seed):
    formula = random_formula(seed)
    rng = np.random.default_rng(seed)
    name_of = np.concatenate([[0], rng.permutation(formula.n_vars) + 1])
    literals = np.sign(formula.literals) * name_of[np.abs(formula.literals)]
    first, second = static_features(formula), static_features(Formula.from_arrays(literals, formula.offsets, 60))
    # Every variable occurs: gbdc counts unused ones below the largest number.
    assert first["unused_var_share"] == 0
    for name in STATIC_FEATURE_NAMES:
        if name not in ORDER_FEATURE_NAMES:
            assert first[name] == pytest.approx(second[name], rel=1e-5, abs=1e-6, nan_ok=True), name


def test_the_balance_of_gbdc_leaves_out_the_last_variable_and_so_depends_on_the_numbering():
    # Variable 1 is balanced, the other two are not; then variable 3 is.
    first = static_features(Formula.from_clauses([[1, 2], [-1, 3], [2, 3]]))
    second = static_features(Formula.from_clauses([[3, 2], [-3, 1], [2, 1]]))
    assert first["balance_mean"] == second["balance_mean"]
    assert first["gbdc_balancevars_mean"] != second["gbdc_balancevars_mean"]
    moments = ("mean", "variance", "min", "max", "entropy")
    assert {f"gbdc_balancevars_{moment}" for moment in moments} <= ORDER_FEATURE_NAMES <= set(STATIC_FEATURE_NAMES)


def test_flipping_every_sign_swaps_the_signed_features():
    formula = Formula.from_clauses([*random_formula(9).clauses(), [1, 2, 3], [4, 5], [5, 6]], 60)
    first, second = (
        static_features(formula),
        static_features(Formula.from_arrays(-formula.literals, formula.offsets, 60)),
    )
    for one, other in (
        ("horn_share", "dual_horn_share"),
        ("positive_clause_share", "negative_clause_share"),
        ("positive_degree_cv", "negative_degree_cv"),
        ("binary_positive_share", "binary_negative_share"),
    ):
        assert first[one] == pytest.approx(second[other])
        assert abs(first[one] - first[other]) > 1e-4
    for name in ("xor_share", "propagated_var_share", "balance_mean", "weight_gini", "clause_degree_cv", "gap_mean"):
        assert first[name] == pytest.approx(second[name])


# ---------------------------------------------------------------------------------------------------------- patterns


def xor(variables, parity):
    """The clauses of a XOR: those assignments forbidden whose sum has the wrong parity."""
    return [
        [sign * variable for sign, variable in zip(signs, variables, strict=True)]
        for signs in itertools.product((1, -1), repeat=len(variables))
        if (sum(sign < 0 for sign in signs) + parity) % 2 == 1
    ]


@pytest.mark.parametrize("parity", [0, 1])
def test_xor_and_equivalence(parity):
    clauses = [*xor((4, 2, 9), parity), *xor((1, 2, 3, 5, 6), parity), *xor((7, 8), parity), [1, 2, 3], [7, 8, -9]]
    features = static_features(Formula.from_clauses(clauses))
    assert len(clauses) == 4 + 16 + 2 + 2
    assert features["xor_share"] == pytest.approx(20 / 24)
    assert features["equivalence_share"] == pytest.approx(2 / 24)
    incomplete = static_features(Formula.from_clauses(clauses[1:]))
    assert incomplete["xor_share"] == pytest.approx(16 / 23)


def test_exactly_one_constraints():
    rows = [(1, 2, 3, 4), (5, 6, 7)]
    clauses = [list(row) for row in rows]
    clauses += [[-a, -b] for row in rows for a, b in itertools.combinations(row, 2)]
    features = static_features(Formula.from_clauses([*clauses, [8, 9, 1], [-8, 9]]))
    n_clauses = 2 + 6 + 3 + 2
    assert features["exactly_one_share"] == pytest.approx(2 / n_clauses)
    assert features["binary_negative_share"] == pytest.approx(9 / n_clauses)
    assert features["exclusion_var_share"] == pytest.approx(7 / 9)
    assert features["exclusion_degree_log"] == pytest.approx(math.log1p(18 / 7))


def test_duplicate_clauses():
    features = static_features(Formula.from_clauses([[1, 2], [2, 1], [-1, 2], [1, 1, 2], [], []]))
    assert features["duplicate_clause_share"] == pytest.approx(2 / 6)


# ------------------------------------------------------------------------------------------------------- propagation


def propagate(clauses):
    """Unit propagation as in a textbook: the assignment, or None for a conflict."""
    true = set()
    changed = True
    while changed:
        changed = False
        for clause in clauses:
            if any(lit in true for lit in clause):
                continue
            left = [lit for lit in clause if -lit not in true]
            if not left:
                return None
            if len(left) == 1:
                true.add(left[0])
                changed = True
    return true


small_clauses = st.lists(
    st.sets(st.integers(1, 9), min_size=1, max_size=3).flatmap(
        lambda variables: st.tuples(*(st.sampled_from([v, -v]) for v in sorted(variables)))
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=200)
@given(small_clauses)
def test_propagation_agrees_with_the_textbook(clauses):
    from satcost_gnn.formula.features import _Counts, _propagation

    formula = Formula.from_clauses(clauses)
    found = _propagation(formula, _Counts.of(formula))
    expected = propagate(clauses)
    assert found["propagation_conflict"] == (expected is None)
    if expected is not None:
        n_used = len({abs(lit) for clause in clauses for lit in clause})
        assert found["propagated_var_share"] == pytest.approx(len(expected) / n_used)
        n_satisfied = sum(any(lit in expected for lit in clause) for clause in clauses)
        assert found["propagated_clause_share"] == pytest.approx(n_satisfied / len(clauses))


def test_long_propagation_stops():
    chain = Formula.from_clauses([[1], *([-i, i + 1] for i in range(1, 5000))])
    features = static_features(chain)
    assert features["propagated_var_share"] == pytest.approx(1000 / 5000)
    assert features["propagation_rounds_log"] == pytest.approx(math.log1p(1000))


# -------------------------------------------------------------------------------------------------- undefined values


@pytest.mark.parametrize(
    "text",
    [b"p cnf 0 0", b"p cnf 5 0", b"0\n", b"0 0 0", b"1 0\n", b"1 0 -1 0", b"1 -1 0", b"1 1 1 0", b"p cnf 9 2\n0\n3 0"],
)
def test_degenerate_formulas_give_finite_or_missing(text):
    formula = parse_dimacs(text)
    features = static_features(formula)
    assert not np.isinf(features.values).any()
    assert not features.is_missing[STATIC_FEATURE_NAMES.index("vars_log")]
    assert math.isnan(features["gbdc_clauses_log"]) == (formula.n_literals == 0)
    assert math.isnan(features["degree_mean_log"]) == (formula.n_literals == 0)
    assert math.isnan(features["horn_share"]) == (formula.n_clauses == 0)


def test_missing_only_where_undefined():
    assert not static_features(SMALL).is_missing.any()
    assert not static_features(random_formula(2)).is_missing.any()


def test_sparse_numbering_leaves_gbdc_out():
    features = static_features(Formula.from_clauses([[5, -2_000_000_000], [2_000_000_000, 9]]))
    assert math.isnan(features["gbdc_clauses_log"])
    assert features["used_vars_log"] == pytest.approx(math.log(4))
    assert features["unused_var_share"] == pytest.approx(1.0)
    assert features["degree_mean_log"] == pytest.approx(math.log(1 + 4 / 3))


def test_gbdc_failure_leaves_the_rest(monkeypatch):
    def fail(*_):
        raise SandboxError("gbdc.extract_base_features: unexpected character")

    monkeypatch.setattr("satcost_gnn.formula.features.call_gbdc", fail)
    features = static_features(SMALL)
    assert {name for name, gone in zip(features.names, features.is_missing, strict=True) if gone} == GBDC


def test_partial_result_is_given_before_gbdc(monkeypatch):
    seen = []

    def crash(*_):
        raise KeyboardInterrupt  # the closest to a crash that leaves the test alive

    monkeypatch.setattr("satcost_gnn.formula.features.call_gbdc", crash)
    with pytest.raises(KeyboardInterrupt):
        static_features(SMALL, on_partial=seen.append)
    (partial,) = seen
    assert partial["degree_max_log"] == pytest.approx(math.log(4))
    assert partial.names == STATIC_FEATURE_NAMES
    assert math.isnan(partial["gbdc_clauses_log"])
