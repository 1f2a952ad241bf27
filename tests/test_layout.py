"""Folders as people have them: which are classes and splits, and which are neither."""

import re

import pytest
from catdog.data.folders import split_named
from catdog.data.labels import label_in_name
from catdog.data.layout_reader import read_layout
from catdog.errors import UserError
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
    layout = read_layout(paths, labels, lambda path: (texts or {}).get(path, b""), "pets")
    used = {(layout.label(path), layout.split(path) or "-") for path in paths if layout.label(path)}
    return ", ".join(f"{label} {split}" for label, split in sorted(used)), {one.where for one in layout.skipped}, layout


PLAIN, PLAIN_TRAIN = "cat -, dog -", "cat train, dog train"
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
        ([*tree("asl_train/asl_train/cat", "asl_train/asl_train/dog"), "asl_test/asl_test/A_test.jpg"],
         "cat train, dog train", {"asl_test"}),
        (tree("train-20230501T101010Z-001/train/cat", "train-20230501T101010Z-001/train/dog",
              "test-20230501T101212Z-001/test/cat"), "cat test, cat train, dog train", set()),
        (tree("train/images/cat", "train/images/dog", "train/masks/cat", "train/masks/dog"), PLAIN, {"train/masks"}),
        ([*tree("pets-main/images/cat", "pets-main/images/dog"), "pets-main/LICENSE", "pets-main/a.md"], PLAIN, set()),
        (tree("yes", "no", "brain/yes", "brain/no"), "no -, yes -", {"brain"}),
        (tree("train/cat", "train/dog", "test/unknown"), PLAIN_TRAIN, {"test"}),
        (tree("train/cat", "train/dog", "test/cat", "test/owl"), "cat test, cat train, dog train", {"test/owl"}),
        ([*tree("cat", "dog"), "bird.zip"], PLAIN, {"bird.zip"}),
        (tree("cat", "dog", " \u200b"), PLAIN, {" \u200b"}),
        (tree("train/n01/images", "train/n02/images", "val/images"), "n01 train, n02 train", {"val"}),
        (tree("#cat", "#dog"), "#cat -, #dog -", set()),
        (tree("train_v2/cat", "train_v2/dog", "test_v2/cat"), "cat test, cat train, dog train", set()),
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
        (tree("train", "test"), ("their names contain no class",)),
        (tree("train/steam", "train/diesel", "bus/city", "bus/school"), ("train", "bus")),
        (tree("camera 1/cat", "camera 1/dog", "camera 2/cat", "camera 2/dog"), ("cat, dog", "camera 1, camera 2")),
        (tree("pets/cat", "pets/dog", "readme"), ("pets", "readme")),
        (tree("amazon/images/bike", "amazon/images/mug", "webcam/images/bike", "webcam/images/mug"), ("bike, mug",)),
        (tree("anna/cat", "anna/dog", "ben/cat", "ben/bird"), ("cat", "anna, ben")),
        (tree("train/2019/cat", "train/2019/dog", "train/2020/cat", "train/2020/dog"), ("cat, dog", "2019, 2020")),
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
    assert "are treated as one class" in layout.describe(layout.counted(paths))


@pytest.mark.parametrize("name", ["none-of-these", "None of these"])
@pytest.mark.parametrize("labels", ["auto", "folder", "top folder"])
def test_one_class_and_none_of_these_are_one_class(name, labels):
    with refused("photos-few-classes", "only cat", "none-of-these", "other"):
        understood(tree("cat", name), labels)


def test_one_class_and_none_of_these_in_names_or_a_table_are_one_class():
    with refused("photos-few-classes", "none-of-these"):
        understood([*tree("", name="cat.{}.jpg"), *tree("", name="none-of-these.{}.jpg")])
    with refused("photos-few-classes", "none-of-these"):
        text = "id,label\n" + "".join(f"{n}.jpg,{'none_of_these' if n % 2 else 'cat'}\n" for n in range(8))
        understood([*tree("", each=8), "labels.csv"], "labels.csv", {"labels.csv": text.encode()})


def test_only_one_class_says_nothing_of_folders_that_are_not_there():
    with pytest.raises(UserError) as caught:
        understood(tree("cat"))
    assert "none-of-these" not in str(caught.value)


@pytest.mark.parametrize("where", ["none-of-these", "train/None of these"])
def test_none_of_these_is_no_class_in_the_table_and_has_no_split(where):
    paths = tree(*BOTH, where)
    _, _, layout = understood(paths)
    assert layout.classes == ("cat", "dog")
    assert {layout.class_of(path) for path in paths} == {"cat", "dog", None}
    told = layout.describe(layout.counted(paths))
    assert told.startswith("2 classes")
    row = next(line for line in told.splitlines() if line.startswith(where))
    assert re.split(r"\s{2,}", row) == [where, "(none of these)", "3"]


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
        ("cat_2023-05-01_1.jpg", "cat"), ("_MG_0001.jpg", None), ("FB_IMG_16.jpg", None), ("IMGP0001.jpg", None),
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


def table(*rows, header=("id", "label")):
    return lines(header, *rows).encode()


