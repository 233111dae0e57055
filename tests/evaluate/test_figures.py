"""What is drawn of a selection: a curve and a bar for each solver, no two of them alike."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from satcost_gnn.evaluate import figures
from satcost_gnn.evaluate.selection import SelectionProblem

SOLVERS = tuple(f"solver{k}" for k in range(11))
N = 20


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Eleven solvers on twenty instances, and a selector; figures are kept as what they are drawn from."""
    monkeypatch.setattr(figures, "svg", lambda figure: figure)
    rng = np.random.default_rng(0)
    runtime = rng.uniform(0.1, 10.0, (N, len(SOLVERS)))
    problem = SelectionProblem(
        portfolio=SOLVERS,
        columns=np.arange(len(SOLVERS)),
        cutoff_s=10.0,
        instances=[str(k) for k in range(N)],
        families=["f"] * N,
        runtime=runtime,
        solved=runtime < 9.0,
        rows=np.arange(N),
        timings={},
        left_out=0,
        folds=np.zeros(N, dtype=np.int64),
        training=(),
        measured={},
        sides=(),
    )
    picked = SimpleNamespace(seconds=runtime[:, 0], solved=problem.solved[:, 0])
    shares = dict.fromkeys(SOLVERS, 1 / len(SOLVERS))
    return SimpleNamespace(
        problem=problem, first_selection={"gnn": picked}, selection={"gnn": SimpleNamespace(shares=shares)}
    )


def test_each_curve_of_a_cactus_plot_has_a_colour_of_its_own(comparison: Any) -> None:
    (axes,) = figures.cactus(comparison, ["gnn"]).axes  # type: ignore[attr-defined]
    curves = {line.get_label(): line for line in axes.get_lines()}
    assert set(curves) == {*(f"{name} alone" for name in SOLVERS), "oracle (virtual best)", "picked by gnn"}
    looks = {(line.get_color(), str(line.get_linestyle()), line.get_linewidth()) for line in curves.values()}
    assert len(looks) == len(curves)
    assert len({curves[f"{name} alone"].get_color() for name in SOLVERS}) == 11
    # A curve ends at as many instances as are solved.
    ends = {name: curves[f"{name} alone"].get_ydata()[-1] for name in SOLVERS}
    assert ends == dict(zip(SOLVERS, comparison.problem.solved.sum(axis=0).tolist(), strict=True))


def test_picks_have_the_colours_of_the_curves(comparison: Any) -> None:
    (bars,) = figures.pick_shares(comparison).axes  # type: ignore[attr-defined]
    (curves,) = figures.cactus(comparison, ["gnn"]).axes  # type: ignore[attr-defined]
    from matplotlib.colors import to_hex

    of_bars = {one.get_label(): to_hex(one.patches[0].get_facecolor()) for one in bars.containers}
    of_curves = {line.get_label().removesuffix(" alone"): to_hex(line.get_color()) for line in curves.get_lines()}
    assert set(of_bars) == set(SOLVERS) and len({*of_bars.values()}) == 11
    assert {name: of_curves[name] for name in SOLVERS} == of_bars
    widths = [one.patches[0].get_width() for one in bars.containers]
    assert sum(widths) == pytest.approx(100.0)
