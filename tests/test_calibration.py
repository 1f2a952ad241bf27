"""Sure where it is right, and not sure of what it never saw."""

import numpy as np
import pytest
from catdog.data.folders import TRAIN, VALID
from catdog.models.card import Thresholds
from catdog.models.head import Head
from catdog.models.ood import OODDetector, centers_of, distance_limit, out_of_fold_distances
from catdog.notebook import plots
from catdog.training.calibration import calibrate, calibration_error, reliability, temperature_of
from catdog.training.linear_head import FitResult, fit_head
from conftest import refused
from scipy.special import softmax
from scipy.stats import norm

IDENTITY = Head(np.eye(8, 2, dtype=np.float32), np.zeros(2, np.float32))


def told(n=20_000, sharpness=3.0, seed=0):
    """Features (n, 8) whose first two numbers are logits, classes drawn with the very probabilities that these mean."""
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(n, 8)).astype(np.float32) * sharpness
    probabilities = IDENTITY.probabilities(features)
    return features, (chance.random(n) < probabilities[:, 1]).astype(int)


def times(factor):
    return Head(IDENTITY.kernel * np.float32(factor), IDENTITY.bias)


def alone(features, targets):
    """All photos for training, none for validation."""
    return {TRAIN: (features, targets), VALID: (features[:0], targets[:0])}


def fitted(out_of_fold, head=IDENTITY):
    """A head, and what others like it said of photos in five folds."""
    turns = np.arange(len(out_of_fold)) % 5
    folds = tuple((np.flatnonzero(turns != turn), np.flatnonzero(turns == turn)) for turn in range(5))
    return FitResult(head, out_of_fold, folds)


def confident(head, features, targets, **options):
    return calibrate(fitted(head.logits(features), head), alone(features, targets), **options)


# --- the temperature ---


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_the_temperature_is_what_logits_were_multiplied_by(factor):
    features, targets = told()
    found = confident(times(factor), features, targets)
    assert found.temperature == pytest.approx(factor, rel=0.05)
    assert np.allclose(found.head.logits(features) * found.temperature, times(factor).logits(features), atol=1e-4)
    before, after = (calibration_error(head.probabilities(features), targets) for head in (times(factor), found.head))
    assert after < 0.01
    assert factor == 1 or before > 5 * after


def logits_of(photos, classes, factor, seed, sharpness=3.0, lead=0.0):
    """(`factor` times the logits that the classes were drawn by, class numbers); by `lead` one class leads."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=(photos, classes)) * sharpness
    logits[np.arange(photos), chance.integers(0, classes, photos)] += lead
    drawn = chance.random((photos, 1)) > softmax(logits, axis=1).cumsum(axis=1)
    return factor * logits, np.minimum(drawn.sum(axis=1), classes - 1)


def calibrated(photos, classes, factor, **options):
    """(mean temperature of four draws, their mean calibration error on new photos, that before)."""
    logits, targets = logits_of(4000, classes, factor, 99, **options)
    found = [temperature_of(*logits_of(photos, classes, factor, seed, **options)) for seed in range(4)]
    errors = [calibration_error(softmax(logits / temperature, axis=1), targets) for temperature in found]
    return np.mean(found), np.mean(errors), calibration_error(softmax(logits, axis=1), targets)


@pytest.mark.parametrize("photos", [30, 100, 1000, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("classes", [2, 5, 37, 200])
@pytest.mark.parametrize("factor", [0.7, 1.0, 2.0])
def test_calibrating_never_harms_and_helps_with_many_photos(factor, classes, photos):
    temperature, after, before = calibrated(photos, classes, factor)
    assert after < before + 0.35 / photos**0.5  # as it is by chance
    if photos >= 1000:
        assert temperature == pytest.approx(factor, rel=0.1)
        assert factor == 1 or after < before / 2


@pytest.mark.parametrize("classes", [37, 200])
def test_few_photos_of_many_classes_do_not_make_a_good_model_unsure(classes):
    """Platt's smoothed targets, which leave 1 / (n + k) to each of k classes, do."""
    _, after, before = calibrated(2 * classes, classes, 1.0, sharpness=1.0, lead=8.0)
    assert before < 0.03
    assert after < before + 0.015


def test_no_photos_say_nothing_and_few_that_are_all_right_hardly_anything():
    assert temperature_of(np.empty((0, 3)), np.empty(0, int)) == pytest.approx(1, abs=1e-3)
    right = np.array([[3.0, 0.0]])
    temperatures = [temperature_of(right.repeat(number, axis=0), np.zeros(number, int)) for number in (1, 5, 60)]
    assert temperatures[0] > temperatures[1] > temperatures[2] > 0.3
    assert temperatures[1] > 0.8


# --- the threshold ---


