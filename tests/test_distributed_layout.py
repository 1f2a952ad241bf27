"""Notebook 1 and `make ray-train` read the same folders alike: classes, splits, copies, and what is refused."""

import hashlib
import itertools
import zlib

import numpy as np
import pytest
from catdog.data.dataset import check
from catdog.data.folders import SPLITS
from catdog.data.sources import PhotoFolder
from catdog.errors import UserError
from conftest import encoded
from PIL import Image

pytest.importorskip("ray", reason="needs what requirements-scale.txt names")
import pyarrow
from catdog.distributed.features import StoredFeatures
from catdog.distributed.storage import StorageFolder
from catdog.distributed.train import CountedPhotos, find_layout

pytestmark = pytest.mark.ray


def tree(*folders, each=3, name="{}.png", first=0):
    """Path → content: so many photos in each folder, of which no two show the same."""
    paths = [f"{folder}/{name.format(index)}" for folder in folders for index in range(first, first + each)]
    return {path.lstrip("/"): photo(path) for path in paths}


def photo(seed):
    """A small file with noise in it, the same for the same `seed`."""
    pixels = np.random.default_rng(zlib.crc32(seed.encode())).integers(0, 256, (32, 32, 3), np.uint8)
    return encoded(Image.fromarray(pixels), "PNG")


SPLIT_TREE = tree("train/cat", "train/dog", "valid/cat", "valid/dog", "test/cat", "test/dog")
COPY = photo("copy")
ROWS = "".join(f"{index}.png,{('cat', 'dog')[index % 2]},{('train', 'test')[index > 5]}\n" for index in range(12))

UNDERSTOOD = {
    "plain": tree("cat", "dog", each=9),
    "many": {**tree("cat", each=120), **tree("dog", each=99), **tree("owl", each=1)},
    "two photos of a class": tree("cat", "dog", each=2),
    "wrappers": tree("all/my pets/cat", "all/my pets/dog"),
    "a wrapper beside a cover": {**tree("all/cat", "all/dog"), "cover.png": photo("cover")},
    "splits": SPLIT_TREE,
    "splits in a wrapper": {f"pets-main/{path}": data for path, data in SPLIT_TREE.items()},
    "splits by other names": tree("Training_set/cat", "Training_set/dog", "validation/cat", "TEST/dog", "TEST/cat"),
    "no test": tree("train/cat", "train/dog", "val/cat", "val/dog", each=12),
    "no test, few in train and many in all": {
        **tree("train/cat", "train/dog", each=80),
        **tree("val/cat", "val/dog", each=30),
    },
    "no valid": tree("train/cat", "train/dog", "test/cat", "test/dog", each=12),
    "train alone": tree("train/cat", "train/dog", each=12),
    "splits within classes": tree("cat/train", "cat/test", "dog/train", "dog/test", each=6),
    "a class for the test alone": tree("train/cat", "train/dog", "test/cat", "test/owl"),
    "a split that holds no photo that can be read": {
        **tree("train/cat", "train/dog", each=12),
        "test/cat/1.png": b"no photo",
        "test/dog/1.png": b"no photo",
    },
    "folders in classes": tree("cat/in-doors", "cat/in", "cat/out", "dog", "owl", each=8),
    "hidden and programs' folders": tree("cat", "dog", ".git", "cat/.thumbs", "__MACOSX/cat", "cat/@eaDir/1"),
    "hidden files": {**tree("cat", "dog"), **tree("cat", name="._{}.png"), "dog/Thumbs.db": b"", ".DS_Store": b""},
    "spellings": tree("train/Cat", "train/dog", "test/cat", "test/DOG "),
    "what is no photo": {**tree("cat", "dog"), "cat/notes.txt": b"cat", "dog/broken.png": b"", "readme.md": b"#"},
    "annotations": tree("images/cat", "images/dog", "labels/cat"),
    "everything twice": {**tree("yes", "no"), **tree("brain/yes", "brain/no")},
    "no name": tree("cat", "dog", "New folder"),
    "names": {**tree("", name="cat.{}.png"), **tree("", name="dog.{}.png")},
    "names in splits": {
        f"{split}/{label}.{index}.png": photo(f"{split}{label}{index}")
        for split, label, index in itertools.product(("train", "test"), ("cat", "dog"), range(4))
    },
    "a table with splits": {**tree("images", each=12), "labels.csv": f"file,label,split\n{ROWS}".encode()},
    "none of these": tree("cat", "dog", "none of these"),
    "none of these in a split": {**SPLIT_TREE, **tree("train/none-of-these")},
    "copies in a class": {**tree("cat", "dog", "owl"), "cat/x-y/1.png": COPY, "cat/x/1.png": COPY, "cat/z.png": COPY},
    "copies in two classes": {**tree("cat", "dog"), "cat/x.png": COPY, "dog/x.png": COPY},
    "copies in two splits": {**SPLIT_TREE, "train/cat/x.png": COPY, "test/cat/y.png": COPY, "valid/cat/z.png": COPY},
    "copies in two classes and splits": {**SPLIT_TREE, "train/cat/x.png": COPY, "test/dog/x.png": COPY},
    "a test of copies that lie in two classes": {
        **tree("train/cat", "train/dog", each=12), "test/cat/x.png": COPY, "test/dog/x.png": COPY,
    },
}  # fmt: skip
REFUSED = {
    "one class": tree("cat"),
    "one class in a wrapper": tree("pets/all/cat"),
    "one class and none of these": tree("cat", "none-of-these"),
    "one class in splits": tree("train/cat", "test/cat"),
    "splits without train": tree("test/cat", "valid/dog"),
    "a split or a class": tree("train/steam", "train/diesel", "bus/city", "bus/school"),
    "splits without classes": tree("train", "test"),
    "either could be the classes": tree("anna/cat", "anna/dog", "ben/cat", "ben/bird"),
    "a class that is hidden": tree("cat", ".dog"),
    "names of a camera": tree("", name="IMG_{}.png"),
    "no photo": {"readme.md": b"#"},
    "a class without a photo that can be read": {**tree("cat"), "dog/1.png": b"no photo"},
    "nothing but the same photo": {"cat/1.png": COPY, "dog/1.png": COPY},
}
SAID = {
    "top folder": tree("camera 1/cat", "camera 1/dog", "camera 2/cat", "camera 2/dog"),
    "folder": {**tree("train", "bus"), **tree("cat/train", "cat/test")},
    "file name": tree("x", "y", name="cat.{}.png") | tree("x", "y", name="dog.{}.png"),
    "labels.csv:label": {**tree("images", each=12), "labels.csv": f"file,label,split\n{ROWS}".encode()},
    "nonsense": tree("cat", "dog"),
}
CASES = [pytest.param(files, "auto", False, id=name) for name, files in UNDERSTOOD.items()]
CASES += [pytest.param(files, "auto", True, id=name) for name, files in REFUSED.items()]
CASES += [pytest.param(files, labels, labels == "nonsense", id=f"LABELS={labels}") for labels, files in SAID.items()]


