import json
from dataclasses import replace

import numpy as np
import pytest

from satcost_gnn.core.feature_vector import FeatureVector
from satcost_gnn.errors import CheckpointError, EstimatorError
from satcost_gnn.features.instance import Instance
from satcost_gnn.learn.feature_matrix import FeatureMatrix
from satcost_gnn.learn.out_of_distribution import OODDetector

STATIC, ONLINE = tuple(f"s{k}" for k in range(12)), tuple(f"o{k}" for k in range(8))


def instances(centres, seed=0, sd=0.3, online=True):
    """One instance around each of the given family centres (one number a feature and family)."""
    rng = np.random.default_rng(seed)
    found = []
    for k, centre in enumerate(centres):
        directions = np.random.default_rng(int(centre)).normal(size=20)
        values = (directions + sd * rng.normal(size=20)).astype(np.float32)
        found.append(
            Instance(
                f"{k}",
                "",
                FeatureVector(STATIC, values[:12]),
                FeatureVector(ONLINE, values[12:]) if online else None,
            )
        )
    return found


FAMILIES = np.repeat(np.arange(10), 20)


@pytest.fixture(scope="module")
def detector():
    return OODDetector().fit(instances(FAMILIES), [str(f) for f in FAMILIES])


def test_more_of_the_same_is_inside(detector):
    inside, score = detector.in_distribution(instances(FAMILIES, seed=1))
    assert inside.mean() > 0.9
    assert np.array_equal(inside, score <= 1.0)
    assert not any(item.far for item in detector.judge(instances(FAMILIES, seed=1)))


def test_another_family_is_outside_but_not_far(detector):
    found = detector.judge(instances(np.arange(20, 40), seed=1))
    assert np.mean([item.inside for item in found]) < 0.05
    # It is as far from the families as they are from each other.
    assert np.mean([item.far for item in found]) < 0.4


def test_something_else_altogether_is_far(detector):
    found = detector.judge(instances(np.arange(20, 40), seed=1, sd=30.0))
    assert all(item.far and not item.inside for item in found)
    scores = [detector.judge(instances([0], seed=1, sd=s))[0].score for s in (0.1, 1.0, 3.0, 10.0)]
    assert scores == sorted(scores) and scores[0] < 1 < scores[-1]


def test_without_groups_far_is_a_multiple_of_the_usual():
    detector = OODDetector().fit(instances(FAMILIES))
    for item in detector.judge(instances(np.arange(20, 30), sd=2.0)):
        assert item.far == (item.score > 3.0)


def test_missing_online_features_count_as_average(detector):
    found = detector.judge(instances(FAMILIES[:20], seed=2, online=False))
    assert all(np.isfinite(item.score) for item in found)
    static = OODDetector("static").fit(instances(FAMILIES))
    with_online, without = (static.in_distribution(instances(FAMILIES[::7], 3, online=o))[1] for o in (True, False))
    np.testing.assert_array_equal(with_online, without)


def test_it_is_read_back_as_it_was_written(detector, tmp_path):
    detector.save(tmp_path / "ood_detector")
    again = OODDetector.load(tmp_path / "ood_detector")
    fresh = instances(np.arange(25), seed=3)
    assert again.judge(fresh) == detector.judge(fresh)
    assert again.judge([]) == []


def test_bad_input_and_damage_are_errors(detector, tmp_path):
    with pytest.raises(EstimatorError, match="not fitted"):
        OODDetector().judge(instances([0]))
    with pytest.raises(EstimatorError, match="not fitted"):
        OODDetector().save(tmp_path)
    with pytest.raises(EstimatorError, match="more than ten"):
        OODDetector().fit(instances(FAMILIES[:5]))
    with pytest.raises(EstimatorError, match="found 1 groups"):
        OODDetector().fit(instances(FAMILIES), ["a"])
    with pytest.raises(CheckpointError, match="can't be read"):
        OODDetector.load(tmp_path)
    detector.save(tmp_path)
    header = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps({**header, "format": 9}))
    with pytest.raises(CheckpointError, match="install a newer"):
        OODDetector.load(tmp_path)
    (tmp_path / "detector.json").write_text(json.dumps({**header, "inside": None}))
    with pytest.raises(CheckpointError, match="can't be read"):
        OODDetector.load(tmp_path)


def test_distances_may_be_of_static_features_alone(tmp_path):
    families = [str(f) for f in FAMILIES]
    by_static = OODDetector(judged_by="static").fit(instances(FAMILIES), families)
    known = instances(FAMILIES[:20], seed=1)
    wild = [replace(one, online=FeatureVector(ONLINE, one.online.values + 50)) for one in known]
    assert [n.score for n in by_static.judge(wild)] == [n.score for n in by_static.judge(known)]
    alone = OODDetector("static").fit(instances(FAMILIES), families)
    assert [n.score for n in by_static.judge(known)] == pytest.approx([n.score for n in alone.judge(known)], rel=1e-4)
    # What stands out is told of all features.
    assert set(by_static.z_scores(known[0])) == {*STATIC, *ONLINE}
    by_static.save(tmp_path)
    again = OODDetector.load(tmp_path)
    assert again.judged_by == "static"
    assert [n.score for n in again.judge(wild)] == [n.score for n in by_static.judge(wild)]
    with pytest.raises(EstimatorError, match="online has not all"):
        OODDetector("online", judged_by="static")


