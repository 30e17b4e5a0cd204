"""Structured logs: one JSON object a line on stdout, where the container's log driver takes and rotates them.

What must never be logged: bodies, query strings, the Authorization header, client addresses, secrets. Callers name
each field that they log; nothing is dumped whole.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    # On the root logger, so that what asyncio itself reports comes out in the same shape.
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def log(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"fields": fields})


def timestamp(moment: float | None = None) -> str:
    """A moment (seconds since the epoch; now, if none is given) as RFC 3339 in UTC, to the millisecond."""
    time = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "timestamp": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            # The kind and the places, not the message: messages quote their input, and input can be a secret.
            line["error"] = type(record.exc_info[1]).__name__
            line["stack"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(line)
