"""What is known of a saved model, as JSON: read, checked against its own digest, and put into today's words."""

import json
import math
from pathlib import Path

from ..backbones.architectures import Architecture, architecture_of
from ..engines.base import COMPACT
from ..engines.parity import ParityCheck, PrunedParityCheck
from .arrays import BundleRefused, refused_if_damaged, require_plain_file, sealed

SCHEMA = 2
_BEFORE = 1  # whose cards call the preprocessing an image door
_UPDATE = "update the suite"
CARD, FAMILIAR = "card.json", "familiar.npz"
_MOST_BYTES, _MOST_CLASSES, _MOST_LETTERS = 16 << 20, 100_000, 1000


def read_card(folder: Path) -> dict:
    """The card alone. Raises BundleRefused."""
    with refused_if_damaged(f"{folder / CARD} is damaged"):
        try:
            return _checked_card(folder)
        except FileNotFoundError:
            raise BundleRefused("model-missing", f"{folder} holds no saved model: it has no {CARD}.") from None


def _checked_card(folder: Path) -> dict:
    require_plain_file(folder / CARD, _MOST_BYTES)
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    if card["schema"] not in (SCHEMA, _BEFORE):
        raise BundleRefused("model-other-release", f"{folder} is of another release: {_UPDATE}, or train again.")
    if "digest" in card and card != sealed(card):  # cards had none before
        raise ValueError
    card = _translated(card)
    _check_kinds(card)
    _check_architecture(folder, card)
    if not (0 <= threshold(card, "sure") <= 1 and (FAMILIAR in card["files"]) <= (threshold(card, "far") > 0)):
        raise ValueError
    return card


def _check_kinds(card: dict) -> None:
    """What others rely on is there, and is what it should be. Raises what `read_card` looks for."""
    classes, metrics, parity_checks = card["classes"], card.get("metrics", {}), parity_checks_of(card).values()
    texts = (card["name"], card["version"], card["preprocessing"], card["backbone"]["name"])
    texts += (card["backbone"]["fingerprint"], card["backbone"]["features"], *card["files"], *card["files"].values())
    if not isinstance(classes, list) or not 0 < len(set(classes)) == len(classes) <= _MOST_CLASSES:
        raise ValueError
    if not all(isinstance(text, str) and len(text) <= _MOST_LETTERS for text in (*texts, *classes)):
        raise TypeError
    if not all(text and text.isprintable() for text in (card["name"], card["version"])):
        raise ValueError
    if not isinstance(card.get("judged_by", ""), str):
        raise TypeError
    numbers = [value for judged in metrics.values() for name, value in judged.items() if name != "classes"]
    numbers += [value for proof in parity_checks for value in proof.as_card().values()]
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
        raise TypeError


def _translated(card: dict) -> dict:
    """A card of the schema before in today's words."""
    if card["schema"] != _BEFORE:
        return card
    others = {name: value for name, value in card.items() if name != "image_door"}
    return {**others, "schema": SCHEMA, "preprocessing": card["image_door"]}


def architecture_of_card(card: dict) -> Architecture:
    """The backbone that the model was trained on, and its preprocessing. Raises ValueError where it is unknown here."""
    return architecture_of(card["backbone"]["name"], card["backbone"]["features"], card["preprocessing"])


def _check_architecture(folder: Path, card: dict) -> None:
    try:
        architecture_of_card(card)
    except ValueError as error:
        raise BundleRefused("model-other-release", f"{folder} cannot be used here ({error}): {_UPDATE}.") from None


def parity_checks_of(card: dict) -> dict[str, ParityCheck | PrunedParityCheck]:
    """Engines by name, with what notebook 1 found out about them."""
    parity_checks = {name: ParityCheck(**found) for name, found in card.get("engines", {}).items()}
    return parity_checks | ({COMPACT: PrunedParityCheck(**card["compact"]["proof"])} if "compact" in card else {})


def threshold(card: dict, name: str) -> float:
    """ "sure" or "far", see `calibration.Confidence.thresholds`; 0 where the card holds none."""
    return float(card.get("thresholds", {}).get(name, 0))
