"""Features once, the last layer solved to its end, honest numbers."""

import dataclasses

import numpy as np
import pytest
from catdog.backbones.architectures import VGG16, at_length_1
from catdog.data.dataset import Photo, check
from catdog.data.folders import TEST, TRAIN, VALID
from catdog.data.images import read_photo
from catdog.data.preprocessing import SQUEEZE, Preprocessing
from catdog.data.sources import PhotoFolder
from catdog.notebook import plots
from catdog.training import linear_head, near_duplicates
from catdog.training.features import FeatureCache, compute_features, features_by_split
from catdog.training.linear_head import (
    DEFAULT_STRENGTH,
    STRENGTHS,
    class_weights,
    cross_entropy,
    fit_head,
    regression,
    train_and_valid,
)
from catdog.training.metrics import evaluate, worst_mistakes
from catdog.training.near_duplicates import groups_of, near_copies
from catdog.training.trained_head import out_of_fold_again, train_head
from conftest import refused
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from standins.network import StandInNetwork


@pytest.fixture
def dataset(drawings):
    return check(PhotoFolder(drawings, "drawings", synthetic=True))


class Counted(StandInNetwork):
    """Remembers how many photos go through it, and may be broken off before a batch."""

    def __init__(self, batches=100):
        super().__init__()
        self.batches, self.seen = batches, []

    def features(self, photos):
        if len(self.seen) == self.batches:
            raise KeyboardInterrupt
        self.seen.append(len(photos))
        return super().features(photos)


def blobs(targets, seed=0, size=16, apart=1.0):
    """(features, class numbers): a cloud for each class, `apart` from each other and far from zero."""
    targets, fixed = np.asarray(targets), np.random.default_rng(99)
    centres = apart * fixed.normal(size=(10, size)) + 10 * fixed.normal(size=size)
    return (np.random.default_rng(seed).normal(size=(len(targets), size)) + centres[targets]).astype(
        np.float32
    ), targets


def in_turn(photos, classes=3):
    return np.arange(photos) % classes


def alone(features, targets):
    """All photos for training, none for validation."""
    return {TRAIN: (features, targets), VALID: (features[:0], targets[:0])}


def test_the_base_sees_what_keras_preprocessing_gives(engine, drawings):
    from catdog.quiet_keras import keras

    photos = np.stack([read_photo(path) for path in sorted(drawings.rglob("*.jpg"))[:3]])
    plain = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
    for layer in plain.layers:
        layer.set_weights(engine.model.get_layer(layer.name).get_weights() if layer.weights else [])
    last = keras.Model(plain.input, plain.get_layer("block5_conv3").output)
    activations = last.predict_on_batch(keras.applications.vgg16.preprocess_input(photos.astype(np.float32)))
    assert activations.max() > 10
    expected = [at_length_1(activations.max(axis=(1, 2))), at_length_1(activations.mean(axis=(1, 2)))]
    assert np.abs(engine.features(photos) - np.concatenate(expected, axis=1)).max() < 1e-4


def test_features_are_computed_once_and_only_for_new_photos(dataset, tmp_path):
    network = Counted()
    first = compute_features(dataset.photos[:5], network, FeatureCache(network, tmp_path))
    assert first.shape == (5, VGG16.size)
    assert sum(network.seen) == 5
    again = compute_features(dataset.photos[:8][::-1], network, FeatureCache(network, tmp_path))
    assert sum(network.seen) == 8
    assert (again[::-1][:5] == first).all()


