"""Who set what: a notebook's form, the environment, or Colab's secrets."""

import os
import re
import unicodedata
from collections.abc import Iterable

from . import moved
from .errors import UserError
from .paths import on_colab

_WHY_NO_SECRET = {  # by the names of google.colab.userdata's errors
    "SecretNotFoundError": "Colab has no secret {name}.",
    "NotebookAccessError": "This notebook may not see the secret {name}: switch on its notebook access (key icon).",
    "TimeoutException": (
        "Colab did not hand over its secret {name} in time: allow it where Colab asks, keep this tab open, and run "
        "this cell again. In VS Code, which hands over none, set TUNNEL to cloudflared, or to ngrok and type the token."
    ),
}
# Settings by their names today, and what they were called before. To be removed with the next number of `catdog.API`.
OLD_NAMES = {
    "CORS_ORIGINS": "ORIGINS",
    "LABELS_OUT": "OUT",
    "LABEL_PHOTOS": "PHOTOS",
    "MAX_REPLICAS": "REPLICAS",
    "MIN_REPLICAS": "FEWEST",
    "PRUNE": "COMPACT",
    "PRUNE_MAX_DROP": "COMPACT_MAY_LOSE",
    "SAVE_WHEN": "PUBLISH",
    "TARGET_ACCURACY": "SURE_IS_RIGHT",
    "TEST_PHOTO": "PHOTO",
}
_AROUND = " \t\r\"'`“”„‘’«»<>()[]{}.,;"
_TOKEN = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z0-9]{20,}_[A-Za-z0-9]{15,}(?![A-Za-z0-9_])")  # as ngrok makes them today
_NAMED_TOKEN = re.compile(r"(?i:authtoken|auth_token)[\W]+([A-Za-z0-9_-]+)")


def find_secret(name: str) -> tuple[str, str]:
    """(a token by name from the environment, else from Colab's secrets; why there is none, as a sentence).

    Colab waits ten seconds for a person who still reads its question: where that was too short, it is asked once more.
    """
    if os.environ.get(name):
        return clean_token(os.environ[name])
    if not on_colab():
        return "", ""
    from google.colab import userdata

    for is_last in (False, True):
        try:
            return clean_token(userdata.get(name) or "")
        except Exception as error:  # three unrelated classes, of which one is a plain Exception
            kind = type(error).__name__
            if kind != "TimeoutException" or is_last:
                return "", _WHY_NO_SECRET.get(kind, "Colab did not give its secret {name}.").format(name=name)
    return "", ""


def clean_token(text: str) -> tuple[str, str]:
    """(the token in what people paste, why there is none in it): a command of ngrok's, a line of a shell or of Python,
    quotes and letters that cannot be seen around it."""
    text = re.sub(r"\x1b\[20[01]~", "", text)  # around what was pasted into a terminal
    plain = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc") or letter in "\n\t")
    lines = [line.strip(_AROUND) for line in plain.split("\n") if line.strip(_AROUND)]
    if not lines:
        return "", ""
    words = [*_TOKEN.findall(plain), *_TOKEN.findall("".join(lines) if all(map(str.isalnum, lines[0])) else "")]
    words += _NAMED_TOKEN.findall(plain) or (lines if len(lines) == 1 else [])
    if words and re.fullmatch(r"(?!ak_|cr_)[A-Za-z0-9_-]+", words[0]):
        return words[0], ""
    return "", "What was pasted is not an ngrok authtoken (an API key begins with ak_, an authtoken does not)."


def as_typed(name: str, text: str | None, default):
    """`text` with the type of `default`; that where there is none. Raises UserError for text that does not fit."""
    if text is None or (text == "" and not isinstance(default, str)):
        return default
    if isinstance(default, bool):
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise UserError("setting-type", f'{name} must be true or false, not "{text}".')
    try:
        return type(default)(text)
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise UserError("setting-type", f'{name} must be {kind}, not "{text}".') from None


def environment_first(**settings) -> tuple:
    """The given settings in order, each replaced by the environment variable of its name where that is set.

    Text from the environment takes the type of the value it replaces (bool, int, float or str; only text can be
    set to nothing). So a Colab form, a test and a command line turn the same knobs. An old name is taken, too, and
    the new one is said. Raises UserError for text that does not fit.
    """
    return tuple(as_typed(name, in_environment(name), default) for name, default in settings.items())


def in_environment(name: str, old: str = "") -> str | None:
    """What the environment holds for the setting `name`, under that name or the one that it had before.

    Args:
        old: the name before, where it is not that of `OLD_NAMES`.
    """
    old = old or OLD_NAMES.get(name, "")
    if name not in os.environ and old in os.environ:
        _say_name_of_today(old, name)
        return os.environ[old]
    return os.environ.get(name)


def by_names_of_today(given: dict, names: Iterable[str]) -> dict:
    """`given` settings; one that goes by the name that one of `names` had before, by that of today, which is said."""
    today = {OLD_NAMES[name]: name for name in names if name in OLD_NAMES}
    for old in today.keys() & given.keys():
        _say_name_of_today(old, today[old])
    return {today.get(name, name): value for name, value in given.items()}


def _say_name_of_today(old: str, name: str) -> None:
    print(f"The setting {old} is called {name} now: please use that name.")


def __getattr__(name: str):
    """What was called `catdog.settings` before."""
    return moved.look_up("settings", name)
