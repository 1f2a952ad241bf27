"""Finding, checking and splitting photos."""

import io
import shutil

import numpy as np
import pytest
from catdog.data.dataset import check, describe_layout, list_photos
from catdog.data.folders import SPLITS, TEST, TRAIN, VALID
from catdog.data.images import read_photo, read_squares
from catdog.data.pictures import BY, picture_of
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw
from conftest import drawing, encoded, refused
from PIL import Image


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


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
    return {item.path.name: item.code for item in dataset.excluded}


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


def test_photos_that_were_put_into_train_are_not_tested_with_and_that_is_remembered(tmp_path):
    fill(tmp_path / "a")
    before = check(folder(tmp_path / "a"))
    assert before.of(TEST)
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "train")
    fill(tmp_path / "b" / "test", count=4, first=50)
    now = check(folder(tmp_path / "b"))
    assert {photo.path.parts[-3] for photo in now.of(TEST)} == {"test"}
    assert splits(check(folder(tmp_path / "b"))) == splits(now)


def test_a_folder_around_everything_and_what_computers_leave_behind(tmp_path):
    fill(tmp_path / "PetImages", ("Cat", "Dog"))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "PetImages" / ".hidden").mkdir()
    (tmp_path / "PetImages" / "Cat" / ".DS_Store").write_bytes(b"x")
    dataset = check(folder(tmp_path, class_names={"Cat": "cat", "Dog": "dog"}))
    assert dataset.classes == ("cat", "dog")
    assert not dataset.excluded


def test_bad_files_are_listed_left_out_and_not_deleted(tmp_path):
    fill(tmp_path)
    bad = {
        "words.jpg": b"words",
        "empty.jpg": b"",
        "cut.jpg": drawing("cat", 900)[:2000],
        "tiny.png": encoded(Image.new("RGB", (20, 200), "red"), "PNG"),
        "notes.txt": b"of mine",
    }
    for name, data in bad.items():
        (tmp_path / "cat" / name).write_bytes(data)
    dataset = check(folder(tmp_path))
    assert reasons(dataset) == {
        "words.jpg": "photo-format",
        "empty.jpg": "photo-empty",
        "cut.jpg": "photo-unreadable",
        "tiny.png": "photo-small",
        "notes.txt": "photo-format",
    }
    assert all((tmp_path / "cat" / name).exists() for name in bad)
    assert len(dataset.photos) == 24
    assert "cut.jpg" in dataset.excluded_table()
    assert "2: This is not a photo" in dataset.excluded_table()  # those of one reason in one line
    assert "Skipped: 5 files" in dataset.summary()


def test_what_a_name_says_of_the_content_costs_no_photo(tmp_path):
    fill(tmp_path)
    others = {
        "liar.jpg": "PNG",
        "3.jpg_large": "JPEG",
        "p.jpg?w=640": "JPEG",
        "4.php": "WEBP",
        "5": "GIF",
        "s.tif": "TIFF",
    }
    for seed, (name, kind) in enumerate(others.items()):
        (tmp_path / "cat" / name).write_bytes(drawing("cat", 900 + seed, kind))
    dataset = check(folder(tmp_path))
    assert not dataset.excluded
    assert others.keys() <= {photo.path.name for photo in dataset.photos}
    assert "1 of 30 files, used anyway: content is PNG, name says .jpg" in dataset.summary()


def test_a_photo_that_was_cut_off_is_used_as_far_as_it_is_there_and_that_is_said(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "cut.jpg").write_bytes(drawing("cat", 900)[:-300])
    dataset = check(folder(tmp_path))
    assert "cut.jpg" in {photo.path.name for photo in dataset.photos}
    assert "1 of 25 files, used anyway: incomplete" in dataset.summary()


def test_photos_that_lose_most_of_their_length_are_told(tmp_path):
    fill(tmp_path)
    for seed, size in enumerate(((401, 200), (200, 401), (400, 200), (200, 400))):
        picture = Image.open(io.BytesIO(drawing("cat", 900 + seed))).resize(size)
        (tmp_path / "cat" / f"long{seed}.png").write_bytes(encoded(picture, "PNG"))
    (tmp_path / "cat" / "cut.jpg").write_bytes(encoded(draw("cat", 910).resize((900, 300)), "JPEG")[:-300])
    (tmp_path / "cat" / "liar.jpg").write_bytes(encoded(draw("cat", 911).resize((900, 300)), "PNG"))
    dataset = check(folder(tmp_path))
    assert not dataset.excluded
    told = {note.partition(" of ")[0]: note for note in dataset.notes}
    assert len(dataset.notes) == 2  # one of each photo, and what is lost comes first
    assert "twice as long as wide" in told["3"]
    assert "incomplete" in told["1"]


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
    assert sum(item.code == "photo-copy" for item in dataset.excluded) == 2


def test_the_same_picture_under_other_bytes_is_a_copy(tmp_path):
    fill(tmp_path)
    photo = (tmp_path / "cat" / "3.jpg").read_bytes()
    (tmp_path / "cat" / "film.jpg").write_bytes(photo + b"SEFT and a film" * 100)
    (tmp_path / "dog" / "noted.jpg").write_bytes((tmp_path / "dog" / "4.jpg").read_bytes() + b"noted")
    first = check(folder(tmp_path))
    again = check(folder(tmp_path), {photo.digest for photo in first.photos})
    for dataset in (first, again):
        assert len(dataset.photos) == 24
        assert [item.code for item in dataset.excluded] == ["photo-copy"] * 2
        assert "3.jpg" in dataset.excluded_table()
    (tmp_path / "cat" / "0 before.jpg").write_bytes(photo + b"a copy that is listed first")
    now = check(folder(tmp_path))
    assert {photo.picture: photo.split for photo in now.photos} == {one.picture: one.split for one in first.photos}


