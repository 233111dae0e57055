import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satcost_gnn.data.schema import ManifestRow
from satcost_gnn.data.split_groups import (
    BLOCKS,
    block_of_family,
    family_blocks,
    group_instances,
    named_block,
    recipe_source,
)
from satcost_gnn.data.splits import EXCLUDED, SIDES, Splits, check_splits, make_splits
from satcost_gnn.errors import DatasetError


def _on(splits: Splits, side: str) -> set[str]:
    return {instance for instance, its in splits.side.items() if its == side}


@pytest.fixture
def manifest(make_row):
    """Return 300 rows: ten families, isomorphic twins, cubes of a few instances, shuffled copies of generated ones."""
    rows = [make_row(f"r{k}", family=f"family-{k % 6}") for k in range(160)]
    rows += [make_row(f"twin{k}", family=rows[k].family, isohash=rows[k].isohash) for k in range(0, 40)]
    rows += [
        make_row(
            f"cube{k}",
            family=f"cube-{rows[k % 5].family}",
            parent=rows[k % 5].instance,
            path=None,
            origin="cube",
            recipe=f"cube:literals={k + 1},parent={rows[k % 5].instance}",
        )
        for k in range(50)
    ]
    rows += [
        make_row(
            f"made{k}",
            family=f"made-{k % 25 % 4}",
            path=None,
            origin="generated",
            recipe=f"made-{k % 25 % 4}:n=9,{f'shuffle={k},' if k >= 25 else ''}seed={k % 25}",
        )
        for k in range(50)
    ]
    return rows


def test_relatives_share_a_group(make_row):
    rows = [
        make_row("parent"),
        make_row("cube", parent=make_row("parent").instance),
        make_row("twin of the cube", isohash=make_row("cube").isohash),
        make_row("cube by its recipe", path=None, recipe=f"cube:literals=1_-2,parent={make_row('parent').instance}"),
        make_row("stranger"),
    ]
    groups = group_instances(rows)
    assert len({groups[row.instance] for row in rows[:4]}) == 1
    assert groups[rows[4].instance] == rows[4].instance


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_what_ties_connect_in_any_order(make_row, seed):
    draw = random.Random(seed)
    names = [make_row(f"x{k}").instance for k in range(40)]
    rows = [
        make_row(
            f"x{k}",
            isohash=f"iso{draw.randrange(60)}",
            parent=draw.choice(names[:k]) if k and draw.random() < 0.3 else None,
        )
        for k in range(40)
    ]
    label = {row.instance: row.instance for row in rows}
    for _ in rows:  # as many rounds as a chain may be long
        for one in rows:
            for other in rows:
                if one.isohash == other.isohash or one.parent == other.instance:
                    label[one.instance] = label[other.instance] = min(label[one.instance], label[other.instance])
    draw.shuffle(rows)
    assert group_instances(rows) == label


def test_cubes_of_an_absent_parent_and_shuffled_copies_share_a_group(make_row):
    cubes = [make_row(f"c{k}", parent="an-absent-parent") for k in range(2)]
    copies = [
        make_row("plain", path=None, recipe="tseitin:degree=4,n=30,seed=1"),
        make_row("copy", path=None, recipe="tseitin:degree=4,n=30,shuffle=5,seed=1"),
        make_row("cube of the copy", path=None, recipe="cube:literals=3,parent=tseitin:degree=4,n=30,shuffle=7,seed=1"),
    ]
    other = make_row("other seed", path=None, recipe="tseitin:degree=4,n=30,seed=2")
    groups = group_instances([*cubes, *copies, other])
    assert len({groups[row.instance] for row in cubes}) == 1
    assert len({groups[row.instance] for row in copies}) == 1
    assert len(set(groups.values())) == 3


@pytest.mark.parametrize(
    ("recipe", "source"),
    [
        ("random-ksat:k=3,n=250,ratio=4.26,seed=7", "random-ksat:k=3,n=250,ratio=4.26,seed=7"),
        ("random-ksat:k=3,shuffle=2,seed=7", "random-ksat:k=3,seed=7"),
        ("random-ksat:shuffle=2,seed=7", "random-ksat:seed=7"),
        ("cube:literals=1_-2,parent=0123abcd", "0123abcd"),
        ("cube:literals=1,parent=cube:literals=2,parent=x:n=1,shuffle=3", "x:n=1"),
    ],
)
def test_the_source_of_a_recipe(recipe, source):
    assert recipe_source(recipe) == source


