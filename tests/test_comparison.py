"""Better, worse, or the same: two versions on the same test photos."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from catdog.backbones.architectures import ARCHITECTURES, VGG16, Backbone, architecture_of
from catdog.data.dataset import Dataset, Photo, check
from catdog.data.images import read_photo
from catdog.data.known_sets import short
from catdog.data.preprocessing import SQUEEZE
from catdog.data.sources import PhotoFolder
from catdog.data.synthetic import draw
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, EngineUnavailable
from catdog.errors import UserError
from catdog.models import bundle
from catdog.models.bundle import Bundle
from catdog.models.card import BackboneOfCard, Card, DataOfCard
from catdog.models.head import Head
from catdog.models.housekeeping import keep_version
from catdog.models.writer import publish
from catdog.notebook import plots
from catdog.statistics import wilson
from catdog.training.comparison import Comparison, compare
from catdog.training.evaluation import CROSS_VALIDATION, Judgement
from catdog.training.features import FeatureCache, compute_features
from catdog.training.versions import versions_on
from conftest import EARLIER_MODEL, drawing, encoded
from PIL import Image


def a_photo(number, label, split="test"):
    return Photo(None, label, split, f"{number:016x}" + "0" * 48)


def a_head(slope, size=VGG16.size):
    """Says "dog" where the first feature has the sign of `slope`."""
    kernel = np.zeros((size, 2), np.float32)
    kernel[0] = -slope, slope
    return Head(kernel, np.zeros(2, np.float32))


def features(values):
    found = np.zeros((len(values), VGG16.size), np.float32)
    found[:, 0] = values
    return found


@dataclass(frozen=True)
class Saved(Bundle):
    """A version whose backbone is what `opened` gives."""

    opened: Callable = lambda: None

    def backbone(self, public=None):
        return self.opened()


@pytest.fixture
def newest(monkeypatch):
    """newest(slope, …): the version that was saved last; what is not named here goes into its card."""

    def save(slope, *, architecture=VGG16, fingerprint="f", engine="", opened=None, **changes):
        counts = {"train": {"cat": 1, "dog": 1}}
        features = architecture.features if len(architecture.pooling) > 1 else "max(block5_pool)"
        backbone = BackboneOfCard(architecture.name, fingerprint, features, engine=engine)
        card = Card(("cat", "dog"), backbone, architecture.preprocessing.version, "pets", "1")
        card = dataclasses.replace(card, **{"data": DataOfCard(photos=counts), **changes})
        opened = opened or (lambda: Backbone(architecture, {}, fingerprint))
        found = Saved(None, card, a_head(slope, architecture.size), None, None, opened=opened)
        monkeypatch.setattr(bundle, "find", lambda name: name)
        monkeypatch.setattr(bundle, "read", lambda folder: found)
        return found

    return save


BACKBONE = Backbone(VGG16, {}, "f")
PHOTOS = [a_photo(number, "dog") for number in range(12)]
TRAINING = [a_photo(100 + number, label, "train") for number, label in enumerate(("cat", "dog", "dog", "dog"))]
PETS = Dataset("pets", ("cat", "dog"), tuple(PHOTOS + TRAINING), ())


def test_what_was_won_and_lost(newest):
    newest(1)
    found = compare("pets", PETS, a_head(-1), features([1] * 3 + [-1] * 9), BACKBONE)
    assert (found.right_before, found.right_now, found.photos) == (3, 9, 12)
    assert [photo.digest for photo in found.regressed] == [photo.digest for photo in PHOTOS[:3]]
    assert len(found.fixed) == 9
    assert found.added == {"cat": 0, "dog": 2}
    assert found.p == pytest.approx(0.146, abs=1e-3)  # 2 · P(X ≤ 3), X of 12 coins
    assert "Right on 9 of 12 test photos; pets/1 on 3." in str(found)
    assert "Training photos: dog +2." in str(found)
    assert not found.is_worse


@pytest.mark.parametrize(("lost", "worse"), [(0, False), (5, False), (6, True), (12, True)])
def test_worse_is_what_chance_does_not_explain(newest, lost, worse):
    newest(0).head.bias[:] = -1, 1  # all are dogs
    found = compare("pets", PETS, a_head(1), features([-1] * lost + [1] * (12 - lost)), BACKBONE)
    assert found.right_before - found.right_now == len(found.regressed) == lost
    assert found.is_worse == worse


def test_better_is_never_worse(newest):
    newest(1)
    assert not compare("pets", PETS, a_head(-1), features([-1] * 12), BACKBONE).is_worse


def test_a_version_that_knows_other_classes_is_not_compared_with(newest):
    newest(1, classes=("cat", "owl"))
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None


def names(photos):
    return [short(photo.identity) for photo in photos]


@pytest.fixture
def overfitted(newest):
    """overfitted(**changes): the version before says "dog" always, and so is right on all test photos."""

    def save(**changes):
        newest(0, **changes).head.bias[:] = -1, 1

    return save


def test_photos_that_trained_the_version_before_are_left_out(overfitted):
    overfitted(trained_on=names([*PHOTOS[:8], *TRAINING]))
    found = compare("pets", PETS, a_head(1), features([-1] * 8 + [1] * 3 + [-1]), BACKBONE)
    assert (found.photos, found.right_before, found.right_now, found.trained_before) == (4, 4, 3, 8)
    assert found.regressed == (PHOTOS[11],)
    assert found.is_unseen
    assert not found.is_worse  # with all 12 photos it would be
    assert next(line for line in str(found).splitlines() if "trained on them" in line).startswith("Excluded: 8 ")


def test_features_of_the_version_before_are_computed_for_the_photos_that_are_left(
    newest, dark_in_the_middle, monkeypatch
):
    photos = dark_in_the_middle.of("test")
    newest(1, architecture=VGG16.at(224, SQUEEZE), trained_on=names(photos[:5]))
    monkeypatch.setattr("catdog.training.comparison.open_engine", lambda name, backbone, int8: Brightness(backbone))
    found = compare("pets", dark_in_the_middle, a_head(1), features([-1] * 5 + [1] * 2 + [-1] * 5), BACKBONE)
    assert (found.photos, found.right_before, found.right_now) == (7, 7, 2)
    assert found.regressed == tuple(photos[7:])


def test_where_all_test_photos_trained_it_there_is_nothing_to_compare_by(overfitted, capsys):
    overfitted(trained_on=names(PHOTOS))
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None
    told = capsys.readouterr().out
    assert "pets/1" in told
    assert "12" in told


def test_where_the_card_does_not_tell_what_trained_it_nothing_is_sure(overfitted):
    overfitted()
    unsure = compare("pets", PETS, a_head(1), features([-1] * 12), BACKBONE)
    assert (unsure.photos, unsure.trained_before, unsure.is_worse, unsure.is_unseen) == (12, 0, True, False)
    overfitted(trained_on=names(TRAINING))
    sure = compare("pets", PETS, a_head(1), features([-1] * 12), BACKBONE)
    assert (sure.photos, sure.trained_before, sure.is_worse, sure.is_unseen) == (12, 0, True, True)
    assert len(str(unsure).splitlines()) == len(str(sure).splitlines()) + 1


def test_a_version_of_the_very_same_photos_cannot_have_trained_on_those_that_test(overfitted):
    for digest, sure in ((PETS.digest(), True), ("of others", False)):
        overfitted(data=DataOfCard(digest=digest))
        assert compare("pets", PETS, a_head(1), features([-1] * 12), BACKBONE).is_unseen == sure


def test_photos_for_validation_count_as_training_photos(newest):
    newest(1, data=DataOfCard(photos={"train": {"cat": 1, "dog": 4}, "valid": {"cat": 2, "dog": 1}}))
    valid = [a_photo(200 + number, "cat", "valid") for number in range(4)]
    pets = dataclasses.replace(PETS, photos=(*PETS.photos, *valid))
    found = compare("pets", pets, a_head(1), features([1] * 12), BACKBONE)
    assert found.added == {"cat": 2, "dog": -2}


@pytest.mark.parametrize(
    ("now", "differences"),
    [
        (BACKBONE, ()),
        (Backbone(VGG16.at(288), {}, "f"), (("pixels", "224", "288"),)),
        (Backbone(VGG16.at(256, SQUEEZE), {}, "f"), (("pixels", "224", "256"), ("fit", "crop", "squeeze"))),
        (Backbone(ARCHITECTURES["ConvNeXtTiny"], {}, "g"), (("backbone", "VGG16", "ConvNeXtTiny"),)),
        (Backbone(VGG16, {}, "g", {"a": np.zeros(1)}), (("backbone", "VGG16", "VGG16, unfrozen"),)),
    ],
    ids=["none", "pixels", "pixels and fit", "backbone", "unfrozen"],
)
def test_what_else_differs_is_told(newest, monkeypatch, now, differences):
    newest(1)
    monkeypatch.setattr("catdog.training.comparison.features_by", lambda version, photos: features([1] * len(photos)))
    found = compare("pets", PETS, a_head(1), features([1] * 12), now)
    assert found.differences == differences
    told = str(found).splitlines()[3:]
    assert len(told) == 1 + bool(differences)  # one says that it is not sure
    assert all(word in told[-1] for difference in differences for word in difference)


# --- many versions ---


@pytest.fixture
def save(own_places, shipped):
    """save(slope, …): a version of "pets" on disk that says "dog" where the first feature has the sign of `slope`; what
    is not named here goes into its card."""

    def save(slope, name="pets", fingerprint="f", preprocessing=VGG16.preprocessing.version, **changes):
        backbone = BackboneOfCard("VGG16", fingerprint, VGG16.features)
        card = dataclasses.replace(Card(("cat", "dog"), backbone, preprocessing), **changes)
        return publish(name, card, a_head(slope), shipped.golden_photos, shipped.golden_probabilities)

    return save


def lines_of(table):
    """The table's lines by the ids of versions, and what stands below it."""
    heading, *lines = table.splitlines()
    assert heading.split()[:3] == ["version", "saved", "(UTC)"]
    is_version = [len(line.split()) > 5 and " cannot be judged: " not in line for line in lines]
    return {line.split()[0]: line for line in lines[: sum(is_version)]}, lines[sum(is_version) :]


