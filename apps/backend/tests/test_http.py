import asyncio
import contextlib
import logging
import socket
import unittest
from unittest import mock

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reach import http, server
from tests.support import Connection, silence


# More than the kernel keeps for who does not read.
LARGE = b"x" * 50_000_000


class ServerTest(unittest.IsolatedAsyncioTestCase):
    limits = {"BODY_BYTES": 100}

    async def asyncSetUp(self):
        silence(self)
        for name, value in self.limits.items():
            self.enterContext(mock.patch.object(http if hasattr(http, name) else server, name, value))
        self.requests = []
        self.draining = asyncio.Event()
        application = Starlette(
            routes=[Route("/{path:path}", self.handle, methods=["GET", "POST"])],
            exception_handlers=http.ERRORS,
        )
        self.server = server.Server(http.Conversation(application, self.draining))
        await self.server.start("127.0.0.1", 0)
        self.port = self.server.port
        self.connections = []

    async def asyncTearDown(self):
        for connection in self.connections:
            connection.writer.close()
        self.draining.set()
        with mock.patch("reach.server.NOTICE_SECONDS", 0):
            await self.server.drain(2)

    async def handle(self, request: Request):
        body = await http.read_body(request)
        self.requests.append(request)
        return Response(LARGE if request.url.path == "/large" else b"<" + body + b">")

    async def connect(self) -> Connection:
        self.connections.append(Connection(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.connections[-1]


class Correctness(ServerTest):
    async def test_a_connection_carries_many_requests(self):
        connection = await self.connect()
        for number in range(3):
            await connection.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await connection.answer()
            self.assertEqual(answer.status, 200)
            self.assertNotIn("connection", answer.headers)
        self.assertEqual([request.url.path for request in self.requests], ["/0", "/1", "/2"])

    async def test_requests_sent_ahead_are_answered_in_order(self):
        connection = await self.connect()
        await connection.send(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1"
            "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
            "GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        self.assertEqual([(await connection.answer()).body for _ in range(3)], [b"<1>", b"<2>", b"<>"])
        self.assertEqual(await connection.rest(), b"")

    async def test_the_client_may_ask_to_close(self):
        for request in ("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"):
            with self.subTest(request):
                connection = await self.connect()
                await connection.send(request)
                self.assertEqual((await connection.answer()).headers["connection"], "close")
                self.assertEqual(await connection.rest(), b"")

    async def test_a_body_may_come_in_pieces(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
        await asyncio.sleep(0.05)
        await connection.send("56789")
        self.assertEqual((await connection.answer()).body, b"<0123456789>")

    async def test_chunks_with_extensions_and_trailers(self):
        connection = await self.connect()
        await connection.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
            "3;name=value\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
        )
        self.assertEqual((await connection.answer()).body, b"<abc0123456789>")

    async def test_a_body_announced_with_expect_is_asked_for(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        self.assertEqual(await connection.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.send("ok")
        self.assertEqual((await connection.answer()).body, b"<ok>")


class Refusals(ServerTest):
    limits = {"BODY_BYTES": 100, "HEADER_BYTES": 1024}

    async def test_what_cannot_be_understood_ends_the_connection(self):
        post = "POST / HTTP/1.1\r\nHost: a\r\n"
        chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
        for name, sent in (
            ("not HTTP", "hello\r\n\r\n"),
            ("no version", "GET /\r\n\r\n"),
            ("a bad method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a control character", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a target beyond ASCII", "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("no host", "GET / HTTP/1.1\r\n\r\n"),
            ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            ("no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n"),
            ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            ("a null byte", "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n"),
            ("an endless header", f"GET /{'a' * 4000}"),
            ("a negative length", post + "Content-Length: -1\r\n\r\n"),
            ("a signed length", post + "Content-Length: +1\r\n\r\n"),
            ("two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            ("length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("another encoding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n"),
            ("a chunk size that is none", chunked + "0x1\r\n"),
            ("a negative chunk", chunked + "-1\r\n"),
            ("a chunk that is too short", chunked + "3\r\nabcd\r\n"),
        ):  # fmt: skip
            with self.subTest(name):
                connection = await self.connect()
                # A second request behind it: it must not be served, since nobody can know where it begins.
                await connection.send(sent.encode("latin-1") + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = await connection.head()
                self.assertEqual((answer.status, answer.headers["connection"]), (400, "close"))
                self.assertNotIn(b"HTTP/1.1", await connection.rest())
                self.assertEqual(self.requests, [])

    async def test_a_body_that_is_too_large_is_refused(self):
        post = "POST / HTTP/1.1\r\nHost: a\r\n"
        for name, sent in (
            ("a large body", post + "Content-Length: 101\r\n\r\n" + "x" * 101),
            ("a length alone", post + "Content-Length: 999999999999\r\n\r\n"),
            ("one that is asked for", post + "Content-Length: 101\r\nExpect: 100-continue\r\n\r\n"),
            ("large chunks", post + "Transfer-Encoding: chunked\r\n\r\n60\r\n" + "x" * 96 + "\r\n5\r\nxxxxx\r\n"),
        ):
            with self.subTest(name):
                connection = await self.connect()
                await connection.send(sent)
                answer = await connection.answer()
                self.assertEqual((answer.status, answer.json()), (413, {"error": "the body is larger than 100 bytes"}))
                self.assertEqual(self.requests, [])

    async def test_no_client_can_fill_the_log_with_faults(self):
        logging.disable(logging.NOTSET)
        with self.assertNoLogs("reach.http", "ERROR"), self.assertNoLogs("uvicorn.error", "ERROR"):
            for sent in (
                "Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0x1\r\n",
                "Content-Length: 5\r\n\r\n1",
            ):
                connection = await self.connect()
                await connection.send("POST / HTTP/1.1\r\nHost: a\r\n" + sent)
                await asyncio.sleep(0.05)
                connection.writer.transport.abort()
                await asyncio.sleep(0.1)
        logging.disable()

    async def test_a_refusal_arrives_even_while_the_client_still_sends(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                await connection.send(b"x" * 100_000)
        self.assertEqual((await connection.answer()).status, 413)


class TimeLimits(ServerTest):
    limits = {"IDLE_SECONDS": 0.3, "HEADER_SECONDS": 0.3, "BODY_SECONDS": 0.3, "WRITE_SECONDS": 1}

    async def test_an_idle_connection_is_closed_without_a_word(self):
        for sent in ("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            with self.subTest(sent):
                connection = await self.connect()
                await connection.send(sent)
                if sent:
                    await connection.answer()
                self.assertEqual(await connection.rest(), b"")

    async def test_a_header_that_trickles_is_not_waited_for(self):
        connection = await self.connect()
        await connection.send("GET / HTTP/1.1\r\n")
        started = asyncio.get_running_loop().time()
        # Each byte comes soon enough, the whole does not: so it is not enough to look at the pauses.
        with contextlib.suppress(ConnectionError):
            for letter in "X-Slow: 1234567890":
                await connection.send(letter)
                await asyncio.sleep(0.04)
            self.assertEqual(await connection.rest(), b"")
        self.assertLess(asyncio.get_running_loop().time() - started, 2)

    async def test_the_rest_of_a_refused_body_is_not_waited_for(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        self.assertEqual((await connection.answer()).status, 413)
        with self.assertRaises(ConnectionError):
            for _ in range(40):
                await connection.send(b"x" * 100)
                await asyncio.sleep(0.05)

    async def test_a_body_that_does_not_come_is_refused(self):
        for framing in ("Content-Length: 5", "Transfer-Encoding: chunked"):
            with self.subTest(framing):
                connection = await self.connect()
                await connection.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n1")
                self.assertEqual((await connection.answer()).status, 408)

    @unittest.skipUnless(hasattr(socket, "TCP_USER_TIMEOUT"), "only Linux has this limit")
    async def test_a_client_that_does_not_read_is_dropped(self):
        connection = await self.connect()
        await connection.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(5):
            while not self.server.connections:
                await asyncio.sleep(0.05)
            while self.server.connections:
                await asyncio.sleep(0.05)


class Packets(ServerTest):
    async def test_no_packet_waits_for_the_word_on_the_one_before(self):
        connection = await self.connect()
        await connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await connection.answer()
        (served,) = self.server.connections
        accepted = served.transport.get_extra_info("socket")
        self.assertEqual(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)


class CountLimit(ServerTest):
    limits = {"CONNECTIONS": 4}

    async def test_connections_are_limited(self):
        for _ in range(3):
            await self.connect()
        await asyncio.sleep(0.05)
        fourth = await self.connect()
        await fourth.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual((await fourth.head()).status, 503)


class Drain(ServerTest):
    async def test_idle_connections_get_a_last_chance_and_are_closed(self):
        used, unused = await self.connect(), await self.connect()
        await used.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await used.answer()
        self.draining.set()
        drain = asyncio.create_task(self.server.drain(5))
        await asyncio.sleep(0.1)
        await used.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await used.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.assertEqual(await used.rest(), b"")
        self.assertEqual(await unused.rest(), b"")
        self.assertEqual(await drain, 0)

    async def test_a_running_request_ends_and_new_ones_are_answered_meanwhile(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12")
        await asyncio.sleep(0.05)
        self.draining.set()
        drain = asyncio.create_task(self.server.drain(10))
        await asyncio.sleep(1.5)
        late = await self.connect()
        await late.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual((await late.answer()).headers["connection"], "close")
        self.assertFalse(drain.done())
        await connection.send("34")
        answer = await connection.answer()
        self.assertEqual((answer.body, answer.headers["connection"]), (b"<1234>", "close"))
        self.assertEqual(await connection.rest(), b"")
        self.assertEqual(await drain, 0)
        with self.assertRaises(ConnectionRefusedError):
            await self.connect()

    async def test_what_takes_too_long_is_cut(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12")
        await asyncio.sleep(0.05)
        self.draining.set()
        started = asyncio.get_running_loop().time()
        self.assertEqual(await self.server.drain(1.5), 1)
        self.assertAlmostEqual(asyncio.get_running_loop().time() - started, 1.5, delta=0.4)
        self.assertEqual(await connection.rest(), b"")
