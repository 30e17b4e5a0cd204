"""A small HTTP/1.1 server on asyncio's streams.

It stands behind a proxy and still trusts nobody: everything that a client sends has a limit in bytes and in time,
and a request whose length can be read in two ways is refused, since that is how requests are smuggled past proxies.

The life of a connection: wait for a first byte (idle) -> read one request -> answer it -> again, until one side has
had enough. One asyncio task each; requests that a client sends ahead wait in the stream for their turn.
"""

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import urlsplit

from reach.closing import finish, hang_up
from reach.logs import log

logger = logging.getLogger("reach.http")

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")

# How long a drain goes on as before, but for a "Connection: close" on each answer: a request that is already on its
# way on an idle connection still arrives, and whoever watches /health still sees the 503.
NOTICE_SECONDS = 1


@dataclass(frozen=True)
class Limits:
    header_bytes: int = 16 * 1024
    header_count: int = 100
    body_bytes: int = 64 * 1024
    connections: int = 1024
    # Longer than a proxy keeps an idle connection (Traefik: 90 s), so that it is the proxy that ends it. The other
    # way round, a request can meet a connection that we are just closing.
    idle_seconds: float = 120
    header_seconds: float = 10
    body_seconds: float = 30
    write_seconds: float = 30


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # Without the query: no route has one, and what is not kept cannot leak into a log.
    headers: Mapping[str, str]  # Names in lower case.
    body: bytes
    peer: str
    # Both false in HTTP/1.0, where an answer of unknown length ends with its connection.
    keep_alive: bool
    chunks_understood: bool


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes | AsyncGenerator[bytes, None]
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(value).encode() + b"\n"
    return Response(status, body, {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})})


