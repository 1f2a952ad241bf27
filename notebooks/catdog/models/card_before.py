"""Translation of cards with earlier schemas, so that models saved by earlier releases keep working."""

from collections.abc import Mapping
from typing import Any

from ..engines.base import BEFORE as ENGINES_BEFORE

BEFORE = (1, 2)
# Today's file name → the name in older cards.
FILES_BEFORE = {
    "class_means.npz": "familiar.npz",
    "fine_tuned.npz": "tuned.npz",
    "int8.npz": "twin.npz",
    "pruned.npz": "compact.npz",
}
_SECTIONS = {
    "compact": "pruned",
    "confidence": "calibration",
    "drawings": "synthetic",
    "engines": "parity",
    "image_door": "preprocessing",
    "proof": "parity",
}
_WITHIN = {
    "backbone": {"tuned": "fine_tuned"},
    "calibration": {"answered": "coverage", "right": "selective_accuracy"},
    "data": {"left_out": "excluded"},
    "pruned": {"times_less": "macs_reduction"},
    "thresholds": {"far": "ood_distance", "sure": "confidence"},
}
_WERE_NOT_SHOWN = ("image_door", "proof")  # in schema 1 only, and in pruned models only
_OF_A_PRUNED_MODEL = {"allowed": "max_drop", "lost": "accuracy_drop"}


def translated(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card of an earlier schema, as plain JSON values, with today's names. Does not check its values."""
    found = {_SECTIONS.get(name, name): value for name, value in card.items()}
    for section, names in _WITHIN.items():
        found |= {section: _renamed(found[section], names)} if section in found else {}
    if "pruned" in found:
        found["pruned"] = translated(found["pruned"])
        found["pruned"]["parity"] = _renamed(found["pruned"]["parity"], _OF_A_PRUNED_MODEL)
    return found


def with_names_of_before(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return today's card with the old names beside the new ones, for clients of `/model`. To be removed with the next
    version of `catdog.API`."""
    found = dict(card)
    if "pruned" in found:
        pruned = with_names_of_before(found["pruned"])
        pruned["proof"] = _with_old_names(pruned.pop("engines"), _OF_A_PRUNED_MODEL)
        found["pruned"] = pruned
    for section, names in _WITHIN.items():
        found |= {section: _with_old_names(found[section], names)} if section in found else {}
    return found | {name: found[now] for name, now in _SECTIONS.items() if now in found and name not in _WERE_NOT_SHOWN}


def engine_of_before(name: str) -> str:
    """Return today's name of the engine that was once called `name`."""
    return ENGINES_BEFORE.get(name, name)


def _with_old_names(section: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {**section, **{name: section[now] for name, now in names.items() if now in section}}


def _renamed(section: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in section.items()}
