"""An open link, and the watchdog that keeps it open."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from .. import link
from ..errors import SuiteError
from . import ngrok_errors, probe
from .connection import Connection, LinkRefused
from .preview import local_url

LOOK_SECONDS = 2
PROBE_SECONDS, PROBE_RED_SECONDS = 600, 60  # 4,300 requests a month of ngrok's 20,000
_FIRST_ANSWER_SECONDS, _ANSWER_SECONDS, _QUICK_ANSWER_SECONDS = 20, 10, 3
_PAUSES, _LONG_PAUSE = (0.5, 1, 2, 4), 60
UP, DOWN, CLOSED = "up", "down", "closed"
_WORKS, _CHANGED = "The link works.", "The link has changed: send the new one to your testers."
_log = logging.getLogger("catdog")


@dataclass(frozen=True)
class Settings:
    """What a tunnel was opened with: with the same again, a healthy one stays."""

    port: int
    provider: str
    token: str = field(default="", repr=False)
    domain: str = ""


@dataclass(frozen=True)
class Status:
    """`state` ("up", "down" or "closed") since when, with a sentence about it."""

    state: str
    detail: str
    since: datetime = field(default_factory=datetime.now)


class Tunnel:
    """An open link to a port of this machine.

    The link file `name` says where it leads and whether it does. A public link is watched: when it breaks, another
    connection is opened, and should its URL be another one then, that is said.

    Args:
        connect: opens a connection.

    Raises:
        SuiteError: nothing listens on the port, the link was refused, or its URL does not lead to that port.
    """

    def __init__(self, name: str, settings: Settings, public: bool, connect: Callable[[], Connection]):
        self.name, self.settings, self.public = name, settings, public
        self._connect, self._instance = connect, _served_at(settings.port)
        self._status: Status | None = None
        self._closing = threading.Event()
        self._connection = self._opened(_FIRST_ANSWER_SECONDS)
        self._becomes(UP, _WORKS)
        self._watchdog = threading.Thread(target=self._watch, name=f"watchdog of the {name}'s link", daemon=True)
        if public:
            self._watchdog.start()

    def __repr__(self) -> str:
        return f"Tunnel({self.url!r}, {self.provider}, {self.status.state})"

    @property
    def url(self) -> str:
        """What to open in a browser, without a slash at the end."""
        return self._connection.url

    @property
    def provider(self) -> str:
        return self.settings.provider

    @property
    def status(self) -> Status:
        return self._status

    @property
    def service_url(self) -> str:
        """Where a program on this machine reaches the service: by the link, if it is for everyone."""
        return self.url if self.public else local_url(self.settings.port)

    def works(self) -> bool:
        """Whether it is up and its URL leads to the port now."""
        if self.status.state != UP or self._connection.failure():
            return False
        try:
            probe.expect(self.service_url, self._instance, _QUICK_ANSWER_SECONDS)
        except LinkRefused:
            return False
        return True

    def close(self) -> None:
        """End the link and its watchdog; the link file says so. Closing twice is fine."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._watchdog.is_alive():
            self._watchdog.join(timeout=15)
        self._connection.close()
        self._write_down(link.withdraw)
        self._status = Status(CLOSED, "The link is closed: run the cell that opens it again.")

    def _opened(self, seconds: float) -> Connection:
        connection = self._connect()
        if self.public:
            try:
                probe.wait_for(connection.url, self._instance, seconds)
            except BaseException:  # an interrupted cell, too, must leave nothing that holds the address
                connection.abandon()
                raise
        return connection

    def _becomes(self, state: str, detail: str) -> None:
        if self._closing.is_set():
            return
        # The file first: who sees the new state may go on to read it.
        if state == UP:
            known = {"public": self.public, "provider": self.provider, "domain": self.settings.domain}
            self._write_down(link.publish, self.url, **known)
        else:
            self._write_down(link.mark_down)
        same = self._status is not None and self._status.state == state
        self._status = Status(state, detail, self._status.since if same else datetime.now())

    def _write_down(self, write: Callable, *arguments, **known) -> None:
        try:
            write(self.name, *arguments, **known)
        except OSError as error:  # Drive is full or gone; the link is worth more than its file
            _log.warning("The link file of the %s cannot be written: %s", self.name, error)

    # The watchdog's thread

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self._closing.is_set():
            asleep = time.monotonic()
            self._closing.wait(LOOK_SECONDS)
            if time.monotonic() - asleep > 2 * LOOK_SECONDS:
                continue  # this process stood still: heartbeats may be waiting for their turn, too
            due = looked + (PROBE_SECONDS if self._status.state == UP else PROBE_RED_SECONDS)
            try:
                if failure := self._connection.failure():
                    self._reopen(failure)
                elif doubt := self._connection.doubt():
                    self._look(doubt, pauses=(1,), seconds=_QUICK_ANSWER_SECONDS)
                elif time.monotonic() > due:
                    looked = time.monotonic()
                    self._look("Its address no longer answers.", pauses=(0, 5), seconds=_ANSWER_SECONDS)
            except Exception:  # the watchdog outlives whatever it meets
                _log.exception("The watchdog of the %s's link", self.name)

    def _look(self, suspicion: str, pauses: tuple[float, ...], seconds: float) -> None:
        """Ask the public URL, after each of the pauses until it answers; where it never does, open the link anew."""
        for pause in pauses:
            self._closing.wait(pause)
            try:
                probe.expect(self.url, self._instance, seconds)
                return self._becomes(UP, _WORKS)
            except LinkRefused as refusal:
                if refusal.code in ngrok_errors.QUOTA | ngrok_errors.SERVICE_SILENT:
                    return self._becomes(DOWN, str(refusal))  # a new session would meet the same
        try:
            _served_at(self.settings.port)
        except SuiteError as silent:
            return self._becomes(DOWN, str(silent))
        self._reopen(suspicion)

    def _reopen(self, why: str) -> None:
        before, tries = self.url, 0
        self._becomes(DOWN, f"{why} It is being opened again.")
        self._connection.close()
        while not self._closing.is_set():
            try:
                self._connection = self._opened(_ANSWER_SECONDS)
                break
            except SuiteError as refusal:
                self._becomes(DOWN, str(refusal))
                self._closing.wait(_pause_after(refusal, tries))
                tries += 1
        if self._closing.is_set():  # by somebody who did not wait for us
            return self._connection.close()
        if self.url != before:
            print(f"\n{_CHANGED}\n{self.name.capitalize()}: {self.url}")
        self._becomes(UP, _WORKS if self.url == before else _CHANGED)


def _served_at(port: int) -> str:
    try:
        return probe.instance(local_url(port))
    except LinkRefused:
        raise SuiteError(
            f"The service does not answer on port {port}: run the cell that starts it, then this one, again."
        ) from None


def _pause_after(refusal: SuiteError, tries: int) -> float:
    """Seconds until the next try: soon where the net is away, or ngrok has not yet noticed that we lost our session."""
    code = getattr(refusal, "code", "")
    if code in ngrok_errors.QUOTA:
        return PROBE_SECONDS
    return _LONG_PAUSE if code and code not in ngrok_errors.PASSING else _PAUSES[min(tries, len(_PAUSES) - 1)]