def test_versions_are_judged_by_the_test_photos_of_today_that_did_not_train_them(save):
    metrics = {"test": {"accuracy": 0.5, "low": 0.1, "high": 0.9, "photos": 2}}  # on other photos, when it was saved
    worse = save(-1, trained_on=tuple(names(TRAINING)), metrics=metrics)
    better = save(1, trained_on=tuple(names([*PHOTOS[:4], *TRAINING])), data=DataOfCard(photos={"train": {"cat": 7}}))
    unsure, knows_all = save(1), save(1, trained_on=tuple(names(PHOTOS)))
    keep_version(better.id, "final")
    found, reasons = lines_of(versions_on(PETS, "pets", features([1] * 9 + [-1] * 3), BACKBONE))
    assert list(found) == [knows_all.id, unsure.id, better.id, worse.id]
    assert not reasons
    low, high = wilson(3, 12)
    assert f" 0 25.0% ({low:.1%} to {high:.1%}) 12 test photos 0.1" in " ".join(found[worse.id].split())
    low, high = wilson(5, 8)
    assert f" 7 62.5% ({low:.1%} to {high:.1%}) 8 of 12 test photos 0.1 final" in " ".join(found[better.id].split())
    assert "75.0% (" in found[unsure.id]
    assert "12 test photos, perhaps trained on them" in found[unsure.id]
    assert "none: it was trained on all test photos" in found[knows_all.id]
    assert versions_on(PETS, "", features([1] * 9 + [-1] * 3), BACKBONE).splitlines()[1].startswith(knows_all.id)


