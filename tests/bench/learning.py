"""What re-running is worth: the doctor, honest confidence, and how many photos it takes. Shares, not times.

All photos are dealt anew for each draw: 1,000 to train on, of which 200 are for validation, and 300 to judge.
"""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from catdog.backbones.architectures import load_backbone
from catdog.curation.data_issues import find_issues
from catdog.curation.decision_words import AS_SUGGESTED
from catdog.curation.decisions import Decisions
from catdog.data.dataset import Dataset, Photo, check
from catdog.data.folders import TEST, TRAIN, VALID
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.training.calibration import calibrate, calibration_error
from catdog.training.engine_selection import EngineSelection
from catdog.training.features import FeatureCache, features_by_split
from catdog.training.linear_head import fit_head, train_and_valid
from PIL import Image, ImageDraw, ImageEnhance

DRAWS, DRAWS_OF_FEW, SIZES = 3, 10, (10, 50, 100, 500)
_DEALT = {TRAIN: 800, VALID: 200, TEST: 300}
_TURNED, _PLANTED = 30, 20
_STRANGERS = 20  # of each kind


def measure_learning(report, material) -> None:
    if not material.real:
        report.note("what re-running is worth needs real photos: left out")
        return
    backbone = load_backbone()
    store = FeatureCache(backbone)
    dataset = check(PhotoFolder(material.root, "learning"))
    engine = EngineSelection(dataset, backbone, store).chosen
    strangers = engine.features(np.stack([read_photo(data) for data in _strangers()]))
    dealt = [_dealt(dataset, seed) for seed in range(DRAWS)]
    _measure_doctor(report, material.folder, dealt, lambda some: features_by_split(some, engine, store))
    _measure_confidence(report, [features_by_split(some, engine, store) for some in dealt], strangers)
    _measure_sizes(report, features_by_split(dealt[0], engine, store))


def _dealt(dataset: Dataset, seed: int) -> Dataset:
    order = np.random.default_rng(seed).permutation(len(dataset.photos))
    splits = [split for split, number in _DEALT.items() for _ in range(number)]
    photos = (dataclasses.replace(dataset.photos[place], split=split) for place, split in zip(order, splits))
    return dataclasses.replace(dataset, name=f"draw-{seed}", photos=tuple(photos))


def _measure_doctor(report, folder: Path, dealt: list[Dataset], features_of) -> None:
    """Labels of training and validation photos turned round, near-copies of test photos planted among training ones."""
    found = {name: [] for name in ("labels", "labels_right", "copies", "copies_right", "before", "after")}
    for seed, clean in enumerate(dealt):
        chance = np.random.default_rng(seed)
        turned = set(chance.choice(_DEALT[TRAIN] + _DEALT[VALID], _TURNED, replace=False).tolist())
        photos = [_turned(photo, clean) if place in turned else photo for place, photo in enumerate(clean.photos)]
        wrong = {clean.photos[place].digest for place in turned}
        planted = _planted(clean.of(TEST)[:_PLANTED], folder / f"planted {seed}", chance)
        harmed = dataclasses.replace(clean, photos=(*photos, *planted))
        decisions = Decisions(harmed.name)
        suggestions = find_issues(harmed, features_of(harmed), decisions)
        decisions.record(AS_SUGGESTED, suggestions, harmed.classes)
        for kind, words, really in (
            ("labels", "probably no", wrong), ("copies", "nearly identical", {photo.digest for photo in planted}),
        ):  # fmt: skip
            said = {one.photo.digest for one in suggestions if one.why.startswith(words)}
            found[kind].append(len(said & really) / len(really))
            found[f"{kind}_right"].append(len(said & really) / max(1, len(said)))
        for when, some in (("before", harmed), ("after", decisions.apply(harmed))):
            found[when].append(_right(features_of(some)))
    report.row(f"the doctor: {_TURNED} wrong labels", found=found["labels"], right=found["labels_right"])
    report.row(f"the doctor: {_PLANTED} near-copies of test photos", found=found["copies"], right=found["copies_right"])
    report.row("right of 300 unseen photos", with_wrong_labels=found["before"], as_suggested=found["after"])


def _turned(photo: Photo, dataset: Dataset) -> Photo:
    (other,) = set(dataset.classes) - {photo.label}
    return dataclasses.replace(photo, label=other)