def known_photos(differences, right, target=0.99):
    """What is made of photos that are all like each other, with these differences of two logits."""
    number = np.arange(len(right))
    assert len(number) < 50  # or the furthest of them would count as unlike
    targets = number % 2
    along = np.where(number // 2 % 2, 0.3, 0.6) * np.where(number // 4 % 2, 1, -1)
    features = np.stack([np.ones(len(number)), along], axis=1).astype(np.float32)
    signs = np.where(targets, -1, 1) * np.where(right, 1, -1)
    logits = np.stack([signs * differences, np.zeros(len(number))], axis=1)
    head = Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    return calibrate(fitted(logits, head), alone(features, targets), target=target)


def probabilities_of(differences, found):
    return 1 / (1 + np.exp(-np.asarray(differences) / found.temperature))


@pytest.mark.parametrize(("target", "enough"), [(0.95, 9), (0.98, 24), (0.99, 49)])
def test_it_takes_so_many_photos_to_say_from_when_on_it_is_sure(target, enough):
    """Half an error more than there are, of one photo more (Jeffreys)."""
    differences = np.linspace(1, 5, enough)
    few = known_photos(differences[1:], np.ones(enough - 1, bool), target)
    assert (few.confidence_threshold, few.enough, few.photos) == (target, False, enough - 1)
    found = known_photos(differences, np.ones(enough, bool), target)
    assert (found.coverage, found.selective_accuracy, found.enough, found.photos) == (1, 1, True, enough)
    assert found.confidence_threshold == pytest.approx(probabilities_of(differences, found).min())
    assert found.as_card() == {
        "temperature": found.temperature, "target": target, "coverage": 1, "selective_accuracy": 1,
        "low": found.low, "high": 1, "photos": enough, "enough": True,
    }  # fmt: skip
    assert f"{enough - 1:,} held-out photos" in few.summary()
    for facts in (f"{target:.1%}", f"{found.low:.1%}"):
        assert facts in found.summary()


def test_half_an_error_more_decides_where_it_begins():
    """40 photos, of which the 5 least sure are wrong: of 36, 1 is; of 38, 3 are; 1.5 of 37 and 3.5 of 39 count."""
    differences, right = np.linspace(5, 1, 40), np.arange(40) < 35
    for wrong in (1, 3):
        just = 1 - (wrong + 0.5) / (35 + wrong + 1)
        found = known_photos(differences, right, just - 1e-6)
        assert found.confidence_threshold == pytest.approx(probabilities_of(differences, found)[34 + wrong])
        found = known_photos(differences, right, just + 1e-6)
        assert found.confidence_threshold == pytest.approx(probabilities_of(differences, found)[33 + wrong])


@pytest.mark.parametrize("wrong_first", [True, False])
def test_of_photos_that_are_equally_sure_all_count(wrong_first):
    right = np.arange(40) >= 4 if wrong_first else np.arange(40) < 36
    assert known_photos(np.full(40, 3.0), right, 0.8).coverage == 1
    assert known_photos(np.full(40, 3.0), right, 0.95).coverage == 0


def test_the_interval_is_wilsons():
    found = known_photos(np.linspace(5, 1, 40), np.arange(40) < 36, 0.8)
    assert (found.coverage, found.selective_accuracy) == (1, 0.9)
    assert (found.low, found.high) == pytest.approx((0.7695, 0.9604), abs=1e-4)


@pytest.mark.parametrize("target", [0.9, 0.99])
def test_where_even_the_surest_are_wrong_it_is_sure_of_nobody(target):
    found = known_photos(np.linspace(5, 1, 49), np.arange(49) >= 10, target)
    assert target <= found.confidence_threshold < 1  # or no card would hold it
    assert (found.coverage, found.selective_accuracy, found.low, found.high) == (0, 0, 0, 1)
    assert found.summary()


def test_one_wrong_label_among_the_surest_takes_no_sureness_away():
    """From 49 photos on, one confident mistake left a good model sure of nobody."""
    right = np.arange(49) != 3
    found = known_photos(np.linspace(9, 1, 49), right, 0.99)
    assert (found.confidence_threshold, found.enough) == (0.99, False)
    assert found.coverage > 0.3


def test_where_the_surest_are_wrong_far_too_often_it_is_sure_of_nobody():
    found = known_photos(np.linspace(60, 50, 49), np.arange(49) % 2 == 0, 0.9)
    assert found.coverage == 0


@pytest.mark.parametrize("target", [0.9, 0.99])
def test_of_what_it_is_sure_of_so_much_is_right(target):
    features, targets = told()
    found = confident(IDENTITY, features, targets, target=target)
    new, truth = told(seed=1)
    sure = found.is_confident(new)
    right = (found.head.probabilities(new).argmax(axis=1) == truth)[sure].mean()
    assert right == pytest.approx(target, abs=0.01)
    assert found.enough
    assert found.low < target <= found.selective_accuracy < found.high
    assert found.coverage == pytest.approx(sure.mean(), abs=0.02)
    assert found.thresholds == Thresholds(found.confidence_threshold, found.ood_detector.limit)


def test_what_must_never_be_wrong_is_sure_of_nothing():
    found = confident(IDENTITY, *told(200), target=1.0)
    assert (found.confidence_threshold, found.enough, found.coverage) == (1, False, 0)


@pytest.mark.parametrize("target", [0, -1, 1.1, 99])
def test_a_share_that_is_none_is_refused(target):
    with refused("setting-target-accuracy", "TARGET_ACCURACY"):
        confident(IDENTITY, *told(40), target=target)


def test_only_photos_that_heads_did_not_see_judge():
    features, targets = told(2000)
    said = times(2.5).logits(features)
    said[1000:] = np.nan
    found = calibrate(fitted(said, times(2.5)), alone(features, targets))
    assert found.photos == 1000
    assert found.temperature == pytest.approx(2.5, rel=0.15)


@pytest.mark.parametrize("negatives", [None, np.eye(8, dtype=np.float32)])
@pytest.mark.parametrize("frozen", [True, False])
def test_where_nobody_judges_it_is_as_sure_as_it_was(frozen, negatives):
    features, targets = np.eye(2, 8, dtype=np.float32), np.arange(2)
    fit = fit_head(alone(features, targets), 2, frozen=frozen)
    found = calibrate(fit, alone(features, targets), negatives=negatives)
    assert found.temperature == pytest.approx(1, abs=1e-3)
    assert (found.confidence_threshold, found.enough, found.photos, found.coverage) == (0.99, False, 0, 0)
    assert found.ood_detector.in_distribution(np.eye(8, dtype=np.float32)).all()
    assert "0 held-out photos" in found.summary()


# --- what is unlike all ---


def test_a_photo_that_is_unlike_all_is_not_sure_and_sets_no_threshold():
    features, targets = told(2000)
    features[:, 2:] += 20  # all alike but for the first two numbers
    strange = np.arange(2000) < 30
    features[strange, 2:] *= -1
    features[strange, 0], targets[strange] = 40, 1  # they would be surely wrong
    found = confident(IDENTITY, features, targets)
    assert not found.is_confident(features[strange]).any()
    assert found.is_confident(features[~strange]).mean() > 0.3
    assert found.selective_accuracy >= 0.99


def test_far_from_every_class_is_unlike_all():
    chance = np.random.default_rng(0)
    centers = 5 * np.abs(chance.normal(size=(3, 512)))
    targets = np.arange(600) % 3
    features = (centers[targets] + chance.normal(size=(600, 512))).astype(np.float32)
    means = centers_of(features, targets, 3)
    found = OODDetector(means, distance_limit(OODDetector(means, np.inf).distances(features)))
    assert 0.97 < found.in_distribution(features).mean() < 0.99
    assert found.in_distribution(7 * features).mean() == found.in_distribution(features).mean()  # length is no matter
    others = np.abs(chance.normal(size=(50, 512))).astype(np.float32) * 5
    assert not found.in_distribution(others).any()
    assert np.isfinite(found.distances(np.zeros((1, 512), np.float32))).all()


@pytest.mark.parametrize("photos", [10, 30, 49, 50, 500])
def test_the_limit_keeps_98_of_100_however_few_photos_set_it(photos):
    draws = np.random.default_rng(0).normal(7, 2, size=(400, photos))
    kept = np.mean([norm(7, 2).cdf(distance_limit(one)) for one in draws])
    assert kept == pytest.approx(0.98, abs=0.025)


def clouds(each, seed, classes=3, size=64, beside=0.0):
    """(features, class numbers) of so many photos a class, or of others: `beside` the classes."""
    fixed = np.random.default_rng(99)
    centres = fixed.normal(size=(classes, size)) + beside * fixed.normal(size=size)
    targets = np.repeat(np.arange(classes), each)
    return (np.random.default_rng(seed).normal(size=(len(targets), size)) + centres[targets]).astype(
        np.float32
    ), targets


def test_few_photos_a_class_do_not_make_new_ones_unlike():
    """Photos that made a mean lie nearer to it than new ones do: a limit by their own distances would be too small."""
    lost, lost_by_their_own = [], []
    for seed in range(8):
        features, targets = clouds(10, seed)
        fit = fit_head(alone(features, targets), 3, seed=seed, strengths=(1.0,))
        found = calibrate(fit, alone(features, targets)).ood_detector
        new = clouds(200, 1000 + seed)[0]
        lost.append(1 - found.in_distribution(new).mean())
        too_small = distance_limit(found.distances(features))
        lost_by_their_own.append(1 - OODDetector(found.centers, too_small).in_distribution(new).mean())
    assert np.mean(lost) < 0.08
    assert np.mean(lost_by_their_own) > 0.2


def test_distances_are_from_means_of_other_photos():
    features, targets = clouds(10, 0)
    folds = fit_head(alone(features, targets), 3, strengths=(1.0,)).folds
    distances = out_of_fold_distances(features, targets, 3, folds[:4])
    for seen, unseen in folds[:4]:
        expected = OODDetector(centers_of(features[seen], targets[seen], 3), np.inf).distances(features[unseen])
        assert np.array_equal(distances[unseen], expected)
    assert np.isnan(distances[folds[4][1]]).all()


def test_behind_a_tuned_backbone_photos_for_training_make_the_means_and_those_for_validation_the_limit():
    train, (near, numbers) = clouds(30, 0), clouds(20, 1)
    data = {TRAIN: train, VALID: (near, numbers)}
    found = calibrate(fit_head(data, 3, frozen=False), data)
    assert np.array_equal(found.ood_detector.centers, centers_of(*train, 3))
    assert found.ood_detector.limit == pytest.approx(np.quantile(found.ood_detector.distances(near), 0.98))
    assert found.photos == 60


# --- photos that are none of these ---


def test_photos_in_none_of_these_make_what_is_like_them_unlike():
    lost, found = {"without": [], "with": []}, {"without": [], "with": []}
    for seed in range(4):
        data = alone(*clouds(40, seed))
        fit = fit_head(data, 3, seed=seed, strengths=(1.0,))
        for name, negatives in (("without", None), ("with", clouds(7, 50 + seed, beside=0.6)[0])):
            calibrated = calibrate(fit, data, negatives=negatives)
            own, others = clouds(200, 1000 + seed)[0], clouds(200, 2000 + seed, beside=0.6)[0]
            lost[name].append(1 - calibrated.ood_detector.in_distribution(own).mean())
            found[name].append(1 - calibrated.ood_detector.in_distribution(others).mean())
            assert not (calibrated.is_confident(others) & ~calibrated.ood_detector.in_distribution(others)).any()
    assert np.mean(found["without"]) < 0.5
    assert np.mean(found["with"]) > 0.9
    assert np.mean(lost["with"]) < np.mean(lost["without"]) + 0.03


def test_photos_of_a_class_among_those_of_none_do_not_take_it_away():
    """Two of 100 photos of the classes may be taken for others; those are not counted as what it is sure of."""
    data = alone(*clouds(60, 0))
    fit = fit_head(data, 3, strengths=(1.0,))
    before, after = (calibrate(fit, data, negatives=one) for one in (None, clouds(10, 1)[0]))
    new = clouds(200, 2)[0]
    assert before.ood_detector.in_distribution(new).mean() - after.ood_detector.in_distribution(new).mean() < 0.05
    assert 0 < before.coverage - after.coverage < 0.03


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_of_none_change_nothing(number):
    data = alone(*clouds(10, 0))
    fit = fit_head(data, 3, strengths=(1.0,))
    few = clouds(10, 1, beside=0.6)[0][:number]
    without, found = (calibrate(fit, data, negatives=negatives) for negatives in (None, few))
    assert found.ood_detector.kernel is None
    assert found.as_card() == without.as_card()
    assert found.thresholds == without.thresholds


# --- the error of calibration ---


def test_the_error_of_calibration_by_hand():
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    targets = np.array([0] * 7 + [1] * 3 + [1] * 6 + [0] * 4)  # 70 % right at 90 %, 60 % at 60 %
    assert calibration_error(probabilities, targets) == pytest.approx(0.1)
    assert [(one.photos, one.right) for one in reliability(probabilities, targets)] == [(10, 0.6), (10, 0.7)]
    assert np.isnan(calibration_error(np.empty((0, 2)), np.empty(0, int)))
    names = [text.get_text() for text in plots.reliability({"a": probabilities}, targets).axes[0].legend().texts]
    assert names == ["a: 10.0%"]
    plots.reliability({"a": np.empty((0, 2))}, np.empty(0, int))


def test_the_error_of_calibration_of_many_classes_is_that_of_the_answers():
    """Of the most probable class alone: how the rest is spread over the others does not matter."""
    few = np.array([[0.9, 0.1]] * 10)
    many = np.concatenate([few[:, :1], np.full((10, 36), 0.1 / 36)], axis=1)
    for targets in (np.zeros(10, int), np.arange(10) // 7):
        assert calibration_error(many, targets) == pytest.approx(calibration_error(few, targets))
