"""Features once, the last layer in seconds, honest numbers."""

import dataclasses

import numpy as np
import pytest
from catdog import figures, rows
from catdog.dataset import Photo, check
from catdog.evaluation import evaluate, worst_mistakes
from catdog.features import FeatureStore, compute_features, features_by_split
from catdog.folders import TEST, TRAIN
from catdog.images import read_photo
from catdog.sources import PhotoFolder
from catdog.training import STRENGTHS, class_weights, fit_head
from conftest import refused
from standins.network import StandInNetwork


@pytest.fixture
def dataset(drawings):
    return check(PhotoFolder(drawings, "drawings", drawings=True))


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


def blobs(n=60, classes=3, seed=0):
    chance = np.random.default_rng(seed)
    targets = np.arange(n) % classes
    fixed = np.random.default_rng(99)
    centres = fixed.normal(size=(classes, 512)) + 100 * fixed.normal(size=512)  # features are far from centred
    return (chance.normal(size=(n, 512)) + centres[targets]).astype(np.float32), targets


def test_the_base_sees_what_keras_preprocessing_gives(engine, drawings):
    from catdog.frameworks import keras

    photos = np.stack([read_photo(path) for path in sorted(drawings.rglob("*.jpg"))[:3]])
    plain = keras.applications.VGG16(include_top=False, weights=None, pooling="max", input_shape=(224, 224, 3))
    for layer in plain.layers:
        layer.set_weights(engine.model.get_layer(layer.name).get_weights() if layer.weights else [])
    expected = plain.predict_on_batch(keras.applications.vgg16.preprocess_input(photos.astype(np.float32)))
    assert np.abs(engine.features(photos) - expected).max() < 1e-2
    assert expected.max() > 10


def test_features_are_computed_once_and_only_for_new_photos(dataset, tmp_path):
    network = Counted()
    first = compute_features(dataset.photos[:5], network, FeatureStore(network, tmp_path))
    assert first.shape == (5, 512)
    assert sum(network.seen) == 5
    again = compute_features(dataset.photos[:8][::-1], network, FeatureStore(network, tmp_path))
    assert sum(network.seen) == 8
    assert (again[::-1][:5] == first).all()


def test_features_survive_a_broken_off_run(dataset, tmp_path):
    network = Counted(batches=1)
    store = FeatureStore(network, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        compute_features(dataset.photos, network, store)
    assert len(store.digests()) == network.seen[0] < len(dataset.photos)


def test_another_base_or_door_never_finds_these_features(stand_in, tmp_path, monkeypatch):
    paths = {FeatureStore(stand_in, tmp_path).path}
    monkeypatch.setattr("catdog.features.DOOR", "another")
    paths.add(FeatureStore(stand_in, tmp_path).path)
    paths.add(FeatureStore(dataclasses.replace(stand_in.backbone, fingerprint="sha256:another"), tmp_path).path)
    assert len(paths) == 3


def test_validation_chooses_the_strength_of_regularisation():
    train, valid = blobs(90), blobs(90, seed=1)

    def loss(head):
        return -np.log(head.probabilities(valid[0])[np.arange(90), valid[1]]).mean()

    chosen, alone = fit_head(*train, *valid, classes=3), {}
    for strength in STRENGTHS:
        alone[strength] = loss(fit_head(*train, *valid, classes=3, strengths=(strength,)).head)
    assert len(set(alone.values())) == 3
    assert loss(chosen.head) == min(alone.values())
    assert chosen.settings["l2"] == pytest.approx(1 / (2 * min(alone, key=alone.get) * 90))


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"epochs": -1}, {"seed": -1}])
def test_settings_that_cannot_be_are_refused_in_words(setting):
    features, targets = np.zeros((4, 512), np.float32), np.array([0, 1, 0, 1])
    with refused("setting-training"):
        fit_head(features, targets, features, targets, classes=2, **setting)