def test_photos_that_differ_beside_the_middle_are_no_copies(tmp_path):
    """Though they are the same to the network. What was decided and dealt before there was a middle stays so, too."""
    fill(tmp_path)
    for color in ("red", "blue"):
        wide = Image.new("RGB", (640, 320), color)
        wide.paste(Image.open(tmp_path / "cat" / "3.jpg"), (160, 0))
        (tmp_path / "cat" / f"{color}.png").write_bytes(encoded(wide, "PNG"))
    one, other = (read_photo(tmp_path / "cat" / f"{color}.png") for color in ("red", "blue"))
    assert (one[:, 2:-2] == other[:, 2:-2]).all()
    dataset = check(folder(tmp_path))
    assert not dataset.excluded
    assert len({photo.picture for photo in dataset.photos}) == len(dataset.photos) == 26


def test_what_a_photo_is_recognised_by_stays_from_release_to_release(tmp_path):
    ramp = np.arange(90 * 60 * 3, dtype=np.uint32).reshape(60, 90, 3) * 31 % 256
    photo = read_photo(encoded(Image.fromarray(ramp.astype(np.uint8)), "PNG"), preprocessing=BY)
    assert picture_of(photo) == "865f941020c81eb8e8f655ca37789115"


def test_a_photo_in_two_classes_is_in_none(tmp_path):
    fill(tmp_path)
    (tmp_path / "dog" / "both.jpg").write_bytes((tmp_path / "cat" / "3.jpg").read_bytes())
    dataset = check(folder(tmp_path))
    assert reasons(dataset) == {"both.jpg": "photo-two-classes", "3.jpg": "photo-two-classes"}
    assert all("cat" in item.reason and "dog" in item.reason for item in dataset.excluded)


def test_known_photos_are_not_decoded_again(tmp_path, monkeypatch):
    first = check(folder(fill(tmp_path)))
    decoded = []

    def noted(data, *others, **options):
        decoded.append(data)
        return read_squares(data, *others, **options)

    monkeypatch.setattr("catdog.data.inspection.read_squares", noted)
    fill(tmp_path, count=1, first=70)
    check(folder(tmp_path), known={photo.digest for photo in first.photos})
    assert len(decoded) == 2


def test_the_digest_follows_the_photos_and_their_labels(tmp_path):
    one = check(folder(fill(tmp_path))).digest()
    assert check(folder(tmp_path)).digest() == one
    (tmp_path / "cat" / "1.jpg").rename(tmp_path / "dog" / "1b.jpg")
    assert check(folder(tmp_path)).digest() != one


@pytest.mark.parametrize(("labels", "code"), [((), "photos-layout"), (("cat",), "photos-few-classes")])
def test_fewer_than_two_classes_are_refused_in_words(tmp_path, labels, code):
    fill(tmp_path, labels)
    with refused(code):
        list_photos(folder(tmp_path))


def test_a_class_without_a_usable_photo_is_refused_with_the_reasons(tmp_path):
    fill(tmp_path)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "a.jpg").write_bytes(b"\xff\x0anothing")
    with refused("photos-class-empty", "owl", "JPEG XL", "a.jpg"):
        check(folder(tmp_path))


def test_an_empty_folder_is_not_a_class_and_that_is_said(tmp_path):
    fill(tmp_path)
    (tmp_path / "owl").mkdir()
    assert check(folder(tmp_path)).classes == ("cat", "dog")
    assert "Skipped: owl: it is empty" in describe_layout(folder(tmp_path))


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    fill(tmp_path)

    def away(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("catdog.data.folders.os.scandir", away)
    with refused("folder-unusable", str(tmp_path), "Input/output error"):
        check(folder(tmp_path))


def test_links_are_followed_and_never_in_a_circle(tmp_path):
    fill(tmp_path / "elsewhere")
    (tmp_path / "set").mkdir()
    for label in ("cat", "dog"):
        (tmp_path / "set" / label).symlink_to(tmp_path / "elsewhere" / label)
    (tmp_path / "elsewhere" / "cat" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "elsewhere" / "dog" / "dead.jpg").symlink_to("/nowhere")
    dataset = check(folder(tmp_path / "set"))
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.photos) == 24


# --- a set is known by its photos ---


def test_another_set_of_the_same_name_gets_a_name_of_its_own(tmp_path):
    one, other = fill(tmp_path / "a" / "pets"), fill(tmp_path / "b" / "pets", ("owl", "hen"), first=300)
    first, second = (check(PhotoFolder(path, "pets")) for path in (one, other))
    assert (first.name, second.name) == ("pets", "pets-2")
    assert "cat, dog" in second.summary()
    assert "MODEL_NAME" in second.summary()
    again = [check(PhotoFolder(path, "pets")).name for path in (other, one)]
    assert again == ["pets-2", "pets"]


def test_a_folder_that_was_renamed_and_grew_keeps_its_splits(tmp_path):
    before = check(PhotoFolder(fill(tmp_path), "pets"))
    after = check(PhotoFolder(fill(tmp_path, first=20, count=40), "pets-of-2026"))
    assert splits(before).items() <= splits(after).items()


def test_other_classes_under_a_name_are_told(tmp_path):
    check(PhotoFolder(fill(tmp_path), "pets"))
    assert "were" not in check(PhotoFolder(tmp_path, "pets")).summary()
    fill(tmp_path, ("cat", "dog", "owl"))
    dataset = check(PhotoFolder(tmp_path, "pets"))
    assert dataset.name == "pets"
    assert 'The classes of "pets" used to be cat, dog; now they are cat, dog, owl.' in dataset.summary()
