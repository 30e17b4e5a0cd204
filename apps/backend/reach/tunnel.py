"""The tunnel listener: greets each client with a line of JSON, then sends every line back."""

import asyncio
import itertools
import json
import socket
import time
from dataclasses import dataclass, field

import structlog

from reach.closing import finish, hang_up
from reach.logs import timestamp

logger = structlog.stdlib.get_logger("reach.tunnel")

LINE_BYTES = 4096
MAX_CLIENTS = 256


@dataclass(frozen=True, eq=False)
class Client:
    number: int
    # The life of the tunnel. A drain sets its end, at which the tunnel says goodbye wherever it is.
    life: asyncio.Timeout
    opened: float = field(default_factory=time.time)

    def describe(self) -> dict[str, object]:
        return {"id": self.number, "openedAt": timestamp(self.opened)}


class Tunnel:
    def __init__(self, release: str) -> None:
        self._release = release
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        # When all tunnels are to end, on the clock of the event loop; known once a drain has begun.
        self._end: float | None = None
        self.clients: set[Client] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, host, port, limit=LINE_BYTES)

    @property
    def listening(self) -> bool:
        return self._server is not None and self._server.is_serving()

    @property
    def port(self) -> int:
        assert self._server, "the tunnel has not been started"
        return self._server.sockets[0].getsockname()[1]

    async def drain(self, leave_after: float, seconds: float) -> int:
        """Takes no new client. Those that are there go on, and get a goodbye in time. Returns how many had to be cut."""
        if self._server:
            self._server.close()
        self._end = asyncio.get_running_loop().time() + leave_after
        for client in self.clients:
            client.life.reschedule(self._end)
        return await finish(self._tasks, seconds)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            # A client can vanish without a word (a laptop that sleeps): the kernel finds out.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if len(self.clients) >= MAX_CLIENTS:
                writer.write(line({"event": "bye", "reason": "too many clients"}))
            else:
                await self._echo(reader, writer)
            await hang_up(reader, writer)
        except OSError:
            pass  # The client is gone: there is nobody to tell.
        except asyncio.CancelledError:
            pass  # A drain ran out of time. To raise it further is a fault in the eyes of some versions of asyncio.
        finally:
            self._tasks.discard(task)
            # Not close(): that would keep what a client does not read, for as long as it does not read it.
            writer.transport.abort()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = None
        life = asyncio.timeout_at(self._end)
        client = Client(next(self._numbers), life)
        self.clients.add(client)
        logger.info("client_connected", client_id=client.number)
        try:
            async with life:
                writer.write(line({"service": "reach-tunnel", "release": self._release, "clientId": client.number}))
                while received := await reader.readline():
                    writer.write(received)
                    await writer.drain()
        except TimeoutError:
            # The kernel's own time-out, for a client that vanished, comes as the same error.
            if not life.expired():
                raise
            reason = "draining"
        except ValueError:
            reason = f"a line is longer than {LINE_BYTES} bytes"
        finally:
            self.clients.discard(client)
            logger.info("client_disconnected", client_id=client.number, reason=reason)
        if reason:
            writer.write(line({"event": "bye", "reason": reason}))


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
