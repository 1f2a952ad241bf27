"""Decoders that nothing breaks: what hangs, crashes or is killed costs the photo to blame alone."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from threading import Event, Thread

import numpy as np
import psutil
import pytest
from catdog.backend import decoders, decoding
from catdog.backend.batching import Deadline, DeadlinePassed, NotBegun
from catdog.backend.decoder import READ
from catdog.backend.decoders import Decoders, NoneFree
from catdog.backend.problems import Problem
from catdog.data.images import read_photo
from conftest import ROOT, drawing, until
from standins.hostile import jpeg_of_many_scans


def said_by(code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "notebooks")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def some_decoders(number=1, read=READ):
    """Of the test's own, ready to be ended."""
    found = Decoders(number, read)
    until(lambda: len(found.pids) == number + 1)
    return contextlib.closing(found)


def read_by(pool, *photos, seconds=5, left=lambda: 60):
    return decoding.decode(photos, 10**8, seconds, left, pool=pool)


def told(outcomes):
    return [found.kind.slug if isinstance(found, Problem) else "photo" for found in outcomes]


def test_decoders_that_are_killed_while_idle_are_not_missed():
    """As an out-of-memory killer does it."""
    with some_decoders(2) as pool:
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert told(read_by(pool, *[drawing()] * 5)) == ["photo"] * 5


def test_a_photo_whose_decoder_is_killed_is_tried_again_and_one_that_always_is_refused():
    with some_decoders(1, "standins.decoders:killed") as pool:
        assert told(read_by(pool, b"once" + drawing(), b"always", drawing())) == ["photo", "photo-unreadable", "photo"]


def test_exactly_the_photo_that_hangs_or_crashes_is_refused():
    bomb = jpeg_of_many_scans(20_000)
    with some_decoders(2, "standins.decoders:vulnerable") as pool:
        outcomes = read_by(pool, drawing(), bomb, drawing(), b"crash", drawing(), seconds=0.5)
        assert told(outcomes) == ["photo", "photo-slow", "photo", "photo-unreadable", "photo"]
        until(lambda: len(pool.pids) == 3)


def test_a_photo_may_take_its_time_where_others_take_the_processor():
    """The limit is on processor time: who sleeps is ended by the clock only, which is far more patient."""
    with some_decoders(1, "standins.decoders:waits") as pool:
        assert told(read_by(pool, drawing(), seconds=0.2)) == ["photo"]
        assert told(read_by(pool, b"for ever", seconds=0.1)) == ["photo-slow"]


def test_decoders_that_cannot_be_started_are_started_later(monkeypatch):
    """Where there is no room for another process or file, photos wait, and have their answers once there is."""
    room, start = [], subprocess.Popen

    def popen(*arguments, **options):
        if not room:
            raise OSError(24, "Too many open files")
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    with contextlib.closing(Decoders(1)) as pool:
        with pytest.raises(DeadlinePassed):
            read_by(pool, drawing(), left=lambda: 0.3)
        room.append(True)
        assert told(read_by(pool, drawing())) == ["photo"]


def test_whoever_else_connects_to_a_decoder_that_starts_is_not_it(monkeypatch):
    started = decoders._started

    def disturbed(port, *others):
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"", bytes(100)):
            with socket.create_connection(("127.0.0.1", port)) as other:
                other.sendall(words)
        return started(port, *others)

    monkeypatch.setattr(decoders, "_started", disturbed)
    with contextlib.closing(Decoders(1)) as pool:
        assert told(read_by(pool, drawing())) == ["photo"]


def test_a_photo_that_cannot_be_handed_over_leaves_its_decoder_to_others(monkeypatch):
    def none_left(*_):
        raise MemoryError

    sent, send = [], decoders.send

    def second_fails(*arguments):
        sent.append(arguments)
        return none_left() if len(sent) == 2 else send(*arguments)

    with some_decoders() as pool:
        for fails in (none_left, second_fails):  # also one that the request has kept from its first photo
            with monkeypatch.context() as patch:
                patch.setattr(decoders, "send", fails)
                with pytest.raises(MemoryError):
                    read_by(pool, drawing(), drawing())
            assert pool._busy == 0
            assert told(read_by(pool, drawing())) == ["photo"]
        until(lambda: len(pool.pids) == 2)


def test_what_a_decoder_says_is_not_believed_beyond_what_a_photo_can_be():
    with some_decoders(read="standins.decoders:lies") as pool:
        outcomes = told(read_by(pool, b"large", drawing(), b"small", b"code", drawing()))
    assert outcomes == ["photo-unreadable", "photo", "photo-unreadable", "photo-unreadable", "photo"]


def test_time_in_line_is_the_crowds_fault_and_the_pace_is_known_even_where_none_is_answered():
    seen = []
    with some_decoders(read="standins.decoders:waits") as pool:
        spent = decoding.Spent(waiting=100, observe=seen.append)
        end = Deadline(0.3)
        with pytest.raises(NotBegun):
            decoding.decode([b"for ever"], 10**8, 5, end, pool=pool, spent=spent)
        with pytest.raises(DeadlinePassed) as passed:
            decoding.decode([b"for ever"], 10**8, 5, Deadline(0.3), pool=pool, spent=decoding.Spent())
    assert passed.type is DeadlinePassed
    assert seen[0] >= 0.3


