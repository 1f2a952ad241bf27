"""Past one machine, on this one: what two workers of a local Ray do against one process.

    make scale-check                                     20,000 photos of shared/photos, repeated, or drawings
    make scale-check CHECK="label --photos 2000 --from ~/albums --engine openvino-fp32"
    make scale-check CHECK="serve --seconds 60"
    make scale-check CHECK="plan"

`label`: `make ray-label` against the plain loop of one process, which reads ahead, too: photos a second, from the call
to its end and once every worker is busy. Then memory over the run; and once more with a worker killed, the driver
killed and started again: each photo must have one row, the same as before. Takes the plain loop's time some three times
over.

`serve`: the backend on Ray Serve under many clients, with one replica of the network and with two.

`plan`: how long a million photos and a hundred take on 1 to 100 machines, simulated with the measured constants below.
"""

import argparse
import heapq
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import requests
from catdog.data.images import read_photo
from catdog.data.synthetic import draw_folder
from catdog.distributed.parquet_table import photos_a_file
from catdog.models import bundle
from catdog.models.classifier import load_classifier
from catdog.training.features import read_ahead
from family import family
from pyarrow import parquet

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("TEST_PHOTOS", ROOT.parent / "shared" / "photos"))
LOOK_SECONDS = 1
CLIENTS, PORT, WARM_SECONDS = 16, 8123, 10


def originals(home: Path) -> Path:
    return SHARED if SHARED.is_dir() else draw_folder(home / "drawings", per_class=300)


def repeated(source: Path, number: int, target: Path) -> list[str]:
    """`number` photos of `source` in folders of 1,000, and a file that is none for every 1,000."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    for place in range(number):
        path = target / f"{place // 1000:05}" / f"{place:07}{files[place % len(files)].suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if place % 1000 == 999:
            path.write_text("no photo")
        else:
            path.symlink_to(files[place % len(files)])
    return sorted(map(str, target.rglob("*.*")))


def plain_rate(paths: list[str], engine: str) -> float:
    classifier = load_classifier(bundle.read(bundle.find(os.environ.get("MODEL", ""))), engine)
    photos = [path for path in paths if not Path(path).stem.endswith("999")]
    began = time.perf_counter()
    for _, pixels in read_ahead(photos, read_photo):
        classifier.answer(np.stack(pixels))
    return len(photos) / (time.perf_counter() - began)


class Driver:
    """`make ray-label` as a process; what it and its workers hold of memory, over time."""

    def __init__(self, photos: Path, out: Path, engine: str):
        self.out, self.began = out, time.time()
        environment = {**os.environ, "LABEL_PHOTOS": str(photos), "LABELS_OUT": str(out), "ENGINE": engine}
        self.process = subprocess.Popen([sys.executable, "-m", "catdog.distributed", "label"], env=environment)

    def files(self) -> list[Path]:
        return list(self.out.glob("*.parquet"))

    def workers(self) -> list[psutil.Process]:
        return family(self.process.pid, "MapWorker")

    def watched(self, until=lambda: False) -> list[tuple[int, int]]:
        """(megabytes of the driver, of the largest worker) every second, until it ends or `until` says so."""
        seen = []
        while self.process.poll() is None and not until():
            seen.append((_megabytes(psutil.Process(self.process.pid)), max(map(_megabytes, self.workers()), default=0)))
            time.sleep(LOOK_SECONDS)
        return seen

    def kill(self) -> None:
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(workers, timeout=60)


def _megabytes(process: psutil.Process) -> int:
    """Its own memory, without what it shares with others: Ray's object store, for one."""
    try:
        return process.memory_full_info().uss >> 20
    except psutil.Error:
        return 0


def rows(out: Path) -> dict[str, tuple]:
    table = parquet.read_table(out)
    paths = table["path"].to_pylist()
    assert len(paths) == len(set(paths)), "a photo has two rows"
    return dict(zip(paths, zip(table["label"].to_pylist(), table["refused"].to_pylist())))


def warm_rate(files: list[Path]) -> float:
    """Photos a second while every worker is busy: from the third file on to the last but two."""
    files = sorted(files, key=lambda file: file.stat().st_mtime)
    span = files[2].stat().st_mtime, files[-3].stat().st_mtime
    return sum(parquet.read_metadata(file).num_rows for file in files[3:-2]) / (span[1] - span[0])


