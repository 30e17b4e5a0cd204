"""Structured logs: one JSON object a line on stdout, where the container's log driver takes and rotates them.

What must never be logged: bodies, query strings, the Authorization header, client addresses, secrets. Callers name
each field that they log; nothing is dumped whole.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime

import structlog
from structlog.typing import EventDict, WrappedLogger


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter())
    # On the root logger, so that what asyncio and uvicorn report comes out in the same shape.
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What it says of its own start and end, the app says too.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter() -> logging.Formatter:
    """The same for structlog's lines and for those of libraries, which use Python's own logging."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            describe_error,
            in_order,
            structlog.processors.JSONRenderer(),
        ],
    )


def timestamp(moment: float | None = None) -> str:
    """A moment (seconds since the epoch; now, if none is given) as RFC 3339 in UTC, to the millisecond."""
    time = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def describe_error(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """The kind and the places, not the message: messages quote their input, and input can be a secret."""
    record: logging.LogRecord = line["_record"]
    given = line.pop("exc_info", None) or record.exc_info
    error = sys.exc_info()[1] if given is True else given if isinstance(given, BaseException) else given and given[1]
    if error:
        line["error"] = type(error).__name__
        line["stack"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ]
    return line


def in_order(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    record: logging.LogRecord = line.pop("_record")
    line.pop("_from_structlog")
    head = {"timestamp": timestamp(record.created)}
    head |= {name: line.pop(name) for name in ("level", "logger", "event")}
    return {**head, **line}