def test_first_come_first_served():
    with some_decoders(1) as pool:
        mine, order, threads = pool.take(60), [], []

        def wait(number):
            decoder = pool.take(60)
            order.append(number)
            pool.give_back(decoder)

        for number in range(8):
            threads.append(Thread(target=wait, args=[number]))
            threads[-1].start()
            until(lambda: len(pool._waiting) == len(threads))
        assert not pool.has_free
        with pytest.raises(NoneFree):
            pool.take(0.01)
        pool.give_back(mine)
        for thread in threads:
            thread.join()
        assert order == list(range(8))
        assert pool.has_free


def test_a_request_takes_a_second_decoder_only_while_nobody_waits():
    bomb = jpeg_of_many_scans(20_000)
    with some_decoders(2) as pool:
        many = Thread(target=lambda: read_by(pool, *[bomb] * 2, seconds=0.6))
        many.start()
        until(lambda: pool._busy == 2)
        assert told(read_by(pool, drawing())) == ["photo"]  # ahead of what that request would take next
        many.join()


def test_decoders_end_with_who_started_them():
    code = (
        "from catdog.backend.decoders import decoders; import time, os\n"
        "pool = decoders()\nwhile len(pool.pids) < 2: time.sleep(0.01)\nprint(*pool.pids, flush=True)\nos._exit(0)"
    )
    pids = said_by(code)
    assert len(pids) >= 2
    until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids))


def test_a_decoder_imports_what_reads_photos_and_nothing_else():
    code = "import sys; from catdog.backend import decoder; print(*sys.modules)"
    loaded = said_by(code)
    assert "PIL.Image" in loaded
    assert not {"flask", "werkzeug", "asyncio", "tensorflow", "openvino", "sklearn", "pebble"} & set(loaded)


@pytest.mark.slow
def test_who_has_waited_long_enough_leaves_no_decoder_busy():
    bomb = jpeg_of_many_scans(20_000)
    with some_decoders(1) as pool:
        for _ in range(2):
            with pytest.raises(DeadlinePassed):
                read_by(pool, bomb, bomb, seconds=600, left=lambda: 0.3)
        assert told(read_by(pool, drawing())) == ["photo"]


@pytest.mark.slow
def test_none_is_lost_while_clients_send_and_decoders_are_killed():
    """Sixteen clients, photos that hang and crash, and any decoder killed at any moment: each photo its own outcome."""
    bomb, photos = jpeg_of_many_scans(20_000), {"cat": drawing("cat", 1), "dog": drawing("dog", 2)}
    wanted, wrong, ended = {label: read_photo(data) for label, data in photos.items()}, [], Event()

    def client(number):
        chance = random.Random(number)
        for _ in range(30):
            kind = chance.choices(["cat", "dog", "hangs", "crashes"], [12, 12, 1, 1])[0]
            (found,) = read_by(pool, {**photos, "hangs": bomb, "crashes": b"crash"}[kind], seconds=0.3)
            if kind in wanted and not (isinstance(found, np.ndarray) and (found == wanted[kind]).all()):
                wrong.append((kind, told([found])))
            if kind == "hangs" and told([found]) != ["photo-slow"]:
                wrong.append((kind, told([found])))
            if kind == "crashes" and told([found]) != ["photo-unreadable"]:
                wrong.append((kind, told([found])))

    def killer():
        while not ended.wait(1):
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):  # it has ended by itself
                    if chance.random() < 0.3 and "decoder" in " ".join(child.cmdline()):
                        child.kill()

    chance = random.Random(0)
    with some_decoders(2, "standins.decoders:vulnerable") as pool:
        threads = [Thread(target=client, args=[number]) for number in range(16)]
        murderer = Thread(target=killer)
        for thread in (*threads, murderer):
            thread.start()
        for thread in threads:
            thread.join()
        ended.set()
        murderer.join()
    assert not wrong


def test_a_decoder_that_has_read_its_photo_is_not_kept_by_a_slow_one_beside_it():
    with some_decoders(2) as pool:
        bomb, photo = jpeg_of_many_scans(20_000), drawing()
        mixed = Thread(target=lambda: read_by(pool, bomb, photo, seconds=2))
        mixed.start()
        until(lambda: pool._busy)
        assert told(read_by(pool, photo, photo)) == ["photo", "photo"]
        assert mixed.is_alive()  # the bomb has not had its time yet
        mixed.join()


def test_a_request_goes_on_with_its_decoder_while_others_wait(monkeypatch):
    """Or it would wait behind them for each of its photos."""
    photos = [drawing("cat", seed) for seed in range(4)]
    with some_decoders() as pool:
        held, taken = pool.take(30), []
        requests = [Thread(target=read_by, args=(pool, *photos)) for _ in range(3)]
        for request in requests:
            request.start()
        until(lambda: len(pool._waiting) == len(requests))
        monkeypatch.setattr(pool, "take", lambda seconds: taken.append(seconds))
        pool.give_back(held)
        for request in requests:
            request.join()
    assert not taken