def check_labelling(number: int, source: Path | None, engine: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        paths = repeated(source or originals(home), number, home / "photos")
        whole, killed = home / "whole.parquet", home / "killed.parquet"

        driver = Driver(home / "photos", whole, engine)
        memory = driver.watched()
        seconds = time.time() - driver.began
        busy_rate = warm_rate(driver.files())
        print(f"Ray: {number / seconds:.1f} photos a second with the start, {busy_rate:.1f} once busy")
        busy = [one for one in memory if one[1]]
        for name, column in (("driver", 0), ("largest worker", 1)):
            parts = np.array_split([one[column] for one in busy], 10)
            print(f"{name}, MB, mean of each tenth of the run:", *(round(part.mean()) for part in parts))
        first, files = rows(whole), len(driver.files())
        assert sorted(first) == paths, "not every photo has a row"
        print(f"{len(first):,} rows, {sum(refused is not None for _, refused in first.values())} refused")

        rate = plain_rate(paths[: max(1000, number // 4)], engine)
        print(f"plain loop: {rate:.1f} photos a second")
        print(f"ratio: {busy_rate / rate:.2f} once busy, {number / seconds / rate:.2f} with the start")

        driver = Driver(home / "photos", killed, engine)
        driver.watched(lambda: len(driver.files()) >= files // 4)
        driver.workers()[0].send_signal(signal.SIGKILL)
        print(f"a worker killed at {len(driver.files())} files")
        driver.watched(lambda: len(driver.files()) >= files // 2)
        driver.kill()
        kept = {file: file.stat().st_mtime_ns for file in driver.files()}
        print(f"the driver killed at {len(kept)} files")
        driver = Driver(home / "photos", killed, engine)
        driver.watched()
        second = rows(killed)
        assert {file: file.stat().st_mtime_ns for file in kept} == kept, "something was done twice"
        assert second.keys() == first.keys(), "not every photo has a row"
        changed = sum(first[path] != second[path] for path in first)
        print(f"{len(second):,} rows, each photo once; {changed} say something else than before")


def check_serving(seconds: float, engine: str) -> None:
    from catdog.backend.limits import Limits
    from catdog.distributed.cluster import connect
    from catdog.distributed.serve import application, serve, start

    saved, rates = bundle.read(bundle.find(os.environ.get("MODEL", ""))), {}
    with tempfile.TemporaryDirectory() as place:
        files = sorted(path for path in originals(Path(place)).rglob("*") if path.is_file())
        photos = [path.read_bytes() for path in files[:: max(1, len(files) // 100)]]
    connect()
    for replicas in (1, 2):
        app = application(saved, engine, Limits(), replicas=replicas, fewest=replicas)
        url = start(app, PORT)
        asked(url, photos, WARM_SECONDS)
        rates[replicas] = asked(url, photos, seconds) / seconds
        print(f"{replicas} of the network: {rates[replicas]:.1f} photos a second")
    serve.shutdown()
    print(f"ratio: {rates[2] / rates[1]:.2f}")


def asked(url: str, photos: list[bytes], seconds: float) -> int:
    """How many photos are answered within `seconds`, asked for one by one by `CLIENTS`."""
    answered, end = [], time.monotonic() + seconds

    def ask(first: int) -> None:
        with requests.Session() as session:
            for place in range(first, sys.maxsize, CLIENTS):
                answer = session.post(f"{url}/predict", files={"images": photos[place % len(photos)]}, timeout=60)
                answer.raise_for_status()
                if time.monotonic() > end:
                    return
                answered.append(place)

    threads = [threading.Thread(target=ask, args=[first]) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(answered)


# Measured, but for LISTED: object storage gives 1,000 names a call, one call after the other, each some 0.1 s.
RATE = 14.0  # photos a second of a worker: int8 on one core with AVX-512 VNNI
SPREAD = 0.08  # of the times that files of the table take, relative
START = 60.0  # seconds until the workers of a machine compute
DISPATCHED = 86.0  # files of the table that the driver hands out and notes a second
LISTED = 16 * 10_000.0  # names a second, of sixteen folders or more
CORES = 16


def check_plan() -> None:
    print("photos machines  hours  times one machine  of that, hours: listing  start  last files")
    for photos in (1_000_000, 100_000_000):
        alone = planned(photos, 1)[0]
        for machines in (1, 2, 5, 10, 20, 50, 100):
            total, listing, tail = planned(photos, machines)
            print(
                f"{photos:11,} {machines:4} {total / 3600:8.2f} {alone / total:8.1f}"
                f" {listing / 3600:8.2f} {START / 3600:8.2f} {tail / 3600:8.2f}"
            )


def planned(photos: int, machines: int) -> tuple[float, float, float]:
    """Seconds in all, of listing, and from when the first worker has nothing left to the end."""
    workers = machines * CORES
    per_file = photos_a_file(photos, workers)
    chance, handed_out = np.random.default_rng(0), 0.0
    free = [START] * workers
    for _ in range(-(-photos // per_file)):
        handed_out += 1 / DISPATCHED
        begins = max(heapq.heappop(free), handed_out)
        heapq.heappush(free, begins + per_file / RATE * max(0.5, chance.normal(1, SPREAD)))
    listing = photos / LISTED
    return listing + max(free), listing, max(free) - min(free)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["label", "serve", "plan"], default="label")
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--engine", default="openvino-int8")
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    if chosen.what == "label":
        check_labelling(chosen.photos, chosen.source, chosen.engine)
    elif chosen.what == "plan":
        check_plan()
    else:
        check_serving(chosen.seconds, chosen.engine)
