"""Saving is whole or not at all: killed at any moment, or with the disk full, what was published still loads."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from catdog.models import bundle, writer
from catdog.models.arrays import digest, sealed
from catdog.models.bundle import BundleRefused
from catdog.models.card import CARD
from catdog.models.head import Head
from conftest import ROOT, refused

PATHS = os.pathsep.join(str(ROOT / name) for name in ("notebooks", "tests"))
# Saves a version for each order; forks for each, so that what is killed need not be loaded again.
SAVES = """
import os, resource, signal, sys
import numpy as np
from catdog.models import bundle
from catdog.errors import UserError
from catdog.paths import SHIPPED_MODEL
from catdog.models.writer import publish
from standins.killed import count_steps

shipped = bundle.read(SHIPPED_MODEL)
large = np.frombuffer(np.random.default_rng(0).bytes(6 << 20), np.uint8)  # what stands for block 5

def save():
    model = publish(
        "pets", shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities, shipped.int8,
        fine_tuned={"large": large},
    )
    print(model.folder.name, flush=True)

for order, number in map(str.split, sys.stdin):
    if not (child := os.fork()):
        steps = count_steps(int(number)) if order == "steps" else []
        if order != "steps":
            # The kernel refuses to write more, as it does when the disk is full, or kills who does.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN if order == "room" else signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(number),) * 2)
        try:
            save()
            print(len(steps), flush=True)
        except UserError as error:
            print(error.code, flush=True)
        os._exit(0)
    os.wait()
    print("over", flush=True)
"""
ALL = 1 << 40


@pytest.fixture
def saving(own_places):
    """saving(order, number): what a process says that saves a version: its name and how many steps it took.

    Orders: "steps", it is killed before that one; "room", no file may have more bytes; "size", it is killed by a file
    that has more.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SAVES],
        env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(order="steps", number=ALL):
        process.stdin.write(f"{order} {number}\n")
        process.stdin.flush()
        return list(iter(lambda: process.stdout.readline().strip(), "over"))

    yield ask
    process.stdin.close()
    process.kill()
    process.wait()


def pets():
    return Path(os.environ["MODELS_DIR"]) / "pets"


@pytest.mark.slow
def test_killed_at_twenty_moments(saving):
    _, steps = saving()
    moments = [("steps", int(step)) for step in np.linspace(2, int(steps), 14)]
    moments += [("size", size) for size in (0, 300, 3_000, 30_000, 300_000, 3_000_000)]
    broken_off = 0
    for order, number in moments:
        saving(order, number)
        broken_off += len(list(pets().glob(".writing-*")))
        versions = [path for path in pets().iterdir() if not path.name.startswith(".")]
        assert bundle.read(bundle.find("pets")).folder == max(versions, key=bundle.age)
        for version in versions:
            assert bundle.read(version).fine_tuned["large"].nbytes == 6 << 20
        for part in sorted(pets().iterdir())[:-1]:
            shutil.rmtree(part)
    assert broken_off > 12


@pytest.mark.parametrize("room", [0, 1000, 30_000, 5_000_000])
def test_a_full_disk_is_told_and_leaves_nothing(saving, room):
    published, _ = saving()
    assert saving("room", room) == ["model-not-saved"]
    assert [path.name for path in pets().iterdir()] == [published]
    assert bundle.read(bundle.find("pets")).folder.name == published


def test_what_a_killed_process_left_is_cleared_away_after_a_day(own_places, shipped):
    old, young = pets() / ".writing-old", pets() / ".writing-young"
    for part in (old, young):
        part.mkdir(parents=True)
        (part / "head.npz").write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    writer.publish("pets", shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities)
    assert not old.exists()
    assert young.exists()


def test_the_card_is_written_last_and_everything_is_on_the_disk_before_it_is_there(own_places, shipped, monkeypatch):
    done = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real, **o: (done.append((name, a)), real(*a, **o))[1])
    model = writer.publish("pets", shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities)
    kinds = [name for name, _ in done]
    assert kinds.index("rename") == 4  # three files and their folder before, the folder of versions after
    assert kinds == ["fsync"] * 4 + ["rename", "fsync"]
    ages = {path.name: path.stat().st_mtime_ns for path in model.folder.iterdir()}
    assert max(ages, key=ages.get) == CARD


