"""Few photos are judged by all of them, nothing is called good that was not judged, and what would help is told."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from catdog.data.dataset import Dataset, Photo
from catdog.data.folders import SPLITS, TEST, TRAIN, VALID
from catdog.models.bundle import Bundle
from catdog.models.card import Card
from catdog.notebook import plots
from catdog.training import comparison, evaluation, linear_head
from catdog.training.calibration import calibrate
from catdog.training.comparison import compare
from catdog.training.evaluation import CROSS_VALIDATION, ENOUGH, judge
from catdog.training.learning_curve import LearningCurve, Point, learning_curve
from catdog.training.linear_head import fit_head, out_of_fold
from catdog.training.metrics import evaluate, worst_mistakes
from catdog.training.trained_head import TrainedHead, measure, train_head
from conftest import drawing
from scipy.special import softmax

CLASSES = ("cat", "dog", "owl")


def a_photo(label, split, name):
    return Photo(None, label, split, hashlib.sha256(f"{split} {name}".encode()).hexdigest())


def a_set(counts, apart=2.0, seed=0):
    """(dataset, data) of so many photos: class → (of training, of validation, of test); features `apart` by class."""
    chance, photos, data = np.random.default_rng(seed), [], {}
    for place, split in enumerate(SPLITS):
        targets = np.repeat(np.arange(len(counts)), [numbers[place] for numbers in counts.values()])
        features = chance.normal(size=(len(targets), 16)).astype(np.float32)
        features[np.arange(len(targets)), targets] += apart
        data[split] = features, targets
        photos += [a_photo(list(counts)[target], split, f"{seed} {number}") for number, target in enumerate(targets)]
    return Dataset("pets", tuple(counts), tuple(photos), ()), data


def judged(counts, apart=2.0, seed=0, frozen=True):
    dataset, data = a_set(counts, apart, seed)
    return dataset, data, judge(dataset, data, train_head(data, dataset.classes, frozen=frozen))


TEN = dict.fromkeys(CLASSES, (6, 2, 2))


def test_ten_photos_a_class_are_all_judged_each_without_having_trained_on_it():
    dataset, _, found = judged(TEN)
    assert found.by == CROSS_VALIDATION
    assert {photo.digest for photo in found.photos} == {photo.digest for photo in dataset.photos}
    assert found.report.total == 30
    assert found.report.low < found.report.accuracy < found.report.high
    assert 0.4 < found.report.accuracy < 1
    assert len(found.accuracies) == 3
    told = found.summary()
    for facts in (f"{ENOUGH} test photos", "30 photos", f"{min(found.accuracies):.1%}", f"{max(found.accuracies):.1%}"):
        assert facts in told
    assert set(found.reports) == {TEST, CROSS_VALIDATION}
    assert found.reports[TEST].total == 6


def test_it_is_judged_by_heads_like_it_each_time_dealt_anew():
    dataset, data = a_set(TEN)
    trained = train_head(data, CLASSES)
    found = judge(dataset, data, trained)
    features, targets = (np.concatenate(parts) for parts in zip(*(data[split] for split in SPLITS)))
    said = [out_of_fold(features, targets, 3, trained.fit.strength, seed) for seed in range(3)]
    assert np.array_equal(found.targets, targets)
    assert np.allclose(found.as_trained, softmax(said[0], axis=1), atol=1e-5)
    assert np.allclose(found.probabilities, softmax(said[0] / trained.calibrated.temperature, axis=1), atol=1e-5)
    assert found.accuracies == tuple((one.argmax(axis=1) == targets).mean() for one in said)


def test_what_only_learns_by_heart_is_found_out():
    """Features that say nothing of the classes: a head that saw them is right, one that did not is not."""
    dataset, data = a_set(TEN, apart=0)
    trained = train_head(data, CLASSES)
    assert evaluate(trained.fit.head.probabilities(data[TRAIN][0]), data[TRAIN][1], CLASSES).accuracy > 0.8
    assert judge(dataset, data, trained).report.accuracy < 0.6


def test_where_every_class_has_enough_test_photos_these_judge():
    dataset, data, found = judged(dict.fromkeys(CLASSES, (30, 10, ENOUGH)))
    assert found.by == TEST
    assert list(found.photos) == dataset.of(TEST)
    one_fewer = {**dict.fromkeys(CLASSES, (30, 10, ENOUGH)), "owl": (30, 10, ENOUGH - 1)}
    assert judged(one_fewer)[2].by == CROSS_VALIDATION
    assert (found.targets == data[TEST][1]).all()
    assert found.as_card() == {}
    assert found.reports[TEST].total == 3 * ENOUGH
    assert found.reports[CROSS_VALIDATION].total == 120  # those for training and for validation
    assert set(found.reports) == {TEST, CROSS_VALIDATION}
    for facts in (f"{3 * ENOUGH} test photos", f"{found.reports[CROSS_VALIDATION].accuracy:.1%}"):
        assert facts in found.summary()


def test_a_backbone_that_trained_on_the_photos_is_judged_by_those_that_did_not_train_it():
    _, _, found = judged(TEN, frozen=False)
    assert found.by == TEST
    assert {split: report.total for split, report in found.reports.items()} == {TEST: 6, VALID: 6}


def test_of_very_many_photos_those_for_the_test_judge_however_few_there_are(monkeypatch):
    very_many = 2_500  # or comparing them, which is quadratic, takes seconds
    for module in (evaluation, linear_head):
        monkeypatch.setattr(module, "MOST_CROSS_VALIDATED", very_many)
    dataset, data = a_set({"cat": (very_many // 2, 10, 4), "dog": (very_many // 2, 10, 4)})
    fit = fit_head(data, 2, strengths=(1.0,))
    calibrated = calibrate(fit, data)
    found = judge(dataset, data, TrainedHead(fit, calibrated, measure(fit, calibrated, data, dataset.classes)))
    assert (found.by, len(found.photos)) == (TEST, 8)
    assert found.reports[CROSS_VALIDATION].total == very_many


def test_a_class_of_one_photo_is_named_and_the_others_are_judged():
    _, _, found = judged({**TEN, "hen": (1, 0, 0)})
    assert found.unjudged == ("hen",)
    assert found.report.total == 30
    assert "hen" in found.summary().splitlines()[-1]


def test_where_each_class_has_one_photo_nobody_is_judged():
    _, _, found = judged(dict.fromkeys(CLASSES, (1, 0, 0)))
    assert (found.by, found.report.total, found.photos, found.unjudged) == (CROSS_VALIDATION, 0, (), CLASSES)
    assert found.accuracies == ()
    assert all(label in found.summary() for label in CLASSES)


def test_a_model_that_is_no_better_than_one_answer_is_told_so():
    report = evaluate(np.eye(2)[[0] * 12 + [1] * 17], np.array([0] * 28 + [1]), ("cat", "dog"))
    assert report.commonest == ("cat", pytest.approx(28 / 29))
    assert "Always answering cat would be right on 96.6%" in report.summary()
    assert "not significantly better" in report.summary()
    chance = evaluate(
        np.eye(2)[[0] * 31 + [1] * 29 + [1] * 31 + [0] * 29], np.array([0] * 60 + [1] * 60), ("cat", "dog")
    )
    assert chance.accuracy > chance.commonest[1]
    assert "not significantly better" in chance.summary()
    good = evaluate(np.eye(2)[[0] * 20 + [1] * 10], np.array([0] * 20 + [1] * 10), ("cat", "dog"))
    assert "not significantly better" not in good.summary()


def test_a_class_without_photos_has_no_figures():
    report = evaluate(np.eye(3)[[0, 1, 0]], np.array([0, 1, 0]), CLASSES)
    assert report.summary().splitlines()[-1].split() == ["owl", "–", "–", "0"]


def test_of_very_many_classes_the_worst_are_shown():
    classes = tuple(f"class {number}" for number in range(200))
    targets = np.repeat(np.arange(200), 2)
    told = evaluate(np.eye(200)[np.where(targets == 7, 0, targets)], targets, classes).summary()
    assert len(told.splitlines()) < 40
    assert told.splitlines()[3].startswith("class 7 ")


# --- the next version beside it ---


@pytest.fixture
def newest(monkeypatch):
    """newest(judgement): a version that was saved with it."""

    def save(judgement, **changes):
        saved = {"classes": CLASSES, "judged": json.loads(json.dumps(judgement.as_card())), **changes}
        card = Card(backbone=None, preprocessing="", name="pets", version="1", **saved)
        found = Bundle(None, card, None, None, None)
        monkeypatch.setattr(comparison.bundle, "newest", lambda name: found)
        return found

    return save


def test_two_versions_are_compared_by_the_photos_that_both_were_judged_by(newest):
    dataset, data, before = judged(TEN)
    newest(before)
    wrong = np.flatnonzero(before.right)[:4]
    probabilities = before.probabilities.copy()
    probabilities[wrong] = np.roll(probabilities[wrong], 1, axis=1)
    now = dataclasses.replace(before, probabilities=probabilities)
    found = compare("pets", dataset, None, data[TEST][0], None, now)
    assert [photo.digest for photo in found.regressed] == [before.photos[place].digest for place in wrong]
    assert (found.photos, found.right_before - found.right_now) == (30, 4)
    assert found.by != "test photos"


def test_a_version_that_was_judged_by_other_photos_is_not_compared_with(newest, capsys):
    dataset, data, now = judged(TEN)
    newest(now, judged={})
    assert compare("pets", dataset, None, data[TEST][0], None, now) is None
    assert "pets/1 was not evaluated on these photos" in capsys.readouterr().out
    newest(now, classes=("cat", "dog"))
    assert compare("pets", dataset, None, data[TEST][0], None, now) is None
    assert "has other classes (cat, dog)" in capsys.readouterr().out


def test_mistakes_are_shown_as_pictures_and_nothing_judged_is_no_praise(tmp_path, capsys):
    dataset, _, found = judged(TEN)
    path = tmp_path / "a.jpg"
    path.write_bytes(drawing())
    photos = [dataclasses.replace(photo, path=path) for photo in found.photos]
    worst = worst_mistakes(photos, found.probabilities, dataset.classes)
    assert len(plots.mistakes(worst).axes[0].images) == 1
    capsys.readouterr()
    assert plots.mistakes([], judged=0) is None
    assert "No photo was judged." in capsys.readouterr().out


# --- would more photos help? ---


def curve_of(counts, **options):
    _, data = a_set(counts, **options)
    fit = fit_head(data, len(counts), strengths=(1.0,))
    return learning_curve(data, fit), fit, data


def test_parts_of_the_photos_train_and_those_that_did_not_judge():
    curve, fit, data = curve_of(dict.fromkeys(CLASSES, (30, 10, 2)), apart=1.2)
    assert [point.photos for point in curve.points] == [4, 8, 16, 32]
    assert {point.judged for point in curve.points} == {120}
    assert curve.points[0].right < curve.points[-1].right
    targets = np.r_[data[TRAIN][1], data[VALID][1]]
    assert curve.points[-1].right == (fit.out_of_fold.argmax(axis=1) == targets).sum()
    for point in curve.points:
        assert point.interval[0] < point.accuracy < point.interval[1]


def test_what_is_learned_by_heart_makes_no_curve():
    curve = curve_of(dict.fromkeys(CLASSES[:2], (60, 0, 0)), apart=0)[0]
    assert max(point.accuracy for point in curve.points) < 0.65
    assert min(point.accuracy for point in curve.points) > 0.35


def test_each_part_holds_every_class_however_small():
    counts = {**dict.fromkeys(CLASSES, (40, 0, 0)), "hen": (2, 0, 0), "ibis": (1, 0, 0)}
    curve = curve_of(counts, apart=3.0)[0]
    assert [point.photos for point in curve.points] == pytest.approx(
        [5.2, 10, 19.72]
    )  # of five classes: 8 + 8 + 8 + 1 + 1
    assert {point.judged for point in curve.points} == {122}


def test_behind_a_tuned_backbone_photos_for_validation_judge_the_parts():
    _, data = a_set(dict.fromkeys(CLASSES, (24, 8, 0)))
    curve = learning_curve(data, fit_head(data, 3, frozen=False))
    assert [(point.photos, point.judged) for point in curve.points] == [(3, 24), (6, 24), (12, 24), (24, 24)]


def test_of_many_photos_one_fold_judges_the_parts():
    curve = curve_of(dict.fromkeys(CLASSES[:2], (2510, 0, 0)))[0]
    assert [point.photos for point in curve.points] == pytest.approx([63, 126, 251, 502, 1004, 2008], rel=0.02)
    (judged,) = {point.judged for point in curve.points}
    assert 950 < judged < 1060  # a fifth of them


def test_too_few_photos_make_no_curve():
    """None are judged where each class has one; with two, only one part can be."""
    for photos, points in ((1, 0), (2, 1)):
        curve = curve_of(dict.fromkeys(CLASSES, (photos, 0, 0)))[0]
        assert len(curve.points) == points
        assert np.isnan(curve.slope)
        assert not any(letter.isdigit() for letter in curve.advice())
        assert plots.learning_curve(curve) is None


def points(*right, judged=1000, first=10):
    return LearningCurve(tuple(Point(first * 2**number, one, judged) for number, one in enumerate(right)))


def test_where_the_curve_rises_it_says_what_twice_and_four_times_as_many_may_give():
    rising = points(800, 900, 950)  # errors are halved each time
    assert rising.slope == pytest.approx(1, abs=0.02)
    assert rising.expected(40) == pytest.approx(0.95)
    assert rising.expected(80) == pytest.approx(0.975, abs=0.001)
    for photos in (80, 160):
        assert f"{rising.expected(photos):.1%}" in rising.advice()


@pytest.mark.parametrize("flat", [(950, 951, 950), (950, 940, 930), (900, 950, 1000)])
def test_where_it_is_flat_or_all_are_right_nothing_is_promised(flat):
    curve = points(*flat)
    before, last = (f"{right / 1000:.1%}" for right in flat[-2:])
    assert [word.strip(".,") for word in curve.advice().split() if "%" in word] == [before, last]
    assert curve.expected(80) >= curve.expected(40) == pytest.approx(flat[-1] / 1000)
    assert curve.advice() != points(800, 900, 950).advice()


def test_the_curve_is_drawn_with_what_more_photos_may_give():
    figure = plots.learning_curve(points(800, 900, 950))
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10", "20", "40", "80", "160"]
    expected = axis.lines[-1]
    assert expected.get_xdata().tolist() == [40, 80, 160]
    assert expected.get_ydata()[0] == pytest.approx(0.95)
    assert axis.get_legend()
