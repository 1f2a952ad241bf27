"""The interface that all tunnel providers share."""

from dataclasses import dataclass

from ..errors import UserError


@dataclass(frozen=True)
class Timing:
    """Timeouts and intervals of a link, all in seconds.

    Attributes:
        ngrok: for an answer from ngrok's servers.
        program: for the address that cloudflared or ngrok's agent prints.
        settle: before the first lookup of a new name.
        beat: between ngrok's heartbeats, and for each; silent: without one, until the connection counts as dead.
        look: between two checks of the connection.
        probe: between two requests to the public address while it works, at most 4,300 of ngrok's 20,000 a month;
            probe_down: while it does not.
        first_answer, answer, quick_answer: for the public address, when it is new, later, and while a person waits.
        doubts: before each request to the public address once it is in doubt, the first at once.
        pauses: before each further attempt to reopen the link; the last one repeats. long_pause: if a quick attempt
            cannot help.
    """

    ngrok: float = 8
    program: float = 30
    settle: float = 3
    beat: int = 5
    silent: float = 12
    look: float = 2
    probe: float = 600
    probe_down: float = 60
    first_answer: float = 20
    answer: float = 10
    quick_answer: float = 3
    doubts: tuple[float, ...] = (0, 5)
    pauses: tuple[float, ...] = (0.5, 1, 2, 4)
    long_pause: float = 60


class LinkRefused(UserError):
    """Error for a link that could not be opened or fails. `provider_code` is the provider's own, such as
    "ERR_NGROK_334", if it gave one."""

    def __init__(self, code: str, message: str, provider_code: str = ""):
        super().__init__(code, message)
        self.provider_code = provider_code


class Connection:
    """A provider's open connection: `url` leads to this machine until `close()`, or until the connection fails."""

    registered = False  # whether the provider itself says that the link is up
    remark = ""  # to print for the person who opens it

    def __init__(self, url: str):
        self.url = url

    def error(self) -> str:
        """Return why the connection is dead, as a sentence; empty if it seems to work."""
        return ""

    def suspect(self) -> str:
        """Return a reason to check whether the URL still answers; each reason only once. Empty if there is none."""
        return ""

    def close(self) -> None:
        """Close the connection, within seconds even if the other side does not answer. Idempotent."""

    def discard(self) -> None:
        """Close the connection, and do not reuse what it was based on, since its URL never led here."""
        self.close()
