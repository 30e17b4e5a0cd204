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
import signal
import time

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reach import VERSION, secrets
from reach.files import Credentials, offer, read_file
from reach.http import ERRORS, Conversation, Json, read_body
from reach.logs import timestamp
from reach.server import Server
from reach.settings import Settings
from reach.sse import EventStreams
from reach.tunnel import Tunnel

logger = structlog.stdlib.get_logger("reach.app")

# What streams and tunnels get of a drain to say goodbye and see the other side hang up.
LEAVE_SECONDS = 1.5


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
        routes = [
            Route("/health", self.health),
            Route("/api/status", self.status),
            Route("/api/whoami", self.whoami),
            Route("/api/echo", self.echo, methods=["POST"]),
            Route("/api/clients", self.clients),
            *([Route("/api/files", self.files, methods=["POST"])] if settings.files else []),
            Route("/sse", self.sse),
        ]
        application = Starlette(routes=routes, exception_handlers=ERRORS)
        # A path is what is written here and nothing like it.
        application.router.redirect_slashes = False
        self.http = Server(Conversation(application, self.draining))

    async def start(self) -> None:
        settings = self._settings
        # The tunnel first: when /health can be asked, what it reports on is there.
        await self.tunnel.start(settings.host, settings.tunnel_port)
        await self.http.start(settings.host, settings.port)
        ports = {"port": self.http.port, "tunnel_port": self.tunnel.port}
        logger.info("started", version=VERSION, release=settings.release, **ports)
        for reason in secrets.missing_secrets(self._required_secrets):
            logger.warning("secret_missing", reason=reason)

    async def drain(self) -> None:
        """Ends every conversation in good order, within the time that is given.

        Requests end by themselves. Streams and tunnels go on as if nothing had happened, until they are asked to leave
        shortly before the end.
        """
        started = time.monotonic()
        logger.info("draining", streams=self.streams.count, clients=len(self.tunnel.clients))
        self.draining.set()
        seconds = self._settings.drain_seconds
        leave_after = max(0, seconds - LEAVE_SECONDS)
        asyncio.get_running_loop().call_later(leave_after, self.leaving.set)
        tunnels = asyncio.create_task(self.tunnel.drain(leave_after, seconds))
        cut = await self.http.drain(seconds, meanwhile=tunnels) + await tunnels
        took = round(time.monotonic() - started, 3)
        (logger.warning if cut else logger.info)("stopped", seconds=took, connections_cut=cut)

    async def health(self, _: Request) -> Response:
        missing = secrets.missing_secrets(self._required_secrets)
        draining = self.draining.is_set()
        healthy = not missing and self.tunnel.listening and not draining
        return Json(
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
            200 if healthy else 503,
        )

    async def status(self, _: Request) -> Response:
        return Json(
            {
                "release": self._settings.release,
                "version": VERSION,
                "uptimeSeconds": round(time.monotonic() - self._started, 1),
                "clients": len(self.tunnel.clients),
                "streams": self.streams.count,
            }
        )

    async def whoami(self, request: Request) -> Response:
        return Json({"address": client_address(request)})

    async def echo(self, request: Request) -> Response:
        # Bytes that nobody vouches for must never be taken for a page: a fixed type, and no guessing.
        headers = {"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff"}
        return Response(await read_body(request), headers={**headers, "Cache-Control": "no-store"})

    async def clients(self, request: Request) -> Response:
        require_api_key(request)
        return Json({"clients": [client.describe() for client in self.tunnel.clients]})

    async def files(self, request: Request) -> Response:
        require_api_key(request)
        storage = self._settings.files
        assert storage is not None  # Else there is no such route.
        file = read_file(await read_body(request), storage.max_mb)
        try:
            credentials = Credentials(*(secrets.read_secret(name) for name in secrets.FILES_CREDENTIALS))
        except secrets.SecretMissing:
            raise HTTPException(503, "no credentials of the storage are configured") from None
        return Json(offer(file, storage, credentials))

    async def sse(self, request: Request) -> Response:
        return self.streams.open(request)


def require_api_key(request: Request) -> None:
    try:
        expected = secrets.read_secret(secrets.API_KEY)
    except secrets.SecretMissing:
        # The reason is in /health and in the log; a caller from outside need not know it.
        raise HTTPException(503, "no API key is configured") from None
    # Two are as good as none: which of them counts is not to be guessed.
    stated = request.headers.getlist("authorization")
    scheme, _, given = (stated[0] if len(stated) == 1 else "").partition(" ")
    # In constant time: how long a comparison takes must not tell how much of a guess was right.
    right = hmac.compare_digest(given.strip().encode("latin-1"), expected.encode())
    if scheme.lower() != "bearer" or not right:
        raise HTTPException(401, "the API key is missing or wrong", {"WWW-Authenticate": 'Bearer realm="reach"'})


def client_address(request: Request) -> str:
    # The last entry is what the nearest proxy saw itself. Those before it are claims that a client can make up.
    nearest = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(nearest))
    # Not known of a client that was gone before it was accepted.
    return request.client.host if request.client else "unknown"
