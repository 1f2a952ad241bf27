"""A file of what happened, one JSON object a line: no photo, no file name, no token and no access code."""

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler

from flask import g, has_request_context

from .. import places


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if has_request_context():
            line["request_id"] = g.get("request_id")
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_to_file(logger: logging.Logger) -> None:
    """`logger` and the server's write to backend.log in the cache's folder. Not to the notebook, where a background
    thread's words land under whatever cell is running."""
    handler = RotatingFileHandler(places.cache_dir() / "backend.log", maxBytes=5_000_000, backupCount=1, delay=True)
    handler.setFormatter(_AsJson())
    logger.setLevel(logging.INFO)
    for each in (logger, logging.getLogger("waitress")):
        for old in each.handlers:
            old.close()
        each.handlers, each.propagate = [handler], False
