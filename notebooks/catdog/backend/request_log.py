"""The last requests, shown in the notebook. Photos and file names are not kept."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from ..names import counted

_KEPT = 200
_ANSWERS = ("POST /predict", "POST /")
_MOST_TESTERS = 10_000  # that are counted


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
        self._testers: set[str] = set()
        self._photos, self._last_photo = 0, ""

    def add(self, record: RequestRecord) -> None:
        self._records.append(record)
        if record.photos and record.status == 200 and record.request in _ANSWERS:
            self._photos, self._last_photo = self._photos + record.photos, f"{record.time:%H:%M:%S}"
            if len(self._testers) < _MOST_TESTERS:
                self._testers.add(record.client)

    def summary(self) -> str:
        """Return in a sentence how many clients sent how many photos, and when the last one arrived."""
        if not self._photos:
            return "No photos yet."
        testers, photos = counted(len(self._testers), "tester"), counted(self._photos, "photo")
        return f"{testers}, {photos}, the last at {self._last_photo}."

    @property
    def last(self) -> RequestRecord | None:
        return self._records[-1] if self._records else None

    def __len__(self) -> int:
        return len(self._records)

    def table(self, most: int = 15) -> str:
        """Return the last `most` requests as text."""
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


REQUESTS = RequestLog()  # of this notebook: it outlives the service's restarts
