"""The scikit-learn interface: its own checks, pipelines, and cross-validation on lists of files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from satcost_gnn import CnfFeatures, SatCostRegressor, SolverSelector
from satcost_gnn.errors import FormulaError
from satcost_gnn.formula.dimacs import read_dimacs

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"
FEW_TREES = {"n_trees": 5}


def checks() -> list[Any]:
    made = (SatCostRegressor(settings=FEW_TREES), SolverSelector(settings=FEW_TREES))
    return [
        pytest.param(one, check, id=f"{type(one).__name__}-{getattr(check, 'func', check).__name__}")
        for estimator in made
        for one, check in estimator_checks_generator(estimator, legacy=True)
    ]


@pytest.mark.parametrize(("estimator", "check"), checks())
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Random formulas of rising size, which cost more and more."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    found = []
    for n in range(20, 44):
        clauses = [rng.choice(n, 3, replace=False) + 1 for _ in range(4 * n)]
        signs = rng.choice([-1, 1], (len(clauses), 3))
        lines = [
            " ".join(map(str, (clause * sign).tolist())) + " 0" for clause, sign in zip(clauses, signs, strict=True)
        ]
        path = folder / f"{n}.cnf"
        path.write_text(f"p cnf {n} {len(lines)}\n" + "\n".join(lines) + "\n")
        found.append(str(path))
    return found


def test_cross_validation_of_files(files: list[str], tmp_path: Path) -> None:
    y = np.linspace(1, 4, len(files))
    order = np.random.default_rng(1).permutation(len(files))
    mixed = [files[k] for k in order]
    regressor = SatCostRegressor(cache=tmp_path / "cache", settings={"n_trees": 30})
    scores = cross_val_score(regressor, mixed, y[order], cv=3)
    assert scores.shape == (3,) and scores.min() > 0.5  # of R²: size tells the cost
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == len(files)
    search = GridSearchCV(regressor, {"settings": [{"n_trees": 2}, {"n_trees": 30}]}, cv=2).fit(mixed, y[order])
    assert set(search.best_params_) == {"settings"}


def test_pipeline(files: list[str], tmp_path: Path) -> None:
    y = np.linspace(1, 4, len(files))
    features = CnfFeatures("static", cache=tmp_path)
    pipeline = make_pipeline(
        features, SimpleImputer(keep_empty_features=True), RandomForestRegressor(10, random_state=0)
    )
    predicted = clone(pipeline).fit(files[::2], y[::2]).predict(files[1::2])
    assert np.corrcoef(predicted, y[1::2])[0, 1] > 0.8
    matrix = features.fit(files).transform(np.array(files))
    assert matrix.shape == (len(files), len(features.get_feature_names_out()))
    assert np.array_equal(features.transform([read_dimacs(files[0])]), matrix[:1], equal_nan=True)
    behind = make_pipeline(features, SatCostRegressor(settings=FEW_TREES)).fit(files, y)
    assert behind.predict(files).shape == (len(files),)


def test_distribution_and_censored_runs() -> None:
    x = np.arange(40.0).reshape(-1, 1)
    y = np.minimum(x[:, 0] / 10, 3.0)
    cut = x[:, 0] > 30
    regressor = SatCostRegressor(settings={"n_trees": 20})
    known = regressor.fit(x, y).predict_distribution(x)
    censored = clone(regressor).fit(x, y, censored=cut).predict_distribution(x)
    assert known.shape == (40,)
    # What was stopped costs more than the limit, and how much more is unknown.
    assert (censored.cdf_at(3.05)[cut] < known.cdf_at(3.05)[cut]).all()


def test_selector_chooses_by_the_penalised_cost() -> None:
    x = np.arange(40.0).reshape(-1, 1)
    costs = np.column_stack([np.where(x[:, 0] < 20, 1.0, np.inf), np.full(40, 5.0), np.full(40, np.nan)])
    costs[::7, 2] = 9.0
    selector = SolverSelector(settings={"n_trees": 20}, solvers=["quick", "sure", "rare"], cutoff=10.0).fit(x, costs)
    chosen = selector.predict(x)
    assert set(chosen[:18]) == {"quick"} and set(chosen[22:]) == {"sure"}
    assert selector.score(x[:18], costs[:18]) == -1.0
    assert selector.score(x[22:], costs[22:]) == -5.0
    assert cross_val_score(selector, x, costs, cv=4).shape == (4,)


def test_what_does_not_fit_is_named(files: list[str], tmp_path: Path) -> None:
    regressor = SatCostRegressor(settings=FEW_TREES).fit(np.eye(4), np.arange(4.0))
    with pytest.raises(ValueError, match="files to both, or a matrix to both"):
        regressor.predict(files[:1])
    with pytest.raises(ValueError, match="2 features"):
        regressor.predict(np.ones((1, 2)))
    with pytest.raises(ValueError, match="expected forest"):
        SatCostRegressor(estimator="tree_size").fit(np.eye(4), np.arange(4.0))
    with pytest.raises(FormulaError, match=r"absent\.cnf"):
        CnfFeatures().transform([str(tmp_path / "absent.cnf")])
    with pytest.raises(FormulaError, match="malformed"):
        CnfFeatures("static").transform([str(SAMPLES / "malformed.cnf")])
    with pytest.raises(ValueError, match="negative cost"):
        SolverSelector().fit(np.eye(4), -np.ones((4, 2)))
