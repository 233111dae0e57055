"""The estimators against an explicit tree in exact arithmetic."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satcost_gnn.formula.cnf import Formula
from satcost_gnn.search.probe import run_probe
from satcost_gnn.search.probe_settings import ProbeSettings
from satcost_gnn.search.tree_size import (
    DECISION,
    FINISHED,
    RESTART,
    HoltProgress,
    TreeSize,
    decision_runs,
    estimates,
)


class Node:
    """A node of the explicit tree: not yet searched, a leaf, or with a left and perhaps a right child."""

    def __init__(self) -> None:
        self.leaf = False
        self.left: Node | None = None
        self.right: Node | None = None


class ExplicitTree:
    """The search tree, built node by node and contracted by its definition; slow and exact."""

    def __init__(self, kept: int = 0) -> None:
        self.root = Node()
        self.here = self.root
        self.open: list[Node] = []
        for _ in range(kept):
            self.decision()

    def decision(self) -> None:
        self.here.left = Node()
        self.open.append(self.here)
        self.here = self.here.left

    def conflict(self, backjump: int) -> None:
        self.here.leaf = True
        for skipped in reversed(self.open[backjump + 1 :]):
            # Replaced by its left child, in place.
            child = skipped.left
            assert child is not None and skipped.right is None
            skipped.leaf, skipped.left, skipped.right = child.leaf, child.left, child.right
        branch = self.open[backjump]
        del self.open[backjump:]
        branch.right = Node()
        self.here = branch.right

    def finish(self) -> None:
        assert not self.open
        self.here.leaf = True

    def leaf_depths(self) -> list[int]:
        depths, stack = [], [(self.root, 0)]
        while stack:
            node, depth = stack.pop()
            if node.leaf:
                depths.append(depth)
            stack += [(child, depth + 1) for child in (node.left, node.right) if child is not None]
        return depths

    def nodes(self) -> int:
        count, stack = 0, [self.root]
        while stack:
            node = stack.pop()
            count += 1
            stack += [child for child in (node.left, node.right) if child is not None]
        return count

    def weight(self) -> Fraction:
        return sum((Fraction(1, 2**depth) for depth in self.leaf_depths()), Fraction(0))

    def wbe(self) -> Fraction:
        depths = self.leaf_depths()
        probability = [Fraction(1, 2**depth) for depth in depths]
        return sum(p * (2 ** (d + 1) - 1) for p, d in zip(probability, depths, strict=True)) / sum(probability)

    @staticmethod
    def size(node: Node) -> int:
        assert node.leaf or (node.left is not None and node.right is not None), "an open node in a closed subtree"
        return 1 if node.leaf else 1 + ExplicitTree.size(node.left) + ExplicitTree.size(node.right)  # type: ignore[arg-type]

    def recursive(self, node: Node | None = None) -> int:
        """Estimate by the recursion itself, at the moment when a left subtree has just been closed."""
        node = self.root if node is None else node
        if node.leaf:
            return 1
        assert node.left is not None
        if node.right is None:
            return 1 + 2 * self.recursive(node.left)
        left = self.size(node.left)
        if node.right is self.here and not node.right.leaf:
            return 1 + 2 * left
        return 1 + left + self.recursive(node.right)


def log2(value: Fraction | int) -> float:
    """log2 of an exact number, however large or small."""
    value = Fraction(value)

    def integer(n: int) -> float:
        shift = max(0, n.bit_length() - 60)
        return math.log2(n >> shift) + shift

    return integer(value.numerator) - integer(value.denominator)


@st.composite
def event_sequences(draw: st.DrawFn, longest_run: int = 8, restarts: bool = True) -> list[int]:
    """Draw a legal sequence of events."""
    events: list[int] = []
    level = 0
    for _ in range(draw(st.integers(1, 30))):
        action = draw(st.integers(0, 9))
        run = draw(st.integers(0 if level else 1, longest_run))
        events += [DECISION] * run
        level += run
        if restarts and action == 9:
            kept = draw(st.integers(0, level))
            events.append(RESTART - kept)
            level = kept
        else:
            level = draw(st.integers(0, level - 1))
            events.append(level)
    return events


def check_against_explicit(events: list[int]) -> int:
    """Feed both and compare after every conflict; return the number of conflicts."""
    size, tree = TreeSize(), ExplicitTree()
    conflicts = 0
    for event in events:
        if event == DECISION:
            for part in (size, tree):
                part.decision()
        elif event >= 0:
            conflicts += 1
            for part in (size, tree):
                part.conflict(event)
            assert size.leaves == len(tree.leaf_depths())
            assert size.log2_weight == pytest.approx(log2(tree.weight()), abs=1e-9)
            assert size.log2_wbe() == pytest.approx(log2(tree.wbe()), abs=1e-9)
            assert size.log2_recursive == pytest.approx(log2(tree.recursive()), abs=1e-9)
        elif event == FINISHED:
            for part in (size, tree):
                part.finish()
        else:
            size.restart(RESTART - event)
            tree = ExplicitTree(RESTART - event)
        assert size.level == len(tree.open)
    return conflicts


@given(event_sequences())
@settings(max_examples=200, deadline=None)
def test_random_traces_agree_with_the_explicit_tree(events: list[int]) -> None:
    assert check_against_explicit(events) >= 0


@given(event_sequences(longest_run=400))
@settings(max_examples=30, deadline=None)
def test_deep_traces_agree_with_the_explicit_tree(events: list[int]) -> None:
    check_against_explicit(events)


@given(event_sequences(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_runs_of_decisions_are_the_same_as_single_ones(events: list[int], rng: random.Random) -> None:
    table = estimates(np.array(events, dtype=np.int32))
    size = TreeSize()
    row = 0
    for event in events:
        if event == DECISION:
            size.decision()
        elif event >= 0:
            size.conflict(event)
            assert table.log2_wbe[row] == pytest.approx(size.log2_wbe(), abs=1e-12)
            assert table.log2_recursive[row] == pytest.approx(size.log2_recursive, abs=1e-9)
            assert table.log2_weight[row] == pytest.approx(size.log2_weight, abs=1e-12)
            assert table.leaves[row] == size.leaves
            row += 1
        else:
            size.restart(RESTART - event)
    assert row == len(table.log2_wbe)


@given(st.integers(1, 60), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_finished_tree_is_counted_exactly(conflicts: int, rng: random.Random) -> None:
    size, tree = TreeSize(), ExplicitTree()
    parts = (size, tree)
    for done in range(conflicts):
        for _ in range(rng.randint(0 if tree.open else 1, 3)):
            for part in parts:
                part.decision()
        # Drive the tree to its end: the last conflict closes every decision that is open.
        target = 0 if done == conflicts - 1 else rng.randint(0, len(tree.open) - 1)
        for part in parts:
            part.conflict(target)
    for part in parts:
        part.finish()
    nodes = tree.nodes()
    assert tree.weight() == 1 and nodes == 2 * size.leaves - 1 == tree.wbe() == tree.recursive()
    assert size.log2_weight == 0.0
    assert size.log2_wbe() == pytest.approx(math.log2(nodes), abs=1e-12)
    assert size.log2_recursive == pytest.approx(math.log2(nodes), abs=1e-12)


def test_the_recursion_by_hand() -> None:
    # Two decisions, a leaf on the left of both, then a leaf on the right of the second.
    estimator = TreeSize()
    estimator.decision(2)
    estimator.conflict(1)
    assert 2**estimator.log2_recursive == pytest.approx(1 + 2 * (1 + 2 * 1))
    estimator.conflict(0)
    # The first decision's left subtree now has 3 nodes.
    assert 2**estimator.log2_recursive == pytest.approx(1 + 2 * 3)
    estimator.decision()
    estimator.conflict(0)
    # In the right child of the root: 1 + 3 + (1 + 2 * 1).
    assert 2**estimator.log2_recursive == pytest.approx(7)
    estimator.finish()
    assert 2**estimator.log2_recursive == pytest.approx(7)


def test_depths_beyond_the_range_of_floating_point() -> None:
    size = TreeSize()
    size.decision(1_000_000)
    size.conflict(999_999)
    assert size.log2_wbe() == pytest.approx(1_000_001, abs=1e-6)
    assert size.log2_recursive == pytest.approx(1_000_001, abs=1e-6)
    size.conflict(10)
    assert size.log2_weight == pytest.approx(-11)
    assert size.log2_wbe() == pytest.approx(math.log2(2 * 2 * 2**11 - 1))
    assert size.log2_recursive == pytest.approx(math.log2(2**10 - 1 + 2**10 * 7))


def test_time_per_conflict_does_not_depend_on_the_depth() -> None:
    # A stack that kept every decision would hold a million entries here.
    estimator = TreeSize()
    estimator.decision(1_000_000)
    for _ in range(1000):
        estimator.conflict(estimator.level - 1)
    assert len(estimator._runs) == 1
    for _ in range(1000):
        estimator.decision(5)
        estimator.conflict(estimator.level - 1)
    estimator.conflict(0)
    assert estimator._runs == [] and estimator.level == 0


def test_nothing_is_known_before_the_first_leaf() -> None:
    size = TreeSize()
    assert math.isnan(size.log2_wbe()) and math.isnan(size.log2_recursive)
    size.decision(3)
    assert math.isnan(size.log2_wbe()) and math.isnan(size.log2_recursive)
    size.conflict(0)
    assert size.log2_wbe() > 0 and size.log2_recursive > 0
    size.restart()
    assert math.isnan(size.log2_wbe()) and math.isnan(size.log2_recursive)


def test_impossible_events_are_refused() -> None:
    size = TreeSize()
    with pytest.raises(ValueError, match="backjump"):
        size.conflict(0)
    size.decision(2)
    with pytest.raises(ValueError, match="backjump"):
        size.conflict(2)
    with pytest.raises(ValueError, match="backjump"):
        size.conflict(-1)
    with pytest.raises(ValueError, match="2 open decisions"):
        size.finish()


def test_a_restart_that_keeps_decisions_begins_with_them_open() -> None:
    size = TreeSize()
    size.decision(9)
    size.conflict(4)
    size.restart(3)
    assert (size.level, size.depth, size.leaves, size.log2_weight) == (3, 3, 0, -math.inf)
    size.conflict(2)
    assert size.log2_weight == -3.0


def test_real_traces_agree_with_the_explicit_tree() -> None:
    rng = random.Random(7)
    checked = 0
    for variables in (20, 30, 40):
        clauses = [
            [v * rng.choice((-1, 1)) for v in rng.sample(range(1, variables + 1), 3)]
            for _ in range(round(4.6 * variables))
        ]
        for solver in ("cadical195", "minisatep"):
            result = run_probe(Formula.from_clauses(clauses), ProbeSettings(solver=solver))
            assert result.trace is not None
            checked += check_against_explicit(result.trace.events.tolist())
    assert checked > 50


def test_a_refutation_without_restart_closes_the_tree() -> None:
    # All sixteen sign patterns over four variables: no restart in so short a search.
    clauses = [[(1 if i >> v & 1 else -1) * (v + 1) for v in range(4)] for i in range(16)]
    trace = run_probe(Formula.from_clauses(clauses)).trace
    assert trace is not None
    assert trace.events[-1] == FINISHED and not (trace.events[:-1] <= RESTART).any()
    size = TreeSize()
    codes, runs, trailing = decision_runs(trace.events)
    assert trailing == 0
    for code, run in zip(codes.tolist(), runs.tolist(), strict=True):
        if run:
            size.decision(run)
        if code == FINISHED:
            size.finish()
        else:
            size.conflict(code)
    leaves = trace.conflicts + 1
    assert size.log2_weight == 0.0
    assert 2 ** size.log2_wbe() == pytest.approx(2 * leaves - 1)
    assert 2**size.log2_recursive == pytest.approx(2 * leaves - 1)


class TestHoltProgress:
    def test_a_steady_weight_is_forecast_exactly(self) -> None:
        holt = HoltProgress()
        for leaf in range(1, 301):
            holt.update(leaf / 1000)
            if leaf / 1000 >= 0.005:
                assert holt.estimate() == pytest.approx(2 * 1000 - 1, rel=1e-9)

    def test_unknown_until_the_least_weight(self) -> None:
        holt = HoltProgress()
        holt.update(0.001)
        holt.update(0.0049)
        assert math.isnan(holt.estimate())
        holt.update(0.0051)
        assert holt.estimate() > 0

    def test_known_at_the_end(self) -> None:
        holt = HoltProgress()
        for weight in (0.5, 0.75, 1.0):
            holt.update(weight)
        assert holt.estimate() == 5.0

    def test_unknown_when_the_weight_does_not_grow(self) -> None:
        holt = HoltProgress()
        for leaf in range(300):
            holt.update(0.25 - leaf * 1e-6)
        assert holt.trend < 0 and math.isnan(holt.estimate())

    def test_the_smoothing_by_hand(self) -> None:
        holt = HoltProgress()
        holt.update(0.1)
        assert (holt.level, holt.trend) == (0.1, 0.1)
        holt.update(0.3)
        level = 0.65 * 0.3 + 0.35 * (0.1 + 0.1)
        assert holt.level == pytest.approx(level)
        assert holt.trend == pytest.approx(0.15 * (level - 0.1) + 0.85 * 0.1)
        assert holt.estimate() == pytest.approx(2 * (2 + 0.7 / holt.trend) - 1)

    def test_the_resolution_halves_and_the_forecast_stays(self) -> None:
        holt = HoltProgress()
        for leaf in range(1, 12_801):
            holt.update(leaf / 51_200)
            if leaf / 51_200 >= 0.005 and leaf % holt.resolution == 0:
                assert holt.estimate() == pytest.approx(2 * 51_200 - 1, rel=1e-9)
        assert holt.resolution == 16 and len(holt._samples) == 12_800 // 16

    def test_restart_forgets(self) -> None:
        holt = HoltProgress()
        holt.update(0.9)
        holt.restart()
        assert holt.leaves == 0 and math.isnan(holt.estimate())


def test_no_events_no_rows() -> None:
    table = estimates(np.zeros(0, dtype=np.int32))
    assert len(table.log2_wbe) == len(table.tree) == len(table.holt) == 0
