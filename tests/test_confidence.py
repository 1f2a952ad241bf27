"""Sure where it is right, and not sure of what it never saw."""

import numpy as np
import pytest
from catdog import figures
from catdog.confidence import calibration_error, fit_confidence, reliability
from catdog.familiarity import fit_familiarity
from catdog.head import Head
from catdog.training import fit_head, unseen_logits
from conftest import refused

NOBODY = np.empty((0, 8), np.float32), np.empty(0, int)


def told(n=20_000, sharpness=3.0, seed=0):
    """Features (n, 8) whose first two numbers are logits, classes drawn with the very probabilities that these mean."""
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(n, 8)).astype(np.float32) * sharpness
    probabilities = IDENTITY.probabilities(features)
    return features, (chance.random(n) < probabilities[:, 1]).astype(int)


IDENTITY = Head(np.eye(8, 2, dtype=np.float32), np.zeros(2, np.float32))


def times(factor):
    return Head(IDENTITY.kernel * np.float32(factor), IDENTITY.bias)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_the_temperature_is_what_logits_were_multiplied_by(factor):
    features, targets = told()
    unseen = np.full((len(features), 2), np.nan)
    found = fit_confidence(times(factor), (features, targets), (features, targets), unseen)
    assert found.temperature == pytest.approx(factor, rel=0.05)
    before, after = (calibration_error(head.probabilities(features), targets) for head in (times(factor), found.head))
    assert after < 0.01
    assert factor == 1 or before > 5 * after


def test_heads_that_did_not_see_a_photo_judge_it():
    features, targets = told(400)
    fit = fit_head(features, targets, *NOBODY, classes=2, epochs=20)
    unseen = unseen_logits(features, targets, *NOBODY, fit)
    assert (unseen.argmax(axis=1) == targets).mean() > 0.7
    noise, at_random = np.random.default_rng(0).normal(size=(60, 512)).astype(np.float32), np.arange(60) % 2
    nobody = np.empty((0, 512), np.float32), NOBODY[1]
    learned = fit_head(noise, at_random, *nobody, classes=2)
    assert (learned.head.logits(noise).argmax(axis=1) == at_random).all()
    assert (unseen_logits(noise, at_random, *nobody, learned).argmax(axis=1) == at_random).mean() < 0.8


def test_training_photos_judge_where_validation_photos_are_few():
    features, targets = told(2000)
    few = features[:10], targets[:10]
    unseen = times(2.5).logits(features)
    found = fit_confidence(times(2.5), (features, targets), few, unseen)
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    assert found.photos == 2010


def test_a_photo_that_is_unlike_all_is_not_sure_and_sets_no_threshold():
    features, targets = told(2000)
    features[:, 2:] += 20  # all alike but for the first two numbers
    strange = np.arange(2000) < 30
    features[strange, 2:] *= -1
    features[strange, 0], targets[strange] = 40, 1  # they would be surely wrong
    unseen = np.full((2000, 2), np.nan)
    found = fit_confidence(IDENTITY, (features, targets), (features, targets), unseen)
    assert not found.sure(features[strange]).any()
    assert found.sure(features[~strange]).mean() > 0.3
    assert found.right >= 0.99


def test_a_class_of_one_photo_has_nobody_to_judge_it_and_the_others_are_judged():
    features, targets = told(9)[0], np.array([0] * 8 + [1])
    fit = fit_head(features, targets, *NOBODY, classes=2, epochs=3)
    unseen = unseen_logits(features, targets, *NOBODY, fit)
    assert np.isfinite(unseen[:8]).all()
    assert np.isnan(unseen[8]).all()


@pytest.mark.parametrize("target", [0.9, 0.99])
def test_of_what_it_is_sure_of_so_much_is_right(target):
    features, targets = told()
    unseen = np.full((len(features), 2), np.nan)
    found = fit_confidence(IDENTITY, (features, targets), (features, targets), unseen, target=target)
    new, truth = told(seed=1)
    sure = found.sure(new)
    right = (found.head.probabilities(new).argmax(axis=1) == truth)[sure].mean()
    assert right == pytest.approx(target, abs=0.01)
    assert found.right >= target
    assert found.answered == pytest.approx(sure.mean(), abs=0.02)
    assert f"{target:.1%} were wanted" in found.summary()


def test_where_nothing_is_right_often_enough_it_is_sure_of_nothing():
    features, targets = told(200, sharpness=0.01)
    unseen = np.full((len(features), 2), np.nan)
    found = fit_confidence(IDENTITY, (features, targets), (features, targets), unseen, target=1.0)
    assert found.answered < 0.1


def test_all_right_is_no_reason_to_be_sure_beyond_measure():
    features, _ = told(60)
    targets = IDENTITY.logits(features).argmax(axis=1)
    unseen = np.full((60, 2), np.nan)
    found = fit_confidence(IDENTITY, (features, targets), (features, targets), unseen)
    assert found.temperature > 0.2


def test_few_photos_say_nothing():
    features, targets = told(20)
    found = fit_confidence(IDENTITY, (features, targets), (features, targets), np.full((20, 2), np.nan))
    assert (found.temperature, found.sure_from) == (1, 0)
    assert "20 photos are too few" in found.summary()


@pytest.mark.parametrize("target", [0, -1, 1.1, 99])
def test_a_share_that_is_none_is_refused(target):
    with refused("setting-sure-is-right", "SURE_IS_RIGHT"):
        fit_confidence(IDENTITY, told(40), told(40), np.zeros((40, 2)), target=target)


def test_the_error_of_calibration_by_hand():
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    targets = np.array([0] * 7 + [1] * 3 + [1] * 6 + [0] * 4)  # 70 % right at 90 %, 60 % at 60 %
    assert calibration_error(probabilities, targets) == pytest.approx(0.1)
    assert [(one.photos, one.right) for one in reliability(probabilities, targets)] == [(10, 0.6), (10, 0.7)]
    assert np.isnan(calibration_error(np.empty((0, 2)), np.empty(0, int)))
    names = [text.get_text() for text in figures.reliability({"a": probabilities}, targets).axes[0].legend().texts]
    assert names == ["a: 10.0%"]
    figures.reliability({"a": np.empty((0, 2))}, np.empty(0, int))


def test_far_from_every_class_is_unlike_all():
    chance = np.random.default_rng(0)
    centers = np.abs(chance.normal(size=(3, 512))) * [[5], [5], [5]]
    targets = np.arange(600) % 3
    features = (centers[targets] + chance.normal(size=(600, 512))).astype(np.float32)
    found = fit_familiarity(features, targets, 3, features)
    assert 0.97 < found.knows(features).mean() < 0.99
    assert found.knows(7 * features).mean() == found.knows(features).mean()  # length is no matter
    further = (centers[targets] + 2 * chance.normal(size=(600, 512))).astype(np.float32)
    assert fit_familiarity(features, targets, 3, further).limit > 1.5 * found.limit
    others = np.abs(chance.normal(size=(50, 512))).astype(np.float32) * 5
    assert not found.knows(others).any()
    assert np.isfinite(found.distances(np.zeros((1, 512), np.float32))).all()
