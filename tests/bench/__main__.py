"""The benchmark: every figure a ratio of things measured in turn within one run, never against a figure of yesterday.

    make bench                          all but the trade-off, about half an hour on two cores
    make bench BENCH="--only serving"   one part of it: serving, startup, page, classes, training, learning or pruned
    make bench BENCH="--only trade-off"  pruned models by accuracy and speed, over an hour
    make bench BENCH="--rounds 5"       more rounds, less spread
    make bench BENCH="--engine openvino-fp32"

Prints a table and writes tests/bench/results/latest.json. Photos: those of TEST_PHOTOS (train/, valid/ and test/ with
cat/ and dog/) where they are, else drawings, which have no accuracy to speak of.
"""

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import machine
from accuracy import measure_accuracy
from classes import measure_classes
from learning import measure_learning
from material import Material
from page import measure_page
from pruned import measure_pruned_model_of_auto, measure_trade_off
from report import Report
from serving import measure_serving
from startup import measure_startup
from training import measure_training

PARTS = ("serving", "startup", "page", "classes", "training", "learning", "pruned", "trade-off")
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing is measured (default 3)")
    parser.add_argument("--seconds", type=float, default=6, help="how long each load lasts (default 6)")
    parser.add_argument(
        "--trials", type=int, default=5, help="how often the original's steps, and batch sizes, are timed (default 5)"
    )
    parser.add_argument("--most", type=int, default=32, help="clients, and photos a request or batch (default 32)")
    parser.add_argument("--photos", type=int, default=500, help="photos that go through the page (default 500)")
    parser.add_argument("--engine", default="auto", help="the engine that serves (default auto)")
    parser.add_argument("--write", type=Path, default=RESULTS, help="where the figures go as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="catdog-bench-") as folder:
        os.environ.update(CATDOG_CACHE=f"{folder}/cache", MODELS_DIR=f"{folder}/models", DATA_DIR=f"{folder}/data")
        material = Material(Path(folder))
        report = Report(material.what, options)
        measured_on = machine.describe()
        report.note(machine.in_words(measured_on))
        if options.only in (None, "serving"):
            measure_serving(report, material, options)
            measure_accuracy(report, material)
        if options.only in (None, "startup"):
            measure_startup(report, material, options)
        if options.only in (None, "page"):
            measure_page(report, material, options)
        if options.only in (None, "classes"):
            measure_classes(report, material, options)
        if options.only in (None, "training"):
            measure_training(report, material, options)
        if options.only in (None, "learning"):
            measure_learning(report, material)
        if options.only in (None, "pruned"):
            measure_pruned_model_of_auto(report, material, options)
        if options.only == "trade-off":
            measure_trade_off(report, material, options)
    print(report.table())
    options.write.parent.mkdir(exist_ok=True)
    options.write.write_text(
        json.dumps(
            {
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": measured_on,
                **report.as_json(),
            },
            indent=2,
        )
    )
    print(f"\nWritten to {options.write}")


if __name__ == "__main__":
    main()
