"""The metadata of a saved model: read from JSON, checked against its own digest, and translated to today's schema."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backbones.architectures import Architecture, architecture_of
from ..engines.parity import EarlierPrunedParityCheck, ParityCheck, PrunedParityCheck
from .arrays import BundleRefused, refused_if_damaged, require_plain_file, sealed
from .card_before import BEFORE, FILES_BEFORE, translated

SCHEMA = 3
CARD = "card.json"
HEAD, GOLDEN, CLASS_MEANS = "head.npz", "golden.npz", "class_means.npz"
FINE_TUNED, INT8, PRUNED = "fine_tuned.npz", "int8.npz", "pruned.npz"
FILES = (HEAD, GOLDEN, CLASS_MEANS, FINE_TUNED, INT8, PRUNED)  # those whose digests the card holds
_UPDATE = "update the suite"
_MOST_BYTES, _MOST_CLASSES, _MOST_LETTERS, _MOST_PHOTOS = 16 << 20, 100_000, 1000, 1 << 50
_OF_THE_AUTHOR = ("judged", "trained_on")  # which photos there are


@dataclass(frozen=True)
class BackboneOfCard:
    """The backbone (see `architectures.Architecture`), the digest of its weights, the names of its fine-tuned arrays,
    and the engine that computed the features."""

    name: str
    fingerprint: str
    features: str
    fine_tuned: tuple[str, ...] = ()
    engine: str = ""


@dataclass(frozen=True)
class DataOfCard:
    """The photos: a `digest` of all, their number by split and class, and how many files were excluded."""

    name: str = ""
    digest: str = ""
    photos: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    excluded: int = 0


@dataclass(frozen=True)
class Thresholds:
    """The probability from which the model is confident, and the distance from which a photo is unlike all training
    photos; 0 if not set."""

    confidence: float = 0.0
    ood_distance: float = 0.0


@dataclass(frozen=True)
class PrunedCard:
    """Metadata of the pruned model: its thresholds, its parity with the full model by the rule of the release that
    saved it, and everything else in `about`."""

    thresholds: Thresholds
    parity: PrunedParityCheck | EarlierPrunedParityCheck
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """The metadata of a model. The writer adds name, version, time and files.

    Attributes:
        preprocessing: its version, see `data.preprocessing.Preprocessing`.
        synthetic: whether it was trained on drawings.
        parity: engine name → its parity with float32 TensorFlow.
        training, calibration: settings and results of fitting, as plain JSON values.
        metrics: by split, see `metrics.Metrics.as_card`; `judged_by`: the one that counts.
        judged: the answer for each photo; `trained_on`: the training photos, None if unknown.
        loads_in: file for other tools → what can load it, whether the file exists or not. Some are added later.
        files: file name → digest.
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
        """ "<name>/<version>", or the part of it that is known."""
        return "/".join(part for part in (self.name, self.version) if part)

    @property
    def architecture(self) -> Architecture:
        """Backbone and its preprocessing. Raises ValueError if this release does not know them."""
        return architecture_of(self.backbone.name, self.backbone.features, self.preprocessing)

    @property
    def judged_on(self) -> tuple[str, dict[str, Any]]:
        """("test" or "cross-validation", whichever counts; its metrics, empty if the model was never evaluated)."""
        by = self.judged_by or ("cross-validation" if "cross-validation" in self.metrics else "test")
        return by, self.metrics.get(by, {})

    def find_file(self, name: str) -> str | None:
        """Return the name that the file called `name` today has in this model; None if the model has no such file."""
        return next((file for file in (name, FILES_BEFORE.get(name)) if file in self.files), None)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, without empty ones; `from_json` reads them."""
        found = {name: value for name, value in dataclasses.asdict(self).items() if value not in ({}, (), "", None)}
        found |= {"pruned": {**found["pruned"].pop("about"), **found["pruned"]}} if self.pruned else {}
        found |= {"trained_on": list(self.trained_on)} if self.trained_on is not None else {}
        return {"schema": SCHEMA, **found}

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> "Card":
        """Create a card from the content of a file, in this schema or an earlier one. Raises TypeError, ValueError,
        KeyError and others for anything that is not a card: see `arrays.refused_if_damaged`."""
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


def public_part(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card, as plain JSON values, without what says which photos there are."""
    return {name: value for name, value in card.items() if name not in _OF_THE_AUTHOR}


def read_card(folder: Path) -> Card:
    """Read the card only. Raises BundleRefused."""
    with refused_if_damaged(f"{folder / CARD} is damaged"):
        try:
            return _checked_card(folder)
        except FileNotFoundError:
            raise BundleRefused("model-missing", f"{folder} holds no saved model: it has no {CARD}.") from None


def _checked_card(folder: Path) -> Card:
    require_plain_file(folder / CARD, _MOST_BYTES)
    found = json.loads((folder / CARD).read_text(encoding="utf-8"), parse_constant=_refused)
    if found["schema"] not in (SCHEMA, *BEFORE):
        raise BundleRefused("model-other-release", f"{folder} was saved by another release: {_UPDATE}, or train again.")
    if "digest" in found and found != sealed(found):  # older cards have no digest
        raise ValueError
    card = Card.from_json(found)
    card.as_json()  # raises for values that are nested too deeply to be shown later
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
    return PrunedCard(_thresholds(found["thresholds"]), _pruned_parity(found["parity"]), about)


def _pruned_parity(found: Mapping[str, Any]) -> PrunedParityCheck | EarlierPrunedParityCheck:
    """Read a check of today, or one with all the fields of an earlier release and no others."""
    numbers = _numbers(found)
    photos, earlier = _count(numbers.pop("photos")), {one.name for one in dataclasses.fields(EarlierPrunedParityCheck)}
    if set(found) == earlier:
        return EarlierPrunedParityCheck(photos=photos, **numbers)
    return PrunedParityCheck(photos=photos, **numbers)


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
