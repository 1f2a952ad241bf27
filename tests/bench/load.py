"""Clients in a closed loop: each sends its next photo as soon as the last one is answered."""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection

import numpy as np

BOUNDARY = "bench"


@dataclass(frozen=True)
class Load:
    """What a number of clients saw: photos answered, photos per second, and seconds from sending to answer (median,
    95th percentile)."""

    photos: int
    rate: float
    p50: float
    p95: float


def as_parts(photos: list[bytes]) -> tuple[str, bytes, str]:
    """Photos as our `/predict` takes them: (path, body, content type)."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="photo.jpg"\r\n\r\n'.encode()
    body = b"".join(head + photo + b"\r\n" for photo in photos) + f"--{BOUNDARY}--\r\n".encode()
    return "/predict", body, f"multipart/form-data; boundary={BOUNDARY}"


def as_base64(photos: list[bytes], path: str = "/") -> tuple[str, bytes, str]:
    """One photo as the original took it."""
    (photo,) = photos
    return path, json.dumps({"image": base64.b64encode(photo).decode()}).encode(), "application/json"


def as_litserve(photos: list[bytes]) -> tuple[str, bytes, str]:
    return as_base64(photos, "/predict")


def as_gradio(photos: list[bytes]) -> tuple[str, bytes, str]:
    (photo,) = photos
    body = json.dumps({"data": [base64.b64encode(photo).decode()]}).encode()
    return "/gradio_api/call/predict", body, "application/json"


def ask(connection: HTTPConnection, request: tuple[str, bytes, str]) -> bytes:
    """Send one prepared request and read the whole answer. Raises RuntimeError when it is refused."""
    path, body, kind = request
    connection.request("POST" if body else "GET", path, body or None, {"Content-Type": kind} if body else {})
    answer = _read(connection)
    if path.startswith("/gradio_api"):  # it answers in two steps: a ticket, then a stream of events
        connection.request("GET", f"{path}/{json.loads(answer)['event_id']}")
        answer = _read(connection)
        if b"event: complete" not in answer:
            raise RuntimeError(answer[:300])
    return answer


def _read(connection: HTTPConnection) -> bytes:
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {body[:300]!r}")
    return body


def measure(port: int, clients: int, seconds: float, requests: list[tuple[str, bytes, str]], photos_each: int) -> Load:
    """Keep `clients` busy for `seconds`; what was begun before the end is waited for and counted."""
    latencies: list[float] = []
    errors: list[Exception] = []
    began = time.perf_counter()

    def client(number: int) -> None:
        connection, turn = HTTPConnection("127.0.0.1", port, timeout=120), number
        try:
            while time.perf_counter() - began < seconds:
                sent = time.perf_counter()
                ask(connection, requests[turn % len(requests)])
                latencies.append(time.perf_counter() - sent)
                turn += clients
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    _all_at_once(client, clients)
    if errors:
        raise errors[0]
    photos, spent = photos_each * len(latencies), time.perf_counter() - began
    p50, p95 = np.percentile(latencies, [50, 95])
    return Load(photos, photos / spent, float(p50), float(p95))


def _all_at_once(client: Callable[[int], None], clients: int) -> None:
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