def test_the_newest_ten_versions_with_the_same_classes_are_judged(save):
    models = [save(1, classes=("cat", "owl") if number % 3 == 2 else ("cat", "dog")) for number in range(18)]
    save(1, name="birds")
    same = [model.id for model in models if model.classes == ("cat", "dog")]
    found, _ = lines_of(versions_on(PETS, "pets", features([1] * 12), BACKBONE))
    assert list(found) == same[:-11:-1]
    assert versions_on(PETS, "cars", features([1] * 12), BACKBONE) == "There is no version with these classes."


def test_versions_that_cannot_be_read_or_run_say_why_and_hide_no_other(save, monkeypatch):
    cut, damaged, elsewhere, again, odd, good = (save(1, fingerprint=letter) for letter in "ffggff")
    (cut.folder / "head.npz").write_bytes(b"cut")
    (damaged.folder / "card.json").write_text("{")
    tried = []

    def no_weights(version, photos):
        tried.append(version.id)
        raise UserError("weights-missing", "They are nowhere.")

    monkeypatch.setattr("catdog.training.versions.features_by", no_weights)
    read = bundle.read

    def breaks(folder):
        if folder == odd.folder:
            raise RuntimeError("nobody expected this\nat all")
        return read(folder)

    monkeypatch.setattr(bundle, "read", breaks)
    found, reasons = lines_of(versions_on(PETS, "pets", features([1] * 12), BACKBONE))
    assert list(found) == [model.id for model in (good, odd, again, elsewhere, damaged, cut)]
    for model in (damaged, cut):
        assert "cannot be judged [model-damaged]" in found[model.id]
    assert "cannot be judged [weights-missing]" in found[elsewhere.id]
    assert tried == [again.id]  # what takes a network to fail is not tried for each version
    assert "100.0% (" in found[good.id]
    assert len(reasons) == 5
    assert f"{odd.id} cannot be judged: nobody expected this" in reasons
    assert f"{elsewhere.id} cannot be judged: They are nowhere. [weights-missing]" in reasons


