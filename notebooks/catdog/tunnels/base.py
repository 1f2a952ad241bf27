"""What every way to a public link has in common."""

from dataclasses import dataclass

from ..errors import UserError


@dataclass(frozen=True)
class Timing:
    """How long a link waits, all in seconds.

    Attributes:
        ngrok: for an answer of ngrok's servers.
        program: for the address that cloudflared or ngrok's agent prints.
        settle: before a name that was just made is asked for.
        beat: between ngrok's heartbeats, and for each; silent: without one, until the line counts as dead.
        look: between two looks at the connection.
        probe: between two requests to the public address while it works, at most 4,300 of ngrok's 20,000 a month;
            probe_down: while it does not.
        first_answer, answer, quick_answer: for the public address, when it is new, later, and where a person waits.
        doubts: before each request to the public address once it is in doubt, the first at once.
        pauses: before each further try to open the link again; the last one stays. long_pause: where haste is no use.
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
    """There is no link; `provider_code` is the provider's own, such as "ERR_NGROK_334", where it gave one."""

    def __init__(self, code: str, message: str, provider_code: str = ""):
        super().__init__(code, message)
        self.provider_code = provider_code


class Connection:
    """What a provider has opened: `url` leads to this machine until `close()`, unless something happens to it."""

    registered = False  # whether the provider itself says that the link is up
    remark = ""  # what to say to who opens it

    def __init__(self, url: str):
        self.url = url

    def error(self) -> str:
        """Why it is dead, as a sentence; empty as far as is known it lives."""
        return ""

    def suspect(self) -> str:
        """Why somebody should look whether its URL still answers; said once, then empty again."""
        return ""

    def close(self) -> None:
        """End it, within seconds even where the other side is silent. Closing twice is fine."""

    def discard(self) -> None:
        """End it, and do not trust what it stood on: its URL never led here."""
        self.close()
