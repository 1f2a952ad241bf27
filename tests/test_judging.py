"""Few photos are judged by all of them, nothing is called good that was not judged, and what would help is told."""

import dataclasses
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from catdog import comparison, figures
from catdog.comparison import compare
from catdog.confidence import fit_confidence
from catdog.dataset import Dataset, Photo
from catdog.evaluation import evaluate, worst_mistakes
from catdog.folders import SPLITS, TEST, TRAIN, VALID
from catdog.images import DOOR
from catdog.judging import CROSS_VALIDATION, ENOUGH, judge
from catdog.training import fit_head, unseen_logits
from conftest import drawing

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
    fit = fit_head(*data[TRAIN], *data[VALID], classes=len(counts), epochs=30)
    confidence = fit_confidence(fit.head, data[TRAIN], data[VALID], unseen_logits(*data[TRAIN], *data[VALID], fit))
    return dataset, data, judge(dataset, data, fit, confidence, frozen=frozen)


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
    assert "cross-validation" in told
    assert f"fewer than {ENOUGH} test photos" in told
    assert "With half of the photos" in told
    assert set(found.reports) == {VALID, TEST, CROSS_VALIDATION}


def test_what_only_learns_by_heart_is_found_out():
    """Features that say nothing of the classes: a head that saw them is right, one that did not is not."""
    dataset, data = a_set(TEN, apart=0)
    fit = fit_head(*data[TRAIN], *data[VALID], classes=3, epochs=100)
    confidence = fit_confidence(fit.head, data[TRAIN], data[VALID], unseen_logits(*data[TRAIN], *data[VALID], fit))
    assert evaluate(fit.head.probabilities(data[TRAIN][0]), data[TRAIN][1], CLASSES).accuracy > 0.8
    assert judge(dataset, data, fit, confidence).report.accuracy < 0.6


def test_where_every_class_has_enough_test_photos_these_judge():
    dataset, data, found = judged(dict.fromkeys(CLASSES, (30, 10, ENOUGH)))
    assert found.by == TEST
    assert list(found.photos) == dataset.of(TEST)
    assert (found.targets == data[TEST][1]).all()
    assert f"{3 * ENOUGH} test photos" in found.summary()
    assert found.as_card() == {}


def test_a_backbone_that_trained_on_the_photos_is_judged_by_test_photos_alone():
    assert judged(TEN, frozen=False)[2].by == TEST


def test_a_class_of_one_photo_is_named_and_the_others_are_judged():
    _, _, found = judged({**TEN, "hen": (1, 0, 0)})
    assert found.unjudged == ("hen",)
    assert found.report.total == 30
    assert "hen" in found.summary().splitlines()[-1]


def test_a_model_that_is_no_better_than_one_answer_is_told_so():
    report = evaluate(np.eye(2)[[0] * 12 + [1] * 17], np.array([0] * 28 + [1]), ("cat", "dog"))
    assert report.commonest == ("cat", pytest.approx(28 / 29))
    assert "Always saying cat would be right for 96.6%" in report.summary()
    assert "no better" in report.summary()
    good = evaluate(np.eye(2)[[0] * 28 + [1]], np.array([0] * 28 + [1]), ("cat", "dog"))
    assert "no better" not in good.summary()


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
        card = {"image_door": DOOR, "judged": json.loads(json.dumps(judgement.as_card())), **changes}
        found = SimpleNamespace(id="pets/1", classes=CLASSES, card=card)
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
    assert [photo.digest for photo in found.lost] == [before.photos[place].digest for place in wrong]
    assert (found.photos, found.right_before - found.right_now) == (30, 4)
    assert "photos that both were judged by" in str(found)


def test_a_version_that_was_judged_by_other_photos_is_not_compared_with(newest, capsys):
    dataset, data, now = judged(TEN)
    newest(now, judged={})
    assert compare("pets", dataset, None, data[TEST][0], None, now) is None
    assert "pets/1 was not judged by these photos" in capsys.readouterr().out
    newest(now).classes = ("cat", "dog")
    assert compare("pets", dataset, None, data[TEST][0], None, now) is None
    assert "knows other classes (cat, dog)" in capsys.readouterr().out


def test_mistakes_are_shown_as_pictures_and_nothing_judged_is_no_praise(tmp_path, capsys):
    dataset, _, found = judged(TEN)
    path = tmp_path / "a.jpg"
    path.write_bytes(drawing())
    photos = [dataclasses.replace(photo, path=path) for photo in found.photos]
    worst = worst_mistakes(photos, found.probabilities, dataset.classes)
    assert len(figures.mistakes(worst).axes[0].images) == 1
    capsys.readouterr()
    assert figures.mistakes([], judged=0) is None
    assert "No photo was judged." in capsys.readouterr().out