def test_each_backbone_sees_the_photos_once_and_as_its_versions_were_trained(save, dark_in_the_middle, monkeypatch):
    squeezed = VGG16.at(224, SQUEEZE).preprocessing.version
    versions = [save(1), save(1, preprocessing=squeezed), save(-1, preprocessing=squeezed)]
    opened = []
    monkeypatch.setattr(
        "catdog.training.comparison.open_engine",
        lambda name, backbone, int8: opened.append(backbone.architecture) or Brightness(backbone),
    )
    monkeypatch.setattr(Bundle, "backbone", lambda self: Backbone(self.architecture, {}, "f"))
    found, _ = lines_of(versions_on(dark_in_the_middle, "pets"))
    assert ["100.0% (" in found[version.id] for version in versions] == [False, True, False]
    assert opened == [VGG16.at(224, SQUEEZE), VGG16]
    now = compute_features(dark_in_the_middle.of("test"), Brightness(BACKBONE), FeatureCache(BACKBONE))
    assert lines_of(versions_on(dark_in_the_middle, "pets", now, BACKBONE))[0] == found
    assert len(opened) == 3  # those of today's backbone were there


def test_without_test_photos_nothing_is_judged(save):
    save(1)
    assert "no test photos" in versions_on(dataclasses.replace(PETS, photos=tuple(TRAINING)), "pets")


# --- by cross-validation ---


def a_judgement(photos, classes, answers):
    """By cross-validation, with class numbers as answers."""
    targets = np.array([classes.index(photo.label) for photo in photos])
    said = np.eye(len(classes))[answers]
    return Judgement(CROSS_VALIDATION, tuple(photos), targets, said, said, {})