@pytest.mark.parametrize("damaged", [lambda data: b"no database at all" * 100, lambda data: data[: len(data) // 2]])
def test_a_damaged_file_of_features_is_set_aside(stand_in, tmp_path, capsys, damaged):
    path = FeatureStore(stand_in, tmp_path).path
    FeatureStore(stand_in, tmp_path).write(["ab" * 32] * 99, "fp32", np.zeros((99, 512), np.float32))
    path.write_bytes(damaged(path.read_bytes()))
    store = FeatureStore(stand_in, tmp_path)
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
    first = FeatureStore(stand_in)
    first.write(["ab" * 32], "fp32", np.ones((1, 512), np.float32))
    assert not first._kept.exists()
    first.keep()
    drive(2)
    second = FeatureStore(stand_in)
    assert second.path != first.path
    assert second.digests("fp32") == {"ab" * 32}


def test_a_long_computation_is_kept_from_time_to_time(stand_in, drive):
    store = FeatureStore(stand_in, keep_seconds=-1)
    store.write(["ab" * 32], "fp32", np.ones((1, 512), np.float32))
    assert store._kept.exists()


def test_a_full_drive_is_told_and_stops_nothing(stand_in, drive, dataset, monkeypatch, capsys):
    def full(source, target):
        raise OSError(28, "No space left on device")

    store = FeatureStore(stand_in)
    monkeypatch.setattr("shutil.copyfileobj", full)
    assert len(compute_features(dataset.photos[:4], stand_in, store)) == 4
    assert "was not written (No space left on device)" in capsys.readouterr().out
    assert not list(store._kept.parent.glob("features-*"))


def test_another_engines_features_are_kept_apart(stand_in, tmp_path):
    store, digest = FeatureStore(stand_in, tmp_path), "ab" * 32
    store.write([digest], "fp32", np.zeros((1, 512), np.float32))
    store.write([digest], "int8", np.ones((1, 512), np.float32))
    assert store.read([digest], "fp32").max() == 0
    assert store.read([digest], "int8").min() == 1
    assert store.digests("int8") == store.digests() == {digest}
    assert not store.digests("bf16")
    with pytest.raises(KeyError):
        store.read([digest], "bf16")


def test_features_by_split_go_with_their_targets(dataset, stand_in, tmp_path):
    data = features_by_split(dataset, stand_in, FeatureStore(stand_in, tmp_path))
    features, targets = data[TRAIN]
    assert len(features) == len(targets) == len(dataset.of(TRAIN))
    expected = stand_in.features(read_photo(dataset.of(TRAIN)[2].path)[None])
    assert np.abs(features[2] - expected[0]).max() < 1e-3


def test_the_head_learns_and_the_same_seed_gives_the_same_head():
    fits = [fit_head(*blobs(), *blobs(30, seed=1), classes=3, seed=seed) for seed in (1, 1, 2)]
    assert (fits[0].head.kernel == fits[1].head.kernel).all()
    assert (fits[0].head.kernel != fits[2].head.kernel).any()
    features, targets = blobs(90, seed=2)
    probabilities = fits[0].head.probabilities(features)
    assert probabilities.shape == (90, 3)
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    assert (probabilities.argmax(axis=1) == targets).mean() > 0.95


def test_training_stops_early_and_keeps_the_best_epoch():
    features, targets = blobs(40, classes=2)
    wrong = (*blobs(20, classes=2, seed=3)[:1], 1 - blobs(20, classes=2, seed=3)[1])
    fit = fit_head(features, targets, *wrong, classes=2, patience=3)
    assert len(fit.history["loss"]) < 100
    assert fit.best_epoch == int(np.argmin(fit.history["val_loss"])) + 1 < len(fit.history["loss"])
    until_then = fit_head(features, targets, *wrong, classes=2, epochs=fit.best_epoch, patience=100)
    assert (fit.head.kernel == until_then.head.kernel).all()


def test_training_goes_without_validation_photos():
    features, targets = blobs(40, classes=2)
    fit = fit_head(features, targets, features[:0], targets[:0], classes=2, epochs=5)
    assert "val_loss" not in fit.history
    assert figures.learning_curves(fit.history, fit.best_epoch)


def test_uneven_classes_count_the_same():
    targets = np.array([0] * 90 + [1] * 10)
    weights = class_weights(targets, 2)
    assert weights[0] * 90 == pytest.approx(weights[1] * 10)
    assert class_weights(np.array([0, 1]), 2) == {0: 1.0, 1: 1.0}


def test_the_report_counts_right():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    report = evaluate(probabilities, np.array([0, 1, 1, 0]), ("cat", "dog"))
    assert report.accuracy == 0.75
    assert report.confusion.tolist() == [[2, 0], [1, 1]]
    assert report.precision.tolist() == pytest.approx([2 / 3, 1.0])
    assert report.recall.tolist() == [1.0, 0.5]
    assert (report.low, report.high) == pytest.approx((0.3006, 0.9544), abs=1e-3)  # Wilson, 3 of 4
    assert "3 of 4 photos are right" in report.summary()
    assert report.as_card()["classes"]["dog"] == {"precision": 1.0, "recall": 0.5, "photos": 2}


def test_without_test_photos_the_report_says_so():
    report = evaluate(np.empty((0, 2)), np.empty(0, int), ("cat", "dog"))
    assert "no photos to judge by" in report.summary()
    assert "accuracy" not in report.as_card()
    assert figures.confusion_matrix(report)


def test_the_worst_mistakes_come_first(drawings):
    paths = sorted(drawings.rglob("*.jpg"))
    photos = [Photo(path, "cat", TEST, "") for path in paths[:4]]
    probabilities = np.array([[0.4, 0.6], [0.9, 0.1], [0.05, 0.95], [0.3, 0.7]])
    worst = worst_mistakes(photos, probabilities, ("cat", "dog"))
    assert [mistake.probability for mistake in worst] == [0.95, 0.7, 0.6]
    assert worst[0].predicted == "dog"
    assert len(figures.mistakes(worst).axes) == 8
    assert figures.mistakes([]) is None


def test_hundreds_of_classes_still_make_pictures(drawings):
    labels = tuple(f"class {number:03}" for number in range(300))
    path = next(drawings.rglob("*.jpg"))
    targets = np.arange(300)
    figure = figures.confusion_matrix(evaluate(np.eye(300), targets, labels))
    assert max(figure.get_size_inches()) < 25
    assert len(figures.photo_grid([(path, label) for label in labels]).axes) == 12 * 8


def test_the_photo_grid_passes_over_what_cannot_be_read(drawings, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"x")
    figure = figures.photo_grid([(broken, "cat"), *((path, path.parent.name) for path in drawings.rglob("*.jpg"))])
    assert len(figure.axes) == 16
    assert sum(bool(axis.images) for axis in figure.axes) == 16


def test_features_in_a_file_give_the_very_same_head(tmp_path):
    train, number = 2 * rows.CHUNK + 100, 3 * rows.CHUNK  # more than are read at once, and no whole number of times
    chance = np.random.default_rng(0)
    targets = chance.integers(0, 3, number)
    features = chance.normal(size=(3, 16))[targets] + chance.normal(size=(number, 16))
    features = (features * np.geomspace(0.01, 100, 16)).astype(np.float32)
    stored = rows.StoredRows(tmp_path / "features", number, 16)
    order = chance.permutation(number)
    stored[order] = features[order]
    assert np.array_equal(stored[:], features)
    assert np.array_equal(stored[number - 10 : number + 99], features[number - 10 :])
    assert np.array_equal(stored[order], features[order])

    def fitted(found):
        return fit_head(found[:train], targets[:train], found[train:], targets[train:], classes=3, epochs=2)

    class Part:
        """Some of them, never all at once."""

        def __init__(self, start, stop):
            self.numbers, self.shape = np.arange(start, stop), (stop - start, 16)

        def __len__(self):
            return len(self.numbers)

        def __getitem__(self, wanted):
            assert isinstance(wanted, np.ndarray) or wanted.stop is not None
            return stored[self.numbers[wanted]]

    in_memory = fitted(features)
    from_file = fit_head(Part(0, train), targets[:train], Part(train, number), targets[train:], classes=3, epochs=2)
    assert np.array_equal(in_memory.head.kernel, from_file.head.kernel)
    assert in_memory.history == from_file.history
    right = (in_memory.head.logits(features[train:]).argmax(axis=1) == targets[train:]).mean()
    assert right == in_memory.history["val_accuracy"][in_memory.best_epoch - 1]
    stored.close()