class HttpError(Exception):
    """Becomes an answer. The message is for the client, so it says nothing that the client did not."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    def response(self) -> Response:
        return json_response({"error": self.message}, self.status, self.headers)


class Server:
    def __init__(
        self,
        handle: Callable[[Request], Awaitable[Response]],
        draining: asyncio.Event,
        limits: Limits = Limits(),
        unlogged_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._handle = handle
        self._draining = draining
        self._limits = limits
        self._unlogged_paths = unlogged_paths
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Timeout] = set()

    async def start(self, host: str, port: int) -> None:
        limits = self._limits
        self._server = await asyncio.start_server(self._serve, host, port, limit=limits.header_bytes, backlog=1024)

    @property
    def port(self) -> int:
        assert self._server, "the server has not been started"
        return self._server.sockets[0].getsockname()[1]

    async def drain(self, seconds: float, meanwhile: asyncio.Task[int] | None = None) -> int:
        """Lets running requests end, and listens until `meanwhile` has ended too. The caller has set `draining`.

        Returns how many connections had to be cut.
        """
        assert self._server, "the server has not been started"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        notice = min(seconds, NOTICE_SECONDS)
        for idle in self._idle:
            if not idle.expired():
                idle.reschedule(loop.time() + notice)
        await asyncio.sleep(notice)
        # Still listening, so that /health says "draining" as long as one of these runs.
        if running := {*self._tasks, *([meanwhile] if meanwhile else [])}:
            await asyncio.wait(running, timeout=deadline - loop.time())
        self._server.close()
        return await finish(self._tasks, deadline - loop.time())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            if len(self._tasks) > self._limits.connections:
                await self._send(writer, HttpError(503, "too many connections").response(), close=True)
            else:
                while await self._serve_one(reader, writer):
                    pass
            await hang_up(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client left in mid-sentence, or does not take its answer: there is nobody to tell.
        except asyncio.CancelledError:
            pass  # A drain ran out of time. To raise it further is a fault in the eyes of some versions of asyncio.
        finally:
            self._tasks.discard(task)
            # Not close(): that would keep what a client does not read, for as long as it does not read it.
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request. Returns whether the connection may carry another."""
        first = await self._first_byte(reader)
        if not first:
            return False
        started = time.monotonic()
        try:
            request = await read_request(first, reader, writer, self._limits)
        except HttpError as error:
            log(logger, logging.INFO, "request_refused", status=error.status, reason=error.message)
            # Where the next request would begin is not known, so there is none.
            await self._send(writer, error.response(), close=True)
            return False
        response = await self._answer(request)
        # Asked now and not before: a drain may have begun while the handler ran.
        close = self._draining.is_set() or not request.keep_alive
        try:
            await self._send(
                writer,
                response,
                close=close,
                chunked=request.chunks_understood,
                head_only=request.method == "HEAD",
            )
        finally:
            if request.path not in self._unlogged_paths:
                log(
                    logger,
                    logging.INFO,
                    "request",
                    method=request.method,
                    path=request.path[:200],
                    status=response.status,
                    duration_ms=round((time.monotonic() - started) * 1000, 1),
                )
        # A stream that a drain has ended was the last that its connection carries: who waited for it need not wait longer.
        return not close and not (self._draining.is_set() and not isinstance(response.body, bytes))

    async def _first_byte(self, reader: asyncio.StreamReader) -> bytes:
        limit = NOTICE_SECONDS if self._draining.is_set() else self._limits.idle_seconds
        try:
            async with asyncio.timeout(limit) as idle:
                self._idle.add(idle)
                try:
                    return await reader.read(1)
                finally:
                    self._idle.discard(idle)
        except TimeoutError:
            return b""

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handle(request)
        except HttpError as error:
            return error.response()
        except Exception:
            logger.exception("handler_failed", extra={"fields": {"path": request.path[:200]}})
            return HttpError(500, "internal error").response()

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        response: Response,
        *,
        close: bool,
        chunked: bool = True,
        head_only: bool = False,
    ) -> None:
        body = response.body
        headers = {"Date": formatdate(usegmt=True), **response.headers}
        if isinstance(body, bytes):
            headers["Content-Length"] = str(len(body))
        elif chunked:
            headers["Transfer-Encoding"] = "chunked"
        if close:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if head_only:
            await self._write(writer, head)
        elif isinstance(body, bytes):
            await self._write(writer, head + body)
        else:
            await self._write(writer, head)
            # Closed at once when the client leaves, not when the garbage collector comes by.
            async with contextlib.aclosing(body):
                async for part in body:
                    await self._write(writer, b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            if chunked:
                await self._write(writer, b"0\r\n\r\n")

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        # A client that does not read must not hold our memory for ever.
        async with asyncio.timeout(self._limits.write_seconds):
            await writer.drain()


async def read_request(
    first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
) -> Request:
    try:
        async with asyncio.timeout(limits.header_seconds):
            head = first + await reader.readuntil(b"\r\n\r\n")
    except TimeoutError:
        raise HttpError(408, "the header took too long") from None
    except asyncio.LimitOverrunError:
        raise HttpError(431, "the header is too large") from None
    # Latin-1 maps every byte to a character, so that nothing is lost; what is allowed is checked below.
    request_line, *header_lines = head.decode("latin-1").lstrip("\r\n").removesuffix("\r\n\r\n").split("\r\n")
    method, path, minor = parse_request_line(request_line)
    headers = parse_headers(header_lines, limits.header_count)
    if minor >= 1 and not headers.get("host"):
        raise HttpError(400, "the Host header is missing")
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await read_body(headers, minor, reader, writer, limits)
    except TimeoutError:
        raise HttpError(408, "the body took too long") from None
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    return Request(
        method=method,
        path=path,
        headers=headers,
        body=body,
        # Not known of a client that was gone before it was accepted.
        peer=(writer.get_extra_info("peername") or ("unknown",))[0],
        keep_alive=minor >= 1 and "close" not in options,
        chunks_understood=minor >= 1,
    )


def parse_request_line(line: str) -> tuple[str, str, int]:
    """The method, the path without its query, and the minor version."""
    parts = line.split(" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]):
        raise HttpError(400, "the request line is malformed")
    method, target, version = parts
    if not re.fullmatch(r"HTTP/\d\.\d", version, re.ASCII):
        raise HttpError(400, "the request line is malformed")
    if not version.startswith("HTTP/1."):
        raise HttpError(505, "this server speaks HTTP/1.1")
    if not target or not all("!" <= character <= "~" for character in target):
        raise HttpError(400, "the request target is malformed")
    try:
        # "http://host/path" is meant for proxies, but every server has to understand it.
        path = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
    except ValueError:
        raise HttpError(400, "the request target is malformed") from None
    return method, path, int(version[-1])


def parse_headers(lines: list[str], count: int) -> dict[str, str]:
    if len(lines) > count:
        raise HttpError(431, "there are too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # This also refuses a space before the colon and a line that goes on in the next: both have been read in
        # different ways by a proxy and the server behind it.
        if not colon or not TOKEN.fullmatch(name) or CONTROL.search(value):
            raise HttpError(400, "a header is malformed")
        name, value = name.lower(), value.strip(" \t")
        if name in headers and name in ("host", "content-length", "transfer-encoding", "authorization"):
            raise HttpError(400, f"the header {name} is there twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def read_body(
    headers: Mapping[str, str], minor: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
) -> bytes:
    length = headers.get("content-length")
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        if length is not None or minor < 1:
            raise HttpError(400, "the length of the body is ambiguous")
        if encoding.lower() != "chunked":
            raise HttpError(501, "only the transfer encoding chunked is understood")
    elif length is None:
        return b""
    elif not (length.isascii() and length.isdigit()):
        raise HttpError(400, "the Content-Length is not a number")
    elif len(length) > 15 or int(length) > limits.body_bytes:
        raise HttpError(413, f"the body is larger than {limits.body_bytes} bytes")
    if headers.get("expect", "").lower() == "100-continue" and minor >= 1:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if length is not None:
        return await reader.readexactly(int(length))
    return await read_chunks(reader, limits)


async def read_chunks(reader: asyncio.StreamReader, limits: Limits) -> bytes:
    body = bytearray()
    try:
        while True:
            match = CHUNK_SIZE.fullmatch(await reader.readuntil(b"\r\n"))
            if not match:
                raise HttpError(400, "a chunk is malformed")
            size = int(match[1], 16)
            if len(body) + size > limits.body_bytes:
                raise HttpError(413, f"the body is larger than {limits.body_bytes} bytes")
            if size == 0:
                break
            body += await reader.readexactly(size)
            if await reader.readexactly(2) != b"\r\n":
                raise HttpError(400, "a chunk is malformed")
        trailer_bytes = 0
        # Trailers are allowed and of no use here: read, counted, dropped.
        while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
            trailer_bytes += len(trailer)
            if trailer_bytes > limits.header_bytes:
                raise HttpError(431, "the trailers are too large")
    except asyncio.LimitOverrunError:
        raise HttpError(400, "a chunk is malformed") from None
    return bytes(body)
