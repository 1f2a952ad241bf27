"""Photos that are none of the classes: they have a folder of their own, and teach the model to say "unlike"."""

import dataclasses
import shutil

import numpy as np
import pytest
from catdog.curation.corrections import Corrections
from catdog.curation.decisions import Decisions
from catdog.data.dataset import check, describe_layout, list_photos
from catdog.data.feedback import Feedback
from catdog.data.folders import NONE_OF_THESE, is_none_of_these
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw_folder
from catdog.models import bundle
from catdog.models.ood import OODDetector
from catdog.models.writer import publish
from catdog.training.calibration import calibrate
from catdog.training.linear_head import fit_head
from conftest import drawing, refused, with_backbone


@pytest.fixture
def pets(tmp_path, own_places):
    return draw_folder(tmp_path / "pets", per_class=4)


def noise(folder, number=3):
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(number):
        (folder / f"{seed}.jpg").write_bytes(drawing("cat", 500 + seed))
    return folder


def checked(folder):
    return check(PhotoFolder(folder, "pets", synthetic=True))


@pytest.mark.parametrize("name", [NONE_OF_THESE, "None of these", "none_of_these", "NONE-OF-THESE"])
def test_the_folder_is_no_class_however_it_is_spelled(pets, name):
    before = checked(pets)
    noise(pets / name)
    after = checked(pets)
    assert after.classes == before.classes == ("cat", "dog")
    assert after.photos == before.photos
    assert [photo.label for photo in after.negatives] == [NONE_OF_THESE] * 3
    assert after.digest() != before.digest()
    assert f"{NONE_OF_THESE}: 3" in after.summary()
    assert not before.negatives
    assert NONE_OF_THESE not in before.summary()


def test_with_one_class_they_are_refused_and_the_way_out_is_told(pets):
    shutil.rmtree(pets / "dog")
    noise(pets / NONE_OF_THESE)
    with refused("photos-few-classes", NONE_OF_THESE):
        checked(pets)
    (pets / NONE_OF_THESE).rename(pets / "other")
    assert checked(pets).classes == ("cat", "other")


def test_a_class_of_a_similar_name_stays_one():
    assert not any(map(is_none_of_these, ("none", "these", "none of these cats", "other")))


@pytest.mark.parametrize("where", [NONE_OF_THESE, f"train/{NONE_OF_THESE}"])
def test_it_may_stand_beside_splits_or_within_one(pets, where):
    for split, labels in {"train": ("cat", "dog"), "test": ("cat", "dog")}.items():
        for label in labels:
            target = pets / split / label
            target.mkdir(parents=True)
            for path in sorted((pets / label).iterdir())[: 2 if split == "test" else None]:
                shutil.move(path, target / path.name)
    for label in ("cat", "dog"):
        (pets / label).rmdir()
    before = checked(pets)
    noise(pets / where)
    after = checked(pets)
    assert (after.classes, after.photos) == (before.classes, before.photos)
    assert len(after.negatives) == 3


def test_folders_within_it_are_one(pets):
    noise(pets / NONE_OF_THESE / "wolves", 2)
    shutil.copytree(noise(pets.parent / "chairs", 3), pets / NONE_OF_THESE / "chairs")
    found = checked(pets)
    assert found.classes == ("cat", "dog")
    assert len(found.negatives) == 3  # two of them are copies


def test_a_photo_of_a_class_is_not_none_of_them(pets):
    photo = next((pets / "cat").iterdir())
    noise(pets / NONE_OF_THESE, 2)
    shutil.copy(photo, pets / NONE_OF_THESE)
    found = checked(pets)
    assert len(found.negatives) == 2
    assert [item.code for item in found.excluded] == ["photo-two-classes"] * 2


def test_the_table_of_the_layout_shows_it(pets):
    noise(pets / NONE_OF_THESE)
    assert NONE_OF_THESE in describe_layout(PhotoFolder(pets, "pets", synthetic=True))
    assert NONE_OF_THESE in {label for _, label in list_photos(PhotoFolder(pets, "pets"))}


def test_a_correction_that_is_none_of_the_classes_may_become_one(pets):
    feedback = Feedback("pets")
    for seed in (1, 2):
        feedback.add(read_photo(drawing("cat", 700 + seed)), None, {"model": "pets/1", "label": "cat"})
    dataset, decisions = checked(pets), Decisions("pets")
    corrections = Corrections("pets", "pets", decisions)
    first, second = corrections.suggestions()
    decisions.record(
        f"{first.photo.digest} {NONE_OF_THESE}, {second.photo.digest} out", [first, second],
        (*dataset.classes, NONE_OF_THESE),
    )  # fmt: skip
    corrections.process()
    joined = corrections.merge_into(dataset)
    assert joined.photos == dataset.photos
    assert [photo.digest for photo in joined.negatives] == [first.photo.digest]
    assert corrections.merge_into(joined) == joined


def test_the_model_that_is_saved_says_unlike(stand_in, shipped, pets):
    """On the stand-in network: drawings of dogs are none of the classes of a model of cats and plain colours."""
    plain = [np.full((224, 224, 3), shade, np.uint8) for shade in range(10, 250, 12)]
    cats, dogs = ([read_photo(drawing(label, seed)) for seed in range(30)] for label in ("cat", "dog"))
    features = stand_in.features(np.stack([*cats, *plain]))
    targets = np.r_[np.zeros(len(cats), int), np.ones(len(plain), int)]
    data = {"train": (features, targets), "valid": (features[:0], targets[:0])}
    fit, others = fit_head(data, 2), stand_in.features(np.stack(dogs))
    without, calibrated = calibrate(fit, data), calibrate(fit, data, negatives=others[:20])
    assert (
        calibrated.ood_detector.in_distribution(others[20:]).sum()
        < without.ood_detector.in_distribution(others[20:]).sum()
    )
    assert calibrated.ood_detector.in_distribution(features).mean() > 0.9
    card = with_backbone(shipped.card, fingerprint=stand_in.fingerprint)
    card = dataclasses.replace(card, thresholds=calibrated.thresholds, classes=("cat", "plain"))
    golden = np.stack(cats[:2])
    saved = publish(
        "pets", card, calibrated.head, golden, calibrated.head.probabilities(stand_in.features(golden)),
        ood_detector=calibrated.ood_detector,
    )  # fmt: skip
    read = bundle.read(saved.folder).ood_detector
    assert (read.kernel == calibrated.ood_detector.kernel).all()
    assert (read.in_distribution(others) == calibrated.ood_detector.in_distribution(others)).all()


def test_what_does_not_fit_is_refused():
    known = OODDetector(np.eye(2, 8, dtype=np.float32), 1.0, np.ones(8, np.float32), 0.5)
    again = OODDetector.of(known.arrays, 1.0)
    assert (again.kernel == known.kernel).all()
    assert again.bias == known.bias
    assert OODDetector.of(dataclasses.replace(known, kernel=None).arrays, 1.0).kernel is None
    with pytest.raises(KeyError):
        OODDetector.of({}, 1.0)
