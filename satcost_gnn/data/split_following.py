"""Splits that follow those of another data set, so that what one is tested on the other is not trained on."""

from __future__ import annotations

from collections.abc import Sequence

from satcost_gnn.data.dataset import Dataset
from satcost_gnn.data.schema import ManifestRow
from satcost_gnn.data.splits import Splits, make_splits
from satcost_gnn.errors import DatasetError


def follow_splits(manifest: Sequence[ManifestRow], leader: Dataset, own: Splits | None = None) -> Splits:
    """Return splits in which instances and their relatives are where another data set has them.

    Parameters
    ----------
    manifest
        Rows of the manifest to be split.
    leader
        The data set to follow. Its instances that are not in the manifest count too: a copy or cube of one of them is
        put beside it.
    own
        Splits made before: what is only in the manifest keeps its place, unless it is related to an instance of the
        leader's that is elsewhere.

    Raises
    ------
    DatasetError
        If the leader has no splits.
    """
    if leader.splits is None:
        raise DatasetError(f"{leader.directory}: found no splits.json, expected one to follow; make the splits first")
    previous = leader.splits
    if own is not None:
        # Where both have an instance, the leader's place counts.
        previous = Splits(
            previous.seed,
            previous.fractions,
            previous.n_folds,
            {**own.side, **previous.side},
            {**own.fold, **previous.fold},
            {**own.blocks, **previous.blocks},
        )
    present = {row.instance for row in manifest}
    rows = [*manifest, *(row for row in leader.manifest if row.instance not in present)]
    made = make_splits(rows, previous=previous)
    return Splits(
        made.seed,
        made.fractions,
        made.n_folds,
        {name: side for name, side in made.side.items() if name in present},
        {name: fold for name, fold in made.fold.items() if name in present},
        made.blocks,
    )
