"""Better, worse, or the same: two versions on the same test photos."""

from types import SimpleNamespace

import numpy as np
import pytest
from catdog import bundle, figures
from catdog.comparison import Comparison, compare
from catdog.dataset import Dataset, Photo
from catdog.errors import SuiteError
from catdog.head import Head
from catdog.images import DOOR
from conftest import drawing


def a_photo(number, label, split="test"):
    return Photo(None, label, split, f"{number:064x}")


def a_head(slope):
    """Says "dog" where the first feature has the sign of `slope`."""
    kernel = np.zeros((512, 2), np.float32)
    kernel[0] = -slope, slope
    return Head(kernel, np.zeros(2, np.float32))


def features(values):
    found = np.zeros((len(values), 512), np.float32)
    found[:, 0] = values
    return found


@pytest.fixture
def newest(monkeypatch):
    """newest(slope, **changes): the version that was saved last."""

    def save(slope, **changes):
        counts = {"train": {"cat": 1, "dog": 1}}
        card = {"backbone": {"fingerprint": "f"}, "image_door": DOOR, "data": {"photos": counts}, **changes}
        found = SimpleNamespace(id="pets/1", classes=("cat", "dog"), head=a_head(slope), card=card)
        monkeypatch.setattr(bundle, "find", lambda name: name)
        monkeypatch.setattr(bundle, "read", lambda folder: found)
        return found

    return save


BACKBONE = SimpleNamespace(fingerprint="f")
PHOTOS = [a_photo(number, "dog") for number in range(12)]
TRAINING = [a_photo(100 + number, label, "train") for number, label in enumerate(("cat", "dog", "dog", "dog"))]
PETS = Dataset("pets", ("cat", "dog"), tuple(PHOTOS + TRAINING), ())


def test_what_was_won_and_lost(newest):
    newest(1)
    found = compare("pets", PETS, a_head(-1), features([1] * 3 + [-1] * 9), BACKBONE)
    assert (found.right_before, found.right_now, found.photos) == (3, 9, 12)
    assert [photo.digest for photo in found.lost] == [photo.digest for photo in PHOTOS[:3]]
    assert len(found.won) == 9
    assert found.added == {"cat": 0, "dog": 2}
    assert found.p == pytest.approx(0.146, abs=1e-3)  # 2 · P(X ≤ 3), X of 12 coins
    assert "Right on 9 of 12 test photos; pets/1 on 3." in str(found)
    assert "Training photos: dog +2." in str(found)
    assert not found.is_worse


@pytest.mark.parametrize(("lost", "worse"), [(0, False), (5, False), (6, True), (12, True)])
def test_worse_is_what_chance_does_not_explain(newest, lost, worse):
    newest(0).head.bias[:] = -1, 1  # all are dogs
    found = compare("pets", PETS, a_head(1), features([-1] * lost + [1] * (12 - lost)), BACKBONE)
    assert found.right_before - found.right_now == len(found.lost) == lost
    assert found.is_worse == worse


def test_better_is_never_worse(newest):
    newest(1)
    assert not compare("pets", PETS, a_head(-1), features([-1] * 12), BACKBONE).is_worse


@pytest.mark.parametrize("changes", [{"image_door": "another"}, {"classes": ()}])
def test_what_cannot_be_compared_is_not(newest, changes):
    newest(1, **changes).classes = ("cat", "owl") if "classes" in changes else ("cat", "dog")
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None


def test_without_the_weights_of_its_backbone_a_version_is_not_compared_with(newest, capsys):
    def backbone():
        raise SuiteError("weights-missing", "They are nowhere.")

    newest(1, backbone={"fingerprint": "g"}).backbone = backbone
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None
    assert "pets/1 cannot be compared with: They are nowhere. [weights-missing]" in capsys.readouterr().out


def test_the_first_version_has_none_before_it(monkeypatch):
    def none(name):
        raise SuiteError("model-missing", "There is none.")

    monkeypatch.setattr(bundle, "find", none)
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None
    assert figures.changed(None) is None


def test_changed_photos_are_shown(tmp_path):
    paths = [tmp_path / name for name in ("lost.jpg", "won.jpg")]
    for path in paths:
        path.write_bytes(drawing())
    lost, won = (Photo(path, "dog", "test", "") for path in paths)
    shown = figures.changed(Comparison("pets/1", 2, 1, 1, (lost,), (won,), {}))
    assert [axis.get_title() for axis in shown.axes[:2]] == ["dog:\nno longer right", "dog:\nright now"]
