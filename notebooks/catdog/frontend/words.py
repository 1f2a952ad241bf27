"""The words of the page, in one file for each language: words/<language>.json.

A file has two parts: `page`, the words of page.html, and `script`, those of the scripts. There, words that depend on a
number have a form for each plural of the language, by their names in Unicode CLDR ("one", "few", "other"). The parts
`site_page` and `site_script` hold what a page without a service says in addition, or instead.
"""

import functools
import json
import re
from pathlib import Path

from jinja2 import TemplateError
from werkzeug.datastructures import LanguageAccept

from ..errors import UserError

FILES = Path(__file__).parent
ENGLISH = "en"
_PARTS = ("page", "script")
_SITE = "site_"  # before the name of a part
_TAG = re.compile("[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # of BCP 47, as far as browsers take it
_RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")


def languages(files: Path = FILES) -> list[str]:
    """Return the languages for which there is a file, as tags of BCP 47."""
    return sorted(path.stem for path in (files / "words").glob("*.json") if _TAG.fullmatch(path.stem))


def require_language(language: str) -> None:
    """Raise UserError unless the page has words in this language. An empty text means that of the browser."""
    if language and language not in languages():
        raise UserError(
            "language-unknown",
            f"LANGUAGE is {language!r}, but the page speaks {', '.join(languages())}. "
            "Leave it empty to follow each tester's browser.",
        )


def choose_language(accepted: LanguageAccept, fixed: str = "", files: Path = FILES) -> str:
    """Return the language that is `fixed`, else the first that the browser prefers and the page speaks, else English.

    This is the lookup of RFC 4647, section 3.4: who reads the German of Austria reads German. Werkzeug's `best_match`
    gives them English where that is their second choice.
    """
    known = languages(files)
    preferred = (tag for tag, quality in accepted if quality > 0)
    found = (name for tag in preferred for name in _from_special_to_general(tag) if name in known)
    return fixed or next(found, ENGLISH)


def _from_special_to_general(tag: str) -> list[str]:
    """Return ["zh-Hant-TW", "zh-Hant", "zh"] for the first of them."""
    parts = tag.split("-")
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]


def read_words(language: str, files: Path = FILES) -> dict[str, dict]:
    """Return {"page": …, "script": …}. Words that the language lacks are English.

    Raises TemplateError if a file cannot be read as words.
    """
    english, own = _english_and_own(language, files)
    return {part: english.get(part, {}) | own.get(part, {}) for part in _PARTS}


def read_site_words(language: str, files: Path = FILES) -> dict[str, dict]:
    """Return the same for a page without a service."""
    both = _english_and_own(language, files)
    layers = {part: [words.get(name, {}) for name in (part, _SITE + part) for words in both] for part in _PARTS}
    return {part: functools.reduce(_merged, found) for part, found in layers.items()}


def _english_and_own(language: str, files: Path) -> list[dict[str, dict]]:
    return [_read(files / "words" / f"{name}.json") for name in (ENGLISH, language)]


def _merged(words: dict, others: dict) -> dict:
    """Return the words with the others in addition, or in their place. Problems are merged one by one."""
    problems = {**words.get("problems", {}), **others.get("problems", {})}
    return {**words, **others, **({"problems": problems} if problems else {})}


def direction(language: str) -> str:
    """Return the direction of the writing, "rtl" or "ltr"."""
    return "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def _read(path: Path) -> dict[str, dict]:
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateError(f"{path.name}: {error}") from None
    parts = (*_PARTS, *(_SITE + part for part in _PARTS))
    if not isinstance(words, dict) or not all(isinstance(words.get(part, {}), dict) for part in parts):
        raise TemplateError(f'{path.name} must have the parts "page" and "script", each in curly brackets')
    return words