def test_nothing_straddles_and_the_shares_are_kept(manifest):
    splits = make_splits(manifest)
    assert check_splits(manifest, splits) == []
    assert set(splits.side) == {row.instance for row in manifest} == set(splits.fold)
    counts = Counter(splits.side.values())
    for side, share in splits.fractions.items():
        assert abs(counts[side] / len(manifest) - share) < 0.05, side
    groups = group_instances(manifest)
    for view in (splits.side, splits.fold):
        for group in set(groups.values()):
            assert len({view[name] for name, its in groups.items() if its == group}) == 1


def test_every_family_is_shared_out(manifest):
    splits = make_splits(manifest)
    for family in ("family-0", "family-5"):
        its = Counter(splits.side[row.instance] for row in manifest if row.family == family)
        assert set(its) == set(SIDES) and its["train"] > its["test"]


def test_folds_hold_whole_blocks(manifest):
    splits = make_splits(manifest)
    blocks = family_blocks(manifest)
    fold_of = {}
    for row in manifest:
        assert fold_of.setdefault(blocks[row.instance], splits.fold[row.instance]) == splits.fold[row.instance]
    assert {splits.blocks[block] for block in fold_of} == set(range(5))
    assert fold_of == dict(splits.blocks)


def test_a_fold_left_out_is_unseen(manifest):
    splits = make_splits(manifest)
    seen = []
    for fold in range(5):
        sides = splits.leave_out(fold)
        assert set(sides["test"]) == {name for name, its in splits.fold.items() if its == fold}
        families = {row.family for row in manifest if row.instance in set(sides["test"])}
        trained = {row.family for row in manifest for side in SIDES[:3] if row.instance in set(sides[side])}
        assert families.isdisjoint(trained)
        assert sum(map(len, sides.values())) == len(manifest)
        seen += sides["test"]
    assert sorted(seen) == sorted(splits.side)
    with pytest.raises(DatasetError, match=r"fold 5, expected 0\.\.4"):
        splits.leave_out(5)


def test_splits_are_the_same_in_any_order_and_differ_by_seed(manifest):
    shuffled = random.Random(1).sample(manifest, len(manifest))
    assert make_splits(shuffled).to_json() == make_splits(manifest).to_json()
    assert make_splits(manifest, seed=1).side != make_splits(manifest).side


def test_growing_keeps_every_side_and_fold(manifest, make_row):
    first = [row for row in manifest if not row.instance.startswith(("0", "1", "2", "3"))]
    before = make_splits(first)
    grown = [*manifest, *(make_row(f"new{k}", family="family-0") for k in range(40))]
    after = make_splits(grown, seed=99, previous=before)
    assert check_splits(grown, after) == []
    tests = _on(before, "test")
    assert tests <= _on(after, "test")
    # Only what a newcomer ties to a group on another side may move, and nothing into a test set.
    moved = {name for name in before.side if after.side[name] != before.side[name]}
    groups = group_instances(grown)
    tied = {groups[name] for name in moved}
    for group in tied:
        old = {before.side[name] for name, its in groups.items() if its == group and name in before.side}
        assert len(old) > 1
    assert tests.isdisjoint(moved)
    assert {name for name in before.side if after.side[name] == "test"} == tests
    assert all(after.fold[name] == before.fold[name] for name in before.fold)
    assert after.seed == before.seed


def test_a_newcomer_that_ties_training_to_test_takes_neither_into_the_other(make_row):
    old = [make_row(f"r{k}") for k in range(20)]
    before = make_splits(old)
    tested, trained = min(_on(before, "test")), min(_on(before, "train"))
    isohash = next(row.isohash for row in old if row.instance == tested)
    bridge = make_row("bridge", isohash=isohash, parent=trained)
    after = make_splits([*old, bridge], previous=before)
    assert after.side[tested] == "test"
    assert after.side[trained] == after.side[bridge.instance] == EXCLUDED
    assert check_splits([*old, bridge], after) == []
    # And it stays so when more relatives come.
    cousin = make_row("cousin", parent=trained)
    later = make_splits([*old, bridge, cousin], previous=after)
    assert (later.side[tested], later.side[trained], later.side[cousin.instance]) == ("test", EXCLUDED, EXCLUDED)


def test_instances_taken_out_come_back_to_their_place(manifest):
    before = make_splits(manifest)
    without = make_splits(manifest[:100], previous=before)
    back = make_splits(manifest, previous=without)
    assert back.side == before.side and back.fold == before.fold


def test_relatives_in_two_blocks_leave_the_split_by_family(make_row):
    rows = [make_row(f"a{k}", family="a") for k in range(8)] + [make_row(f"b{k}", family="b") for k in range(8)]
    rows.append(make_row("b of a", family="b", isohash=rows[0].isohash))
    rows.append(make_row("a too", family="a", isohash=rows[0].isohash))
    splits = make_splits(rows)
    assert splits.fold[rows[-2].instance] is None
    assert splits.fold[rows[0].instance] == splits.fold[rows[-1].instance] is not None
    assert splits.side[rows[-2].instance] == splits.side[rows[0].instance]
    assert check_splits(rows, splits) == []


