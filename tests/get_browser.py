"""The browsers for the tests of the page: a Chromium that is there, else Debian's, else Playwright's own; and Debian's
Firefox ESR and WebKitGTK. Where one of these two is missing, its tests are skipped."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = {"Firefox": ("firefox-esr",), "WebKit": ("webkit2gtk-driver", "xvfb")}


def on_path() -> str | None:
    """The path of a Chromium that is installed, None where Playwright's own is to be used."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def firefox() -> str | None:
    """The path of Firefox ESR. Others are not taken: the tests are known to run in this one."""
    return shutil.which("firefox-esr")


def webkit() -> tuple[str, str, str] | None:
    """The paths of WebKitGTK's driver, of its browser, and of the screen without a monitor that it needs."""
    browser = next(map(str, Path("/usr/lib").glob("*/webkit*gtk-*/MiniBrowser")), None)
    paths = shutil.which("WebKitWebDriver"), browser, shutil.which("Xvfb")
    return paths if all(paths) else None


def how_to_get(name: str) -> str:
    """What a skipped test says."""
    packages = " ".join(PACKAGES[name])
    return f"{name} is not installed, and the page is not tested in it. On Debian: sudo apt-get install {packages}"


def playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return os.path.exists(playwright.chromium.executable_path)


def install_chromium() -> bool:
    own = [sys.executable, "-m", "playwright", "install", "chromium"]
    for install in (lambda: _from_debian("chromium"), lambda: _worked(own)):
        if install() and (on_path() or playwrights_own()):
            return True
    return False


def _missing() -> Iterator[str]:
    """The names of the other browsers that are not installed."""
    for name, installed in {"Firefox": firefox, "WebKit": webkit}.items():
        if not installed():
            yield name


def _from_debian(*packages: str) -> bool:
    if not shutil.which("apt-get"):
        return False
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    apt = [*root, "apt-get", "-qq"]
    return _worked([*apt, "update"]) and _worked([*apt, "install", "--yes", *packages])


def _worked(command: list[str]) -> bool:
    print("  " + " ".join(command), flush=True)
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def main() -> None:
    if not (on_path() or playwrights_own()):
        print("Installing a browser for the tests of the page", flush=True)
        if not install_chromium():
            sys.exit("No browser could be installed: install Chromium or Chrome, then run this again.")
    for name in list(_missing()):
        print(f"Installing {name}, to test the page in it too", flush=True)
        _from_debian("--no-install-recommends", *PACKAGES[name])
    for name in _missing():
        print(f"SKIPPED: {how_to_get(name)}", flush=True)


if __name__ == "__main__":
    main()
