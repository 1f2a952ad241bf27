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
    """The newest requests, oldest first; shown as a table."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)

    def add(self, record: RequestRecord) -> None:
        self._records.append(record)

    @property
    def last(self) -> RequestRecord | None:
        return self._records[-1] if self._records else None

    def __len__(self) -> int:
        return len(self._records)

    def table(self, most: int = 15) -> str:
        """The last `most` requests as text."""
        if not self._records:
            return "No requests yet."
        lines = [f"{'time':10}{'client':18}{'request':18}{'photos':>6}{'status':>8}{'seconds':>9}"]
        lines += [
            f"{record.time:%H:%M:%S}  {record.client[:16]:18}{record.request[:16]:18}"
            f"{record.photos:6}{record.status:8}{record.seconds:9.2f}"
            for record in list(self._records)[-most:]
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))


REQUESTS = RequestLog()  # of this notebook: they outlive the service's restarts
