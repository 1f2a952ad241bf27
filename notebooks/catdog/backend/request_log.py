"""The last requests, to look at in the notebook. No photo and no file name is kept."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

_KEPT = 200


@dataclass(frozen=True)
class RequestRecord:
    time: datetime
    client: str
    request: str
    photos: int
    status: int
    seconds: float


class RequestLog:
    """The newest visits, oldest first; shown as a table."""

    def __init__(self):
        self._visits: deque[RequestRecord] = deque(maxlen=_KEPT)

    def add(self, visit: RequestRecord) -> None:
        self._visits.append(visit)

    @property
    def last(self) -> RequestRecord | None:
        return self._visits[-1] if self._visits else None

    def __len__(self) -> int:
        return len(self._visits)

    def table(self, most: int = 15) -> str:
        """The last `most` visits as text."""
        if not self._visits:
            return "Nobody has asked anything yet."
        lines = [f"{'time':10}{'client':18}{'request':18}{'photos':>6}{'status':>8}{'seconds':>9}"]
        lines += [
            f"{visit.time:%H:%M:%S}  {visit.client[:16]:18}{visit.request[:16]:18}"
            f"{visit.photos:6}{visit.status:8}{visit.seconds:9.2f}"
            for visit in list(self._visits)[-most:]
        ]
        return "\n".join(lines)


REQUESTS = RequestLog()  # of this notebook: they outlive the service's restarts
