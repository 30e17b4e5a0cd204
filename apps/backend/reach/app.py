"""The application: its routes, its health, and its life from start to drained.

    /health        is it fit to serve? 200 or 503, with the reason
    /api/status    release, uptime, who is connected
    /api/whoami    the caller's address, as the proxy saw it
    /api/echo      POST: the same bytes back
    /api/clients   the open tunnels; needs the API key
    /api/files     POST: where to send a file, and where to get it again; needs the API key
    /sse           an event stream
"""

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import signal
import time
from collections.abc import Awaitable, Callable

from reach import VERSION, secrets
from reach.files import Credentials, offer, read_file
from reach.http import HttpError, Request, Response, Server, json_response
from reach.logs import log, timestamp
from reach.settings import Settings
from reach.sse import EventStreams
from reach.tunnel import Tunnel

logger = logging.getLogger("reach.app")

# What streams and tunnels get of a drain to say goodbye and see the other side hang up.
LEAVE_SECONDS = 1.5

Handler = Callable[[Request], Awaitable[Response]]


async def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = App(settings)
    await app.start()
    await stop.wait()
    await app.drain()


class App:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self._required_secrets = (secrets.API_KEY, *(secrets.FILES_CREDENTIALS if settings.files else ()))
        self.draining = asyncio.Event()
        self.leaving = asyncio.Event()
        self.streams = EventStreams(settings.release, self.leaving)
        self.tunnel = Tunnel(settings.release)
        # Docker asks for /health every few seconds: those lines would bury the others.
        self.http = Server(self.handle, self.draining, unlogged_paths=frozenset({"/health"}))
        self._routes: dict[str, dict[str, Handler]] = {
            "/health": {"GET": self.health},
            "/api/status": {"GET": self.status},
            "/api/whoami": {"GET": self.whoami},
            "/api/echo": {"POST": self.echo},
            "/api/clients": {"GET": self.clients},
            **({"/api/files": {"POST": self.files}} if settings.files else {}),
            "/sse": {"GET": self.sse},
        }

    async def start(self) -> None:
        settings = self._settings
        # The tunnel first: when /health can be asked, what it reports on is there.
        await self.tunnel.start(settings.host, settings.tunnel_port)
        await self.http.start(settings.host, settings.port)
        ports = {"port": self.http.port, "tunnel_port": self.tunnel.port}
        log(logger, logging.INFO, "started", version=VERSION, release=settings.release, **ports)
        for reason in secrets.missing_secrets(self._required_secrets):
            log(logger, logging.WARNING, "secret_missing", reason=reason)

    async def drain(self) -> None:
        """Ends every conversation in good order, within the time that is given.

        Requests end by themselves. Streams and tunnels go on as if nothing had happened, until they are asked to leave
        shortly before the end.
        """
        started = time.monotonic()
        log(logger, logging.INFO, "draining", streams=self.streams.count, clients=len(self.tunnel.clients))
        self.draining.set()
        seconds = self._settings.drain_seconds
        leave_after = max(0, seconds - LEAVE_SECONDS)
        asyncio.get_running_loop().call_later(leave_after, self.leaving.set)
        tunnels = asyncio.create_task(self.tunnel.drain(leave_after, seconds))
        cut = await self.http.drain(seconds, meanwhile=tunnels) + await tunnels
        took = round(time.monotonic() - started, 3)
        log(logger, logging.WARNING if cut else logging.INFO, "stopped", seconds=took, connections_cut=cut)

    async def handle(self, request: Request) -> Response:
        methods = self._routes.get(request.path)
        if methods is None:
            raise HttpError(404, "not found")
        # HEAD is GET without the body, which the server leaves out.
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allowed = [*methods, *(["HEAD"] if "GET" in methods else [])]
            raise HttpError(405, "method not allowed", {"Allow": ", ".join(allowed)})
        return await handler(request)

    async def health(self, _: Request) -> Response:
        missing = secrets.missing_secrets(self._required_secrets)
        draining = self.draining.is_set()
        healthy = not missing and self.tunnel.listening and not draining
        return json_response(
            {
                "status": "draining" if draining else "healthy" if healthy else "unhealthy",
                "timestamp": timestamp(),
                "version": VERSION,
                "release": self._settings.release,
                "checks": {
                    "secrets": "; ".join(missing) or "ok",
                    "tunnel": "ok" if self.tunnel.listening else "not listening",
                    "draining": draining,
                },
            },
            status=200 if healthy else 503,
        )

    async def status(self, _: Request) -> Response:
        return json_response(
            {
                "release": self._settings.release,
                "version": VERSION,
                "uptimeSeconds": round(time.monotonic() - self._started, 1),
                "clients": len(self.tunnel.clients),
                "streams": self.streams.count,
            }
        )

    async def whoami(self, request: Request) -> Response:
        return json_response({"address": client_address(request)})

    async def echo(self, request: Request) -> Response:
        # Bytes that nobody vouches for must never be taken for a page: a fixed type, and no guessing.
        headers = {"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff"}
        return Response(200, request.body, {**headers, "Cache-Control": "no-store"})

    async def clients(self, request: Request) -> Response:
        require_api_key(request)
        return json_response({"clients": [client.describe() for client in self.tunnel.clients]})

    async def files(self, request: Request) -> Response:
        require_api_key(request)
        storage = self._settings.files
        assert storage is not None  # Else there is no such route.
        file = read_file(request.body, storage.max_mb)
        try:
            credentials = Credentials(*(secrets.read_secret(name) for name in secrets.FILES_CREDENTIALS))
        except secrets.SecretMissing:
            raise HttpError(503, "no credentials of the storage are configured") from None
        return json_response(offer(file, storage, credentials))

    async def sse(self, request: Request) -> Response:
        return self.streams.open(request.headers.get("last-event-id", ""))


def require_api_key(request: Request) -> None:
    try:
        expected = secrets.read_secret(secrets.API_KEY)
    except secrets.SecretMissing:
        # The reason is in /health and in the log; a caller from outside need not know it.
        raise HttpError(503, "no API key is configured") from None
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # In constant time: how long a comparison takes must not tell how much of a guess was right.
    right = hmac.compare_digest(given.strip().encode("latin-1"), expected.encode())
    if scheme.lower() != "bearer" or not right:
        raise HttpError(401, "the API key is missing or wrong", {"WWW-Authenticate": 'Bearer realm="reach"'})


def client_address(request: Request) -> str:
    # The last entry is what the nearest proxy saw itself. Those before it are claims that a client can make up.
    nearest = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(nearest))
    return request.peer