def test_how_a_file_is_written_does_not_make_it_new():
    names = ("gap_mean", "gbdc_balancevars_entropy", *STATIC)
    rng = np.random.default_rng(0)

    def written(orders):
        found = instances(FAMILIES, online=False)
        return [
            replace(one, static=FeatureVector(names, np.concatenate([order, one.static.values]).astype(np.float32)))
            for one, order in zip(found, orders, strict=True)
        ]

    detector = OODDetector("static").fit(written(rng.normal(size=(len(FAMILIES), 2))))
    usual, odd = (detector.in_distribution(written(np.full((len(FAMILIES), 2), value)))[1] for value in (0.0, 50.0))
    np.testing.assert_array_equal(usual, odd)


def test_a_detector_from_before_a_feature_was_found_to_tell_the_order_goes_on_reading_it(tmp_path, monkeypatch):
    names = ("gbdc_balancevars_mean", *STATIC)
    known = [
        replace(one, static=FeatureVector(names, np.append(np.float32(k % 7), one.static.values)))
        for k, one in enumerate(instances(FAMILIES, online=False))
    ]
    with monkeypatch.context() as patch:
        patch.setattr("satcost_gnn.learn.out_of_distribution.ORDER_FEATURE_NAMES", frozenset())
        before = OODDetector("static").fit(known)
        expected = before.in_distribution(known)[1]
    before.save(tmp_path)
    np.testing.assert_array_equal(OODDetector.load(tmp_path).in_distribution(known)[1], expected)
    # The next one that is fitted doesn't.
    odd = [replace(one, static=FeatureVector(names, np.append(np.float32(50), one.static.values[1:]))) for one in known]
    after = OODDetector("static").fit(known)
    np.testing.assert_array_equal(after.in_distribution(odd)[1], after.in_distribution(known)[1])
    assert not np.array_equal(before.in_distribution(odd)[1], before.in_distribution(known)[1])


def at(*values):
    """An instance whose first static feature is given, the others being the same everywhere but for a second one."""
    rest = np.zeros(10)
    return Instance(
        "x", "", FeatureVector(STATIC, np.array([*values, *rest], np.float32)), FeatureVector.missing(ONLINE)
    )


