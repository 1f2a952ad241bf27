"""The benchmark of serving runs, compares what it says it compares, and writes figures that others can read.

Those of starting, of the page and of training take as long again, and are left to whoever runs `make bench`.
"""

import json
import math
import os
import subprocess
import sys

import pytest
from catdog.data.synthetic import draw
from conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.weights]

COUNTS = {"train": 1, "valid": 2, "test": 2}  # a class


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run as short as can be, on drawings in the place of real photos."""
    folder = tmp_path_factory.mktemp("bench")
    for place, (split, count) in enumerate(COUNTS.items()):
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                draw(label, 100 * place + number).save(folder / split / label / f"{number}.jpg")
    written = folder / "results.json"
    done = subprocess.run(
        [
            sys.executable,
            "tests/bench",
            "--only",
            "serving",
            "--rounds",
            "1",
            "--trials",
            "1",
            "--engine",
            "openvino-int8",
            "--seconds",
            "0.2",
            "--most",
            "4",
            "--write",
            str(written),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "notebooks"), "TEST_PHOTOS": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    return json.loads(written.read_text())


WANTED = [
    "serve16_vs_original",
    "serve16_vs_engine",
    "latency1_vs_original",
    "p95_over_p50_16",
    "accuracy_int8_minus_fp32",
    "memory_vs_original",
]


@pytest.mark.parametrize("name", WANTED)
def test_every_wanted_figure_is_there_with_its_spread(results, name):
    figure = results["figures"][name]
    assert all(math.isfinite(value) for value in figure.values())
    assert figure["low"] <= figure["value"] <= figure["high"]


def test_rows_for_all_that_is_compared(results):
    rows = " ".join(row["what"] for row in results["rows"])
    for what in ("the original's way, 16 clients", "ours, 16 clients", "ours, 32 clients", "16 photos a request",
                 "the bare engine"):  # fmt: skip
        assert what in rows
    machine = results["machine"]
    assert machine["cores"]
    assert machine["processor"]
    assert 0 <= machine["other_load"] <= 1
    assert any(machine["processor"] in note for note in results["notes"])
