"""The event stream: an event at once, then one a second, until the client or the server leaves."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from reach.logs import timestamp

EVENT_SECONDS = 1
HEARTBEAT_EVENTS = 15
RECONNECT_MS = 1000
# Fewer than the connections that the server takes, so that streams leave room for everybody else.
MAX_STREAMS = 512


class EventStreams:
    def __init__(self, release: str, leaving: asyncio.Event) -> None:
        self._release = release
        self._leaving = leaving
        self.count = 0

    def open(self, request: Request) -> Response:
        """A stream. A client that comes back says which event it saw last, and the count goes on from there."""
        if self.count >= MAX_STREAMS:
            raise HTTPException(503, "too many streams", {"Retry-After": "5"})
        last_event_id = request.headers.get("last-event-id", "")
        known = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 15
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            # Asks proxies that collect answers before they pass them on not to do so here.
            "X-Accel-Buffering": "no",
        }
        if request.method == "HEAD":
            return Response(headers=headers)
        return StreamingResponse(self._events(int(last_event_id) if known else 0), headers=headers)

    async def _events(self, counter: int) -> AsyncGenerator[bytes, None]:
        self.count += 1
        try:
            yield f"retry: {RECONNECT_MS}\n\n".encode()
            while not self._leaving.is_set():
                counter += 1
                yield event({"counter": counter, "release": self._release, "timestamp": timestamp()}, number=counter)
                if counter % HEARTBEAT_EVENTS == 0:
                    # A comment: nothing to a client, but it keeps a stream alive where events are filtered or rare.
                    yield b": heartbeat\n\n"
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVENT_SECONDS):
                        await self._leaving.wait()
            # The client learns that this end was meant. It reconnects, and lands on the next release.
            yield event({"release": self._release}, name="bye")
        finally:
            self.count -= 1


def event(data: object, *, name: str | None = None, number: int | None = None) -> bytes:
    lines = [f"event: {name}"] if name else []
    lines += [f"id: {number}"] if number is not None else []
    return "\n".join([*lines, f"data: {json.dumps(data)}", "", ""]).encode()
