"""`make keep-version`, `make release-version` and `make delete-version`; deletion first asks running services what they
serve."""

import functools
import sys

from ..errors import for_the_command_line
from ..models import housekeeping
from ..settings import environment_first
from ..web import link
from .page_preview import backend_state


def delete_version(version: str, code: str = "") -> None:
    """Delete a saved version for good, as `housekeeping.delete_version` does, unless a service answers with it now.

    Services are asked if their link files lead to them from here. One that does not say what it serves goes on with the
    model in its memory; that is printed.

    Args:
        version: "<name>/<version>".
        code: the services' access code, if they have one.
    """
    housekeeping.delete_version(version, functools.partial(_served, code))


def _served(code: str) -> list[str]:
    states = {url: backend_state(url, code) for url in link.published_urls("backend")}
    for url, state in states.items():
        if state.code in ("wants-code", "loading"):
            print(f"The service at {url} does not say which version it serves. If it is this one, it goes on.")
    return [state.model for state in states.values()]


def main() -> None:
    version, label, code = environment_first(VERSION="", LABEL="", ACCESS_CODE="")
    with for_the_command_line("Stopped."):
        match sys.argv[1]:
            case "keep":
                housekeeping.keep_version(version, label)
            case "release":
                housekeeping.release_version(version)
            case "delete":
                delete_version(version, code)


if __name__ == "__main__":
    main()