def relabelled(photo, label):
    return dataclasses.replace(photo, label=label)


def test_a_label_that_was_corrected_since_judges_both_versions(newest):
    """The version before said cat to what was called a dog then: it was right, as is known now."""
    before = a_judgement(PHOTOS, PETS.classes, [0, 0] + [1] * 10)
    newest(1, judged=json.loads(json.dumps(before.as_card())))
    corrected = [*(relabelled(photo, "cat") for photo in PHOTOS[:3]), *PHOTOS[3:]]
    now = a_judgement(corrected, PETS.classes, [0, 0, 0] + [1] * 9)
    pets = dataclasses.replace(PETS, photos=(*corrected, *TRAINING))
    found = compare("pets", pets, a_head(1), features([1] * 12), BACKBONE, now)
    assert (found.photos, found.right_before, found.right_now) == (12, 11, 12)
    assert (found.regressed, found.fixed) == ((), (corrected[2],))
    assert found.is_unseen


def test_answers_of_cards_that_told_only_who_was_right_still_count(newest):
    newest(1, judged={"by": CROSS_VALIDATION, "right": names(PHOTOS[:4]), "wrong": names(PHOTOS[4:6])})
    now = a_judgement(PHOTOS, PETS.classes, [0] + [1] * 11)
    found = compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE, now)
    assert (found.photos, found.right_before, found.right_now) == (6, 4, 5)
    assert (found.regressed, found.fixed) == ((PHOTOS[0],), tuple(PHOTOS[4:6]))


def test_what_cross_validation_compares_says_what_else_differs(newest):
    newest(1, judged=a_judgement(PHOTOS, PETS.classes, [1] * 12).as_card())
    now = a_judgement(PHOTOS, PETS.classes, [1] * 12)
    found = compare("pets", PETS, a_head(1), features([1] * 12), Backbone(VGG16.at(320), {}, "f"), now)
    assert found.differences == (("pixels", "224", "320"),)


class Brightness:
    """An engine that sees in each photo its mean brightness less the half."""

    engine_id = "fp32 brightness"

    def __init__(self, backbone):
        self.backbone, self.fingerprint, self.architecture = backbone, backbone.fingerprint, backbone.architecture

    def features(self, photos):
        found = np.zeros((len(photos), self.architecture.size), np.float32)
        found[:, 0] = photos.mean(axis=(1, 2, 3)) - 127
        return found


@pytest.fixture
def dark_in_the_middle(tmp_path, own_cache):
    """Dogs that are dark in the middle and bright all in all, so that it counts how they are brought to a square."""
    photos = []
    for number in range(12):
        image = Image.new("RGB", (600, 200), (200 + number,) * 3)
        image.paste("black", (200, 0, 400, 200))
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(image, "PNG"))
        photos.append(Photo(path, "dog", "test", hashlib.sha256(path.read_bytes()).hexdigest()))
    return dataclasses.replace(PETS, photos=(*photos, *TRAINING))


@pytest.mark.parametrize(
    ("architecture", "right_before"),
    [
        (VGG16, 0),
        (VGG16.at(224, SQUEEZE), 12),
        (VGG16.at(288), 0),
        (architecture_of("VGG16", "max(block5_pool)", VGG16.at(224, SQUEEZE).preprocessing.version), 12),
    ],
    ids=["same", "squeezed", "larger", "other features"],
)
def test_a_version_of_before_sees_the_test_photos_as_it_was_trained(
    newest, dark_in_the_middle, monkeypatch, architecture, right_before
):
    newest(1, architecture=architecture)
    opened = []
    monkeypatch.setattr(
        "catdog.training.comparison.open_engine",
        lambda name, backbone, int8: opened.append(backbone) or Brightness(backbone),
    )
    now = compute_features(dark_in_the_middle.of("test"), Brightness(BACKBONE), FeatureCache(BACKBONE))
    found = compare("pets", dark_in_the_middle, a_head(1), now, BACKBONE)
    assert (found.right_before, found.right_now) == (right_before, 0)
    assert len(opened) == (architecture != VGG16)  # features that are there are not computed again


