"""The service's log file, one JSON object per line, without photos, file names, tokens and access codes."""

import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from flask import g, has_request_context

from .. import paths
from .service import asked


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if has_request_context() and "asked" in g:
            line["request_id"] = asked().id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Patient(RotatingFileHandler):
    """A handler that drops a line it cannot write, because the disk is full or the folder is gone, and tries again with
    the next. The standard one prints a traceback into the notebook for each."""

    def _open(self):
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write to the file at the path now: a deleted one would take lines without an error."""
        if self.stream and not self._is_there():
            self._let_go()
        super().emit(record)

    def _let_go(self) -> None:
        if self.stream:
            with suppress(OSError, ValueError):
                self.stream.close()
        self.stream = None

    def _is_there(self) -> bool:
        if self.stream is None:
            return False
        try:
            return os.path.samestat(os.stat(self.baseFilename), os.fstat(self.stream.fileno()))
        except (OSError, ValueError):
            return False

    def handleError(self, record: logging.LogRecord) -> None:
        if self.stream:
            self._let_go()


def write_to_file(logger: logging.Logger) -> None:
    """Have `logger` and the server's write to backend.log in the cache folder. In the notebook, a background thread's
    output would land under whatever cell is running."""
    path = paths.cache_dir() / "backend.log"
    handler = _Patient(path, maxBytes=5_000_000, backupCount=1, delay=True, encoding="utf-8")
    handler.setFormatter(_AsJson())
    logger.setLevel(logging.INFO)
    for each in (logger, logging.getLogger("waitress")):
        for old in each.handlers:
            old.close()
        each.handlers, each.propagate = [handler], False
