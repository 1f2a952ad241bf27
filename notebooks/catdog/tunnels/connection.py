"""What every way to a public link has in common."""

from ..errors import SuiteError


class LinkRefused(SuiteError):
    """There is no link; `code` is the provider's own, such as "ERR_NGROK_334", where it gave one."""

    def __init__(self, message: str, code: str = ""):
        super().__init__(message)
        self.code = code


class Connection:
    """What a provider has opened: `url` leads to this machine until `close()`, unless something happens to it."""

    def __init__(self, url: str):
        self.url = url

    def failure(self) -> str:
        """Why it is dead, as a sentence; empty as far as is known it lives."""
        return ""

    def doubt(self) -> str:
        """Why somebody should look whether its URL still answers; said once, then empty again."""
        return ""

    def close(self) -> None:
        """End it, within seconds even where the other side is silent. Closing twice is fine."""

    def abandon(self) -> None:
        """End it, and do not trust what it stood on: its URL never led here."""
        self.close()