@pytest.fixture
def photos(own_places, own_cache):
    """photos(files) writes files, path → content, into a folder."""

    def write(files):
        folder = own_places / "photos"
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    return write


def outcome(read, folder, labels):
    """(classes, split → digest and class of each photo in order), or the code of what is refused."""
    try:
        return read(folder, labels)
    except UserError as error:
        return error.code


def in_memory(folder, labels):
    found = check(PhotoFolder(folder, "pets", labels=labels))
    return found.classes, {split: [(one.digest[:16], one.label) for one in found.of(split)] for split in SPLITS}


def in_storage(folder, labels):
    """As `fine_tune` does, but that a photo's feature is the name of its file."""
    source, table = StorageFolder.of(str(folder)), StorageFolder.of(f"{folder.parent}/table")
    paths = source.files()
    layout = find_layout(source, paths, labels)
    paths = [path for path in paths if layout.class_of(source.inside(path))]
    digests = [digest_of_a_photo(source.read(path)) for path in paths]
    names = np.array([int((digest or "0")[:12], 16) for digest in digests])
    features = [[name >> 24, name & 0xFFFFFF] if digest else None for name, digest in zip(names.tolist(), digests)]
    schema = pyarrow.schema({
        "path": pyarrow.string(), "digest": pyarrow.string(), "features": pyarrow.list_(pyarrow.float32()),
    })  # fmt: skip
    table.create()
    rows = {"path": paths[::-1], "digest": digests[::-1], "features": features[::-1]}
    table.write("all.parquet", pyarrow.table(rows, schema))
    stored = StoredFeatures(table, source, paths, layout, folder.parent, 2)
    whole = {digest[:12]: digest[:16] for digest in digests if digest}
    found = {}
    for split, (vectors, targets) in stored.by_split.items():
        names = (f"{int(high):06x}{int(low):06x}" for high, low in vectors[: len(targets)])
        found[split] = [(whole[name], layout.classes[target]) for name, target in zip(names, targets)]
    return CountedPhotos.of_table(source.name, layout.classes, stored).classes, found


def digest_of_a_photo(data):
    return hashlib.sha256(data).hexdigest() if data.startswith(b"\x89PNG") else None


@pytest.mark.parametrize(("files", "labels", "is_refused"), CASES)
def test_both_decide_alike(photos, files, labels, is_refused):
    folder = photos(files)
    expected = outcome(in_memory, folder, labels)
    assert isinstance(expected, str) == is_refused, expected
    assert outcome(in_storage, folder, labels) == expected
