"""What every route shares: answers as JSON, bodies with a limit, and a line in the log for each request."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import structlog
from h11 import LocalProtocolError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

logger = structlog.stdlib.get_logger("reach.http")

BODY_BYTES = 64 * 1024
BODY_SECONDS = 30
# Docker asks for /health every few seconds: those lines would bury the others.
UNLOGGED_PATHS = frozenset({"/health"})


class Json(JSONResponse):
    def __init__(self, content: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: object) -> bytes:
        # A line of its own, for who reads it in a terminal.
        return json.dumps(content).encode() + b"\n"


async def refusal(_: Request, error: Exception) -> Json:
    """The answer to an HTTPException. Its detail is for the client, so it says nothing that the client did not."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        # Starlette names them in any order.
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    # Starlette's own details are in capitals.
    detail = error.detail.lower() if error.status_code in (404, 405) else error.detail
    return Json({"error": detail}, error.status_code, headers)


async def fault(_: Request, __: Exception) -> Json:
    return Json({"error": "internal error"}, 500)


async def gone(_: Request, __: Exception) -> Json:
    """The client left in mid-sentence: this is for the log, as there is nobody to tell."""
    return Json({"error": "the body is not whole"}, 400)


ERRORS: Mapping[Any, ExceptionHandler] = {HTTPException: refusal, ClientDisconnect: gone, Exception: fault}


async def read_body(request: Request) -> bytes:
    """A body that is too large is refused as soon as that is known, by its announced length or while it comes."""
    too_large = HTTPException(413, f"the body is larger than {BODY_BYTES} bytes")
    if int(request.headers.get("content-length", 0)) > BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise too_large
    except TimeoutError:
        # Where the next request would begin is not known, so there is none.
        raise HTTPException(408, "the body took too long", {"Connection": "close"}) from None
    return bytes(body)


class Conversation:
    """Around the whole application: what each request is logged as, and how a drain and a fault show in its answer."""

    def __init__(self, app: ASGIApp, draining: asyncio.Event) -> None:
        self._app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Asked now and not before: a drain may have begun while the handler ran.
                if self._draining.is_set():
                    message["headers"] = [*message["headers"], (b"Connection", b"close")]
            try:
                await send(message)
            except LocalProtocolError:
                # The server itself has refused what came after the header, has said so, and hangs up.
                while (await receive())["type"] != "http.disconnect":
                    pass

        path = scope["path"][:200]
        try:
            if is_ambiguous(scope):
                refused = Json({"error": "the length of the body is ambiguous"}, 400, {"Connection": "close"})
                await refused(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception:
            # Answered by `fault`.
            logger.exception("handler_failed", path=path)
        finally:
            if scope["path"] not in UNLOGGED_PATHS:
                took = round((time.monotonic() - started) * 1000, 1)
                logger.info("request", method=scope["method"], path=path, status=status, duration_ms=took)


def is_ambiguous(scope: Scope) -> bool:
    """Whether the length can be read in two ways, which is how requests are smuggled past proxies."""
    names = {name for name, _ in scope["headers"]}
    return b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] != "1.1")
