"""The service for ten minutes under four clients, untrusted ones with rubbish, then far beyond what it can do.

    make soak                        ten minutes and a half
    make soak SOAK="--minutes 1"

Every 20 seconds a decoder is killed, as an out-of-memory killer does it. Fails on a 5xx that is not a 503, on an answer
that is none or takes over 20 seconds, on a health check that fails, and where memory has grown by
5 % or more since it was warm: the service's own, from the second tenth of the time to the last, and with that of the
processes that decode, which end and begin anew all the time, from the tenths two to five to the last four.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import requests

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS / "bench"), str(TESTS)]

from catdog.backend.problems import KINDS
from catdog.progress import bar
from material import Material
from processes import Server
from standins.hostile import jpeg_of_many_scans, png_that_says

CLIENTS, UNTRUSTED, CROWD = 4, 2, 64
_MOST_GROWTH = 0.05
_MOST_SECONDS = 20  # of an answer
_KILL_SECONDS = 20  # between two decoders that are killed
_SECONDS_OVERLOADED = 30
_IMPATIENCE_SECONDS = 0.5  # after a 503; the service asks for 5


class Outcomes:
    """What came back, from many threads."""

    def __init__(self):
        self.statuses, self.faults, self.seconds = Counter(), Counter(), {"healthz": [], 200: [], 503: []}
        self.photos = 0

    def note(self, answer: requests.Response) -> None:
        status = answer.status_code
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(answer.elapsed.total_seconds())
        if status >= 400 and answer.json()["type"].removeprefix("/docs#") not in KINDS:
            self.faults["a refusal of no known type"] += 1
        if status >= 500 and status != 503:
            self.faults[f"status {status}"] += 1
        if answer.elapsed.total_seconds() > _MOST_SECONDS:
            self.faults[f"an answer that took over {_MOST_SECONDS} s"] += 1


def client(url: str, photos: list[bytes], outcomes: Outcomes, ended: threading.Event, seed: int, most: int) -> None:
    """Sends one to `most` photos at a time, waits for the answers, and checks that there are as many."""
    chance = np.random.default_rng(seed)
    with requests.Session() as session:
        while not ended.is_set():
            chosen = chance.choice(len(photos), chance.integers(1, most + 1))
            files = [("images", (f"{place}.jpg", photos[place])) for place in chosen]
            answer = session.post(f"{url}/predict", files=files, timeout=90)
            outcomes.note(answer)
            if answer.ok:
                named = [(item["filename"], "label" in item) for item in answer.json()["predictions"]]
                outcomes.photos += len(chosen)
                if named != [(f"{place}.jpg", True) for place in chosen]:
                    outcomes.faults["a photo without its answer"] += 1
            elif answer.status_code == 503:
                ended.wait(_IMPATIENCE_SECONDS)


def rubbish(photos: list[bytes], chance: np.random.Generator) -> bytes:
    photo = bytearray(photos[chance.integers(len(photos))])
    kind = chance.integers(7)
    if kind == 0:
        return bytes(photo[: chance.integers(len(photo))])
    if kind == 1:
        for place in chance.integers(2, len(photo), 50):
            photo[place] = chance.integers(256)
        return bytes(photo)
    if kind == 2:
        return png_that_says(*(int(side) for side in chance.integers(1, 200_000, 2)))
    if kind == 3:
        return chance.bytes(int(chance.integers(1, 5_000_000)))
    if kind == 4:
        return jpeg_of_many_scans(int(chance.choice([10, 100, 5000], p=[0.6, 0.38, 0.02])))
    return b"" if kind == 5 else json.dumps({"image": "x" * 1000}).encode()


def untrusted_client(url: str, photos: list[bytes], outcomes: Outcomes, ended: threading.Event, seed: int) -> None:
    """Sends what nobody asked for, in many ways, as one client or as another."""
    chance = np.random.default_rng(seed)
    port = int(url.rpartition(":")[2])
    while not ended.wait(0.02):
        headers = {"X-Forwarded-For": f"203.0.113.{chance.integers(20)}"}
        way = chance.integers(8)
        if way < 3:
            files = [("images", (f"{n}", rubbish(photos, chance))) for n in range(chance.integers(1, 6))]
            outcomes.note(requests.post(f"{url}/predict", files=files, headers=headers, timeout=90))
        elif way == 3:
            outcomes.note(requests.post(url, data=rubbish(photos, chance), headers=headers, timeout=90))
        elif way == 4:
            files = {"images": rubbish(photos, chance)}
            outcomes.note(requests.post(f"{url}/explain", files=files, headers=headers, timeout=90))
        elif way == 5:
            with socket.create_connection(("127.0.0.1", port)) as half:
                half.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n" + chance.bytes(300_000))
        elif way == 6:
            with socket.create_connection(("127.0.0.1", port)) as noise:
                noise.sendall(chance.bytes(300) + b"\r\n\r\n")
        else:
            body = io.BytesIO(bytes(int(chance.choice([100, 1_000_000, 70_000_000], p=[0.5, 0.45, 0.05]))))
            outcomes.note(
                requests.request("PUT", f"{url}/{chance.integers(99)}", data=body, headers=headers, timeout=90)
            )


def watch(url: str, outcomes: Outcomes, ended: threading.Event) -> None:
    with requests.Session() as session:
        while not ended.wait(0.1):
            began = time.perf_counter()
            answer = session.get(f"{url}/healthz", timeout=30)
            outcomes.seconds["healthz"].append(time.perf_counter() - began)
            if not answer.ok:
                outcomes.faults["a health check"] += 1


def killer(server: Server, killed: list[int], ended: threading.Event) -> None:
    """Ends any decoder, whatever it does, without a word."""
    chance = np.random.default_rng(1)
    while not ended.wait(_KILL_SECONDS):
        decoders = server._family()[1:]
        if decoders:
            with contextlib.suppress(psutil.Error):
                decoder = decoders[chance.integers(len(decoders))]
                decoder.kill()
                killed.append(decoder.pid)


def memory(server: Server) -> tuple[int, int]:
    """Bytes of the service, and of the processes that decode for it; what they share counts once."""
    sizes = []
    for process in server._family():
        try:
            sizes.append(process.memory_full_info().pss)
        except psutil.Error:  # a decoder that has just been ended
            continue
    return sizes[0], sum(sizes[1:])


def soak(
    server: Server, url: str, photos: list[bytes], seconds: float
) -> tuple[Outcomes, list[tuple[int, int]], list[int]]:
    """What came back, memory once a second, and the decoders that were killed."""
    outcomes, ended, sizes, killed = Outcomes(), threading.Event(), [], []
    with ThreadPoolExecutor(CLIENTS + UNTRUSTED + 2) as threads:
        going = [threads.submit(client, url, photos, outcomes, ended, seed, 8) for seed in range(CLIENTS)]
        going += [
            threads.submit(untrusted_client, url, photos, outcomes, ended, 100 + seed) for seed in range(UNTRUSTED)
        ]
        going.append(threads.submit(watch, url, outcomes, ended))
        going.append(threads.submit(killer, server, killed, ended))
        for _ in bar(range(int(seconds)), what="Soak", unit="s"):
            ended.wait(1)
            sizes.append(memory(server))
            if any(one.done() for one in going):
                break
        ended.set()
        for one in going:
            one.result()
    return outcomes, sizes, killed


def overload(url: str, photos: list[bytes]) -> tuple[Outcomes, Outcomes]:
    """What a crowd got, and what some more saw, whose times are the service's: they are a process by themselves."""
    outcomes, ended = Outcomes(), threading.Event()
    apart = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(CROWD) as threads, ProcessPoolExecutor(1, mp_context=apart) as process:
        going = [threads.submit(client, url, photos, outcomes, ended, seed, 16) for seed in range(CROWD)]
        seen = process.submit(some_more, url, photos, _SECONDS_OVERLOADED)
        for _ in bar(range(_SECONDS_OVERLOADED), what="Overload", unit="s"):
            ended.wait(1)
        found = seen.result()
        ended.set()
        for one in going:
            one.result()
    return outcomes, found


