"""Finding, checking and splitting photos."""

import shutil

import pytest
from catdog.dataset import SPLITS, TEST, TRAIN, VALID, check, list_photos
from catdog.sources import PhotoFolder
from conftest import drawing, encoded, refused
from PIL import Image


def folder(path, **options) -> PhotoFolder:
    return PhotoFolder(path, "tests", **options)


def fill(path, labels=("cat", "dog"), count=12, first=0):
    for label in labels:
        (path / label).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            photo = drawing("cat" if label == "cat" else "dog", seed + 100 * labels.index(label))
            (path / label / f"{seed}.jpg").write_bytes(photo)
    return path


def splits(dataset):
    return {photo.digest: photo.split for photo in dataset.photos}


def reasons(dataset):
    return {item.path.name: item.code for item in dataset.left_out}


def test_classes_are_the_sub_folders_any_number_of_them(tmp_path):
    dataset = check(folder(fill(tmp_path, ("cat", "dog", "owl"))))
    assert dataset.classes == ("cat", "dog", "owl")
    assert len(dataset.photos) == 36
    assert list(dataset.targets(dataset.photos[:1])) == [0]


def test_later_photos_never_move_earlier_ones(tmp_path):
    before = splits(check(folder(fill(tmp_path))))
    after = splits(check(folder(fill(tmp_path, first=12, count=20))))
    assert len(after) == 64
    assert {digest: after[digest] for digest in before} == before


def test_the_split_is_by_content_not_by_name(tmp_path):
    fill(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for path in list((tmp_path / "b").rglob("*.jpg")):
        path.rename(path.with_name("renamed" + path.name))
    assert splits(check(folder(tmp_path / "a"))) == splits(check(folder(tmp_path / "b")))


def test_the_shares_are_about_right(drawings, tmp_path):
    counts = check(folder(fill(tmp_path, count=120))).counts()
    share = {split: sum(counts[split].values()) / 240 for split in SPLITS}
    assert share[TRAIN] == pytest.approx(0.7, abs=0.08)
    assert share[VALID] == pytest.approx(0.15, abs=0.06)


def test_given_splits_are_kept(tmp_path):
    for number, name in enumerate(("Training", "validation", "test")):
        fill(tmp_path / name, count=4, first=4 * number)
    dataset = check(folder(tmp_path))
    assert {photo.path.parts[-3]: photo.split for photo in dataset.photos} == {
        "Training": TRAIN,
        "validation": VALID,
        "test": TEST,
    }
    assert dataset.classes == ("cat", "dog")


def test_a_missing_test_split_comes_from_validation(tmp_path):
    fill(tmp_path / "train", count=4)
    fill(tmp_path / "validation", count=30, first=4)
    dataset = check(folder(tmp_path))
    assert {photo.split for photo in dataset.photos if photo.path.parts[-3] == "train"} == {TRAIN}
    assert {photo.split for photo in dataset.photos if photo.path.parts[-3] == "validation"} == {VALID, TEST}


def test_a_missing_validation_split_comes_from_training(tmp_path):
    fill(tmp_path / "train", count=30)
    fill(tmp_path / "test", count=4, first=30)
    dataset = check(folder(tmp_path))
    assert {photo.split for photo in dataset.photos if photo.path.parts[-3] == "train"} == {TRAIN, VALID}


def test_a_folder_around_everything_and_what_computers_leave_behind(tmp_path):
    fill(tmp_path / "PetImages", ("Cat", "Dog"))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "PetImages" / ".hidden").mkdir()
    (tmp_path / "PetImages" / "Cat" / ".DS_Store").write_bytes(b"x")
    dataset = check(folder(tmp_path, class_names={"Cat": "cat", "Dog": "dog"}))
    assert dataset.classes == ("cat", "dog")
    assert not dataset.left_out


def test_bad_files_are_listed_left_out_and_not_deleted(tmp_path):
    fill(tmp_path)
    bad = {
        "words.jpg": b"words",
        "empty.jpg": b"",
        "cut.jpg": drawing("cat", 900)[:-500],
        "liar.jpg": drawing("cat", 901, "PNG"),
        "tiny.png": encoded(Image.new("RGB", (20, 200), "red"), "PNG"),
        "notes.txt": drawing("cat", 902),
    }
    for name, data in bad.items():
        (tmp_path / "cat" / name).write_bytes(data)
    dataset = check(folder(tmp_path))
    assert reasons(dataset) == {
        "words.jpg": "photo-format",
        "empty.jpg": "photo-empty",
        "cut.jpg": "photo-unreadable",
        "liar.jpg": "photo-ending",
        "tiny.png": "photo-small",
        "notes.txt": "photo-ending",
    }
    assert all((tmp_path / "cat" / name).exists() for name in bad)
    assert len(dataset.photos) == 24
    assert "liar.jpg" in dataset.left_out_table()
    assert "6 files are left out" in dataset.summary()


def test_copies_stay_on_one_side(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", count=2, first=50)
    (tmp_path / "test" / "cat" / "copy.jpg").write_bytes((tmp_path / "train" / "cat" / "0.jpg").read_bytes())
    (tmp_path / "train" / "dog" / "copy.jpg").write_bytes((tmp_path / "train" / "dog" / "1.jpg").read_bytes())
    dataset = check(folder(tmp_path))
    names = [f"{photo.split}/{photo.label}/{photo.path.name}" for photo in dataset.photos]
    assert "test/cat/copy.jpg" in names
    assert not any(name.endswith("/cat/0.jpg") for name in names)
    assert len({photo.digest for photo in dataset.photos}) == len(dataset.photos) == 28
    assert sum(item.code == "photo-copy" for item in dataset.left_out) == 2


def test_a_photo_in_two_classes_is_in_none(tmp_path):
    fill(tmp_path)
    (tmp_path / "dog" / "both.jpg").write_bytes((tmp_path / "cat" / "3.jpg").read_bytes())
    dataset = check(folder(tmp_path))
    assert reasons(dataset) == {"both.jpg": "photo-two-classes", "3.jpg": "photo-two-classes"}
    assert all("cat" in item.reason and "dog" in item.reason for item in dataset.left_out)


def test_known_photos_are_not_decoded_again(tmp_path, monkeypatch):
    first = check(folder(fill(tmp_path)))
    decoded = []
    monkeypatch.setattr("catdog.dataset.read_photo", lambda data, min_side: decoded.append(data))
    fill(tmp_path, count=1, first=70)
    check(folder(tmp_path), known={photo.digest for photo in first.photos})
    assert len(decoded) == 2


def test_the_digest_follows_the_photos_and_their_labels(tmp_path):
    one = check(folder(fill(tmp_path))).digest()
    assert check(folder(tmp_path)).digest() == one
    (tmp_path / "cat" / "1.jpg").rename(tmp_path / "dog" / "1b.jpg")
    assert check(folder(tmp_path)).digest() != one


@pytest.mark.parametrize("labels", [(), ("cat",)])
def test_fewer_than_two_classes_are_refused_in_words(tmp_path, labels):
    fill(tmp_path, labels)
    with refused("photos-few-classes"):
        list_photos(folder(tmp_path))


@pytest.mark.parametrize("files", [[], ["a.jpg"]])
def test_a_class_without_a_usable_photo_is_refused_in_words(tmp_path, files):
    fill(tmp_path)
    (tmp_path / "owl").mkdir()
    for name in files:
        (tmp_path / "owl" / name).write_bytes(b"nothing")
    with refused("photos-class-empty", "owl"):
        check(folder(tmp_path))
