"""Settings and secrets: from a notebook's form, the environment, or Colab's secrets."""

import os
import re
import unicodedata
from collections.abc import Iterable

from . import moved
from .errors import UserError
from .paths import on_colab

_WHY_NO_SECRET = {  # by the names of google.colab.userdata's errors
    "SecretNotFoundError": "Colab has no secret {name}.",
    "NotebookAccessError": "This notebook cannot access the secret {name}: turn on its notebook access (key icon).",
    "TimeoutException": (
        "Colab did not provide the secret {name} in time: allow access when Colab asks, keep this tab open, and run "
        "this cell again. VS Code cannot read secrets: set TUNNEL to cloudflared there, or to ngrok and type the token."
    ),
}
# Current setting name → previous name. To be removed when `catdog.API` next changes.
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
_TOKEN = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z0-9]{20,}_[A-Za-z0-9]{15,}(?![A-Za-z0-9_])")  # ngrok's current format
_NAMED_TOKEN = re.compile(r"(?i:authtoken|auth_token)[\W]+([A-Za-z0-9_-]+)")


def find_secret(name: str) -> tuple[str, str]:
    """Return (a token from the environment or else from Colab's secrets, a sentence that says why there is none).

    Colab waits ten seconds for the user to answer its question. If that was too short, ask once more.
    """
    if os.environ.get(name):
        return clean_token(os.environ[name])
    if not on_colab():
        return "", ""
    from google.colab import userdata

    for is_last in (False, True):
        try:
            return clean_token(userdata.get(name) or "")
        except Exception as error:  # three unrelated classes, one of them a plain Exception
            kind = type(error).__name__
            if kind != "TimeoutException" or is_last:
                return "", _WHY_NO_SECRET.get(kind, "Colab did not provide the secret {name}.").format(name=name)
    return "", ""


def clean_token(text: str) -> tuple[str, str]:
    """Return (the ngrok token in pasted text, a sentence that says why there is none).

    The text may be an ngrok command, a line of shell or Python, or have quotes and invisible characters around it.
    """
    text = re.sub(r"\x1b\[20[01]~", "", text)  # terminals wrap pasted text in these
    plain = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc") or letter in "\n\t")
    lines = [line.strip(_AROUND) for line in plain.split("\n") if line.strip(_AROUND)]
    if not lines:
        return "", ""
    words = [*_TOKEN.findall(plain), *_TOKEN.findall("".join(lines) if all(map(str.isalnum, lines[0])) else "")]
    words += _NAMED_TOKEN.findall(plain) or (lines if len(lines) == 1 else [])
    if words and re.fullmatch(r"(?!ak_|cr_)[A-Za-z0-9_-]+", words[0]):
        return words[0], ""
    return "", "The pasted text is not an ngrok authtoken (an API key begins with ak_, an authtoken does not)."


def as_typed(name: str, text: str | None, default):
    """Convert `text` to the type of `default`; return `default` if there is no text. Raises UserError if it cannot."""
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
    """Return the given settings in order, each replaced by the environment variable of the same name if that is set.

    A value from the environment gets the type of the value it replaces (bool, int, float or str; only a str can be
    empty). So a Colab form, a test and a command line use the same settings. Previous names also work, with a printed
    hint at the current one. Raises UserError for a value of the wrong type.
    """
    return tuple(as_typed(name, in_environment(name), default) for name, default in settings.items())


def in_environment(name: str, old: str = "") -> str | None:
    """Return the environment's value of the setting `name`, under its current or its previous name.

    Args:
        old: the previous name, if it is not the one in `OLD_NAMES`.
    """
    old = old or OLD_NAMES.get(name, "")
    if name not in os.environ and old in os.environ:
        _say_name_of_today(old, name)
        return os.environ[old]
    return os.environ.get(name)


def by_names_of_today(given: dict, names: Iterable[str]) -> dict:
    """Return the settings `given` with previous names of `names` replaced by current ones; print each replacement."""
    today = {OLD_NAMES[name]: name for name in names if name in OLD_NAMES}
    for old in today.keys() & given.keys():
        _say_name_of_today(old, today[old])
    return {today.get(name, name): value for name, value in given.items()}


def _say_name_of_today(old: str, name: str) -> None:
    print(f"The setting {old} is now called {name}: please use the new name.")


def __getattr__(name: str):
    """Look up what the former module `catdog.settings` held."""
    return moved.look_up("settings", name)
