"""What the tests share: an app on free loopback ports, and raw connections to it."""

import asyncio
import json
import logging
import os
import tempfile
import unittest
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from reach import logs
from reach.app import App
from reach.settings import Settings

API_KEY = "correct-horse-battery-staple"
SETTINGS = Settings(host="127.0.0.1", port=0, tunnel_port=0, release="r1", drain_seconds=5, log_level="info")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


class Connection:
    """One raw connection, so that a test can also say what no well-behaved client would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def head(self) -> Answer:
        lines = (await self.until(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return Answer(int(lines[0].split(" ")[1]), {name.lower(): value for name, value in headers.items()}, b"")

    async def answer(self) -> Answer:
        answer = await self.head()
        answer.body = await self._in_time(self.reader.readexactly(int(answer.headers["content-length"])))
        return answer

    async def chunk(self) -> bytes:
        """One chunk of a stream; empty at its end."""
        size = int(await self.until(b"\r\n"), 16)
        return (await self._in_time(self.reader.readexactly(size + 2)))[:-2]

    async def until(self, separator: bytes) -> bytes:
        return await self._in_time(self.reader.readuntil(separator))

    async def rest(self) -> bytes:
        """All that still comes, until the other side closes."""
        return await self._in_time(self.reader.read())

    async def _in_time(self, read: Awaitable[bytes]) -> bytes:
        # No test may hang, and none may pass because it waited long enough for something else to happen.
        async with asyncio.timeout(5):
            return await read


def silence(test: unittest.TestCase) -> None:
    """Keeps the log of the tested code out of the report of the tests."""
    logs.configure("info")
    logging.disable()
    test.addCleanup(logging.disable, logging.NOTSET)


class AppTest(unittest.IsolatedAsyncioTestCase):
    """Each test gets an app of its own, with a readable API key."""

    async def asyncSetUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.key_file = Path(folder) / "api-key"
        self.key_file.write_text(API_KEY + "\n")
        self.enterContext(mock.patch.dict(os.environ, {"REACH_API_KEY_FILE": str(self.key_file)}))
        silence(self)
        self.app = App(SETTINGS)
        await self.app.start()
        self._connections: list[Connection] = []

    async def asyncTearDown(self) -> None:
        for connection in self._connections:
            connection.writer.close()
        with mock.patch("reach.server.NOTICE_SECONDS", 0), mock.patch("reach.app.LEAVE_SECONDS", SETTINGS.drain_seconds):
            await self.app.drain()

    async def connect(self, port: int | None = None) -> Connection:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", port or self.app.http.port))
        self._connections.append(connection)
        return connection

    async def request(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        connection = await self.connect()
        lines = [f"{method} {path} HTTP/1.1", "Host: reach", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await connection.send("\r\n".join([*lines, "", ""]).encode() + body)
        return await connection.answer()
