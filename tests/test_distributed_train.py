"""Fine-tuning on more photos than fit in memory gives the model that memory would give."""

import hashlib
import shutil

import numpy as np
import pytest
from catdog.data.dataset import check
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw_folder
from catdog.engines.base import OPENVINO_FP32
from catdog.models.classifier import load_classifier
from catdog.training.calibration import calibrate
from catdog.training.linear_head import fit_head
from conftest import drawing, encoded, refused
from PIL import Image

pytest.importorskip("ray", reason="needs what requirements-scale.txt names")
import pyarrow
from catdog.distributed.features import StoredFeatures
from catdog.distributed.storage import StorageFolder
from catdog.distributed.train import find_layout, fine_tune

pytestmark = [pytest.mark.ray, pytest.mark.weights]

CLASSES = ("cat", "dog")


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def row(number, label="cat", split="train"):
    return {"path": f"/photos/{split}/{label}/{number}", "digest": digest(number), "features": [float(number), 1.0]}


def stored(folder, rows, per_file, paths=None):
    """What `StoredFeatures` makes of a table with these rows, where `paths` are there: (by split, left out, digest)."""
    folder.mkdir()
    table = StorageFolder.of(str(folder / "table"))
    table.create()
    schema = pyarrow.schema({
        "path": pyarrow.string(), "digest": pyarrow.string(), "features": pyarrow.list_(pyarrow.float32()),
    })  # fmt: skip
    for start in range(0, len(rows), per_file):
        table.write(f"{start:04}.parquet", pyarrow.Table.from_pylist(rows[start : start + per_file], schema))
    paths = paths or [one["path"] for one in rows]
    source = StorageFolder.of("/photos")
    found = StoredFeatures(table, source, paths, find_layout(source, paths), folder, 2)
    parts = {split: (features.tolist(), targets.tolist()) for split, (features, targets) in found.by_split.items()}
    together, its_targets = found.for_training["train"]  # those for validation are behind those for training
    assert isinstance(together, np.memmap)
    assert together.tolist() == parts["train"][0] + parts["valid"][0]
    assert its_targets.tolist() == parts["train"][1] + parts["valid"][1]
    assert len(found.for_training["valid"][1]) == 0
    return parts, found.n_excluded, found.digest


SOUND = [row(number, CLASSES[number % 2], ("train", "valid", "test")[number % 3]) for number in range(30)]


def numbers_of(parts):
    return {split: [int(features[0]) for features in found] for split, (found, _) in parts.items()}


def test_the_files_of_a_table_do_not_matter_and_copies_count_once(tmp_path):
    odd = [
        {"path": "/photos/train/cat/refused", "digest": None, "features": None},
        row(3, "dog", "valid"),  # a copy of a training photo: that in valid stays
        row(5, "cat", "train"), row(5, "dog", "test"),  # 5 is a test photo, in two classes
        row(7, "dog", "test"),  # a copy of a validation photo: that in test stays
    ]  # fmt: skip
    parts, excluded, identity = stored(tmp_path / "a", SOUND + odd, 7)
    assert stored(tmp_path / "b", (SOUND + odd)[::-1], 11) == (parts, excluded, identity)
    assert excluded == 6
    numbers = numbers_of(parts)
    assert sorted(number for found in numbers.values() for number in found) == sorted(set(range(30)) - {5})
    assert 3 in numbers["valid"]
    assert 7 in numbers["test"]
    for split, (_, targets) in parts.items():
        assert targets == [number % 2 for number in numbers[split]]
    sound = [number for number in numbers["train"] if number not in (3, 5, 7)]
    assert sound == sorted(sound, key=lambda number: (CLASSES[number % 2], str(number)))


def test_a_photo_that_was_moved_counts_where_it_is_now_and_one_that_is_gone_no_more(tmp_path):
    moved = row(0, "dog", "test")
    before = [one["path"] for one in SOUND]
    now = [moved["path"], *before[2:]]
    parts, excluded, identity = stored(tmp_path / "a", [*SOUND, moved], 7, now)
    assert excluded == 0
    numbers = numbers_of(parts)
    assert parts["test"][1][numbers["test"].index(0)] == 1
    assert 0 not in numbers["train"]
    assert 1 not in numbers["valid"]
    assert identity != stored(tmp_path / "b", SOUND, 7)[2]


def test_the_model_is_that_of_memory_and_only_new_photos_are_computed(own_places, tmp_path, capsys):
    photos, table = draw_folder(tmp_path / "photos", per_class=30), tmp_path / "features.parquet"
    one = next((photos / "cat").iterdir())
    shutil.copy(one, one.with_stem("copy"))
    (photos / "dog" / "none.jpg").write_text("no photo")
    (photos / "dog" / "misnamed.jpg").write_bytes(drawing("dog", 97, "PNG"))
    (photos / "cat" / "tiny.png").write_bytes(encoded(Image.new("RGB", (31, 99)), "PNG"))

    def fitted():
        return fine_tune(str(photos), str(table), "pets", engine=OPENVINO_FP32)

    model = fitted()
    assert "62 photos done, 2 refused" in capsys.readouterr().out
    whole = pyarrow.concat_tables(StorageFolder.of(str(table)).tables(["path", "digest", "features"])).to_pylist()
    features = {one["digest"]: one["features"] for one in whole if one["features"]}
    in_memory = check(PhotoFolder(photos, "pets")).photos
    data = {
        split: (
            np.array([features[photo.digest] for photo in in_memory if photo.split == split], np.float32),
            np.array([CLASSES.index(photo.label) for photo in in_memory if photo.split == split]),
        )
        for split in ("train", "valid", "test")
    }
    fit = fit_head(data, 2)
    expected = calibrate(fit, data)
    for found, wanted in ((model.head.kernel, expected.head.kernel), (model.head.bias, expected.head.bias)):
        assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()
    assert np.allclose(model.ood_detector.centers, expected.ood_detector.centers, atol=1e-5)
    assert model.ood_detector.limit == pytest.approx(expected.ood_detector.limit, rel=1e-3)
    assert model.confidence_threshold == pytest.approx(expected.confidence_threshold, rel=1e-3)
    assert model.card.training == fit.settings
    assert model.card.data.photos == {
        split: {label: int((targets == number).sum()) for number, label in enumerate(CLASSES)}
        for split, (_, targets) in data.items()
    }
    assert model.card.data.excluded == 3
    probabilities = load_classifier(model).predict(np.stack([read_photo(drawing("dog", 99))]))
    assert probabilities.argmax() == 1

    assert fitted().id == model.id
    (photos / "cat" / "new.jpg").write_bytes(drawing("cat", 98))
    assert fitted().id != model.id
    said = capsys.readouterr().out
    assert "1 photos done, 0 refused (reasons in the column refused); 64 were already in the table." in said


def test_what_cannot_be_is_told_in_a_sentence(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "1.jpg").write_bytes(drawing())
    with refused("photos-few-classes"):
        fine_tune(str(tmp_path / "photos"), str(tmp_path / "features"))
    (tmp_path / "photos" / "dog").mkdir()
    (tmp_path / "photos" / "dog" / "1.jpg").write_text("no photo")
    with refused("photos-class-empty"):
        fine_tune(str(tmp_path / "photos"), str(tmp_path / "features"), engine=OPENVINO_FP32)
