import asyncio
import logging
import unittest
from unittest import mock

from starlette.requests import Request

from reach.app import client_address
from reach.logs import formatter
from tests.support import API_KEY, SETTINGS, AppTest


class Health(AppTest):
    async def test_says_that_all_is_well(self):
        answer = await self.request("GET", "/health")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        health = answer.json()
        self.assertRegex(health.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            health,
            {
                "status": "healthy",
                "version": "1.0.0",
                "release": "r1",
                "checks": {"secrets": "ok", "tunnel": "ok", "draining": False},
            },
        )

    async def assert_unhealthy(self, **checks):
        answer = await self.request("GET", "/health")
        self.assertEqual((answer.status, answer.json()["status"]), (503, "unhealthy"))
        self.assertEqual(answer.json()["checks"], {"secrets": "ok", "tunnel": "ok", "draining": False, **checks})

    async def test_says_that_a_secret_is_missing(self):
        self.key_file.unlink()
        await self.assert_unhealthy(secrets="REACH_API_KEY_FILE cannot be read: No such file or directory")

    async def test_says_that_a_secret_is_empty(self):
        self.key_file.write_text("\n")
        await self.assert_unhealthy(secrets="REACH_API_KEY_FILE is empty")

    async def test_says_that_a_secret_is_not_text(self):
        self.key_file.write_bytes(b"\xff\xfe")
        await self.assert_unhealthy(secrets="REACH_API_KEY_FILE is not text")

    async def test_says_that_the_tunnel_is_down(self):
        self.app.tunnel._server.close()
        await self.assert_unhealthy(tunnel="not listening")

    async def test_says_that_it_drains_and_closes_the_connection(self):
        self.app.draining.set()
        answer = await self.request("GET", "/health")
        self.assertEqual((answer.status, answer.json()["status"]), (503, "draining"))
        self.assertEqual(answer.headers["connection"], "close")

    async def test_answers_head_without_a_body(self):
        connection = await self.connect()
        await connection.send("HEAD /health HTTP/1.1\r\nHost: reach\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: reach\r\n\r\n")
        answer = await connection.head()
        self.assertEqual(answer.status, 200)
        self.assertGreater(int(answer.headers["content-length"]), 0)
        # What follows at once is the next answer, not a body.
        self.assertEqual((await connection.answer()).status, 404)


class Api(AppTest):
    async def test_status(self):
        tunnel = await self.connect(self.app.tunnel.port)
        await tunnel.until(b"\n")
        status = (await self.request("GET", "/api/status")).json()
        self.assertGreaterEqual(status.pop("uptimeSeconds"), 0)
        self.assertEqual(status, {"release": "r1", "version": "1.0.0", "clients": 1, "streams": 0})

    async def test_unknown_paths(self):
        for path in ("/", "/api", "/api/", "/api/status/", "/api/../health", "/API/status"):
            with self.subTest(path):
                answer = await self.request("GET", path)
                self.assertEqual((answer.status, answer.json()), (404, {"error": "not found"}))

    async def test_a_query_changes_nothing(self):
        self.assertEqual((await self.request("GET", "/api/status?a=b?c")).status, 200)

    async def test_wrong_methods(self):
        for method, path, allow in (
            ("POST", "/api/status", "GET, HEAD"),
            ("GET", "/api/echo", "POST"),
            ("HEAD", "/api/echo", "POST"),
            ("DELETE", "/sse", "GET, HEAD"),
            ("get", "/api/status", "GET, HEAD"),
        ):
            with self.subTest(f"{method} {path}"):
                connection = await self.connect()
                await connection.send(f"{method} {path} HTTP/1.1\r\nHost: reach\r\n\r\n")
                answer = await connection.head()
                self.assertEqual((answer.status, answer.headers["allow"]), (405, allow))

    async def test_echo_gives_back_the_bytes_and_never_a_page(self):
        body = bytes(range(256))
        answer = await self.request("POST", "/api/echo", {"Content-Type": "text/html"}, body)
        self.assertEqual((answer.status, answer.body), (200, body))
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    async def test_clients_needs_the_key(self):
        for given in (None, "", "Bearer", f"Bearer {API_KEY}x", f"Basic {API_KEY}", API_KEY, "Bearer \xe9"):
            with self.subTest(given):
                answer = await self.request("GET", "/api/clients", {} if given is None else {"Authorization": given})
                self.assertEqual(answer.status, 401)
                self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="reach"')
                self.assertNotIn(API_KEY.encode(), answer.body)

    async def test_two_keys_are_none(self):
        connection = await self.connect()
        given = f"Authorization: Bearer {API_KEY}\r\n"
        await connection.send(f"GET /api/clients HTTP/1.1\r\nHost: reach\r\n{given}{given}\r\n")
        self.assertEqual((await connection.answer()).status, 401)

    async def test_clients_lists_the_tunnels(self):
        tunnel = await self.connect(self.app.tunnel.port)
        await tunnel.until(b"\n")
        answer = await self.request("GET", "/api/clients", {"Authorization": f"bearer {API_KEY}"})
        self.assertEqual(answer.status, 200)
        self.assertEqual([client["id"] for client in answer.json()["clients"]], [1])

    async def test_clients_opens_to_nobody_when_there_is_no_key(self):
        for content in ("", "\n"):
            self.key_file.write_text(content)
            for given in ("Bearer ", "Bearer", f"Bearer {API_KEY}"):
                with self.subTest(f"{content!r} {given}"):
                    answer = await self.request("GET", "/api/clients", {"Authorization": given})
                    self.assertEqual((answer.status, answer.json()), (503, {"error": "no API key is configured"}))

    async def test_a_new_key_counts_at_once(self):
        self.key_file.write_text("rotated")
        self.assertEqual((await self.request("GET", "/api/clients", {"Authorization": "Bearer rotated"})).status, 200)

    async def test_a_fault_in_a_handler_is_answered_and_logged_without_its_message(self):
        class Broken(set):
            def __len__(self):
                raise ValueError("hunter2")

        logging.disable(logging.NOTSET)
        broken = mock.patch.object(self.app.tunnel, "clients", Broken())
        with broken, self.assertLogs("reach.http", "ERROR") as logs:
            answer = await self.request("GET", "/api/status")
        self.assertEqual((answer.status, answer.json()), (500, {"error": "internal error"}))
        self.assertEqual(len(logs.records), 1)
        self.assertNotIn("hunter2", formatter().format(logs.records[0]))
        logging.disable()


