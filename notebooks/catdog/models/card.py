"""What is known of a saved model: read from JSON, checked against its own digest, and put into today's words."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backbones.architectures import Architecture, architecture_of
from ..engines.parity import ParityCheck, PrunedParityCheck
from .arrays import BundleRefused, refused_if_damaged, require_plain_file, sealed
from .card_before import BEFORE, FILES_BEFORE, translated

SCHEMA = 3
CARD = "card.json"
HEAD, GOLDEN, CLASS_MEANS = "head.npz", "golden.npz", "class_means.npz"
FINE_TUNED, INT8, PRUNED = "fine_tuned.npz", "int8.npz", "pruned.npz"
FILES = (HEAD, GOLDEN, CLASS_MEANS, FINE_TUNED, INT8, PRUNED)  # that the card has digests of
_UPDATE = "update the suite"
_MOST_BYTES, _MOST_CLASSES, _MOST_LETTERS, _MOST_PHOTOS = 16 << 20, 100_000, 1000, 1 << 50


@dataclass(frozen=True)
class BackboneOfCard:
    """Which backbone it is (see `architectures.Architecture`), the digest of its weights, which of its arrays are not
    ImageNet's, and the engine that computed the features."""

    name: str
    fingerprint: str
    features: str
    fine_tuned: tuple[str, ...] = ()
    engine: str = ""


@dataclass(frozen=True)
class DataOfCard:
    """The photos: `digest` of all, how many there are by split and class, and how many files were left out."""

    name: str = ""
    digest: str = ""
    photos: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    excluded: int = 0


@dataclass(frozen=True)
class Thresholds:
    """From which probability on the model is confident, and from which distance on a photo is unlike all that trained
    it; 0 where there is none."""

    confidence: float = 0.0
    ood_distance: float = 0.0


@dataclass(frozen=True)
class PrunedCard:
    """Of the pruned model: its thresholds, how it compares with the whole one, and `about`, what else is known."""

    thresholds: Thresholds
    parity: PrunedParityCheck
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """What is known of a model. The writer adds name, version, time and files.

    Attributes:
        preprocessing: its version, see `data.preprocessing.Preprocessing`.
        synthetic: whether it was trained on drawings.
        parity: engines by name, with how they compare with float32 TensorFlow.
        training, calibration: settings and results of fitting, as plain JSON values.
        metrics: by split, see `metrics.Metrics.as_card`; `judged_by`: which of them counts.
        judged: what was answered to which photo; `trained_on`: which photos trained, None where that is not known.
        loads_in: files for other tools, whether they are there or not, with what can load them. Some are added later.
        files: digests by the names of the files.
    """

    classes: tuple[str, ...]
    backbone: BackboneOfCard
    preprocessing: str
    name: str = ""
    version: str = ""
    created: str = ""
    synthetic: bool = False
    parity: dict[str, ParityCheck] = field(default_factory=dict)
    data: DataOfCard = DataOfCard()
    training: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    thresholds: Thresholds = Thresholds()
    loads_in: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    judged_by: str = ""
    judged: dict[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] | None = None
    pruned: PrunedCard | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """ "<name>/<version>", or what of it is known."""
        return "/".join(part for part in (self.name, self.version) if part)

    @property
    def architecture(self) -> Architecture:
        """The backbone and its preprocessing. Raises ValueError where they are unknown here."""
        return architecture_of(self.backbone.name, self.backbone.features, self.preprocessing)

    @property
    def judged_on(self) -> tuple[str, dict[str, Any]]:
        """("test" or "cross-validation", whichever counts; its metrics, empty where the model was never judged)."""
        by = self.judged_by or ("cross-validation" if "cross-validation" in self.metrics else "test")
        return by, self.metrics.get(by, {})

    def find_file(self, name: str) -> str | None:
        """The file that holds what is called `name` today; None where the model has none."""
        return next((file for file in (name, FILES_BEFORE.get(name)) if file in self.files), None)

    def as_json(self) -> dict[str, Any]:
        """Plain values, without what is empty; `from_json` reads them."""
        found = {name: value for name, value in dataclasses.asdict(self).items() if value not in ({}, (), "", None)}
        found |= {"pruned": {**found["pruned"].pop("about"), **found["pruned"]}} if self.pruned else {}
        found |= {"trained_on": list(self.trained_on)} if self.trained_on is not None else {}
        return {"schema": SCHEMA, **found}

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> "Card":
        """From what a file holds, of this schema or one before. Raises TypeError, ValueError, KeyError and others for
        what is no card: see `arrays.refused_if_damaged`."""
        if card["schema"] in BEFORE:
            card = translated(card)
        backbone, trained_on = card["backbone"], card.get("trained_on")
        return cls(
            classes=_classes(card["classes"]),
            backbone=BackboneOfCard(
                _text(backbone["name"]), _text(backbone["fingerprint"]), _text(backbone["features"]),
                _texts(backbone.get("fine_tuned", [])), _text(backbone.get("engine", "")),
            ),
            preprocessing=_text(card["preprocessing"]),
            name=_name(card["name"]),
            version=_name(card["version"]),
            created=_text(card.get("created", "")),
            synthetic=bool(card.get("synthetic", False)),
            parity={_text(name): _parity(one) for name, one in card.get("parity", {}).items()},
            data=_data(card.get("data", {})),
            training=dict(card.get("training", {})),
            calibration=dict(card.get("calibration", {})),
            thresholds=_thresholds(card.get("thresholds", {})),
            loads_in=dict(card.get("loads_in", {})),
            metrics={_text(split): _metrics(found) for split, found in card.get("metrics", {}).items()},
            judged_by=_text(card.get("judged_by", "")),
            judged=_judged(card.get("judged", {})),
            trained_on=None if trained_on is None else _texts(trained_on),
            pruned=_pruned(card["pruned"]) if "pruned" in card else None,
            libraries=dict(card.get("libraries", {})),
            files={_file(name): _text(digest) for name, digest in card["files"].items()},
        )  # fmt: skip


