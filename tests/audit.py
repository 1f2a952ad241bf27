"""Known holes in what is installed, by pip-audit: asked of OSV, else of PyPI.

    make audit

Ends with status 1 where there are holes, and with 2 where no database could be asked, so that nothing is known.
"""

import json
import subprocess
import sys

SERVICES = {"osv": "OSV (api.osv.dev)", "pypi": "PyPI (pypi.org)"}


def findings(service: str, options: list[str]) -> list[dict]:
    """What `service` says of each package; empty where it cannot be asked."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--vulnerability-service", service]
    done = subprocess.run([*command, "--progress-spinner", "off", *options], capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []
    return found if any("skip_reason" not in package for package in found) else []


def main(options: list[str]) -> int:
    for service, name in SERVICES.items():
        print(f"Asking {name} about every package …", flush=True)
        if found := findings(service, options):
            return report(found)
    print(
        "No database of known holes can be reached from here: nothing was checked. Try again where there is internet."
    )
    return 2


def report(found: list[dict]) -> int:
    holes = [(package, hole) for package in found for hole in package.get("vulns", ())]
    for package, hole in holes:
        mended = ", ".join(hole["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {hole['id']} {' '.join(hole.get('aliases', ()))}")
        print(f"  mended in: {mended}")
    for package in found:
        if "skip_reason" in package:
            print(f"{package['name']} was not checked: {package['skip_reason']}")
    checked = sum("skip_reason" not in package for package in found)
    print(f"Packages checked: {checked}. Known holes: {len(holes)}.")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["--local"]))