class Whoami(unittest.TestCase):
    def address(self, *forwarded: str) -> str:
        headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
        return client_address(Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 1)}))

    def test_believes_only_the_nearest_proxy(self):
        for headers, address in (
            (["203.0.113.7"], "203.0.113.7"),
            (["10.0.0.1, 203.0.113.7"], "203.0.113.7"),
            (["10.0.0.1", "203.0.113.7"], "203.0.113.7"),
            (["2001:DB8::1"], "2001:db8::1"),
            (["203.0.113.7, nonsense"], "192.0.2.1"),
            (["<script>"], "192.0.2.1"),
            ([""], "192.0.2.1"),
        ):
            with self.subTest(headers):
                self.assertEqual(self.address(*headers), address)

    def test_is_the_peer_without_a_proxy(self):
        self.assertEqual(self.address(), "192.0.2.1")


class Sse(AppTest):
    async def open(self, headers: str = ""):
        connection = await self.connect()
        await connection.send(f"GET /sse HTTP/1.1\r\nHost: reach\r\n{headers}\r\n")
        return connection, await connection.head()

    async def test_headers(self):
        _, head = await self.open()
        self.assertEqual(head.status, 200)
        self.assertEqual(head.headers["content-type"], "text/event-stream")
        self.assertEqual(head.headers["cache-control"], "no-store")
        self.assertEqual(head.headers["x-accel-buffering"], "no")

    async def test_head_does_not_open_a_stream(self):
        answer = await self.request("HEAD", "/sse")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/event-stream"))
        self.assertEqual(self.app.streams.count, 0)

    async def test_an_event_comes_at_once_and_then_each_second(self):
        loop = asyncio.get_running_loop()
        started = loop.time()
        connection, _ = await self.open()
        self.assertEqual(await connection.chunk(), b"retry: 1000\n\n")
        self.assertRegex(await connection.chunk(), rb'^id: 1\ndata: \{"counter": 1, "release": "r1", .*\}\n\n$')
        self.assertLess(loop.time() - started, 0.5)
        self.assertTrue((await connection.chunk()).startswith(b"id: 2\n"))
        self.assertGreater(loop.time() - started, 0.9)
        self.assertLess(loop.time() - started, 1.6)

    async def test_the_count_goes_on_where_the_client_left(self):
        for given, first in (("41", b"id: 42\n"), ("-1", b"id: 1\n"), ("x", b"id: 1\n"), ("9" * 99, b"id: 1\n")):
            with self.subTest(given):
                connection, _ = await self.open(f"Last-Event-ID: {given}\r\n")
                await connection.chunk()
                self.assertTrue((await connection.chunk()).startswith(first))

    async def test_heartbeats_are_comments(self):
        connection, _ = await self.open("Last-Event-ID: 14\r\n")
        await connection.chunk()
        self.assertTrue((await connection.chunk()).startswith(b"id: 15\n"))
        self.assertEqual(await connection.chunk(), b": heartbeat\n\n")

    async def test_a_client_that_leaves_is_noticed(self):
        connection, _ = await self.open()
        await connection.chunk()
        self.assertEqual(self.app.streams.count, 1)
        connection.writer.transport.abort()
        async with asyncio.timeout(5):
            while self.app.streams.count:
                await asyncio.sleep(0.05)

    async def test_a_drain_lets_the_stream_go_on_and_ends_it_with_a_last_event(self):
        connection, _ = await self.open()
        await connection.chunk()
        await connection.chunk()
        with mock.patch("reach.app.LEAVE_SECONDS", SETTINGS.drain_seconds - 1.5):
            drain = asyncio.create_task(self.app.drain())
            self.assertTrue((await connection.chunk()).startswith(b"id: 2\n"))
        self.assertEqual(await connection.chunk(), b'event: bye\ndata: {"release": "r1"}\n\n')
        self.assertEqual(await connection.chunk(), b"")
        # And no wait for another request on this connection.
        self.assertEqual(await connection.rest(), b"")
        await drain

    async def test_streams_are_limited(self):
        self.app.streams.count = 512
        answer = await self.request("GET", "/sse")
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.app.streams.count = 0

    async def test_http_1_0_gets_no_chunks(self):
        connection = await self.connect()
        await connection.send("GET /sse HTTP/1.0\r\n\r\n")
        head = await connection.head()
        self.assertEqual(head.headers["connection"], "close")
        self.assertNotIn("transfer-encoding", head.headers)
        self.assertEqual(await connection.until(b"\n"), b"retry: 1000\n")