def read_card(folder: Path) -> Card:
    """The card alone. Raises BundleRefused."""
    with refused_if_damaged(f"{folder / CARD} is damaged"):
        try:
            return _checked_card(folder)
        except FileNotFoundError:
            raise BundleRefused("model-missing", f"{folder} holds no saved model: it has no {CARD}.") from None


def _checked_card(folder: Path) -> Card:
    require_plain_file(folder / CARD, _MOST_BYTES)
    found = json.loads((folder / CARD).read_text(encoding="utf-8"), parse_constant=_refused)
    if found["schema"] not in (SCHEMA, *BEFORE):
        raise BundleRefused("model-other-release", f"{folder} is of another release: {_UPDATE}, or train again.")
    if "digest" in found and found != sealed(found):  # cards had none before
        raise ValueError
    card = Card.from_json(found)
    card.as_json()  # what is nested beyond measure cannot be shown either
    try:
        card.architecture  # noqa: B018
    except ValueError as error:
        raise BundleRefused("model-other-release", f"{folder} cannot be used here ({error}): {_UPDATE}.") from None
    if card.find_file(CLASS_MEANS) and not card.thresholds.ood_distance > 0:
        raise ValueError
    return card


def _data(found: Mapping[str, Any]) -> DataOfCard:
    by_split = found.get("photos", {}).items()
    photos = {_text(split): {_text(label): _count(one) for label, one in counts.items()} for split, counts in by_split}
    name, digest = (_text(found.get(key, "")) for key in ("name", "digest"))
    return DataOfCard(name, digest, photos, _count(found.get("excluded", 0)))


def _thresholds(found: Mapping[str, Any]) -> Thresholds:
    thresholds = Thresholds(**{name: float(_number(value)) for name, value in found.items()})
    if not 0 <= thresholds.confidence <= 1:
        raise ValueError
    return thresholds


def _parity(found: Mapping[str, Any]) -> ParityCheck:
    numbers = _numbers(found)
    return ParityCheck(photos=_count(numbers.pop("photos")), **numbers)


def _pruned(found: Mapping[str, Any]) -> PrunedCard:
    about = {name: value for name, value in found.items() if name not in ("thresholds", "parity")}
    numbers = _numbers(found["parity"])
    parity = PrunedParityCheck(photos=_count(numbers.pop("photos")), **numbers)
    return PrunedCard(_thresholds(found["thresholds"]), parity, about)


def _judged(found: Mapping[str, Any]) -> dict[str, Any]:
    for photo, answer in found.get("answers", {}).items():
        _text(photo), _count(answer)
    for known in ("right", "wrong"):
        _texts(found.get(known, []))
    return dict(found)


def _metrics(found: Mapping[str, Any]) -> dict[str, Any]:
    numbers = _numbers({name: value for name, value in found.items() if name != "classes"})
    if not all(0 <= numbers.get(share, 0) <= 1 for share in ("accuracy", "low", "high")):
        raise ValueError
    _count(numbers.get("photos", 0))
    return dict(found)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _file(name: str) -> str:
    if name not in (*FILES, *FILES_BEFORE.values()):
        raise ValueError
    return name


def _count(found: float) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < _MOST_PHOTOS:
        raise TypeError
    return found


def _classes(found: list) -> tuple[str, ...]:
    classes = _texts(found)
    if not 0 < len(set(classes)) == len(classes) <= _MOST_CLASSES:
        raise ValueError
    return classes


def _name(found: str) -> str:
    if not (_text(found) and found.isprintable()):
        raise ValueError
    return found


def _texts(found: list) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise TypeError
    return tuple(_text(one) for one in found)


def _text(found: str) -> str:
    if not isinstance(found, str) or len(found) > _MOST_LETTERS:
        raise TypeError
    return found


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in found.items()}


def _number(found: float) -> float:
    if not isinstance(found, (int, float)) or not math.isfinite(found):
        raise TypeError
    return found