def test_a_single_neighbour_does_not_make_an_instance_known():
    """What counts is the second nearest training instance: one like it may be an accident."""
    crowd = [at(0.1 * (k % 7), 0.1 * (k // 7)) for k in range(49)]
    alone = at(2.5, 2.5)
    detector = OODDetector("static").fit([*crowd, alone])
    (known,), (single,) = detector.judge([crowd[10]]), detector.judge([alone])
    assert known.inside and not single.inside and single.score > 3
    # With two of them there it is known.
    both = OODDetector("static").fit([*crowd, alone, at(2.5, 2.5)])
    assert both.judge([alone])[0].inside


def test_twins_do_not_make_the_usual_distance_nothing():
    """Where every training instance has a copy, the next one beyond it says what is usual."""
    crowd = [at(0.1 * (k % 7), 0.1 * (k // 7)) for k in range(49)]
    detector = OODDetector("static").fit([*crowd, *crowd])
    between = detector.judge([at(0.1 * (k % 6) + 0.05, 0.1 * (k // 6) + 0.05) for k in range(36)])
    assert all(item.inside for item in between)


def test_far_is_beyond_the_second_nearest_of_all_other_families():
    rng = np.random.default_rng(3)
    known = [at(*rng.normal(centre, 0.3, 2)) for centre in (0.0, 2.0, 5.0) for _ in range(12)]
    families = [f"{k // 12}" for k in range(36)]
    detector = OODDetector("static").fit(known, families)
    places, lost = detector._project(detector._coordinates(FeatureMatrix.from_instances(known, "static")))
    second = [
        sorted(np.linalg.norm(places[i] - places[j]) for j in range(36) if families[i] != families[j])[1]
        for i in range(36)
    ]
    expected = np.quantile(np.hypot(second, lost) / np.sqrt(len(detector._centre)), 0.99)
    assert detector._far == pytest.approx(expected, rel=1e-5)


def test_the_distance_is_that_of_the_main_directions_and_what_they_leave() -> None:
    rng = np.random.default_rng(5)
    names = tuple(f"f{k}" for k in range(90))
    values = rng.normal(3.0, 1.0, (220, 90)) @ rng.normal(size=(90, 90))
    instances = [Instance(f"{k}", f"{k}", FeatureVector(names, row)) for k, row in enumerate(values)]
    detector = OODDetector("static").fit(instances[:200])
    x = detector._coordinates(FeatureMatrix.from_instances(instances, "static", detector._fitted.input_names))
    train, fresh = x[:200], x[200:]
    centre = train.mean(axis=0)
    directions = np.linalg.svd(train - centre, full_matrices=False)[2][:64]
    left = np.eye(90) - directions.T @ directions
    (there, lost_there), (here, lost) = (
        ((rows - centre) @ directions.T, np.linalg.norm((rows - centre) @ left, axis=1)) for rows in (train, fresh)
    )
    near = np.sort(np.linalg.norm(here[:, None] - there, axis=2))
    own = np.sort(np.linalg.norm(there[:, None] - there, axis=2))
    # Of a training instance the first is itself.
    inside = np.quantile(np.hypot(own[:, 2], lost_there) / np.sqrt(90), 0.95)
    expected = np.hypot(near[:, 1], lost) / np.sqrt(90) / inside
    np.testing.assert_allclose([one.score for one in detector.judge(instances[200:])], expected, rtol=1e-3)


def test_an_instance_right_at_a_bound_is_inside_and_not_far():
    detector = OODDetector().fit(instances(FAMILIES))
    (one,) = instances([20], seed=1)
    detector._inside = 1.0
    distance = detector.judge([one])[0].score
    for bound, within in ((distance, True), (np.nextafter(distance, 0.0), False)):
        detector._inside = detector._far = bound
        assert (detector.judge([one])[0].inside, detector.judge([one])[0].far) == (within, not within)


@pytest.mark.parametrize("name", ["centre", "directions", "training"])
def test_arrays_of_another_width_are_damage(detector, tmp_path, name):
    detector.save(tmp_path)
    arrays = dict(np.load(tmp_path / "detector.npz"))
    np.savez(tmp_path / "detector.npz", **{**arrays, name: arrays[name][..., 1:]})
    with pytest.raises(CheckpointError, match="the arrays disagree"):
        OODDetector.load(tmp_path)


@pytest.mark.parametrize("change", [{"inside": 0.0}, {"inside": 9.0}, {"far": float("1e999")}])
def test_bounds_that_cannot_be_are_damage(detector, tmp_path, change):
    detector.save(tmp_path)
    header = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps({**header, "far": 3.0, **change}))
    with pytest.raises(CheckpointError, match="can't be read"):
        OODDetector.load(tmp_path)


def test_a_wild_feature_counts_like_one_four_deviations_off(detector):
    (usual,) = instances([3], seed=1)

    def score(deviations):
        values = usual.static.values.copy()
        centre, scale = detector._fitted.centre[0], detector._fitted.scale[0]
        values[0] = centre + deviations * scale
        return detector.judge([replace(usual, static=FeatureVector(STATIC, values))])[0].score

    assert not detector._fitted.logarithmic[0]
    assert score(4.01) == pytest.approx(score(7.0), rel=1e-6) == pytest.approx(score(1000.0), rel=1e-6)
    assert score(3.5) != pytest.approx(score(7.0), rel=1e-3)
    # What stands out is told as it is.
    values = usual.static.values.copy()
    values[0] = detector._fitted.centre[0] + 1000.0 * detector._fitted.scale[0]
    found = detector.z_scores(replace(usual, static=FeatureVector(STATIC, values)))
    assert found["s0"] == pytest.approx(1000.0, rel=1e-4)


def test_eleven_instances_are_enough():
    OODDetector().fit(instances(np.arange(11)))
    with pytest.raises(EstimatorError, match="found 10 training instances"):
        OODDetector().fit(instances(np.arange(10)))


def test_two_families_say_what_is_far():
    rng = np.random.default_rng(4)
    known = [at(*rng.normal(centre, 0.3, 2)) for centre in (0.0, 50.0) for _ in range(12)]
    families = [str(k // 12) for k in range(24)]
    by_family, alone = OODDetector("static").fit(known, families), OODDetector("static").fit(known)
    # Between the two, and so much nearer to one than they are to each other.
    (between,) = by_family.judge([at(10.0, 10.0)])
    assert not between.far and alone.judge([at(10.0, 10.0)])[0].far


def test_many_are_judged_like_few(detector, tmp_path):
    many = instances(np.arange(1100) % 30, seed=5)
    found = detector.judge(many)
    assert len(found) == 1100
    for row in (0, 1023, 1024, 1025, 1099):
        assert found[row].score == pytest.approx(detector.judge([many[row]])[0].score, rel=1e-9)
    detector.save(tmp_path / "in" / "a" / "folder")
    detector.save(tmp_path / "in" / "a" / "folder")
    again = OODDetector.load(tmp_path / "in" / "a" / "folder").judge(many[:9])
    # The sums of a matrix product may be made in another order for fewer rows.
    assert [one.score for one in again] == pytest.approx([one.score for one in found[:9]], rel=1e-9)
    assert [(one.inside, one.far) for one in again] == [(one.inside, one.far) for one in found[:9]]


def test_as_many_training_instances_as_neighbours_are_enough_to_read(detector, tmp_path):
    detector.save(tmp_path)
    arrays = dict(np.load(tmp_path / "detector.npz"))
    for count in (2, 1):
        np.savez(tmp_path / "detector.npz", **{**arrays, "training": arrays["training"][:count]})
        if count == 2:
            OODDetector.load(tmp_path)
        else:
            with pytest.raises(CheckpointError, match="found 1 training instances"):
                OODDetector.load(tmp_path)