class TunnelListener(AppTest):
    async def open(self):
        connection = await self.connect(self.app.tunnel.port)
        return connection, await connection.until(b"\n")

    async def test_greets_and_echoes(self):
        connection, greeting = await self.open()
        self.assertEqual(greeting, b'{"service": "reach-tunnel", "release": "r1", "clientId": 1}\n')
        await connection.send(b"one\ntwo\nthr")
        self.assertEqual(await connection.until(b"\n"), b"one\n")
        self.assertEqual(await connection.until(b"\n"), b"two\n")
        await connection.send(b"ee\n\xff\x00\n")
        self.assertEqual(await connection.until(b"\n"), b"three\n")
        self.assertEqual(await connection.until(b"\n"), b"\xff\x00\n")

    async def test_ends_when_the_client_has_said_all(self):
        connection, _ = await self.open()
        await connection.send(b"last words")
        connection.writer.write_eof()
        self.assertEqual(await connection.rest(), b"last words")
        self.assertEqual(self.app.tunnel.clients, set())

    async def test_refuses_endless_lines(self):
        connection, _ = await self.open()
        await connection.send(b"x" * 10_000)
        goodbye = await connection.rest()
        self.assertEqual(goodbye, b'{"event": "bye", "reason": "a line is longer than 4096 bytes"}\n')

    async def test_refuses_too_many_clients(self):
        with mock.patch("reach.tunnel.MAX_CLIENTS", 1):
            await self.open()
            second, refusal = await self.open()
            self.assertEqual(refusal, b'{"event": "bye", "reason": "too many clients"}\n')
            self.assertEqual(await second.rest(), b"")

    async def test_a_drain_takes_nobody_new_and_says_goodbye_in_the_end(self):
        port = self.app.tunnel.port
        connection, _ = await self.open()
        drain = asyncio.create_task(self.app.tunnel.drain(1, 5))
        await asyncio.sleep(0.1)
        with self.assertRaises(ConnectionRefusedError):
            await self.connect(port)
        await connection.send(b"still there?\n")
        self.assertEqual(await connection.until(b"\n"), b"still there?\n")
        self.assertEqual(await connection.rest(), b'{"event": "bye", "reason": "draining"}\n')
        self.assertEqual(await drain, 0)

    async def test_a_drain_is_over_when_the_last_client_has_gone(self):
        connection, _ = await self.open()
        drain = asyncio.create_task(self.app.tunnel.drain(3000, 3600))
        connection.writer.write_eof()
        self.assertEqual(await connection.rest(), b"")
        async with asyncio.timeout(5):
            self.assertEqual(await drain, 0)