def test_versions_are_sorted_by_age_even_within_a_second(own_places, shipped, monkeypatch):
    for _ in range(11):
        last = writer.publish(
            "pets", dataclasses.replace(shipped.card, created="now"), shipped.head, shipped.golden_photos[:1],
            shipped.golden_probabilities[:1],
        )  # fmt: skip
    assert bundle.find("pets") == last.folder
    assert bundle.earlier(last.folder)[0] == sorted(pets().iterdir(), key=lambda path: path.stat().st_ctime_ns)[-2]


def test_a_clock_that_ran_ahead_does_not_stay_newest(own_places, shipped, monkeypatch):
    class Ahead(datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + timedelta(days=400)

    def save():
        return writer.publish(
            "pets", shipped.card, shipped.head, shipped.golden_photos[:1], shipped.golden_probabilities[:1]
        )

    with monkeypatch.context() as wrong:
        wrong.setattr(writer, "datetime", Ahead)
        ahead = save()
    shutil.copytree(ahead.folder, ahead.folder.with_name("Copy of 2099-01-01-000000"))
    shutil.copytree(ahead.folder, ahead.folder.with_name("9999-12-31-235959 (1)"))
    latest = save()
    assert bundle.find("pets") == latest.folder
    assert bundle.earlier(latest.folder)[0] == ahead.folder


# --- what is given as a model, and is none ---


def keras_file_that_runs_code(path, flag):
    import keras

    class _Unsafe:
        def __call__(self, values):
            return values

    code = f"__import__('pathlib').Path({str(flag)!r}).write_text('boom')"
    layer = keras.layers.Lambda(eval(f"lambda values: ({code}, values)[1]"), output_shape=(2,))
    keras.Sequential([keras.Input((2,)), layer]).save(path)
    flag.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "MODEL.H5", "model.pkl", "model.npz"])
def test_files_of_other_tools_are_never_loaded(own_places, name, tmp_path):
    flag, path = tmp_path / "executed", tmp_path / name
    if name in ("model.keras", "model.h5"):
        keras_file_that_runs_code(path, flag)
    else:
        path.write_bytes(b"cos\nsystem\n(S'touch " + str(flag).encode() + b"'\ntR.")
    with refused("model-unsafe"):
        bundle.find(str(path))
    assert not flag.exists()


def test_a_model_beside_the_card_is_never_opened(own_places, shipped, tmp_path):
    flag = tmp_path / "executed"
    model = writer.publish("pets", shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities)
    keras_file_that_runs_code(model.folder / "model.keras", flag)
    bundle.read(bundle.find("pets"))
    assert (model.folder / "model.keras").exists()
    assert not flag.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": np.zeros((100, 2), np.float32)},
        {"kernel": np.zeros((512, 3), np.float32)},
        {"kernel": np.zeros((512, 2), np.float64)},
        {"kernel": np.full((512, 2), np.nan, np.float32)},
        {"bias": np.zeros((2, 1), np.float32)},
        {"photos": np.zeros((6, 10, 10, 3), np.uint8)},
        {"photos": np.zeros((0, 224, 224, 3), np.uint8), "probabilities": np.zeros((0, 2), np.float32)},
        {"photos": np.zeros((6, 224, 224, 3), np.float32)},
    ],
)
def test_arrays_of_another_shape_or_kind_are_refused(own_places, shipped, changes):
    arrays = {
        "kernel": shipped.head.kernel, "bias": shipped.head.bias,
        "photos": shipped.golden_photos, "probabilities": shipped.golden_probabilities, **changes,
    }  # fmt: skip
    with refused("model-damaged", kind=BundleRefused):
        writer.publish(
            "pets", shipped.card, Head(arrays["kernel"], arrays["bias"]), arrays["photos"], arrays["probabilities"]
        )
    assert list(pets().iterdir()) == []


def test_arrays_that_unpack_to_very_many_are_refused(own_places, shipped):
    model = writer.publish("pets", shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities)
    np.savez_compressed(model.folder / bundle.HEAD, kernel=np.zeros((1 << 16, 1100), np.float32), bias=np.zeros(2))
    files = {**model.card.files, bundle.HEAD: digest(model.folder / bundle.HEAD)}
    card = dataclasses.replace(model.card, files=files)
    (model.folder / CARD).write_text(json.dumps(sealed(card.as_json())))
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)
