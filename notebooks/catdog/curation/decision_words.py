"""Decisions about photos, and the words for them: "as suggested, 3fa1 out, 77b2 dog, c001 undo"."""

import enum
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from ..errors import UserError
from ..names import printable


class Action(enum.Enum):
    """What can be decided about a photo, apart from its class. A class is never one of these, whatever its name."""

    OUT = "out"
    KEEP = "keep"
    UNDO = "undo"  # takes a decision back, and is not one itself

    def __str__(self) -> str:
        return self.value


OUT: Final = Action.OUT
KEEP: Final = Action.KEEP
UNDO: Final = Action.UNDO
AS_SUGGESTED = "as suggested"
_SHORT = 4  # letters of a digest that identify a photo; more if these are ambiguous
_LETTER = re.compile(r"[^\s,;]")
_END = r"\s*(?=[,;\n]|$)"
Decision = Action | str  # or a class


def parse(
    words: str, suggested: Mapping[str, Decision], made: Collection[str], classes: Iterable[str]
) -> dict[str, Decision]:
    """Parse `words` into digest → decision: "as suggested", or a list such as "3fa1 out, 77b2 dog, c001 keep", or both:
    "as suggested, 3fa1 keep". "3fa1 undo" takes a decision back.

    A class may have any name, also one with commas. If it has the name of an action, the name means the class, and
    `leave out` and `keep as is` mean the actions.

    Args:
        suggested: digest → what is suggested about the photo.
        made: digests of photos with earlier decisions.
        classes: names of classes.

    Raises UserError for invalid words.
    """
    meanings = _meanings(classes)
    said: dict[str, Decision] = {}
    for entry, letters, word in _entries(words, meanings):
        if letters is None:
            said = {digest: _in_todays_spelling(what, meanings) for digest, what in suggested.items()} | said
            continue
        decision = _decision(word, entry, meanings)
        said[_named(letters, (made,) if decision is UNDO else (suggested, made))] = decision
    return said


def short_names(digests: Iterable[str]) -> dict[str, str]:
    """Map each digest to its shortest unambiguous beginning."""
    digests = set(digests)
    length = _SHORT
    while len({digest[:length] for digest in digests}) < len(digests):
        length += 1
    return {digest: digest[:length] for digest in digests}


def _named(letters: str, groups: Iterable[Collection[str]]) -> str:
    """Return the only digest that begins with `letters`, from the first of `groups` that has any."""
    for digests in groups:
        found = [digest for digest in digests if digest.startswith(letters.lower())]
        if len(found) == 1 and len(letters) >= _SHORT:
            return found[0]
        if found:
            break
    raise UserError(
        "decision-photo-unknown", f'"{letters}" is not the id of a photo above: begin with one of those ids.'
    )


def _meanings(classes: Iterable[str]) -> dict[str, Decision]:
    """Return word, in lower case → decision. A class takes precedence over an action of the same name."""
    actions = {"out": OUT, "leave out": OUT, "keep": KEEP, "keep as is": KEEP, "undo": UNDO}
    return actions | {label.casefold(): label for label in classes}


def _entries(words: str, meanings: dict[str, Decision]) -> list[tuple[str, str | None, str]]:
    """Split `words` into (entry, letters of the photo or None for "as suggested", the decision's word)."""
    longest_first = "|".join(re.escape(word) for word in sorted(meanings, key=len, reverse=True))
    known = re.compile(
        rf'(?P<all>{AS_SUGGESTED}){_END}|(?P<name>[0-9a-z]+)\s+"?(?P<word>{longest_first})"?{_END}|(?P<other>[^,;\n]+)',
        re.IGNORECASE,
    )
    found: list[tuple[str, str | None, str]] = []
    place = 0
    while place < len(words):
        start = _LETTER.search(words, place)
        entry = known.match(words, start.start()) if start else None
        if entry is None:
            break
        if entry["all"]:
            found.append((entry[0], None, ""))
        elif entry["name"]:
            found.append((entry[0], entry["name"], entry["word"]))
        else:
            name, _, word = entry[0].strip().partition(" ")
            found.append((entry[0].strip(), name, word.strip()))
        place = entry.end()
    return found


def _decision(word: str, entry: str, meanings: dict[str, Decision]) -> Decision:
    if word.casefold() not in meanings:
        classes = [label for label in meanings.values() if not isinstance(label, Action)]
        shown = " or ".join(classes[:10]) + (" or another class" if len(classes) > 10 else "")
        raise UserError(
            "decision-invalid",
            f'"{printable(entry)}" is not valid: write the id, then {OUT}, {KEEP}, {UNDO}, or {shown}.',
        )
    return meanings[word.casefold()]


def _in_todays_spelling(decision: Decision, meanings: Mapping[str, Decision]) -> Decision:
    return decision if isinstance(decision, Action) else meanings.get(decision.casefold(), decision)
