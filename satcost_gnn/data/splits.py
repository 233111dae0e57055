"""Who is trained on and who is tested on: splits that related instances never straddle.

Instances are related if they are isomorphic (same isohash), if one is a cube or variant of the other, or if they
are shuffled copies of one generated formula. Related instances form a group (union-find), and a group stays whole.

Two splits are kept in one file. ``side`` is the split by instance: train, validation, calibration or test, each family
shared out in the same proportions. ``fold`` is the split by family: five folds of whole blocks of families, to be left
out in turn; families whose origins or labels overlap, and generated families with their real kin, form one block.

Test sets are fixed once and for all. :func:`make_splits` takes the splits made before: instances that have a side and
a fold keep them, and new ones are shared out around them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from satcost_gnn.data.schema import ManifestRow
from satcost_gnn.data.split_groups import family_blocks, group_instances, named_block, relations
from satcost_gnn.errors import DatasetError
from satcost_gnn.runtime.output_files import write_json

SPLITS_VERSION = 1
SIDES = ("train", "validation", "calibration", "test")
#: Sides that classical estimators and statistics of portfolios learn from: they need no early stopping.
LEARNT_SIDES = ("train", "validation")
EXCLUDED = "excluded"
_FRACTIONS: Mapping[str, float] = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Splits:
    """The two splits of a data set.

    Parameters
    ----------
    seed
        Seed of the order in which groups are shared out.
    fractions
        Shares of the sides that were aimed at.
    n_folds
        Folds of the split by family.
    side
        Instance -> ``train``, ``validation``, ``calibration``, ``test``, or ``excluded`` (would leak from one fixed
        side to another).
    fold
        Instance -> fold ``0 .. n_folds - 1``; None if it is left out of the split by family, because it or its
        relatives belong to several blocks.
    blocks
        Block of families -> fold.
    """

    seed: int
    fractions: Mapping[str, float]
    n_folds: int
    side: Mapping[str, str]
    fold: Mapping[str, int | None]
    blocks: Mapping[str, int] = field(default_factory=dict)

    def leave_out(self, fold: int) -> dict[str, list[str]]:
        """Return the sides, each sorted, when the families of ``fold`` are unseen.

        ``test`` is the whole fold. Of the other folds, the instances that the split by instance sets aside for
        validation and calibration keep that role, and all others are ``train``.

        Raises
        ------
        DatasetError
            If there is no such fold.
        """
        if not 0 <= fold < self.n_folds:
            raise DatasetError(f"found fold {fold}, expected 0..{self.n_folds - 1}")
        sides: dict[str, list[str]] = {side: [] for side in SIDES}
        for instance in sorted(self.fold):
            its = self.fold[instance]
            if its is None:
                continue
            inner = self.side.get(instance, EXCLUDED)
            if its == fold:
                sides["test"].append(instance)
            elif inner in ("validation", "calibration"):
                sides[inner].append(instance)
            elif inner != EXCLUDED:
                sides["train"].append(instance)
        return sides

    def to_json(self) -> dict[str, object]:
        """Return a structure for JSON: every identity once, under its side and its fold (``-``: none)."""
        parts: dict[str, dict[str, list[str]]] = {}
        for instance in sorted(self.side):
            fold = self.fold.get(instance)
            name = "-" if fold is None else str(fold)
            parts.setdefault(self.side[instance], {}).setdefault(name, []).append(instance)
        return {
            "version": SPLITS_VERSION,
            "seed": self.seed,
            "fractions": dict(self.fractions),
            "n_folds": self.n_folds,
            "blocks": dict(self.blocks),
            "parts": parts,
        }

    @classmethod
    def from_json(cls, value: object, source: str = "splits") -> Self:
        """Return the splits of a structure made by :meth:`to_json`.

        Raises
        ------
        DatasetError
            If it is not one, or an instance is in it twice.
        """
        side: dict[str, str] = {}
        fold: dict[str, int | None] = {}
        try:
            if not isinstance(value, dict):
                raise TypeError("not an object")
            if value["version"] != SPLITS_VERSION:
                raise DatasetError(
                    f"{source}: found version {value['version']!r}, expected {SPLITS_VERSION}; "
                    "make the splits with this version of satcost-gnn or install the one that made them"
                )
            n_folds = int(value["n_folds"])
            if n_folds < 2:
                raise DatasetError(f"{source}: n_folds: found {n_folds}, expected at least 2")
            shares = {str(name): float(share) for name, share in value["fractions"].items()}
            if not set(shares) <= set(SIDES) or min(shares.values()) < 0 or not 0.999 < sum(shares.values()) < 1.001:
                raise DatasetError(
                    f"{source}: fractions: found {shares}, expected shares >= 0 of {', '.join(SIDES)} that add up to 1"
                )
            for its, folds in value["parts"].items():
                if its not in (*SIDES, EXCLUDED):
                    raise DatasetError(f"{source}: found side {its!r}, expected one of {', '.join(SIDES)}, {EXCLUDED}")
                for name, instances in folds.items():
                    number = None if name == "-" else int(name)
                    if number is not None and not 0 <= number < n_folds:
                        raise DatasetError(f"{source}: found fold {number}, expected 0..{n_folds - 1} or '-'")
                    for instance in instances:
                        if instance in side:
                            raise DatasetError(
                                f"{source}: found {instance} twice (in {side[instance]} and {its}), expected it once"
                            )
                        side[instance] = its
                        fold[instance] = number
            return cls(
                seed=int(value["seed"]),
                fractions={side: shares.get(side, 0.0) for side in SIDES},
                n_folds=n_folds,
                side=side,
                fold=fold,
                blocks={str(k): int(v) for k, v in value["blocks"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"{source}: found no splits ({type(error).__name__}: {error}), expected an object with version, seed, "
                "fractions, n_folds, blocks and parts; restore the file"
            ) from error

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read ``splits.json``.

        Raises
        ------
        DatasetError
            If it is missing, not JSON, or holds something else.
        """
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: cannot be read as JSON ({error}); restore the file") from error
        return cls.from_json(value, str(path))

    def write(self, path: Path | str) -> None:
        """Write ``splits.json`` atomically.

        Raises
        ------
        DatasetError
            If it can't be written.
        """
        write_json(Path(path), self.to_json(), sort_keys=True, separators=(",", ":"))