def some_more(url: str, photos: list[bytes], seconds: float) -> Outcomes:
    outcomes, ended = Outcomes(), threading.Event()
    with ThreadPoolExecutor(CLIENTS + 1) as threads:
        going = [threads.submit(client, url, photos, outcomes, ended, seed, 16) for seed in range(CLIENTS)]
        going.append(threads.submit(watch, url, outcomes, ended))
        ended.wait(seconds)
        ended.set()
        for one in going:
            one.result()
    return outcomes


def worth_a_look(line: str) -> bool:
    """Whether a line of the log tells of a fault."""
    facts = json.loads(line)
    broke = facts.get("status", 0) >= 500 and facts["status"] != 503
    return broke or facts.get("ms", 0) > 1000 * _MOST_SECONDS


def tenths(sizes: np.ndarray) -> list[float]:
    return [float(np.median(part)) for part in np.array_split(sizes, 10)]


def milliseconds(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    middle, late, last = 1000 * np.percentile(seconds, [50, 99, 100])
    return f"median {middle:.0f} ms, 99 % within {late:.0f} ms, slowest {last:.0f} ms ({len(seconds):,})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="catdog-soak-") as folder:
        os.environ.update(CATDOG_CACHE=f"{folder}/cache", MODELS_DIR=f"{folder}/models")
        photos = Material(Path(folder)).to_serve()
        server = Server("ours.py", "auto", log=Path(folder) / "server.log")
        url = f"http://127.0.0.1:{server.port}"
        try:
            server.wait(("/readyz", b"", ""))
            soaked, sizes, killed = soak(server, url, photos, 60 * minutes)
            crowded, seen = overload(url, photos)
        finally:
            server.stop()
            told = (Path(folder) / "cache" / "backend.log").read_text().splitlines()
            print(*filter(worth_a_look, told), sep="\n")
    service, decoders = (np.array(part) / 1e6 for part in zip(*sizes))
    own, all_together = tenths(service), tenths(service + decoders)
    grown = {
        "service": own[-1] / own[1] - 1,
        "service and decoders": np.mean(all_together[-4:]) / np.mean(all_together[1:5]) - 1,
    }
    print(f"\n{CLIENTS} clients and {UNTRUSTED} untrusted ones, {minutes:g} minutes:")
    print(f"  {soaked.photos:,} photos answered; statuses {dict(sorted(soaked.statuses.items()))}")
    print(f"  answers with photos: {milliseconds(soaked.seconds[200])}; decoders killed: {len(killed)}")
    print(f"  /healthz: {milliseconds(soaked.seconds['healthz'])}")
    for what, medians in (("service", own), ("service and decoders", all_together)):
        told = ", ".join(f"{size:.0f}" for size in medians)
        print(f"  memory of {what}, MB, median of each tenth: {told} ({grown[what]:+.1%} since it was warm)")
    print(f"{CROWD} clients with up to 16 photos each, {_SECONDS_OVERLOADED} seconds:")
    print(f"  {crowded.photos:,} photos answered; statuses {dict(sorted(crowded.statuses.items()))}")
    print(f"  503 for some more, in a process of their own: {milliseconds(seen.seconds[503])}")
    print(f"  /healthz there: {milliseconds(seen.seconds['healthz'])}")
    faults = soaked.faults + crowded.faults + seen.faults
    faults.update(f"memory of {what} grew" for what, share in grown.items() if share >= _MOST_GROWTH)
    if faults:
        sys.exit(f"Faults: {dict(faults)}")
    print("No faults.")


if __name__ == "__main__":
    main()
