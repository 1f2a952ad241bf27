"""Photos are decoded once a run, and what is kept of them is what decoding gives."""

import os
import subprocess
import sys

import numpy as np
import pytest
from catdog.curation.data_issues import _looks
from catdog.data import images, prepared
from catdog.data.dataset import check
from catdog.data.images import read_photo, read_squares
from catdog.data.prepared import PreparedPhotos
from catdog.data.preprocessing import FITS, PREPROCESSING, SQUEEZE, Preprocessing
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw_folder
from catdog.training.features import decoded_ahead
from conftest import ROOT, encoded
from PIL import Image


@pytest.fixture
def decoded(monkeypatch):
    """Every file that is decoded, one entry each time."""
    done, squares = [], images._squares
    monkeypatch.setattr(images, "_squares", lambda *arguments: done.append(1) or squares(*arguments))
    return done


@pytest.mark.parametrize("fit", FITS)
def test_a_new_photo_is_decoded_once_a_run(own_cache, tmp_path, decoded, fit):
    folder, preprocessing = draw_folder(tmp_path / "pets", per_class=4), Preprocessing(224, fit)
    dataset = check(PhotoFolder(folder, "pets"), preprocessing=preprocessing)
    assert len(decoded) == len(dataset.photos) == 8
    for batch, pixels in decoded_ahead(dataset.photos, preprocessing):
        assert all((one == read_photo(photo.path.read_bytes(), preprocessing=preprocessing)).all()
                   for photo, one in zip(batch, pixels))  # fmt: skip
    assert len(decoded) == 16  # by the line above, which decodes each to compare
    _looks(dataset.photos)
    assert len(decoded) == 16


def test_a_larger_photo_is_decoded_once_more_and_then_kept(own_cache, tmp_path, decoded):
    dataset = check(PhotoFolder(draw_folder(tmp_path / "pets", per_class=2), "pets"), preprocessing=Preprocessing(288))
    for _ in range(2):
        list(decoded_ahead(dataset.photos, Preprocessing(288)))
    assert len(decoded) == 8


@pytest.mark.parametrize("size", [(4000, 3000), (400, 300)])
def test_squares_of_one_decoding_are_those_of_one_each(size):
    data = encoded(Image.effect_noise(size, 90).convert("RGB"), "JPEG")
    kinds = [PREPROCESSING, Preprocessing(fit=SQUEEZE)]
    assert all(
        (one == read_photo(data, preprocessing=kind)).all() for one, kind in zip(read_squares(data, kinds), kinds)
    )


def test_where_there_is_no_room_it_is_prepared_again(own_cache, monkeypatch, tmp_path):
    store, photo = PreparedPhotos(most_bytes=200_000), np.arange(224 * 224 * 3, dtype=np.uint8).reshape(224, 224, 3)
    for digest in ("a", "b"):
        store.keep(digest, PREPROCESSING, photo)
    assert (store.find("a", PREPROCESSING) == photo).all()
    assert store.find("b", PREPROCESSING) is store.find("a", Preprocessing(fit=SQUEEZE)) is None

    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared.tempfile, "TemporaryFile", lambda buffering, dir: full(dir))
    store = PreparedPhotos()
    store.keep("a", PREPROCESSING, photo)
    assert store.find("a", PREPROCESSING) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit on files is for a process of its own")
def test_where_the_disk_gets_full_what_was_kept_before_is_found(tmp_path):
    code = """
import resource, signal, numpy as np
from catdog.data.prepared import PreparedPhotos
from catdog.data.preprocessing import PREPROCESSING
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store, photo = PreparedPhotos(), np.ones((224, 224, 3), np.uint8)
store.keep("a", PREPROCESSING, photo)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * photo.nbytes - 2000,) * 2)
for digest in "bc":
    store.keep(digest, PREPROCESSING, photo)
assert (store.find("a", PREPROCESSING) == photo).all()
assert store.find("b", PREPROCESSING) is store.find("c", PREPROCESSING) is None
"""
    environment = {**os.environ, "CATDOG_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT / "notebooks")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
