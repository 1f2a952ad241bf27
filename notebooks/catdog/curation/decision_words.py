"""What can be decided about photos, and the words for it: "as suggested, 3fa1 out, 77b2 dog, c001 undo"."""

import enum
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from ..errors import UserError
from ..names import printable


class Action(enum.Enum):
    """What can be decided about a photo beside its class. No class is one of these, whatever it is called."""

    OUT = "out"
    KEEP = "keep"
    UNDO = "undo"  # which takes a decision back, and is none itself

    def __str__(self) -> str:
        return self.value


OUT: Final = Action.OUT
KEEP: Final = Action.KEEP
UNDO: Final = Action.UNDO
AS_SUGGESTED = "as suggested"
_SHORT = 4  # letters of a digest that name a photo, or more where these are not enough
_LETTER = re.compile(r"[^\s,;]")
_END = r"\s*(?=[,;\n]|$)"
Decision = Action | str  # or a class


def parse(
    words: str, suggested: Mapping[str, Decision], made: Collection[str], classes: Iterable[str]
) -> dict[str, Decision]:
    """Digest → what `words` decide: "as suggested", or such as "3fa1 out, 77b2 dog, c001 keep", or both: "as suggested,
    3fa1 keep". "3fa1 undo" takes a decision back.

    A class may be called anything, with commas, too; where one is called as an action is, it is the class that is
    meant, and `leave out` and `keep as is` mean the actions.

    Args:
        suggested: digest → what is suggested about the photo.
        made: digests of the photos that something was decided about before.
        classes: names of classes.

    Raises UserError for words that make no sense.
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
    """Digest → the first letters of it that are no other's."""
    digests = set(digests)
    length = _SHORT
    while len({digest[:length] for digest in digests}) < len(digests):
        length += 1
    return {digest: digest[:length] for digest in digests}


def _named(letters: str, groups: Iterable[Collection[str]]) -> str:
    """The digest that begins with `letters`, in the first of `groups` that has one alone."""
    for digests in groups:
        found = [digest for digest in digests if digest.startswith(letters.lower())]
        if len(found) == 1 and len(letters) >= _SHORT:
            return found[0]
        if found:
            break
    raise UserError(
        "decision-photo-unknown", f'"{letters}" is not the id of a photo above: begin with the letters of one.'
    )


def _meanings(classes: Iterable[str]) -> dict[str, Decision]:
    """Word, in small letters → what it decides. Classes come before actions of the same word."""
    actions = {"out": OUT, "leave out": OUT, "keep": KEEP, "keep as is": KEEP, "undo": UNDO}
    return actions | {label.casefold(): label for label in classes}


def _entries(words: str, meanings: dict[str, Decision]) -> list[tuple[str, str | None, str]]:
    """(entry, letters of the photo or None for all as suggested, decision's word) of each entry."""
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
