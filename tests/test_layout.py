"""Folders as people have them: which are classes and splits, and which are neither."""

import re

import pytest
from catdog.errors import SuiteError
from catdog.folders import split_named
from catdog.labels import label_in_name
from catdog.layout_reader import read_layout
from conftest import refused
from hypothesis import example, given
from hypothesis import strategies as st

SPLIT_NAMES = {
    "train": "train Training TRAIN training_set Train_data seg_train trainingset train-images entraînement 训练集",
    "valid": "valid validation val dev eval validationSet val_256 Validation_data 验证",
    "test": "test Testing test_set TestData seg_test test1 test_imgs テスト 测试集",
    "unlabelled": "seg_pred unlabeled unlabelled predictions",
}
NO_SPLITS = (
    "cat images labels trainer testosterone retrain bus_train contest evaluate_me protest latest vale 猫 set data"
)


@pytest.mark.parametrize(
    ("name", "split"),
    [(name, split) for split, names in SPLIT_NAMES.items() for name in names.split()]
    + [(name, None) for name in NO_SPLITS.split()],
)
def test_folders_that_are_named_after_splits(name, split):
    assert split_named(name) == split


def tree(*folders: str, each: int = 3, name: str = "{}.jpg") -> list[str]:
    """Paths of so many photos in each folder."""
    return [f"{folder}/{name.format(number)}".lstrip("/") for folder in folders for number in range(each)]


def understood(paths, labels="auto", texts=None):
    """("class split, …" of what is used, what is skipped, the layout)."""
    layout = read_layout(paths, labels, lambda path: (texts or {})[path], "pets")
    used = {(layout.label(path), layout.split(path) or "-") for path in paths if layout.label(path)}
    return ", ".join(f"{label} {split}" for label, split in sorted(used)), {one.where for one in layout.skipped}, layout


PLAIN = "cat -, dog -"
SPLIT = "cat test, cat train, dog test, dog train"
BOTH = ("train/cat", "train/dog", "test/cat", "test/dog")


@pytest.mark.parametrize(
    ("paths", "expected", "skipped"),
    [
        (tree("cat", "dog"), PLAIN, set()),
        (tree("my photos/2026/pets/cat", "my photos/2026/pets/dog"), PLAIN, set()),
        (tree(*BOTH), SPLIT, set()),
        (tree(*(f"pets/{one}" for one in BOTH)), SPLIT, set()),
        (tree("training_set/cat", "training_set/dog", "test_set/cat", "test_set/dog"), SPLIT, set()),
        (tree("training_set/training_set/cat", "training_set/training_set/dog", "test_set/test_set/cat"),
         "cat test, cat train, dog train", set()),
        ([*tree("images/train/cat", "images/train/dog", "images/test/cat", "images/test/dog"), "labels/train/1.txt"],
         SPLIT, {"labels"}),
        (tree("cat/train", "cat/test", "dog/train", "dog/test"), SPLIT, set()),
        (tree(*BOTH, "sample/cat", "sample/dog"), SPLIT, {"sample"}),
        (tree(*BOTH, *(f"pets/{one}" for one in BOTH)), SPLIT, {"pets"}),
        (tree(*BOTH, "seg_pred"), SPLIT, {"seg_pred"}),
        (tree("train/cat", "train/dog", "test"), "cat train, dog train", {"test"}),
        (tree(*BOTH, "train"), SPLIT, {"train"}),
        (tree("cat", "dog", "test"), PLAIN, {"test"}),
        (tree("cat", "dog", "cat/@eaDir/1.jpg", "@eaDir/2", ".hidden", "dog/__MACOSX", "$RECYCLE.BIN", "lost+found"),
         PLAIN, {"…/@eaDir", "@eaDir", ".hidden", "…/__MACOSX", "$RECYCLE.BIN", "lost+found"}),
        ([*tree("cat", "dog", "New folder", "Untitled Folder 2"), "Neuer Ordner/"], PLAIN,
         {"New folder", "Untitled Folder 2", "Neuer Ordner"}),
        ([*tree("cat", "dog"), "owl/", "notes/read me.txt", "photo.jpg"], PLAIN, {"owl", "notes", "."}),
        ([*tree("pets/cat", "pets/dog"), "logo.png", "x.jpg"], PLAIN, {"."}),
        (tree("cat/indoors", "cat/outdoors", "dog", "owl"), "cat -, dog -, owl -", set()),
        (tree("$5_$10", "<b>x", "a, b", "10"), "$5_$10 -, 10 -, <b>x -, a, b -", set()),
    ],
)  # fmt: skip
def test_folders_are_read_as_a_person_would(paths, expected, skipped):
    assert understood(paths)[:2] == (expected, skipped)


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (tree("test/cat", "valid/cat"), ("test", "valid", "for training")),
        (tree("train", "bus"), ("train", "bus")),
        (tree("train", "test"), ("their names tell no class",)),
        (tree("train/steam", "train/diesel", "bus/city", "bus/school"), ("train", "bus")),
        (tree("camera 1/cat", "camera 1/dog", "camera 2/cat", "camera 2/dog"), ("cat, dog", "camera 1, camera 2")),
        (tree("pets/cat", "pets/dog", "readme"), ("pets", "readme")),
        (["IMG_1.jpg", "IMG_2.jpg", "DSC_3.jpg"], ("IMG_1.jpg",)),
        (["read me.txt"], ("no photo",)),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_the_tree_and_the_remedy(paths, named):
    with refused("photos-layout", "pets", "LABELS", *named):
        understood(paths)


