"""What is measured on: real photos where they are, drawings elsewhere."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
from catdog.data.images import read_photo
from catdog.data.synthetic import CLASSES, draw
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = Path(os.environ.get("TEST_PHOTOS", ROOT.parent / "shared" / "photos"))
SIZES = {"train": 500, "valid": 100, "test": 50}  # a class, as the original had
NEW = 110


class Material:
    """Photos in folders below `folder`.

    Attributes:
        what: in words, for the report.
        real: whether they are photographs.
        folder: for whatever is made.
        root: train/, valid/ and test/, each with cat/ and dog/.
    """

    def __init__(self, folder: Path):
        self.real = PHOTOS.is_dir()
        self.what = f"photographs in {PHOTOS.name}/" if self.real else "drawings"
        self.root, self.folder = (PHOTOS if self.real else folder / "drawings"), folder
        if not self.real:
            self._draw()

    def _draw(self) -> None:
        for place, (split, each) in enumerate(SIZES.items()):
            for label in CLASSES:
                folder = self.root / split / label
                folder.mkdir(parents=True)
                for number in range(each):
                    draw(label, 10_000 * place + number).save(folder / f"{number}.jpg", quality=90)

    def files(self, *splits: str) -> list[Path]:
        """Cats and dogs in turn."""
        pairs = (zip(*(sorted((self.root / split / label).iterdir()) for label in CLASSES)) for split in splits)
        return [path for split in pairs for pair in split for path in pair]

    def to_serve(self) -> list[bytes]:
        return [path.read_bytes() for path in self.files("test")]

    def ready(self) -> Path:
        """The same as arrays, in a file."""
        path = self.folder / "ready.npy"
        np.save(path, np.stack([read_photo(data) for data in self.to_serve()]))
        return path

    def to_train(self, name: str) -> tuple[Path, Path]:
        """A folder of 1,200 photos to train and validate on, and one of 110 new ones: others' copies, saved anew."""
        folder, new = self.folder / name, self.folder / f"{name}-new"
        for split in ("train", "valid"):
            shutil.copytree(self.root / split, folder / split)
        new.mkdir()
        for number, path in enumerate(self.files("test", "valid")[:NEW]):
            file = io.BytesIO()
            Image.open(path).convert("RGB").save(file, "JPEG", quality=80)
            (new / f"{path.parent.name}-{number:03}.jpg").write_bytes(file.getvalue())
        return folder, new