def test_where_its_engine_cannot_run_tensorflow_sees_for_it(newest, dark_in_the_middle, monkeypatch):
    newest(1, architecture=VGG16.at(224, SQUEEZE), engine="openvino-int8")
    tried = []

    def opened(name, backbone, int8=None):
        tried.append(name)
        if name != "tensorflow":
            raise EngineUnavailable("engine-not-installed", "It is not there.")
        return Brightness(backbone)

    monkeypatch.setattr("catdog.training.comparison.open_engine", opened)
    assert compare("pets", dark_in_the_middle, a_head(1), features([1] * 12), BACKBONE).right_before == 12
    assert tried == ["openvino-int8", "tensorflow"]


def test_todays_model_is_compared_with_the_one_that_was_saved_before(shipped, backbone, own_places, own_cache):
    """On drawings in the middle of a wide wall, which each sees in its own way."""
    before = bundle.read(
        shutil.copytree(EARLIER_MODEL, own_places / "models_dir" / "cats-and-dogs" / "2026-11-24-144701")
    )
    for split, seeds in {"test": range(5), "train": range(5, 6)}.items():
        for label in ("cat", "dog"):
            (own_places / "pets" / split / label).mkdir(parents=True)
            for seed in seeds:
                wall = Image.new("RGB", (640, 320), "white")
                wall.paste(draw(label, seed), (160, 0))
                wall.save(own_places / "pets" / split / label / f"{seed}.png")
    dataset = check(PhotoFolder(own_places / "pets", "pets"))
    photos, targets = dataset.of("test"), dataset.targets(dataset.of("test"))
    now = compute_features(photos, open_engine(OPENVINO_FP32, backbone), FeatureCache(backbone))
    found = compare("cats-and-dogs", dataset, shipped.head, now, backbone)
    engine = open_engine(OPENVINO_INT8, before.backbone(backbone), before.int8)
    squeezed = engine.features(
        np.stack([read_photo(photo.path, preprocessing=before.preprocessing) for photo in photos])
    )
    kept = FeatureCache(engine).read([photo.digest for photo in photos], engine.engine_id)
    assert np.abs(kept - squeezed).max() < 1e-3 * squeezed.max()
    assert (found.before, found.photos) == (before.id, len(photos))
    assert found.right_before == (before.head.logits(squeezed).argmax(axis=1) == targets).sum()
    assert found.right_now == (shipped.head.logits(now).argmax(axis=1) == targets).sum()


def test_without_the_weights_of_its_backbone_a_version_is_not_compared_with(newest, capsys):
    def backbone():
        raise UserError("weights-missing", "They are nowhere.")

    newest(1, fingerprint="g", opened=backbone)
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None
    assert "pets/1 cannot be compared: They are nowhere. [weights-missing]" in capsys.readouterr().out


def test_the_first_version_has_none_before_it(monkeypatch):
    def none(name):
        raise UserError("model-missing", "There is none.")

    monkeypatch.setattr(bundle, "find", none)
    assert compare("pets", PETS, a_head(1), features([1] * 12), BACKBONE) is None
    assert plots.changed(None) is None


def test_changed_photos_are_shown(tmp_path):
    paths = [tmp_path / name for name in ("lost.jpg", "won.jpg")]
    for path in paths:
        path.write_bytes(drawing())
    lost, won = (Photo(path, "dog", "test", "") for path in paths)
    shown = plots.changed(Comparison("pets/1", 2, 1, 1, (lost,), (won,), {}))
    assert [axis.get_title() for axis in shown.axes[:2]] == ["dog:\nno longer right", "dog:\nright now"]
