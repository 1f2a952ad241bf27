"""The browser for the tests: one that is there, else Debian's Chromium, else Playwright's own."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def on_path() -> str | None:
    """The path of a browser that is installed, None where Playwright's own is to be used."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return os.path.exists(playwright.chromium.executable_path)


def install() -> bool:
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    debian = [[*root, "apt-get", "update", "-qq"], [*root, "apt-get", "install", "-qq", "--yes", "chromium"]]
    own = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    for steps in ([debian] if shutil.which("apt-get") else []) + [own]:
        if all(_worked(step) for step in steps) and (on_path() or playwrights_own()):
            return True
    return False


def _worked(command: list[str]) -> bool:
    print("  " + " ".join(command), flush=True)
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    if not (on_path() or playwrights_own()):
        print("Installing a browser for the tests of the page", flush=True)
        if not install():
            sys.exit("No browser could be installed: install Chromium or Chrome, then run this again.")
