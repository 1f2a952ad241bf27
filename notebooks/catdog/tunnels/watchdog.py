"""An open link, and the watchdog that keeps it open."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import UserError
from ..web import link
from . import ngrok_errors, probe
from .base import Connection, LinkRefused, Timing
from .local import local_url

UP, DOWN, CLOSED = "up", "down", "closed"
_WORKS = "works", "The link works."
_UNVERIFIED = (
    "unverified",
    "The link is registered, but this machine's network does not know its name yet: try it on a phone.",
)
_CHANGED = "changed", "The link has changed: send the new one to your testers."
_log = logging.getLogger("catdog")


@dataclass(frozen=True)
class Settings:
    """The settings of a tunnel. A healthy tunnel is kept for equal settings, whatever its timing."""

    port: int
    provider: str
    token: str = field(default="", repr=False)
    domain: str = ""
    timing: Timing = field(default=Timing(), repr=False, compare=False)


@dataclass(frozen=True)
class Status:
    """A link's `state` ("up", "down" or "closed"), since when, with a sentence about it. `code` is the same for
    programs: "works", "unverified", "changed", "reopening", "closed", or one of `errors.CODES` if it is down."""

    state: str
    code: str
    detail: str
    since: datetime = field(default_factory=datetime.now)


class Tunnel:
    """An open link to a port of this machine.

    The link file `name` holds its URL and whether it works. A link for others is watched: if it breaks, another
    connection is opened, and a changed URL is printed.

    Args:
        connect: opens a connection.

    Raises:
        UserError: nothing listens on the port, the link was refused, or its URL does not lead to that port.
    """

    def __init__(self, name: str, settings: Settings, public: bool, connect: Callable[[], Connection]):
        self.name, self.settings, self.public = name, settings, public
        self._connect, self._instance = connect, _served_at(settings.port)
        self._status = Status(CLOSED, "closed", "The link is not open yet.")
        self._closing = threading.Event()
        self._has_answered = False  # whether the current connection has answered at its public address
        self._connection, told = self._opened(self._timing.first_answer)
        self._becomes(UP, *told)
        self._watchdog = threading.Thread(target=self._watch, name=f"watchdog of the {name}'s link", daemon=True)
        if self.shared:
            self._watchdog.start()

    def __repr__(self) -> str:
        return f"Tunnel({self.url!r}, {self.provider}, {self.status.state})"

    @property
    def url(self) -> str:
        """URL to open in a browser, without a slash at the end."""
        return self._connection.url

    @property
    def _timing(self) -> Timing:
        return self.settings.timing

    @property
    def provider(self) -> str:
        return self.settings.provider

    @property
    def shared(self) -> bool:
        """Whether the link is for others: for everybody, or for devices in the same local network."""
        return link.is_shared(self.public, self.provider)

    @property
    def remark(self) -> str:
        """Remark to print with the URL for the person who opens the link."""
        return self._connection.remark

    @property
    def status(self) -> Status:
        return self._status

    @property
    def service_url(self) -> str:
        """URL of the service for programs on this machine: the link, if it is for others and its name is known here."""
        is_known = self.shared and self.status.code != _UNVERIFIED[0]
        return self.url if is_known else local_url(self.settings.port)

    def works(self) -> bool:
        """Tell whether the link is up and its URL leads to the port now."""
        if self.status.state != UP or self._connection.error():
            return False
        try:
            if self.shared:
                self._asked(self._connection, probe.expect, self._timing.quick_answer)
            else:
                probe.expect(self.service_url, self._instance, self._timing.quick_answer)
        except LinkRefused:
            return False
        return True

    def close(self) -> None:
        """Close the link, end its watchdog, and record that in the link file. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._watchdog.is_alive():
            self._watchdog.join(timeout=15)
        self._connection.close()
        self._write_down(link.withdraw)
        self._status = Status(CLOSED, "closed", "The link is closed: run the cell that opens it again.")

    def _opened(self, seconds: float) -> tuple[Connection, tuple[str, str]]:
        """Return (a connection, its status code and detail)."""
        connection, self._has_answered = self._connect(), False
        if not self.shared:
            return connection, _WORKS
        try:
            return connection, self._asked(connection, probe.wait_for, seconds)
        except BaseException:  # an interrupted cell must not leave anything that holds the address either
            connection.discard()
            raise

    def _asked(self, connection: Connection, ask: Callable, seconds: float) -> tuple[str, str]:
        """Return status code and detail of a connection that leads here. Raises LinkRefused for one that does not.

        Resolvers cache for up to half an hour that a name does not exist, so that says nothing about a link that its
        provider has registered.
        """
        try:
            ask(connection.url, self._instance, seconds)
        except LinkRefused as refusal:
            if refusal.code == "link-name-unknown" and connection.registered and not self._has_answered:
                return _UNVERIFIED
            raise
        self._has_answered = True
        return _WORKS

    def _becomes(self, state: str, code: str, detail: str) -> None:
        if self._closing.is_set():
            return
        # The file first: whoever sees the new state may read the file next.
        if state == UP:
            known = {"public": self.public, "provider": self.provider, "domain": self.settings.domain}
            self._write_down(link.publish, self.url, **known)
        else:
            self._write_down(link.mark_down)
        since = self._status.since if self._status.state == state else datetime.now()
        self._status = Status(state, code, detail, since)

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
            self._closing.wait(self._timing.look)
            if time.monotonic() - asleep > 2 * self._timing.look:
                continue  # this process was suspended: heartbeats may not have been handled yet either
            due = looked + (self._timing.probe if self._status.state == UP else self._timing.probe_down)
            try:
                if error := self._connection.error():
                    self._reopen(error)
                elif suspect := self._connection.suspect():
                    self._look(suspect, pauses=(1,), seconds=self._timing.quick_answer)
                elif time.monotonic() > due:
                    looked = time.monotonic()
                    self._look(
                        "Its address no longer answers.", pauses=self._timing.doubts, seconds=self._timing.answer
                    )
            except Exception:  # the watchdog must survive any error
                _log.exception("The watchdog of the %s's link", self.name)

    def _look(self, suspicion: str, pauses: tuple[float, ...], seconds: float) -> None:
        """Request the public URL after each pause until it answers. If it never does, reopen the link."""
        for pause in pauses:
            self._closing.wait(pause)
            try:
                return self._becomes(UP, *self._asked(self._connection, probe.expect, seconds))
            except LinkRefused as refusal:
                if refusal.provider_code in ngrok_errors.QUOTA | ngrok_errors.SERVICE_SILENT:
                    return self._becomes(DOWN, refusal.code, str(refusal))  # a new session would not help
        try:
            _served_at(self.settings.port)
        except UserError as silent:
            return self._becomes(DOWN, silent.code, str(silent))
        self._reopen(suspicion)

    def _reopen(self, why: str) -> None:
        before, tries = self.url, 0
        self._becomes(DOWN, "reopening", f"{why} The link is being reopened.")
        self._connection.close()
        while not self._closing.is_set():
            try:
                self._connection, told = self._opened(self._timing.answer)
                break
            except UserError as refusal:
                self._becomes(DOWN, refusal.code, str(refusal))
                self._closing.wait(_pause_after(refusal, tries, self._timing))
                tries += 1
        if self._closing.is_set():  # `close` did not wait for this thread
            return self._connection.close()
        if self.url != before:
            print(f"\n{_CHANGED[1]}\n{self.name.capitalize()}: {self.url}")
        self._becomes(UP, *(_CHANGED if self.url != before and told == _WORKS else told))


def _served_at(port: int) -> str:
    try:
        return probe.instance(local_url(port))
    except LinkRefused:
        raise UserError(
            "service-unreachable",
            f"The service does not answer on port {port}: run the cell that starts it, then this one, again.",
        ) from None


def _pause_after(refusal: UserError, tries: int, timing: Timing) -> float:
    """Return seconds until the next attempt: few if the network is down, or ngrok has not noticed the loss yet."""
    code = getattr(refusal, "provider_code", "")
    if code in ngrok_errors.QUOTA:
        return timing.probe
    if code and code not in ngrok_errors.PASSING:
        return timing.long_pause
    return timing.pauses[min(tries, len(timing.pauses) - 1)]