def test_features_survive_a_broken_off_run(dataset, tmp_path):
    network = Counted(batches=1)
    store = FeatureCache(network, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        compute_features(dataset.photos, network, store)
    assert len(store.digests()) == network.seen[0] < len(dataset.photos)


def test_another_base_preprocessing_or_pooling_never_finds_these_features(stand_in, tmp_path):
    backbone = stand_in.backbone
    architectures = [
        backbone.architecture.at(256),
        *(
            dataclasses.replace(backbone.architecture, **change)
            for change in (
                {"preprocessing": Preprocessing(fit=SQUEEZE)}, {"pooling": ("mean", "max")}, {"unit_length": False},
            )
        ),
    ]  # fmt: skip
    others = [dataclasses.replace(backbone, architecture=one) for one in architectures]
    others.append(dataclasses.replace(backbone, fingerprint="sha256:another"))
    assert len({FeatureCache(one, tmp_path).path for one in (stand_in, *others)}) == 6


@pytest.mark.parametrize("damaged", [lambda data: b"no database at all" * 100, lambda data: data[: len(data) // 2]])
def test_a_damaged_file_of_features_is_set_aside(stand_in, tmp_path, capsys, damaged):
    path = FeatureCache(stand_in, tmp_path).path
    FeatureCache(stand_in, tmp_path).write(["ab" * 32] * 99, "fp32", np.zeros((99, VGG16.size), np.float32))
    path.write_bytes(damaged(path.read_bytes()))
    store = FeatureCache(stand_in, tmp_path)
    assert store.digests() == set()
    assert "[features-damaged]" in capsys.readouterr().out
    assert path.with_suffix(".damaged").exists()


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """A mounted Drive; machine() is a new one with a cache of its own."""
    (tmp_path / "drive").mkdir()
    monkeypatch.delenv("CATDOG_CACHE")
    monkeypatch.setenv("DRIVE_DIR", str(tmp_path / "drive"))

    def machine(number):
        monkeypatch.setenv("HOME", str(tmp_path / f"machine {number}"))

    machine(1)
    return machine


def test_features_outlive_the_machine_on_drive(stand_in, drive):
    first = FeatureCache(stand_in)
    first.write(["ab" * 32], "fp32", np.ones((1, VGG16.size), np.float32))
    assert not first._kept.exists()
    first.keep()
    drive(2)
    second = FeatureCache(stand_in)
    assert second.path != first.path
    assert second.digests("fp32") == {"ab" * 32}


def test_a_long_computation_is_kept_from_time_to_time(stand_in, drive):
    store = FeatureCache(stand_in, keep_seconds=-1)
    store.write(["ab" * 32], "fp32", np.ones((1, VGG16.size), np.float32))
    assert store._kept.exists()


def test_a_full_drive_is_told_and_stops_nothing(stand_in, drive, dataset, monkeypatch, capsys):
    def full(source, target):
        raise OSError(28, "No space left on device")

    store = FeatureCache(stand_in)
    monkeypatch.setattr("shutil.copyfileobj", full)
    assert len(compute_features(dataset.photos[:4], stand_in, store)) == 4
    assert "could not be written (No space left on device)" in capsys.readouterr().out
    assert not list(store._kept.parent.glob("features-*"))


def test_another_engines_features_are_kept_apart(stand_in, tmp_path):
    store, digest = FeatureCache(stand_in, tmp_path), "ab" * 32
    store.write([digest], "fp32", np.zeros((1, VGG16.size), np.float32))
    store.write([digest], "int8", np.ones((1, VGG16.size), np.float32))
    assert store.read([digest], "fp32").max() == 0
    assert store.read([digest], "int8").min() == 1
    assert store.digests("int8") == store.digests() == {digest}
    assert not store.digests("bf16")
    with pytest.raises(KeyError):
        store.read([digest], "bf16")


def test_features_by_split_go_with_their_targets(dataset, stand_in, tmp_path):
    data = features_by_split(dataset, stand_in, FeatureCache(stand_in, tmp_path))
    features, targets = data[TRAIN]
    assert len(features) == len(targets) == len(dataset.of(TRAIN))
    expected = stand_in.features(read_photo(dataset.of(TRAIN)[2].path)[None])
    assert np.abs(features[2] - expected[0]).max() < 1e-6


# --- the last layer ---


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_head_is_the_regression_that_another_solver_finds(classes):
    """On features less their mean and by one scale, with classes that are uneven and count the same."""
    features, targets = blobs(np.repeat(np.arange(classes), 10 + 30 * np.arange(classes)))
    features *= np.geomspace(0.1, 10, 16, dtype=np.float32)
    mean = features.mean(axis=0, dtype=np.float64)
    scale = (features - mean).std()
    asked = LogisticRegression(C=0.3, class_weight="balanced", solver="newton-cg", tol=1e-8)
    asked.fit((features - mean) / scale, targets)
    found = fit_head(alone(features, targets), classes, strengths=(0.3,)).head
    assert found.kernel.dtype == found.bias.dtype == np.float32
    expected = asked.predict_proba((features - mean) / scale)
    assert np.abs(found.probabilities(features) - np.eye(classes)[targets]).max() > 0.1
    assert np.abs(found.probabilities(features) - expected).max() < 1e-3


def test_uneven_classes_count_the_same():
    """By an intercept that is free: where each class counts the same, each gets the same share of the probability."""
    features, targets = blobs([0] * 90 + [1] * 20 + [2] * 10, apart=0.2)
    probabilities = fit_head(alone(features, targets), 3).head.probabilities(features)
    shares = [probabilities[targets == number].mean(axis=0) for number in range(3)]
    assert np.abs(np.mean(shares, axis=0) - 1 / 3).max() < 1e-3
    weights = class_weights(targets, 3)
    assert weights[0] * 90 == pytest.approx(weights[2] * 10)
    assert class_weights(np.array([0, 1]), 2) == {0: 1.0, 1: 1.0}


def test_neither_scale_nor_shift_of_the_features_matters():
    features, targets = blobs(in_turn(60))
    moved = 1000 * (features - features.mean(axis=0) + 1)
    before, after = (fit_head(alone(found, targets), 3) for found in (features, moved))
    assert before.strength == after.strength
    assert np.abs(before.head.logits(features) - after.head.logits(moved)).max() < 0.01
    assert np.abs(before.out_of_fold - after.out_of_fold).max() < 0.01


def test_features_that_are_all_the_same_say_nothing():
    targets = np.array([0] * 20 + [1] * 10)
    probabilities = fit_head(alone(np.ones((30, 4), np.float32), targets), 2).head.probabilities(np.ones((1, 4)))
    assert probabilities == pytest.approx(0.5, abs=1e-3)


def test_the_head_learns_and_the_same_seed_gives_the_same_head():
    data = {TRAIN: blobs(in_turn(60), size=64), VALID: blobs(in_turn(30), seed=1, size=64)}
    first, again, other = (fit_head(data, 3, seed=seed) for seed in (1, 1, 2))
    for a, b in ((first.head.kernel, again.head.kernel), (first.head.bias, again.head.bias)):
        assert np.array_equal(a, b)
    assert np.array_equal(first.out_of_fold, again.out_of_fold)
    assert first.losses == again.losses
    assert (first.out_of_fold != other.out_of_fold).any()
    features, targets = blobs(in_turn(90), seed=2, size=64)
    probabilities = first.head.probabilities(features)
    assert probabilities.shape == (90, 3)
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    assert (probabilities.argmax(axis=1) == targets).mean() > 0.95


def test_a_seed_that_cannot_be_is_refused():
    with refused("setting-training", "SEED"):
        fit_head(alone(*blobs(in_turn(4, 2))), 2, seed=-1)


# --- cross-validation ---


@pytest.mark.parametrize(("apart", "best"), [(0.3, 0.1), (2.0, 3.0)])
def test_cross_validation_chooses_the_strength_of_regularisation(apart, best):
    data = alone(*blobs(in_turn(90), apart=apart))
    chosen = fit_head(data, 3)
    single = {strength: fit_head(data, 3, strengths=(strength,)) for strength in chosen.losses}
    assert chosen.losses == {strength: found.losses[strength] for strength, found in single.items()}
    assert chosen.strength == chosen.settings["C"] == min(chosen.losses, key=chosen.losses.get) == best
    assert np.array_equal(chosen.head.kernel, single[best].head.kernel)
    assert np.array_equal(chosen.out_of_fold, single[best].out_of_fold)
    said = log_softmax(chosen.out_of_fold, axis=1)[np.arange(90), data[TRAIN][1]]
    assert chosen.losses[best] == pytest.approx(-said.mean(), rel=1e-5)


def test_many_photos_that_are_hard_to_tell_apart_get_much_regularisation():
    """A hundred times as much as few photos that are easy; other photos judge."""
    data, (features, targets) = (
        alone(*blobs(in_turn(600), apart=0.05, size=256)),
        blobs(in_turn(600), seed=1, apart=0.05, size=256),
    )
    free, mild = fit_head(data, 3), fit_head(data, 3, strengths=(0.3, 1.0, 3.0))
    assert free.strength < 0.01
    losses = [cross_entropy(fit.head.logits(features), targets) for fit in (free, mild)]
    assert losses[0] < 0.8 * losses[1]


def test_weaker_regularisation_is_not_tried_where_it_has_begun_to_harm():
    data = alone(*blobs(in_turn(120), apart=0.3))
    losses = list(fit_head(data, 3).losses.values())
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < len(STRENGTHS)
    assert list(fit_head(data, 3, strengths=STRENGTHS[:best]).losses.values()) == losses[:best]


def test_each_photo_is_judged_once_by_a_head_that_did_not_see_it():
    features, targets = blobs(in_turn(50, 2), apart=0, size=512)
    fit = fit_head(alone(features, targets), 2)
    assert (fit.head.logits(features).argmax(axis=1) == targets).all()  # learned by heart, since there is nothing else
    assert (fit.out_of_fold.argmax(axis=1) == targets).mean() < 0.7
    assert sorted(np.concatenate([unseen for _, unseen in fit.folds])) == list(range(50))
    for seen, unseen in fit.folds:
        assert sorted([*seen, *unseen]) == list(range(50))
        assert np.bincount(targets[unseen]).tolist() == [5, 5]
        one = regression(features[seen], targets[seen], 2, fit.strength)
        assert np.array_equal(one.logits(features[unseen]), fit.out_of_fold[unseen])


def test_photos_for_validation_train_too():
    data = {TRAIN: blobs(in_turn(60)), VALID: blobs(in_turn(30), seed=1)}
    fit, together = fit_head(data, 3), fit_head(alone(*train_and_valid(data)), 3)
    assert np.array_equal(fit.head.kernel, together.head.kernel)
    assert np.isfinite(fit.out_of_fold).all()
    assert len(fit.out_of_fold) == 90


def test_behind_a_backbone_that_was_tuned_photos_for_validation_judge_and_do_not_train():
    data = {TRAIN: blobs(in_turn(60)), VALID: blobs(in_turn(30), seed=1)}
    fit = fit_head(data, 3, frozen=False)
    assert np.array_equal(fit.head.kernel, regression(*data[TRAIN], 3, fit.strength).kernel)
    assert np.isnan(fit.out_of_fold[:60]).all()
    assert np.allclose(fit.out_of_fold[60:], fit.head.logits(data[VALID][0]), atol=1e-4)
    ((seen, unseen),) = fit.folds
    assert (seen.tolist(), unseen.tolist()) == (list(range(60)), list(range(60, 90)))
    assert len(set(fit.losses.values())) == len(fit.losses) > 1


def test_behind_such_a_backbone_without_validation_photos_nobody_judges():
    fit = fit_head(alone(*blobs(in_turn(60))), 3, frozen=False)
    assert fit.strength == DEFAULT_STRENGTH
    assert fit.folds == ()
    assert np.isnan(fit.out_of_fold).all()
    assert np.isnan(cross_entropy(fit.out_of_fold, in_turn(60)))


def test_a_class_with_one_photo_trains_all_heads_and_is_judged_by_none():
    targets = np.array([0] * 9 + [1] * 8 + [2])
    fit = fit_head(alone(*blobs(targets)), 3)
    assert np.isfinite(fit.out_of_fold[:17]).all()
    assert np.isnan(fit.out_of_fold[17]).all()
    assert len(fit.folds) == 5
    assert all(17 in seen for seen, _ in fit.folds)
    assert np.isfinite(fit.losses[fit.strength])


def test_where_each_class_has_one_photo_there_is_a_head_all_the_same():
    features, targets = blobs([0, 1, 2], apart=3)
    fit = fit_head(alone(features, targets), 3)
    assert (fit.head.logits(features).argmax(axis=1) == targets).all()
    assert np.isnan(fit.out_of_fold).all()
    assert (fit.folds, fit.losses, fit.settings["folds"]) == ((), {}, 0)


def test_a_class_with_fewer_photos_than_folds_is_judged_by_heads_that_saw_the_others_of_it():
    targets = np.array([0] * 20 + [1] * 2 + [2] * 20)
    fit = fit_head(alone(*blobs(targets)), 3)
    assert np.isfinite(fit.out_of_fold).all()
    without = [unseen for _, unseen in fit.folds if 1 not in targets[unseen]]
    assert len(without) == 3
    assert all((targets[seen] == 1).any() for seen, _ in fit.folds)


@pytest.mark.parametrize("numbers", [(0, 2), (1, 2, 4)])
def test_a_class_without_photos_is_never_the_answer(numbers):
    features, places = blobs(in_turn(60, len(numbers)))
    found = regression(features, np.array(numbers)[places], 5, 1.0)
    expected = regression(features, places, len(numbers), 1.0)
    assert np.array_equal(found.kernel[:, numbers], expected.kernel)
    assert np.array_equal(found.bias[list(numbers)], expected.bias)
    logits = found.logits(blobs(in_turn(300, 5), seed=1)[0])
    assert set(logits.argmax(axis=1)) <= set(numbers)
    assert (np.delete(logits, numbers, axis=1) == -30).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_a_second_last_layer_judges_the_same_photos_from_another_deal(classes):
    features, targets = blobs(in_turn(120, classes), apart=0.3)
    data = {**alone(features, targets), TEST: (features[:0], targets[:0])}
    trained = train_head(data, "abc"[:classes])
    again = out_of_fold_again(trained, data)
    assert (np.isfinite(again).all(axis=1) == trained.fit.judged).all()
    assert np.abs(again - trained.fit.out_of_fold).max() > 0.01
    assert 0.7 < (again.argmax(axis=1) == trained.out_of_fold.argmax(axis=1)).mean() < 1
    assert (again == fit_head(data, classes, seed=1).out_of_fold).all()


def test_behind_a_backbone_that_was_tuned_the_second_is_trained_on_some_of_the_photos():
    features, targets = blobs(in_turn(120), apart=0.3)
    parts = {TRAIN: slice(80), VALID: slice(80, 120), TEST: slice(0)}
    data = {split: (features[rows], targets[rows]) for split, rows in parts.items()}
    trained = train_head(data, "abc", frozen=False)
    again = out_of_fold_again(trained, data)
    assert (np.isfinite(again).all(axis=1) == trained.fit.judged).all()
    assert trained.fit.judged.sum() == 40
    assert np.abs(again - trained.fit.out_of_fold)[80:].max() > 0.01


def test_out_of_fold_probabilities_are_calibrated():
    features, targets = blobs(in_turn(120), apart=0.3)
    data = {**alone(features, targets), TEST: (features[:0], targets[:0])}
    trained = train_head(data, "abc")
    assert trained.calibrated.temperature != 1
    expected = np.exp(log_softmax(trained.fit.out_of_fold / trained.calibrated.temperature, axis=1))
    assert trained.out_of_fold == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def very_many(monkeypatch):
    """The number of photos from which on only some are cross-validated: few, since comparing them is quadratic."""
    monkeypatch.setattr(linear_head, "MOST_CROSS_VALIDATED", 2_500)
    return linear_head.MOST_CROSS_VALIDATED


def test_of_very_many_photos_some_are_cross_validated_and_all_train(very_many):
    features, targets = blobs(in_turn(very_many + 500, 2), size=4)
    fit = fit_head(alone(features, targets), 2, strengths=(1.0,))
    judged = np.isfinite(fit.out_of_fold).all(axis=1)
    assert judged.sum() == very_many
    assert [judged[part].sum() for part in np.array_split(np.arange(len(judged)), 5)] == pytest.approx(
        [very_many / 5] * 5, abs=2
    )
    assert set(np.concatenate([np.r_[seen, unseen] for seen, unseen in fit.folds])) == set(np.flatnonzero(judged))
    features[~judged] *= -1
    moved = fit_head(alone(features, targets), 2, strengths=(1.0,))
    assert np.array_equal(moved.out_of_fold, fit.out_of_fold, equal_nan=True)
    assert np.abs(moved.head.kernel - fit.head.kernel).max() > 0.01


def test_of_very_many_photos_no_class_is_left_out(very_many):
    targets = in_turn(very_many + 500, 2)
    spread = np.linspace(0, len(targets) - 1, very_many).astype(int)
    rare = np.setdiff1d(np.arange(len(targets)), spread)[7]
    targets[rare] = 2
    fit = fit_head(alone(*blobs(targets, size=4)), 3, strengths=(1.0,))
    assert all(rare in seen for seen, _ in fit.folds)
    assert np.isfinite(fit.out_of_fold).all(axis=1).sum() == very_many


# --- results ---


def test_the_report_counts_right():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    report = evaluate(probabilities, np.array([0, 1, 1, 0]), ("cat", "dog"))
    assert report.accuracy == 0.75
    assert report.confusion.tolist() == [[2, 0], [1, 1]]
    assert report.precision.tolist() == pytest.approx([2 / 3, 1.0])
    assert report.recall.tolist() == [1.0, 0.5]
    assert (report.low, report.high) == pytest.approx((0.3006, 0.9544), abs=1e-3)  # Wilson, 3 of 4
    assert report.summary().startswith("Right on 3 of 4 photos: 75.0%")
    assert report.as_card()["classes"]["dog"] == {"precision": 1.0, "recall": 0.5, "photos": 2}


def test_without_test_photos_the_report_says_so():
    report = evaluate(np.empty((0, 2)), np.empty(0, int), ("cat", "dog"))
    assert "no photos to judge the model on" in report.summary()
    assert "accuracy" not in report.as_card()
    assert plots.confusion_matrix(report)


def test_the_worst_mistakes_come_first(drawings):
    paths = sorted(drawings.rglob("*.jpg"))
    photos = [Photo(path, "cat", TEST, "") for path in paths[:4]]
    probabilities = np.array([[0.4, 0.6], [0.9, 0.1], [0.05, 0.95], [0.3, 0.7]])
    worst = worst_mistakes(photos, probabilities, ("cat", "dog"))
    assert [mistake.probability for mistake in worst] == [0.95, 0.7, 0.6]
    assert worst[0].predicted == "dog"
    assert len(plots.mistakes(worst).axes) == 8
    assert plots.mistakes([]) is None


def test_hundreds_of_classes_still_make_pictures(drawings):
    labels = tuple(f"class {number:03}" for number in range(300))
    path = next(drawings.rglob("*.jpg"))
    targets = np.arange(300)
    figure = plots.confusion_matrix(evaluate(np.eye(300), targets, labels))
    assert max(figure.get_size_inches()) < 25
    assert len(plots.photo_grid([(path, label) for label in labels]).axes) == 12 * 8


def test_the_photo_grid_passes_over_what_cannot_be_read(drawings, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"x")
    figure = plots.photo_grid([(broken, "cat"), *((path, path.parent.name) for path in drawings.rglob("*.jpg"))])
    assert len(figure.axes) == 16
    assert sum(bool(axis.images) for axis in figure.axes) == 16


def test_features_in_a_file_give_the_head_of_memory_and_never_lie_in_memory_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(linear_head, "_CHUNK", 2_000)  # or comparing more than are read at once takes seconds
    features, targets = blobs(in_turn(2_500), size=8)
    file = np.memmap(tmp_path / "features", np.float32, "w+", shape=features.shape)
    file[:] = features
    solved_on = []

    def spy(solver, inputs, *others):
        solved_on.append(inputs)
        return solve(solver, inputs, *others)

    solve = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", spy)
    in_memory, from_file = (fit_head(alone(found, targets), 3, strengths=(1.0,)) for found in (features, file))
    assert [isinstance(inputs, np.memmap) for inputs in solved_on] == [False] * 11 + [True]
    assert max(np.abs(inputs.mean(axis=0)).max() for inputs in solved_on) < 1e-3
    assert train_and_valid(alone(file, targets))[0] is file
    for a, b in (
        (in_memory.head.kernel, from_file.head.kernel), (in_memory.head.bias, from_file.head.bias),
        (in_memory.out_of_fold, from_file.out_of_fold),
    ):  # fmt: skip
        assert np.abs(a - b).max() <= 1e-3 * np.abs(a).max()
    assert np.array_equal(file, features)


def test_near_copies_are_never_on_both_sides_of_a_fold():
    """Bursts of four with labels at random: a fold that parts a burst would be right about nearly all of them."""
    chance = np.random.default_rng(3)
    scenes, labels = chance.normal(size=(60, 64)), chance.integers(0, 2, 60)
    features = np.repeat(scenes, 4, axis=0) + chance.normal(scale=0.02, size=(240, 64))
    targets, order = np.repeat(labels, 4), chance.permutation(240)
    features, targets, burst = features[order].astype(np.float32), targets[order], np.repeat(np.arange(60), 4)[order]
    fit = fit_head({"train": (features, targets), "valid": (features[:0], targets[:0])}, 2)
    for seen, unseen in fit.folds:
        assert not set(burst[seen]) & set(burst[unseen])
    assert (fit.out_of_fold.argmax(axis=1) == targets).mean() < 0.65


def test_a_class_of_near_copies_alone_is_judged_by_nobody():
    chance = np.random.default_rng(4)
    others = chance.normal(size=(40, 64))
    burst = chance.normal(size=64) + chance.normal(scale=0.02, size=(5, 64))
    features, targets = np.concatenate([others, burst]).astype(np.float32), np.repeat([0, 1, 2], [20, 20, 5])
    fit = fit_head({"train": (features, targets), "valid": (features[:0], targets[:0])}, 3)
    judged = np.isfinite(fit.out_of_fold).all(axis=1)
    assert judged[targets < 2].all()
    assert not judged[targets == 2].any()


def test_photos_that_are_all_alike_are_no_copies():
    """One part on one table: what differs is little, and what tells them apart is in it."""
    chance = np.random.default_rng(5)
    features = (10 + chance.normal(scale=0.01, size=(60, 64))).astype(np.float32)
    assert len(set(groups_of(features).tolist())) == 60


def test_of_very_many_photos_near_copies_are_found_without_comparing_all(monkeypatch):
    """Each with the same photo before it; also where several of one scene follow."""
    chance = np.random.default_rng(6)
    scenes = chance.normal(size=(2400, 64)) + 2 * chance.normal(size=(12, 64))[np.arange(2400) % 12]
    copies = scenes[chance.integers(0, 2400, 600)]
    features = np.concatenate([scenes, copies + chance.normal(scale=0.2, size=copies.shape)]).astype(np.float32)
    features = features[chance.permutation(3000)]
    pairs = list(near_copies(features))
    assert len(pairs) >= 600
    compared = count_compared(monkeypatch)
    monkeypatch.setattr(near_duplicates, "_ALL_COMPARED", 0)
    assert list(near_copies(features)) == pairs
    assert sum(size**2 for size in compared) < 3000**2 / 2


def count_compared(monkeypatch):
    """The numbers of vectors that are compared with one another."""
    sizes, compared = [], near_duplicates._compared
    monkeypatch.setattr(
        near_duplicates, "_compared", lambda vectors, *rest: sizes.append(len(vectors)) or compared(vectors, *rest)
    )
    return sizes
