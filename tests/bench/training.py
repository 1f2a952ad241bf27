"""Training, side by side: ours whole, the original's by a few of its steps, in turn."""

import json
import os
import subprocess
import sys
from pathlib import Path

from catdog.progress import bar
from processes import HERE, ROOT


def measure_training(report, material, options) -> None:
    original, ours = [], []
    for number in bar(range(options.rounds), what="Training", unit="rounds"):
        folder, new = material.to_train(f"round-{number}")
        own = {"CATDOG_CACHE": f"{folder}-cache", "MODELS_DIR": f"{folder}-models"}
        original.append(run_script("training_original.py", [str(folder), str(options.trials)], {}))
        ours.append(run_script("training_ours.py", [str(folder), str(new)], own))
    report.row("the original's way, 1,200 photos (extrapolated)", seconds=original)
    for name in ("first", "again", "new 10", "new 100"):
        report.row(f"ours, {name}", seconds=[found[name] for found in ours])
    report.row(f"features on {ours[0]['engine']}", photos_per_s=[found["features"] for found in ours])
    report.row("the engine alone", photos_per_s=[found["bare"] for found in ours])

    for name, key in {"first": "first", "rerun": "again", "10_new": "new 10", "100_new": "new 100"}.items():
        report.ratio(f"train_{name}_vs_original", original, [found[key] for found in ours])
    report.ratio("features_vs_engine", *([found[key] for found in ours] for key in ("features", "bare")))


def run_script(script: str, arguments: list[str], environment: dict[str, str]):
    """The JSON that a script prints last. Raises RuntimeError with its last words when it fails."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "notebooks"), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        cwd=Path(arguments[0]).parent,
    )
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])
