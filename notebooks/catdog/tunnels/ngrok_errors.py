"""What ngrok's error codes mean for the notebook's user (https://ngrok.com/docs/errors, read in 2026)."""

import re

from . import authtoken

_TOKEN = f"Copy it again from {authtoken.PAGE}: {{what_to_do_with_it}}."
_STOP_THE_OTHER = "Stop the other one (its Stop cell, or dashboard.ngrok.com/endpoints)"
_OTHER_WAYS = "set NGROK_DOMAIN to a domain of its own, or TUNNEL to cloudflared"
_UNTIL_NEXT_MONTH = "Wait for the next month, take a paid plan, or set TUNNEL to cloudflared."

SENTENCES = {
    105: ("This is not a valid ngrok authtoken.", _TOKEN),
    107: ("ngrok does not accept this authtoken: it was reset, revoked or cut short.", _TOKEN),
    108: (
        "Your ngrok account already runs as many agents as its plan allows (three on the free one).",
        "Stop the others (dashboard.ngrok.com/agents), or wait a minute if one of your notebooks has just ended.",
    ),
    121: (
        "ngrok no longer accepts this old version of its SDK.",
        "Run `pip install --upgrade ngrok`, restart the runtime, and run all cells again.",
    ),
    123: (
        "The e-mail address of your ngrok account is not verified.",
        "Verify it at dashboard.ngrok.com/user/settings, and run this cell again.",
    ),
    313: (
        "Choosing your own domain name needs a paid ngrok plan.",
        "Leave NGROK_DOMAIN empty, or set it to the dev domain that dashboard.ngrok.com/domains shows.",
    ),
    319: (
        "NGROK_DOMAIN is not reserved by your ngrok account.",
        "Leave it empty, or set it to a domain that dashboard.ngrok.com/domains shows.",
    ),
    320: (
        "NGROK_DOMAIN belongs to another ngrok account.",
        "Leave it empty, or set it to a domain that dashboard.ngrok.com/domains shows.",
    ),
    324: (
        "Your ngrok account already has as many links open as its plan allows (three on the free one).",
        f"{_STOP_THE_OTHER}, and run this cell again.",
    ),
    334: (
        "This ngrok address is already in use by another notebook or program of your account.",
        f"{_STOP_THE_OTHER} and run this cell again, or {_OTHER_WAYS}.",
    ),
    725: ("This month's free gigabyte of ngrok traffic is used up.", _UNTIL_NEXT_MONTH),
    727: ("This month's 20,000 free ngrok requests are used up.", _UNTIL_NEXT_MONTH),
    734: ("This ngrok address received too many requests within a minute.", "Wait a minute; it then works again."),
    3004: (
        "The link is up, but the service behind it does not answer properly.",
        "Run the cell that starts the service, then this one, again.",
    ),
    3200: ("This ngrok address is offline: no notebook uses it now.", "Run the cell that opens the link again."),
    4018: ("ngrok requires a verified account and its authtoken.", f"Sign up at dashboard.ngrok.com. {_TOKEN}"),
    6022: ("ngrok shows web pages only for accounts with an authtoken.", _TOKEN),
    6024: (
        "ngrok shows its warning page to visitors first.",
        "They tap “Visit Site” once, and do not see it again for a week.",
    ),
    8012: (
        "The link is up, but nothing answers behind it.",
        "Run the cell that starts the service, then this one, again.",
    ),
}

TOKEN_REFUSED = {"ERR_NGROK_105", "ERR_NGROK_107"}
QUOTA = {"ERR_NGROK_725", "ERR_NGROK_727", "ERR_NGROK_734"}
SERVICE_SILENT = {"ERR_NGROK_3004", "ERR_NGROK_8012"}
PASSING = {"ERR_NGROK_108", "ERR_NGROK_334"}  # our own lost session still counts, until ngrok notices


def explain(code: str, words: str = "") -> str:
    """Return cause and action for `code` ("ERR_NGROK_334"); for an unknown code, ngrok's own `words`."""
    number = int(found[1]) if (found := re.fullmatch(r"ERR_NGROK_(\d+)", code)) else 0
    if number in SENTENCES:
        told = " ".join(SENTENCES[number]).format(what_to_do_with_it=authtoken.what_to_do_with_it())
        return f"{told} ({code})"
    words = " ".join(words.replace(code, "").split()) or "no reason given"
    reference = f" See ngrok.com/docs/errors/{code.lower()}." if number else ""
    return f"ngrok says: {words.rstrip('.')}. ({code})".replace(" ()", "") + reference


def code_in(text: str) -> str:
    """Return the first ngrok error code in `text`; empty if there is none."""
    return found[0] if (found := re.search(r"ERR_NGROK_\d+", text)) else ""


def without(secret: str, text: str) -> str:
    """Remove the token from `text`, since ngrok often repeats it in its messages."""
    return text.replace(secret, "…") if secret else text