def test_a_file_name_that_speaks_for_another_block_leaves_the_split_by_family(make_row):
    rows = [make_row(f"r{k}", family="math-ramsey-vdw-ptn") for k in range(5)]
    rows.append(make_row("unif-k5-r21.3-v100-c2130-S282405510-004", family="math-ramsey-vdw-ptn"))
    rows.append(make_row("unif-k3-r4.2-v100", family="satcomp-random-ksat"))
    splits = make_splits(rows)
    assert splits.fold[rows[5].instance] is None
    assert None not in {splits.fold[row.instance] for row in (*rows[:5], rows[6])}


@pytest.mark.parametrize(
    ("families", "block"),
    [
        (("mccomp2022-track1", "mccomp2022-track234"), "model-counting"),
        (("sampling-iscas-blasted", "sampling-iscas-parity"), "sampling-circuits"),
        (("bayesnet-ace", "bayesnet-grid"), "bayesnet"),
        (("featuremodel-cve", "featuremodel-uvl"), "feature-models"),
        (("crypto-bivium", "crypto-trivium", "trivium-state", "cube-crypto-trivium", "cubes-crypto-bivium"), "trivium"),
        (("crypto-md4", "crypto-md5", "md4-preimage"), "md4-md5"),
        (("satlib-uf-random3sat", "satlib-uuf-random3sat", "random-ksat", "planted-ksat"), "random-ksat"),
        (("multiplier-factoring", "factoring", "multiplier-miter"), "arithmetic"),
        (("crypto-grain",), "crypto-grain"),
    ],
)
def test_families_of_one_origin_are_one_block(families, block):
    assert {block_of_family(family) for family in families} == {block}


def test_generated_families_named_in_blocks_exist():
    from satcost_gnn.data.generate import FAMILIES

    real = ("satlib-", "satcomp-", "mccomp2022-", "sampling-", "bayesnet-", "featuremodel-", "crypto-", "math-")
    real += ("php-", "lec-", "planning-", "scheduling-", "circuit-", "proofcomplexity-", "graph-coloring-", "latin-")
    real += ("puzzles", "misc-", "multiplier-factoring")
    for patterns in BLOCKS.values():
        for pattern in patterns:
            matching = [name for name in FAMILIES if block_of_family(name) and name.startswith(pattern.rstrip("*"))]
            assert matching or pattern.startswith(real), pattern


def test_cubes_belong_to_the_block_of_what_was_cut(make_row):
    parent = make_row("p", family="crypto-trivium")
    cube = make_row("c", family="anything", parent=parent.instance)
    cube_of_cube = make_row("cc", family="else", parent=cube.instance)
    assert set(family_blocks([parent, cube, cube_of_cube]).values()) == {"trivium"}
    # A ring of parents is nonsense, but no endless loop.
    ring = [make_row("a", parent=make_row("b").instance), make_row("b", parent=make_row("a").instance)]
    assert len(family_blocks(ring)) == 2


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("uf225-063.cnf.xz", "random-ksat"),
        ("x/grid_10_12_Xukjt7BR_1590942188.cnf.xz", "counting-grid-wmc"),
        ("1eea3d913d346b900252d77fc0cb25c8-par32-4.shuffled.cnf.xz", "parity"),
        ("md5_28steps_1hash.cnf.xz", "md4-md5"),
        ("s1238.setup.cnf.xz", None),
        ("buf225-063.cnf", None),
        (None, None),
    ],
)
def test_what_a_file_name_tells(name, block):
    assert named_block(name) == block


def test_violations_are_found(manifest, make_row):
    good = make_splits(manifest)
    groups = group_instances(manifest)
    twin = next(row for row in manifest if row.isohash == manifest[10].isohash and row is not manifest[10])
    other = next(side for side in SIDES if side != good.side[twin.instance])
    found = check_splits(manifest, replace(good, side={**good.side, twin.instance: other}))
    assert len(found) == 1 and f"isohash {twin.isohash} straddles sides" in found[0]

    cube = next(row for row in manifest if row.parent == manifest[2].instance)
    other = next(side for side in SIDES if side != good.side[cube.instance])
    found = check_splits(manifest, replace(good, side={**good.side, cube.instance: other}))
    assert any(f"parent {manifest[2].instance} straddles sides" in line for line in found)

    copy = next(row for row in manifest if row.recipe is not None and "shuffle=" in row.recipe)
    other = next(side for side in SIDES if side != good.side[copy.instance])
    found = check_splits(manifest, replace(good, side={**good.side, copy.instance: other}))
    assert [line for line in found if "source made-" in line and "straddles" in line]

    fold = (good.fold[manifest[150].instance] + 1) % 5
    found = check_splits(manifest, replace(good, fold={**good.fold, manifest[150].instance: fold}))
    assert found == [
        f"block {manifest[150].family} straddles folds {min(fold, good.fold[manifest[150].instance])}, "
        f"{max(fold, good.fold[manifest[150].instance])}, expected one fold"
    ]
    assert groups[manifest[150].instance] == manifest[150].instance

    found = check_splits([*manifest, make_row("late")], good)
    assert len(found) == 1 and "not in the splits" in found[0]