def test_a_setting_says_how_it_is_meant():
    vehicles = tree("train", "bus")
    assert understood(vehicles, "folder")[0] == "bus -, train -"
    cameras = tree("camera 1/cat", "camera 1/dog", "camera 2/cat", "camera 2/dog")
    assert understood(cameras, "folder")[0] == PLAIN
    assert understood(cameras, "top folder")[0] == "camera 1 -, camera 2 -"
    assert understood(tree(*BOTH), "folder")[0] == SPLIT
    with refused("photos-layout", "nonsense"):
        understood(vehicles, "nonsense")


# --- spellings ---


@pytest.mark.parametrize(
    ("one", "other"), [("Cat", "cat"), ("cat ", "cat"), ("Caf\u00e9", "Cafe\u0301"), ("grey  cat", "grey cat")]
)
def test_two_spellings_are_one_class_and_it_is_said(one, other):
    paths = tree(f"train/{one}", "train/dog", f"valid/{other}", "valid/dog")
    _, _, layout = understood(paths)
    assert len(layout.classes) == 2
    assert "are taken for one class" in layout.describe(layout.counted(paths))


def test_a_thousand_classes_are_a_short_table():
    paths = tree(*(f"class {number}" for number in range(1000)))
    _, _, layout = understood(paths)
    assert len(layout.describe(layout.counted(paths)).splitlines()) < 30


# --- labels in names ---


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("train/cat.0.jpg", "cat"), ("Bengal_12.jpg", "Bengal"), ("great_pyrenees_107.jpg", "great_pyrenees"),
        ("cat (3).jpg", "cat"), ("cat12.png", "cat"), ("12-cat.jpg", "cat"), ("猫 3.jpg", "猫"), ("cat.jpg", None),
        ("IMG_2034.jpg", None), ("1.jpg", None), ("WhatsApp Image 2021.jpg", None), ("DSC01.JPG", None),
    ],
)  # fmt: skip
def test_what_a_photos_name_tells(name, label):
    assert label_in_name(name) == label


def test_classes_in_names_alone_in_splits_and_beside_photos_without():
    flat = [f"{label}.{number}.jpg" for label in ("cat", "dog") for number in range(5)]
    assert understood(flat)[:2] == (PLAIN, set())
    assert understood([f"x/{name}" for name in flat])[0] == PLAIN
    kaggle = [f"train/{name}" for name in flat] + [f"test1/{number}.jpg" for number in range(9)]
    assert understood(kaggle)[:2] == ("cat train, dog train", {"test1"})


# --- tables ---

PHOTOS = [f"images/{number:03}.jpg" for number in range(8)]
ROWS = [(f"{number:03}", ("cat", "dog")[number % 2]) for number in range(8)]