def _planted(photos: list[Photo], folder: Path, chance: np.random.Generator) -> list[Photo]:
    """Cut a little, brightened or darkened, smaller, compressed anew."""
    for photo in photos:
        (folder / photo.label).mkdir(parents=True, exist_ok=True)
        image = Image.open(photo.path).convert("RGB")
        cut = [round(side * share) for side, share in zip(image.size * 2, chance.uniform(0, 0.03, 4))]
        image = image.crop((cut[0], cut[1], image.width - cut[2], image.height - cut[3]))
        image = ImageEnhance.Brightness(image.reduce(2)).enhance(chance.uniform(0.85, 1.15))
        image.save(folder / photo.label / f"{photo.digest[:16]}.jpg", quality=70)
    return [dataclasses.replace(photo, split=TRAIN) for photo in check(PhotoFolder(folder, "planted")).photos]


def _measure_confidence(report, draws: list[dict], strangers: np.ndarray) -> None:
    found = {name: [] for name in ("before", "corrected", "sure_of", "right", "strangers", "by_probability_alone")}
    for data in draws:
        fit = fit_head(data, 2)
        confidence = calibrate(fit, data)
        features, targets = data[TEST]
        sure = confidence.is_confident(features)
        confident = confidence.head.probabilities(strangers).max(axis=1) >= confidence.confidence_threshold
        found["before"].append(calibration_error(fit.head.probabilities(features), targets))
        found["corrected"].append(calibration_error(confidence.head.probabilities(features), targets))
        found["sure_of"].append(sure.mean())
        found["right"].append((confidence.head.logits(features).argmax(axis=1) == targets)[sure].mean())
        found["strangers"].append(1 - confidence.is_confident(strangers).mean())
        found["by_probability_alone"].append(1 - confident.mean())
    report.row("calibration error", before=found["before"], corrected=found["corrected"])
    report.row("sure, with 99 % wanted", of=found["sure_of"], right=found["right"])
    report.row(
        f"{len(strangers)} strangers are not sure", share=found["strangers"],
        by_probability_alone=found["by_probability_alone"],
    )  # fmt: skip


def _measure_sizes(report, data: dict) -> None:
    """With fewer photos."""
    features, targets = train_and_valid(data)
    for size in SIZES:
        shares = []
        for seed in range(DRAWS_OF_FEW):
            chance = np.random.default_rng(seed)
            some = np.concatenate([chance.permutation(np.flatnonzero(targets == label))[:size] for label in (0, 1)])
            few = {TRAIN: (features[some], targets[some]), VALID: (features[:0], targets[:0])}
            shares.append(_right({**few, TEST: data[TEST]}))
        report.row(f"right with {size} photos a class", mean=float(np.mean(shares)), spread=float(np.std(shares)))


def _right(data: dict) -> float:
    head = fit_head(data, 2).head
    features, targets = data[TEST]
    return float((head.logits(features).argmax(axis=1) == targets).mean())


def _strangers() -> Iterator[bytes]:
    """Pages of text, noise, stripes, blots and plain walls."""
    for seed in range(_STRANGERS):
        chance = np.random.default_rng(seed)
        colours = [tuple(color) for color in chance.integers(0, 256, (12, 3)).tolist()]
        page, stripes, blots, wall = (Image.new("RGB", (300, 300), colours[0]) for _ in range(4))
        page.paste("white", (0, 0, 300, 300))
        for y in range(10, 290, 14):
            words = "".join(chance.choice(list("abcdefghi jklm nopqrst uvwxyz "), 46))
            ImageDraw.Draw(page).text((10, y), words, fill="black")
        for x in range(0, 300, int(chance.integers(6, 40))):
            ImageDraw.Draw(stripes).line((x, 0, x + int(chance.integers(-80, 80)), 300), colours[1], int(x % 9 + 3))
        for color in colours[1:]:
            x, y, r = chance.integers(0, 300, 3).tolist()
            ImageDraw.Draw(blots).ellipse((x, y, x + r, y + r), color)
        noise = Image.fromarray(chance.integers(0, 256, (int(chance.choice([6, 40, 300])),) * 2 + (3,), np.uint8))
        for image in (page, noise.resize((300, 300)), stripes, blots, wall):
            file = io.BytesIO()
            image.save(file, "PNG")
            yield file.getvalue()