def test_relatives_over_an_excluded_instance_are_found(make_row):
    rows = [make_row("a"), make_row("between", isohash=make_row("a").isohash), make_row("c")]
    rows[2] = replace(rows[2], parent=rows[1].instance)
    side = {rows[0].instance: "train", rows[1].instance: EXCLUDED, rows[2].instance: "test"}
    splits = Splits(0, {}, 5, side, {row.instance: 0 for row in rows})
    (found,) = check_splits(rows, splits)
    assert found.startswith("group ") and "straddles sides" in found


def test_splits_survive_the_file(tmp_path, manifest):
    splits = make_splits(manifest)
    splits.write(tmp_path / "splits.json")
    back = Splits.read(tmp_path / "splits.json")
    assert (back.side, back.fold, back.blocks) == (splits.side, splits.fold, splits.blocks)
    assert back.to_json() == splits.to_json()
    assert (tmp_path / "splits.json").stat().st_size < 45 * len(manifest)


def test_a_broken_file_is_named(tmp_path, manifest):
    path = tmp_path / "splits.json"
    with pytest.raises(DatasetError, match=r"splits\.json: cannot be read"):
        Splits.read(path)
    path.write_text("{")
    with pytest.raises(DatasetError, match="JSON"):
        Splits.read(path)
    good = make_splits(manifest).to_json()
    for broken, message in (
        ([], "expected an object"),
        ({**good, "version": 2}, "found version 2, expected 1"),
        ({**good, "parts": {"train": {"0": ["a"]}, "test": {"-": ["a"]}}}, "found a twice"),
        ({**good, "parts": {"holdout": {"0": ["a"]}}}, "found side 'holdout'"),
        ({**good, "parts": {"train": {"9": ["a"]}}}, "found fold 9"),
        ({key: value for key, value in good.items() if key != "blocks"}, "KeyError: 'blocks'"),
    ):
        path.write_text(json.dumps(broken))
        with pytest.raises(DatasetError, match=message):
            Splits.read(path)


def test_a_side_of_no_share_stays_empty(manifest):
    none = replace(make_splits([]), fractions={"train": 0.8, "validation": 0.0, "calibration": 0.0, "test": 0.2})
    assert set(make_splits(manifest, previous=none).side.values()) == {"train", "test"}


_TIES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 6), st.one_of(st.none(), st.integers(0, 30)), st.integers(0, 2)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ties=_TIES, cut=st.integers(0, 30))
def test_nothing_ever_straddles_nor_leaves_the_test_set(ties, cut):
    rows = [
        ManifestRow(
            f"{k:032x}",
            f"iso{isohash}" if isohash < 3 else f"own{k}",
            family,
            f"{k}.cnf",
            1,
            1,
            1,
            "real",
            None if parent in (None, k) else f"{parent:032x}",
            f"made:n={recipe},seed=1" if recipe else None,
        )
        for k, (family, isohash, parent, recipe) in enumerate(ties)
    ]
    before = make_splits(rows[:cut])
    assert check_splits(rows[:cut], before) == []
    after = make_splits(rows, previous=before)
    assert check_splits(rows, after) == []
    assert {name for name in before.side if after.side[name] == "test"} == _on(before, "test")
    for name, fold in before.fold.items():
        assert after.fold[name] in (fold, None)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("n_folds", 0, "n_folds: found 0, expected at least 2"),
        ("fractions", {"train": 60, "test": 20}, "add up to 1"),
        ("fractions", {"train": 0.6, "valid": 0.2, "test": 0.2}, "shares >= 0 of train, validation, calibration, test"),
        ("fractions", {"train": 1.2, "test": -0.2}, "shares >= 0"),
    ],
)
def test_a_file_with_shares_or_folds_that_cannot_be_is_refused(manifest, tmp_path, key, value, said):
    make_splits(manifest, seed=0).write(tmp_path / "splits.json")
    stored = json.loads((tmp_path / "splits.json").read_text())
    (tmp_path / "splits.json").write_text(json.dumps({**stored, key: value}))
    with pytest.raises(DatasetError, match=said) as caught:
        Splits.read(tmp_path / "splits.json")
    assert "splits.json" in str(caught.value)