def lines(*rows, sep=",", end="\n"):
    return end.join(sep.join(row) for row in rows) + end


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", lines(("filename", "label"), *((f"{stem}.jpg", label) for stem, label in ROWS)).encode()),
        ("labels.csv", lines(("id", "breed"), *ROWS).encode()),
        ("labels.csv", lines(*((f"images/{stem}.jpg", label) for stem, label in ROWS)).encode()),
        ("labels.csv", lines(*((f"images\\{stem}.jpg", label) for stem, label in ROWS)).encode()),
        ("labels.csv", b"sep=;\r\n" + lines(("id", "label"), *ROWS, sep=";", end="\r\n").encode()),
        ("labels.tsv", lines(("id", "label"), *ROWS, sep="\t").encode("utf-16")),
        ("labels.csv", b"\xef\xbb\xbf" + lines(("id", "label"), *ROWS, end="\r").encode()),
        (
            "labels.csv",
            lines(("id", "width", "label"), *((stem, str(3 * int(stem)), label) for stem, label in ROWS)).encode(),
        ),
        (
            "labels.csv",
            lines(
                ("id", "cat", "dog"), *((s, str(int(label == "cat")), str(int(label == "dog"))) for s, label in ROWS)
            ).encode(),
        ),
        ("labels.jsonl", "\n".join(f'{{"file": "{s}.jpg", "label": "{label}"}}' for s, label in ROWS).encode()),
        ("labels.json", ("{" + ", ".join(f'"{s}.jpg": "{label}"' for s, label in ROWS) + "}").encode()),
        ("labels.txt", lines(*((f"{stem}.jpg", label) for stem, label in ROWS), sep=" ").encode()),
    ],
    ids=[
        "names",
        "stems",
        "no header",
        "backslashes",
        "sep=",
        "UTF-16 tabs",
        "old Mac",
        "another column",
        "one-hot",
        "JSONL",
        "JSON",
        "blanks",
    ],
)
def test_labels_in_a_table_beside_the_photos(name, text):
    used, _, layout = understood([*PHOTOS, name], texts={name: text})
    assert used == PLAIN
    assert [layout.label(path) for path in PHOTOS] == ["cat", "dog"] * 4
    assert name in layout.how


def test_a_table_may_name_splits_and_lack_photos():
    text = lines(("id", "label", "split"), *((s, label, "test" if s > "005" else "train") for s, label in ROWS))
    used, skipped, _ = understood([*PHOTOS, "images/new.jpg", "t.csv"], texts={"t.csv": text.encode()})
    assert used == SPLIT
    assert skipped == {"t.csv"}


def test_of_two_columns_of_labels_one_is_asked_for():
    rows = [(stem, label, ("young", "old")[int(stem) // 4]) for stem, label in ROWS]
    texts = {"t.csv": lines(("id", "kind", "age"), *rows).encode()}
    with refused("photos-layout", "LABELS"):
        understood([*PHOTOS, "t.csv"], texts=texts)
    assert understood([*PHOTOS, "t.csv"], "t.csv:age", texts)[0] == "old -, young -"


def test_folders_of_classes_come_before_a_table():
    assert understood([*tree("cat", "dog"), "notes.csv"], texts={"notes.csv": b"a,b\n"})[0] == PLAIN


# --- whatever lies there ---

NAMES = st.one_of(
    st.sampled_from(
        ["train", "test", "val", "cat", "dog", "Cat", "@eaDir", "New folder", "data", "pets", ".x", "seg_pred"]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=[]), min_size=1, max_size=8),
)
FILES = st.one_of(st.sampled_from(["1.jpg", "cat.1.jpg", "dog.2.jpg", "labels.csv", "Thumbs.db", "x.zip", "a"]), NAMES)
PATHS = st.builds(lambda folders, file: "/".join([*folders, file]), st.lists(NAMES, max_size=4), FILES)


@given(st.lists(PATHS, max_size=30), st.sampled_from(["auto", "folder", "top folder", "file name", "labels.csv"]))
@example([], "auto")
def test_any_tree_is_understood_or_refused_in_printable_words(paths, labels):
    try:
        layout = read_layout(paths, labels, lambda path: b"id,label\n1,cat\n2,dog\n", "pets")
    except SuiteError as refusal:
        str(refusal).encode()
        return
    layout.describe(layout.counted(paths)).encode()
    assert len(layout.classes) >= 2
    used = {label for path in paths if (label := layout.label(path))}
    assert used <= set(layout.classes)
    assert not any(re.search(r"[\x00-\x1f]", label) for label in used)
