import asyncio
import contextlib
import unittest
from unittest import mock

from reach.http import Limits, Response, Server
from tests.support import Connection, silence

QUICK = Limits(header_bytes=1024, header_count=5, body_bytes=100, connections=3, idle_seconds=0.3, header_seconds=0.3,
               body_seconds=0.3, write_seconds=0.3)  # fmt: skip


class ServerTest(unittest.IsolatedAsyncioTestCase):
    limits = Limits(header_bytes=1024, header_count=5, body_bytes=100)

    async def asyncSetUp(self):
        silence(self)
        self.requests = []
        self.draining = asyncio.Event()
        self.server = Server(self.handle, self.draining, self.limits)
        await self.server.start("127.0.0.1", 0)
        self.port = self.server.port
        self.connections = []

    async def asyncTearDown(self):
        for connection in self.connections:
            connection.writer.close()
        self.draining.set()
        with mock.patch("reach.http.NOTICE_SECONDS", 0):
            await self.server.drain(2)

    async def handle(self, request):
        self.requests.append(request)
        return Response(200, b"<" + request.body + b">")

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
        self.assertEqual([request.path for request in self.requests], ["/0", "/1", "/2"])

    async def test_requests_sent_ahead_are_answered_in_order(self):
        connection = await self.connect()
        await connection.send(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1"
            "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
            "\r\nGET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
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

    async def test_repeated_headers_are_joined(self):
        connection = await self.connect()
        await connection.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nx-forwarded-for:2 \r\n\r\n")
        await connection.answer()
        self.assertEqual(self.requests[0].headers["x-forwarded-for"], "1, 2")

    async def test_an_absolute_target_is_understood(self):
        connection = await self.connect()
        await connection.send("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n")
        await connection.answer()
        self.assertEqual(self.requests[0].path, "/b")


class Refusals(ServerTest):
    async def test_what_is_refused_and_how(self):
        post = "POST / HTTP/1.1\r\nHost: a\r\n"
        chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
        for name, sent, status, message in (
            ("not HTTP", "hello\r\n\r\n", 400, "the request line is malformed"),
            ("no version", "GET /\r\n\r\n", 400, "the request line is malformed"),
            ("two spaces", "GET  / HTTP/1.1\r\n\r\n", 400, "the request line is malformed"),
            ("a bad method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request line is malformed"),
            ("only line ends", "\r\n\r\n\r\n", 400, "the request line is malformed"),
            ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "this server speaks HTTP/1.1"),
            ("a control character", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target is malformed"),
            ("a target beyond ASCII", "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target is malformed"),
            ("a bad target", "GET http://[/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "the request target is malformed"),
            ("no host", "GET / HTTP/1.1\r\n\r\n", 400, "the Host header is missing"),
            ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "the header host is there twice"),
            ("no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", 400, "a header is malformed"),
            ("a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "a header is malformed"),
            ("a folded header", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "a header is malformed"),
            ("a bare line feed", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "a header is malformed"),
            ("a null byte", "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400, "a header is malformed"),
            ("a long header", f"GET / HTTP/1.1\r\nHost: {'a' * 2000}\r\n\r\n", 431, "the header is too large"),
            ("an endless header", f"GET /{'a' * 4000}", 431, "the header is too large"),
            ("many headers", "GET / HTTP/1.1\r\n" + "A: b\r\n" * 6 + "\r\n", 431, "there are too many headers"),
            ("a negative length", post + "Content-Length: -1\r\n\r\n", 400, "the Content-Length is not a number"),
            ("a signed length", post + "Content-Length: +1\r\n\r\n", 400, "the Content-Length is not a number"),
            ("a list of lengths", post + "Content-Length: 1, 1\r\n\r\n", 400, "the Content-Length is not a number"),
            ("two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
             "the header content-length is there twice"),
            ("length and chunks", post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
             "the length of the body is ambiguous"),
            ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
             "the length of the body is ambiguous"),
            ("another encoding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501,
             "only the transfer encoding chunked is understood"),
            ("a large body", post + "Content-Length: 101\r\n\r\n" + "x" * 101, 413, "the body is larger than 100 bytes"),
            ("a huge length", post + f"Content-Length: {'9' * 5000}\r\n\r\n"[:900] + "\r\n\r\n", 413,
             "the body is larger than 100 bytes"),
            ("large chunks", chunked + "60\r\n" + "x" * 96 + "\r\n5\r\n", 413, "the body is larger than 100 bytes"),
            ("a chunk size that is none", chunked + "0x1\r\n", 400, "a chunk is malformed"),
            ("a negative chunk", chunked + "-1\r\n", 400, "a chunk is malformed"),
            ("a chunk that is too short", chunked + "3\r\nabcd\r\n", 400, "a chunk is malformed"),
            ("an endless chunk size", chunked + "1" * 2000, 400, "a chunk is malformed"),
            ("endless trailers", chunked + "0\r\n" + "A: b\r\n" * 300, 431, "the trailers are too large"),
        ):  # fmt: skip
            with self.subTest(name):
                connection = await self.connect()
                # A second request behind it: it must not be served, since nobody can know where it begins.
                await connection.send(sent.encode("latin-1") + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = await connection.answer()
                self.assertEqual((answer.status, answer.body.decode()), (status, f'{{"error": "{message}"}}\n'))
                self.assertEqual(answer.headers["connection"], "close")
                self.assertEqual(await connection.rest(), b"")
                self.assertEqual(self.requests, [])

    async def test_a_refusal_arrives_even_while_the_client_still_sends(self):
        connection = await self.connect()
        await connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                await connection.send(b"x" * 100_000)
        self.assertEqual((await connection.answer()).status, 413)


class TimeLimits(ServerTest):
    limits = QUICK

    async def test_an_idle_connection_is_closed_without_a_word(self):
        for sent in ("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            with self.subTest(sent):
                connection = await self.connect()
                await connection.send(sent)
                if sent:
                    await connection.answer()
                self.assertEqual(await connection.rest(), b"")

    async def test_a_header_that_trickles_is_refused(self):
        connection = await self.connect()
        await connection.send("GET / HTTP/1.1\r\n")
        # Each byte comes soon enough, the whole does not: so it is not enough to look at the pauses.
        for letter in "X-Slow: 1":
            await connection.send(letter)
            await asyncio.sleep(0.04)
        self.assertEqual((await connection.answer()).status, 408)

    async def test_a_body_that_does_not_come_is_refused(self):
        for framing in ("Content-Length: 5", "Transfer-Encoding: chunked"):
            with self.subTest(framing):
                connection = await self.connect()
                await connection.send(f"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n1")
                self.assertEqual((await connection.answer()).status, 408)

    async def test_a_client_that_does_not_read_is_dropped(self):
        async def handle(_):
            return Response(200, b"x" * 50_000_000)

        self.server._handle = handle
        connection = await self.connect()
        await connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(1)
        self.assertEqual(self.server._tasks, set())

    async def test_connections_are_limited(self):
        for _ in range(3):
            await self.connect()
        await asyncio.sleep(0.05)
        fourth = await self.connect()
        self.assertEqual((await fourth.answer()).status, 503)
        self.assertEqual(await fourth.rest(), b"")


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