def _rank(seed: int, name: str) -> str:
    """Return a key that orders names at random, the same on every machine."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _share_out(members: Mapping[str, Sequence[ManifestRow]], before: Splits) -> dict[str, str]:
    """Assign groups to sides: those made before stay, the others go where their family, and then all, lack most."""
    old, fractions = before.side, before.fractions
    side: dict[str, str] = {}
    in_family: dict[str, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    family_of = {
        group: min(Counter(row.family for row in rows).items(), key=lambda item: (-item[1], item[0]))[0]
        for group, rows in members.items()
    }

    def put(group: str, chosen: str) -> None:
        fresh = [row for row in members[group] if row.instance not in side]
        for row in fresh:
            side[row.instance] = chosen
        in_family[family_of[group]][chosen] += len(fresh)
        overall[chosen] += len(fresh)

    new = []
    for group in sorted(members):
        sides = Counter(old[row.instance] for row in members[group] if row.instance in old)
        if not sides:
            new.append(group)
            continue
        if "test" in sides and len(set(sides) - {EXCLUDED}) > 1:
            # A new instance has shown that a test instance has relatives in training: what was test stays test,
            # and the rest of the group is used no more.
            for row in members[group]:
                side[row.instance] = "test" if old.get(row.instance) == "test" else EXCLUDED
            put(group, EXCLUDED)
        elif EXCLUDED in sides:
            for row in members[group]:
                side[row.instance] = old.get(row.instance, EXCLUDED)
        else:
            put(group, min(sides, key=lambda name: (-sides[name], SIDES.index(name))))
    for group in sorted(new, key=lambda name: (family_of[name], _rank(before.seed, name))):
        size, family = len(members[group]), in_family[family_of[group]]

        def lack(name: str, size: int = size, family: Counter[str] = family) -> tuple[float, int]:
            local = fractions[name] * (family.total() + size) - family[name]
            whole = fractions[name] * (overall.total() + size) - overall[name]
            # The whole counts for little: it breaks ties and spreads families of few groups over the sides.
            return (local + 0.1 * whole if fractions[name] else float("-inf")), -SIDES.index(name)

        put(group, max(SIDES, key=lack))
    return side


def make_splits(manifest: Iterable[ManifestRow], seed: int = 0, *, previous: Splits | None = None) -> Splits:
    """Make both splits of a manifest, or extend the ones made before.

    Parameters
    ----------
    manifest
        Rows of the manifest.
    seed
        Seed of the order in which groups of related instances are shared out.
    previous
        Splits to extend. Their instances keep side and fold (a training instance that turns out to be related to a
        test instance becomes ``excluded``); instances that are no longer in the manifest are kept too, so that they
        come back to the same place. Their seed, fractions and folds are used.
    """
    rows = list(manifest)
    before = previous or Splits(seed, _FRACTIONS, _FOLDS, {}, {})
    groups = group_instances(rows)
    members: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        members[groups[row.instance]].append(row)

    side = _share_out(members, before)
    fold, blocks = _fold(rows, members, before)
    present = {row.instance for row in rows}
    side |= {name: its for name, its in before.side.items() if name not in present}
    fold |= {name: its for name, its in before.fold.items() if name not in present}
    return replace(before, side=side, fold=fold, blocks=blocks)


def _fold(
    rows: Sequence[ManifestRow], members: Mapping[str, Sequence[ManifestRow]], before: Splits
) -> tuple[dict[str, int | None], dict[str, int]]:
    block_of = family_blocks(rows)
    old = before.fold
    usable: dict[str, str] = {}
    for group in members.values():
        counts = Counter(block_of[row.instance] for row in group)
        # Who has a fold already counts first, so that newcomers don't drive it out.
        settled = Counter(block_of[row.instance] for row in group if old.get(row.instance) is not None)
        main = sorted(counts, key=lambda name: (-settled[name], -counts[name], name))[0]
        for row in group:
            named = named_block(row.path)
            # Relatives in another block, or a name that speaks for another block, would leak it into training.
            if block_of[row.instance] == main and named in (None, main):
                usable[row.instance] = main
    sizes = Counter(usable.values())
    blocks = dict(before.blocks)
    load = Counter(dict.fromkeys(range(before.n_folds), 0))
    for block, fold in blocks.items():
        load[fold] += sizes[block]
    for block in sorted(sizes.keys() - blocks.keys(), key=lambda name: (-sizes[name], _rank(before.seed, name))):
        blocks[block] = min(load, key=lambda number: (load[number], number))
        load[blocks[block]] += sizes[block]
    fold_of: dict[str, int | None] = {}
    for row in rows:
        now = blocks[usable[row.instance]] if row.instance in usable else None
        # Once left out, or found to have relatives in another block: out. Never to another fold.
        fold_of[row.instance] = now if old.get(row.instance, now) == now else None
    return fold_of, blocks


def check_splits(manifest: Iterable[ManifestRow], splits: Splits) -> list[str]:
    """Return what is wrong with the splits, one line a violation; none means that nothing leaks.

    Checked are: every instance has a side and an entry for its fold; no isohash, parent, cube, source instance or
    recipe is on two sides or in two folds; no block of families is in two folds.
    """
    rows = list(manifest)
    problems = [f"{row.instance} ({row.family}): not in the splits" for row in rows if row.instance not in splits.side]
    split_views: tuple[tuple[str, Mapping[str, str | int | None]], ...] = (
        ("side", {name: its for name, its in splits.side.items() if its != EXCLUDED}),
        ("fold", {name: its for name, its in splits.fold.items() if its is not None}),
    )
    ties: dict[str, tuple[str, list[str]]] = {}
    for row in rows:
        # The node of the instance itself ties a parent to its children.
        ties.setdefault(f"instance:{row.instance}", (f"parent {row.instance}", []))[1].append(row.instance)
        for node, label in relations(row):
            ties.setdefault(node, (label, []))[1].append(row.instance)
    groups = group_instances(rows)
    for what, view in split_views:
        reported: set[str] = set()
        for _, (label, tied) in sorted(ties.items()):
            problem = _straddling(label, tied, what, view)
            if problem is not None:
                reported.add(groups[tied[0]])
                problems.append(problem)
        members: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            members[groups[row.instance]].append(row.instance)
        for group, related in sorted(members.items()):
            # Ties over several steps, each of which looks harmless because the instance between is left out.
            problem = None if group in reported else _straddling(f"group {group}", related, what, view)
            if problem is not None:
                problems.append(problem)
    by_block: dict[str, set[int]] = defaultdict(set)
    for instance, block in family_blocks(rows).items():
        its_fold = splits.fold.get(instance)
        if its_fold is not None:
            by_block[block].add(its_fold)
    problems += [
        f"block {block} straddles folds {', '.join(map(str, sorted(folds)))}, expected one fold"
        for block, folds in sorted(by_block.items())
        if len(folds) > 1
    ]
    return problems


def _straddling(label: str, tied: Sequence[str], what: str, view: Mapping[str, str | int | None]) -> str | None:
    places: dict[str, str] = {}
    for instance in sorted(set(tied)):
        place = view.get(instance)
        if place is not None:
            places.setdefault(str(place), instance)
    if len(places) < 2:
        return None
    listed = ", ".join(f"{instance} in {place}" for place, instance in sorted(places.items()))
    return f"{label} straddles {what}s: {listed}; expected all on one; make the splits again"
