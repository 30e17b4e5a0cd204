"""uvicorn, with limits in time for all that a client does, and a drain that goes on listening.

uvicorn's own end closes the door first: a request that is on its way then fails, and nobody can ask /health any more.
"""

import asyncio
import contextlib
import socket
from collections.abc import Collection, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_BYTES = 16 * 1024
HEADER_SECONDS = 10
# Longer than a proxy keeps an idle connection (Traefik: 90 s), so that it is the proxy that ends it. The other way
# round, a request can meet a connection that we are just closing.
IDLE_SECONDS = 120
# How long a client may leave unread what it was sent.
WRITE_SECONDS = 30
CONNECTIONS = 1024
# How long a drain goes on as before, but for a "Connection: close" on each answer: a request that is already on its
# way on an idle connection still arrives, and whoever watches /health still sees the 503.
NOTICE_SECONDS = 1


class Server:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def start(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
        # Each connection takes these over. asyncio does not see that a socket that it is given is TCP, and without it the body,
        # which follows the header as a packet of its own, waits 40 ms for the client's word on the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A client that does not read must not hold our memory for ever.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, WRITE_SECONDS * 1000)
        self.port: int = listener.getsockname()[1]
        self._uvicorn = Uvicorn(
            uvicorn.Config(
                self._app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Whom to believe about a client's address is for /api/whoami to say.
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                h11_max_incomplete_event_size=HEADER_BYTES,
                timeout_keep_alive=IDLE_SECONDS,
                backlog=CONNECTIONS,
            )
        )
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]))
        while not self._uvicorn.started and not self._serving.done():
            await asyncio.sleep(0)

    @property
    def connections(self) -> Collection[H11Protocol]:
        return self._uvicorn.server_state.connections  # type: ignore[return-value]

    async def drain(self, seconds: float, meanwhile: asyncio.Task[int] | None = None) -> int:
        """Lets running requests end, and listens until `meanwhile` has ended too. The caller has set `draining`.

        Returns how many connections had to be cut.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # Of each connection from now on.
        self._uvicorn.config.timeout_keep_alive = NOTICE_SECONDS
        await asyncio.sleep(min(seconds, NOTICE_SECONDS))
        for connection in list(self.connections):
            # Those that are idle end now, the others after their answer.
            connection.shutdown()
        while (self.connections or (meanwhile and not meanwhile.done())) and loop.time() < deadline:
            await asyncio.sleep(0.02)
        stuck = list(self.connections)
        for task in list(self._uvicorn.server_state.tasks):
            task.cancel()
        for connection in stuck:
            # Not close(): that would keep what a client does not read, for as long as it does not read it.
            connection.transport.abort()
        self._uvicorn.should_exit = True
        await self._serving
        return len(stuck)


class Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # A signal is the app's to hear: it drains, and ends this server then.
        yield


class Connection(H11Protocol):
    """uvicorn's own, which would wait for ever for a first request, and for the rest of a header."""

    _header_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        between = before is None or before.response_complete
        if between and self._header_end is None:
            self._header_end = self.loop.call_later(HEADER_SECONDS, self.transport.close)
        super().data_received(data)
        if self.cycle is not before:
            self._forget_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_header()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _forget_header(self) -> None:
        if self._header_end is not None:
            self._header_end.cancel()
            self._header_end = None
