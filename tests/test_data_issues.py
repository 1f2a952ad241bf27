"""What may hurt is found, you decide once, and no file is touched."""

import functools
import json
import shutil

import numpy as np
import pytest
from catdog.curation.data_issues import find_issues, uneven_classes
from catdog.curation.decisions import KEEP, OUT, Decisions, Suggestion, names, table
from catdog.data.dataset import check
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_INT8
from catdog.notebook import plots
from catdog.training import near_duplicates
from catdog.training.features import FeatureCache, features_by_split
from conftest import encoded, refused
from PIL import Image, ImageEnhance


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Drawings, split by folder, each file named by what it shows."""
    folder = tmp_path_factory.mktemp("drawn")
    for split, numbers in {"train": range(16), "valid": range(100, 104), "test": range(200, 204)}.items():
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for number in numbers:
                draw(label, number).save(folder / split / label / f"{label}{number}.png")
    return folder


@pytest.fixture
def folder(tmp_path, drawn):
    """A copy of them, to put something wrong."""
    return shutil.copytree(drawn, tmp_path / "ill")


def examination(folder, engine, backbone):
    """A function: (dataset, suggestions, decisions) of what lies in the folder now, decisions applied."""

    def examined():
        decisions = Decisions("ill")
        dataset = decisions.apply(check(PhotoFolder(folder, "ill", synthetic=True)))
        data = features_by_split(dataset, engine, FeatureCache(backbone))
        return dataset, find_issues(dataset, data, decisions), decisions

    return examined


@pytest.fixture
def examined(folder, stand_in):
    return examination(folder, stand_in, stand_in.backbone)


@pytest.fixture(scope="module")
def fast_engine(backbone, shipped):
    return open_engine(OPENVINO_INT8, backbone, shipped.int8)


@pytest.fixture
def examined_by_vgg16(folder, backbone, fast_engine):
    """For what takes a network that has learned to see."""
    return examination(folder, fast_engine, backbone)


def told(suggestions):
    return {one.photo.path.name: (one.why, one.suggested) for one in suggestions}


def test_labels_that_are_wrong_are_found_and_put_right(folder, examined_by_vgg16):
    for label, other in (("cat", "dog"), ("dog", "cat")):
        shutil.move(folder / "train" / label / f"{label}3.png", folder / "train" / other)
    dataset, found, decisions = examined_by_vgg16()
    assert told(found)["cat3.png"][1] == "cat"
    assert told(found)["dog3.png"][1] == "dog"
    assert "probably not a dog but a cat" in table(found)
    assert sum("probably" in why for why, _ in told(found).values()) <= 4
    assert decisions.record("as suggested", found, dataset.classes) == len(found)
    again, nothing, _ = examined_by_vgg16()
    assert not set(told(nothing)) & set(told(found))
    assert next(photo.label for photo in again.photos if photo.path.name == "cat3.png") == "cat"
    assert (folder / "train" / "dog" / "cat3.png").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((180, 180)),
        lambda image: image.crop((6, 6, image.width - 4, image.height - 8)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    ],
    ids=["smaller", "cropped", "brighter"],
)
def test_a_photo_that_is_almost_in_the_test_leaves_training(folder, examined, change):
    change(draw("cat", 200).convert("RGB")).save(folder / "train" / "cat" / "near.jpg", quality=80)
    dataset, found, decisions = examined()
    assert told(found)["near.jpg"] == ("nearly identical to cat200.png in test", OUT)
    assert "cat200.png" not in told(found)
    assert len(found) == len(told(found))  # each photo once
    decisions.record("as suggested", found, dataset.classes)
    again, _, _ = examined()
    assert "near.jpg" not in {photo.path.name for photo in again.photos}
    assert ("near.jpg", "photo-left-out") in [(item.path.name, item.code) for item in again.excluded]


def test_real_photos_are_near_to_their_copies_and_to_no_others(real_photos, fast_engine):
    paths = [path for label in ("cat", "dog") for path in sorted((real_photos / "test" / label).iterdir())]
    nearest = [real_photos / "train" / "cat" / f"cat.{number}.jpg" for number in (1, 104, 197, 646)]  # of 1,300 photos
    images = [Image.open(path).convert("RGB") for path in paths]
    chance = np.random.default_rng(0)

    def cropped(image):
        """By up to 4 % on each side."""
        left, top, right, bottom = chance.uniform(0, 0.04, 4) * np.array([image.width, image.height] * 2)
        return image.crop((int(left), int(top), int(image.width - right), int(image.height - bottom)))

    def scaled(image):
        return image.resize([max(1, round(0.7 * side)) for side in image.size])

    def brighter(image):
        return ImageEnhance.Brightness(image).enhance(1.1)

    def units(some, quality):
        found = fast_engine.features(np.stack([read_photo(encoded(image, quality=quality)) for image in some]))
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    originals = units(images, 95)
    others = np.concatenate([originals, units([Image.open(path) for path in nearest if path.exists()], 95)])
    assert np.triu(others @ others.T, 1).max() < near_duplicates.NEAR - 0.01
    for changes, quality, least in (
        ([cropped], 90, 20), ([scaled], 90, 19), ([brighter], 90, 20), ([], 50, 20),
        ([cropped, scaled, brighter], 60, 18),
    ):  # fmt: skip
        changed = [functools.reduce(lambda image, change: change(image), changes, image) for image in images[::5]]
        near = (units(changed, quality) * originals[::5]).sum(axis=1) >= near_duplicates.NEAR
        assert near.sum() >= least  # of 20


def test_what_is_almost_in_the_test_never_trains_whatever_else_is_wrong_with_it(folder, examined):
    draw("cat", 200).resize((180, 180)).save(folder / "train" / "dog" / "near.png")
    assert told(examined()[1])["near.png"] == ("nearly identical to cat200.png in test, which is a cat", OUT)


def test_odd_looks(folder, examined_by_vgg16):
    photo = draw("cat", 300).convert("RGB").resize((224, 224))
    odd = {
        "blank": Image.new("RGB", (224, 224), (120, 130, 140)),
        "dark": ImageEnhance.Brightness(photo).enhance(0.1),
    }
    for name, image in odd.items():
        image.save(folder / "train" / "cat" / f"{name}.png")
    looks = {name: why.partition(" (")[0] for name, (why, _) in told(examined_by_vgg16()[1]).items()}
    assert looks["blank.png"] in ("almost blank", "probably no cat but a dog")
    assert looks["dark.png"] in ("very dark", "probably no cat but a dog")


def test_looking_is_done_once(examined, monkeypatch):
    examined()
    monkeypatch.setattr(
        "catdog.curation.data_issues.prepared", lambda path, *others: pytest.fail(f"{path} was read again")
    )
    examined()


def a_photo(number, label="cat"):
    from catdog.data.dataset import Photo

    return Photo(None, label, "train", f"{number:04x}" + "0" * 60)


SOME = [
    Suggestion(a_photo(0x3FA1), "x", OUT),
    Suggestion(a_photo(0x77B2), "y", "dog"),
    Suggestion(a_photo(1), "z", KEEP),
]
BOTH = ("cat", "dog")


def test_words_become_decisions(places):
    decisions = Decisions("pets")
    assert decisions.record("as suggested, 3fa1 keep; 0001 Dog\n", SOME, BOTH) == 3
    assert decisions.record("as suggested, 3FA1 keep", [], BOTH) == 1  # the cell once more: nothing is left to decide
    made = json.loads((places / "data_dir" / "notes" / "pets" / "decisions.json").read_text())
    assert {digest[:4]: what for digest, what in made.items()} == {"3fa1": "keep", "77b2": "dog", "0001": "dog"}
    assert "3 photos" in str(Decisions("pets"))
    assert all(one.photo in Decisions("pets") for one in SOME)
    assert decisions.record("", SOME, BOTH) == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("3fa1 out, beef out", "decision-photo-unknown"),
        ("3fa1 out, 77b2 giraffe", "decision-invalid"),
        ("3fa1 out, 77b2", "decision-invalid"),
        ("3fa1 out, 7 out", "decision-photo-unknown"),
    ],
)
def test_words_without_sense_are_refused_and_nothing_is_decided(places, words, code):
    with refused(code):
        Decisions("pets").record(words, SOME, BOTH)
    assert not (places / "data_dir" / "notes" / "pets" / "decisions.json").exists()


def test_a_class_may_be_called_as_an_action_is_or_hold_commas(places):
    classes = ("in", "out", "keep", "a, b", 'say "so"', "c; d")
    decisions = Decisions("tennis")
    some = [a_photo(number) for number in range(0x1000, 0x8000, 0x1000)]
    suggestions = [Suggestion(some[0], "x", "out"), *(Suggestion(photo, "x", KEEP) for photo in some[1:])]
    words = '2000 a, b; 3000 "c; d", 4000 out\n5000 leave out, as suggested, 6000 say "so", 7000 keep as is'
    assert decisions.record(words, suggestions, classes) == len(some)
    expected = ["out", "a, b", "c; d", "out", OUT, 'say "so"', KEEP]
    for read in (decisions, Decisions("tennis")):
        assert [read.of(photo.digest) for photo in some] == expected
    assert Decisions("tennis").of(some[0].digest) != OUT


def test_a_decision_for_a_class_that_is_gone_leaves_the_photo_out_and_says_so(folder, examined):
    dataset, _, decisions = examined()
    cat, other = [photo for photo in dataset.of("train") if photo.label == "cat"][:2]
    decisions.record(f"{cat.digest[:6]} dog, {other.digest[:6]} dog", [Suggestion(cat, "", "dog"),
                   Suggestion(other, "", "dog")], dataset.classes)  # fmt: skip
    for split in ("train", "valid", "test"):
        (folder / split / "dog").rename(folder / split / "hound")
    again, _, _ = examined()
    assert [item.code for item in again.excluded] == ["photo-class-gone"] * 2
    assert "dog" in again.excluded[0].reason
    for split in ("train", "valid", "test"):
        (folder / split / "hound").rename(folder / split / "Dog")
    spelt, _, _ = examined()
    assert {photo.label for photo in spelt.photos if photo.digest in (cat.digest, other.digest)} == {"Dog"}


def test_what_a_program_writes_into_a_file_undoes_no_decision_and_moves_no_photo(folder, places):
    shutil.copytree(folder / "train", folder.parent / "flat")
    flat = folder.parent / "flat"
    before = check(PhotoFolder(flat, "pets"))
    out = before.of("train")[0]
    Decisions("pets").record(f"{out.digest[:6]} out", [Suggestion(out, "", OUT)], before.classes)
    for path in flat.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"a note of a program's")
    now = check(PhotoFolder(flat, "pets"))
    assert now.name == "pets"
    assert {photo.path: photo.split for photo in now.photos} == {photo.path: photo.split for photo in before.photos}
    assert out.path not in {photo.path for photo in Decisions("pets").apply(now).photos}


def test_a_folder_that_was_renamed_keeps_its_decisions_and_corrections(folder, places, capsys):
    before = check(PhotoFolder(folder, "pets"))
    out = before.photos[0]
    decisions = Decisions("pets")
    decisions.record(f"{out.digest[:6]} out", [Suggestion(out, "", OUT)], before.classes)
    accepted = decisions.path.parent / "corrections" / "a.png"
    accepted.parent.mkdir()
    accepted.write_bytes(b"a photo")
    now = check(PhotoFolder(folder, "pets-of-2026"))
    after = Decisions(now.name).apply(now)
    assert out.digest not in {photo.digest for photo in after.photos}
    assert '"pets"' in capsys.readouterr().out
    assert out in Decisions("pets-of-2026")
    assert out in Decisions("pets")
    assert (Decisions("pets-of-2026").path.parent / "corrections" / "a.png").exists()
    assert accepted.exists()


def test_a_damaged_file_of_decisions_is_not_taken_for_none(places):
    path = Decisions("pets").path
    path.write_text("{ no json")
    with refused("decisions-damaged"):
        Decisions("pets")


def test_a_class_cannot_be_decided_away(examined):
    dataset, _, decisions = examined()
    every = [Suggestion(photo, "", OUT) for photo in dataset.of("train") if photo.label == "cat"]
    decisions.record("as suggested", every, dataset.classes)
    with refused("photos-class-empty", "After your decisions", "cat"):
        examined()


def test_a_photo_is_named_by_no_more_letters_than_it_takes():
    alike = [Suggestion(a_photo(0x3FA1), "", OUT), Suggestion(a_photo(0x3FA1 * 16 + 1), "", OUT)]
    assert sorted(names(SOME).values()) == ["0001", "3fa1", "77b2"]
    assert sorted(names(alike).values()) == ["3fa10", "3fa11"]


def test_uneven_classes_are_told(folder, examined):
    assert not uneven_classes(examined()[0])
    for path in sorted((folder / "train" / "dog").iterdir())[:12]:
        path.unlink()
    told = uneven_classes(examined()[0])
    assert told == "Few training photos of dog (4), compared with 16 of another class: add more."


def test_suggestions_are_shown_with_what_they_are_like(folder, examined):
    assert plots.suggestions([]) is None
    draw("cat", 200).resize((100, 100)).save(folder / "train" / "cat" / "near.png")
    found = [one for one in examined()[1] if one.duplicate_of]
    titles = [axis.get_title() for axis in plots.suggestions(found).axes]
    assert titles[0] == f"{names(found)[found[0].photo.digest]}: cat\n→ out"
    assert titles[1] == "like this cat\nin test"
    assert np.any(plots.suggestions(found).axes[1].images)


def test_on_real_photos_it_finds_most_of_what_was_put_wrong(real_photos, tmp_path, backbone, fast_engine):
    right = wrong = 0
    for draw_number in range(3):
        chance, turned, folder = np.random.default_rng(draw_number), set(), tmp_path / f"real {draw_number}"
        for label, other in (("cat", "dog"), ("dog", "cat")):
            places = set(chance.choice(40, 3, replace=False).tolist())
            for place, path in enumerate(sorted((real_photos / "train" / label).iterdir())[:40]):
                target = folder / (other if place in places else label)
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
                turned |= {path.name} if place in places else set()
        dataset = check(PhotoFolder(folder, "real"))
        data = features_by_split(dataset, fast_engine, FeatureCache(backbone))
        found = {one.photo.path.name for one in find_issues(dataset, data, Decisions("real")) if "probably" in one.why}
        right, wrong = right + len(found & turned), wrong + len(found - turned)
    assert right >= 14  # of 18
    assert wrong <= 7