def test_names_that_tables_share_are_told_apart_by_the_folder_and_what_is_unclear_is_not_used():
    """As CIFAR-10 on Kaggle, and Roboflow's export."""
    numbers = [f"{number}" for number in range(1, 9)]
    photos = [f"{split}/{number}.png" for split in ("train", "test") for number in numbers]
    rows = [(number, ("cat", "dog")[int(number) % 2]) for number in numbers]
    used, _, layout = understood([*photos, "trainLabels.csv"], texts={"trainLabels.csv": table(*rows)})
    assert used == PLAIN_TRAIN
    assert not any(layout.label(path) for path in photos if path.startswith("test"))
    with refused("photos-layout"):
        understood([*photos, "labels.csv"], texts={"labels.csv": table(*rows)})
    hot = ("filename", "cat", "dog")
    texts = {
        f"{split}/_classes.csv": table(
            *((f"{n}.png", str(int(n) % 2 ^ turn), str(1 - (int(n) % 2 ^ turn))) for n in numbers), header=hot
        )
        for split, turn in (("train", 0), ("test", 1))
    }  # fmt: skip
    used, _, layout = understood([*photos, *texts], texts=texts)
    assert used == SPLIT
    assert [layout.label(f"{split}/1.png") for split in ("train", "test")] == ["cat", "dog"]


def test_a_pandas_index_is_not_taken_for_the_photo():
    photos = [f"{number}.jpg" for number in range(12)]
    rows = [(f"{number}", f"{(7 * number) % 12}.jpg", ("cat", "dog")[(7 * number) % 12 % 2]) for number in range(12)]
    _, _, layout = understood([*photos, "t.csv"], texts={"t.csv": table(*rows, header=("", "filename", "label"))})
    assert [layout.label(path) for path in photos] == ["cat", "dog"] * 6


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (("file", "width", "label"), lambda s, label: (s, str(int(s) * 7), label)),
        (("file", "label", "label_name"), lambda s, label: (s, str(len(label) + (label == "cat")), label)),
        (("url", "label"), lambda s, label: (f"https://example.org/x/{s}.jpg", label)),
        (("path", "label"), lambda s, label: (f"C:\\data\\{s}.jpg", label)),
        (("name", "patient", "diagnosis"), lambda s, label: (s, "Ann" if s < "004" else "Bob", label)),
        (("file", "note", "label"), lambda s, label: (s, '"two\nlines"', label)),
    ],
)
def test_the_right_columns_are_taken(header, row):
    texts = {
        "t.csv": lines(header, *(row(*pair) for pair in ROWS)).encode(),
        "exif.csv": table(*((s, "Canon") for s, _ in ROWS)),
    }
    assert understood([*PHOTOS, *texts], texts=texts)[0] == PLAIN


def test_names_come_before_a_table_of_something_else_and_a_submission_is_no_table_of_labels():
    photos = [f"{label}.{number}.jpg" for label in ("cat", "dog") for number in range(6)]
    exif = table(*((path, ("Canon", "Nikon")[n % 2]) for n, path in enumerate(photos)), header=("filename", "Model"))
    assert understood([*photos, "exif.csv"], texts={"exif.csv": exif})[0] == PLAIN
    submission = table(*((path, "0") for path in photos))
    assert understood([*photos, "sampleSubmission.csv"], texts={"sampleSubmission.csv": submission})[0] == PLAIN


def test_rows_that_contradict_or_give_several_labels_are_not_used_and_it_is_said():
    rows = [*ROWS, ("000", "dog"), ("001", "dog")]
    rows[2] = ("002", "cat|dog")
    paths = [*PHOTOS, "t.csv"]
    _, _, layout = understood(paths, texts={"t.csv": table(*rows)})
    assert [layout.label(path) for path in PHOTOS] == [None, "dog", None, *["dog", "cat"] * 2, "dog"]
    told = layout.describe(layout.counted(paths))
    assert "Skipped 1 row of t.csv: in conflict with other rows." in told
    assert "Skipped 1 row of t.csv: several labels in one row." in told


def test_a_column_of_splits_in_other_words():
    rows = [(s, label, ("1", "0")[int(s) > 5]) for s, label in ROWS]
    texts = {"t.csv": table(*rows, header=("id", "label", "is_training"))}
    assert understood([*PHOTOS, "t.csv"], texts=texts)[0] == SPLIT
    rows = [(s, label, ("Training", "unused", "PublicTest")[int(s) % 3]) for s, label in ROWS]
    texts = {"t.csv": table(*rows, header=("id", "label", "Usage"))}
    _, _, layout = understood([*PHOTOS, "t.csv"], texts=texts)
    assert [layout.label(path) is None for path in PHOTOS] == [int(s) % 3 == 1 for s, _ in ROWS]


def test_folders_and_a_table_that_say_different_things_are_refused():
    photos = [f"part_{part}/{number}.jpg" for part in (1, 2) for number in range(part * 10, part * 10 + 4)]
    rows = [(path.rpartition("/")[2], ("cat", "dog")[n % 2]) for n, path in enumerate(photos)]
    with refused("photos-layout", "part_1", "meta.csv", "cat"):
        understood([*photos, "meta.csv"], texts={"meta.csv": table(*rows)})
    assert understood([*photos, "meta.csv"], "META.csv", {"meta.csv": table(*rows)})[0] == PLAIN


@pytest.mark.parametrize("text", [b'"' + b"x" * 200_000, b"[" * 100_000, b"\xff\xfe\x00", b"a,b\n" * 3])
def test_a_file_that_is_only_called_like_a_table_costs_nothing(text):
    photos = [f"{label}.{number}.jpg" for label in ("cat", "dog") for number in range(5)]
    for name in ("readme.txt", "x.json", "x.csv"):
        assert understood([*photos, name], texts={name: text})[0] == PLAIN


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
    except UserError as refusal:
        str(refusal).encode()
        return
    layout.describe(layout.counted(paths)).encode()
    assert len(layout.classes) >= 2
    used = {label for path in paths if (label := layout.label(path))}
    assert used <= set(layout.classes)
    assert not any(re.search(r"[\x00-\x1f]", label) for label in used)
