"""The real process: `python -m reach`, its log, its health check, and SIGTERM."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

API_KEY = "correct-horse-battery-staple"
APP = Path(__file__).parent.parent


class ProcessTest(unittest.TestCase):
    def start(self, **environment: str) -> dict[str, object]:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        key_file = Path(folder, "api-key")
        key_file.write_text(API_KEY)
        self.environment = {
            **os.environ,
            **{"HOST": "127.0.0.1", "PORT": "0", "TUNNEL_PORT": "0", "RELEASE": "r1", "DRAIN_SECONDS": "10"},
            **{"REACH_API_KEY_FILE": str(key_file), "PYTHONUNBUFFERED": "1"},
            **environment,
        }
        # To a file: a pipe that nobody reads would stop the process once it is full.
        self.log_file = Path(folder, "log")
        with self.log_file.open("wb") as log:
            command = [sys.executable, "-m", "reach"]
            self.process = subprocess.Popen(command, cwd=APP, env=self.environment, stdout=log, stderr=log)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.wait_for("started")
        started = self.log()[0]
        self.port = started["port"]
        return started

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body, response.getheader("Connection")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.wait_for("draining")

    def wait_for(self, event: str, times: int = 1) -> None:
        deadline = time.monotonic() + 10
        while sum(line["event"] == event for line in self.log()) < times:
            self.assertLess(time.monotonic(), deadline, f"no {event} in the log: {self.log_file.read_text()}")
            time.sleep(0.02)

    def connect(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.addCleanup(connection.close)
        return connection


class Life(ProcessTest):
    def test_starts_reports_and_stops(self):
        started = self.start()
        self.assertEqual((started["event"], started["release"], started["level"]), ("started", "r1", "info"))
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(5), 0)
        self.assertEqual([line["event"] for line in self.log()], ["started", "draining", "stopped"])

    def test_logs_no_secret_no_query_no_body_and_no_health_check(self):
        self.start()
        self.get("/health")
        self.get("/api/status?token=in-the-query")
        self.get("/api/clients", {"Authorization": f"Bearer {API_KEY}", "X-Forwarded-For": "203.0.113.7"})
        self.get("/api/clients", {"Authorization": "Bearer wrong-guess"})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("POST", "/api/echo", b"in-the-body")
        self.assertEqual(connection.getresponse().read(), b"in-the-body")
        connection.close()
        # An answer is logged once it is sent, so the last line may come after it.
        self.wait_for("request", times=4)
        requests = [line for line in self.log() if line["event"] == "request"]
        self.assertEqual(
            [(line["method"], line["path"], line["status"]) for line in requests],
            [
                ("GET", "/api/status", 200),
                ("GET", "/api/clients", 200),
                ("GET", "/api/clients", 401),
                ("POST", "/api/echo", 200),
            ],
        )
        for private in (API_KEY, "in-the-query", "in-the-body", "wrong-guess", "203.0.113.7"):
            self.assertNotIn(private, self.log_file.read_text())

    def test_a_missing_secret_is_in_the_log_and_the_rest_works(self):
        self.start(REACH_API_KEY_FILE="/nonexistent")
        self.assertEqual(self.get("/api/status")[0], 200)
        self.assertEqual(self.get("/health")[0], 503)
        reasons = [line["reason"] for line in self.log() if line["event"] == "secret_missing"]
        self.assertEqual(reasons, ["REACH_API_KEY_FILE cannot be read: No such file or directory"])

    def test_bad_settings_and_a_taken_port_are_one_clear_line(self):
        self.start()
        for arguments, status, message in (
            (["--port", "x"], 2, "reach: PORT or --port: 'x' is not a port: give a number from 0 (any free one) to"),
            (["--port", str(self.port)], 1, "reach: cannot listen: "),
        ):
            with self.subTest(arguments):
                ended = subprocess.run(
                    [sys.executable, "-m", "reach", *arguments],
                    cwd=APP,
                    env=self.environment,
                    capture_output=True,
                    text=True,
                    timeout=10,
                )
                self.assertEqual(ended.returncode, status)
                self.assertEqual(len(ended.stderr.splitlines()), 1)
                self.assertTrue(ended.stderr.startswith(message), ended.stderr)


class HealthCheck(ProcessTest):
    def check(self) -> tuple[int, str]:
        environment = {**self.environment, "PORT": str(self.port)}
        command = ["bash", "health.sh"]
        ended = subprocess.run(command, cwd=APP, env=environment, capture_output=True, text=True, timeout=10)
        return ended.returncode, ended.stdout

    def test_succeeds_when_healthy(self):
        self.start()
        status, output = self.check()
        self.assertEqual((status, json.loads(output)["status"]), (0, "healthy"))

    def test_fails_when_unhealthy_and_says_why(self):
        self.start(REACH_API_KEY_FILE="")
        status, output = self.check()
        self.assertEqual((status, json.loads(output)["checks"]["secrets"]), (1, "REACH_API_KEY_FILE is not set"))

    def test_fails_when_nobody_answers(self):
        self.start()
        self.process.kill()
        self.process.wait()
        status, output = self.check()
        self.assertEqual(status, 1)
        self.assertIn("no answer", output)


class Sigterm(ProcessTest):
    def test_every_kind_of_connection_ends_well(self):
        started = self.start(DRAIN_SECONDS="5")
        idle, used, busy, stream = (self.connect(self.port) for _ in range(4))
        tunnel = self.connect(started["tunnel_port"])
        tunnel.sendall(b"hello\n")
        used.sendall(b"GET /api/status HTTP/1.1\r\nHost: reach\r\n\r\n")
        self.assertIn(b"200 OK", used.recv(4096))
        busy.sendall(b"POST /api/echo HTTP/1.1\r\nHost: reach\r\nContent-Length: 4\r\n\r\n12")
        stream.sendall(b"GET /sse HTTP/1.1\r\nHost: reach\r\n\r\n")
        self.assertIn(b"200 OK", stream.recv(4096))
        time.sleep(0.2)

        self.terminate()
        # The connection that is kept alive is still served, and told that this was its last answer.
        used.sendall(b"GET /api/status HTTP/1.1\r\nHost: reach\r\n\r\n")
        last = read_all(used)
        self.assertIn(b"200 OK", last)
        self.assertIn(b"Connection: close", last)
        # Beyond the second of notice what was idle is gone, and what runs goes on. Who asks is told so.
        self.assertEqual(read_all(idle), b"")
        status, body, connection = self.get("/health")
        self.assertEqual((status, json.loads(body)["status"], connection), (503, "draining", "close"))
        busy.sendall(b"34")
        answer = read_all(busy)
        self.assertIn(b"200 OK", answer)
        self.assertTrue(answer.endswith(b"1234"))
        tunnel.sendall(b"still there?\n")
        # In the end the streams and tunnels get their goodbye.
        events = read_all(stream)
        self.assertTrue(events.endswith(b'event: bye\ndata: {"release": "r1"}\n\n\r\n0\r\n\r\n'))
        self.assertGreaterEqual(events.count(b'"counter"'), 2)
        self.assertTrue(read_all(tunnel).endswith(b'still there?\n{"event": "bye", "reason": "draining"}\n'))
        self.assertEqual(self.process.wait(5), 0)
        last = self.log()[-1]
        self.assertEqual(last["connections_cut"], 0)
        self.assertGreater(last["seconds"], 3)

    def test_the_process_exits_when_the_last_stream_has_gone(self):
        started = self.start(DRAIN_SECONDS="3600")
        stream, tunnel = self.connect(self.port), self.connect(started["tunnel_port"])
        stream.sendall(b"GET /sse HTTP/1.1\r\nHost: reach\r\n\r\n")
        for connection in (stream, tunnel):
            self.assertTrue(connection.recv(4096))
        self.terminate()
        stream.close()
        time.sleep(2)
        self.assertIsNone(self.process.poll())
        tunnel.close()
        self.assertEqual(self.process.wait(10), 0)
        self.assertEqual(self.log()[-1]["connections_cut"], 0)

    def test_what_does_not_end_is_cut_in_time(self):
        self.start(DRAIN_SECONDS="2")
        busy = self.connect(self.port)
        busy.sendall(b"POST /api/echo HTTP/1.1\r\nHost: reach\r\nContent-Length: 4\r\n\r\n12")
        time.sleep(0.2)
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(8), 0)
        self.assertAlmostEqual(time.monotonic() - began, 2, delta=1)
        last = self.log()[-1]
        self.assertEqual((last["level"], last["connections_cut"]), ("warning", 1))

    def test_hundreds_of_connections_fit_and_drain(self):
        self.start()
        request = b"POST /api/echo HTTP/1.1\r\nHost: reach\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
        connections = [self.connect(self.port) for _ in range(400)]
        for _ in range(3):
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                answer = b""
                while not answer.endswith(b"x" * 1000):
                    self.assertTrue(part := connection.recv(4096))
                    answer += part
                self.assertIn(b"200 OK", answer)
        if sys.platform == "linux":
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            peak_kb = int(status.partition("VmHWM:")[2].split()[0])
            self.assertLess(peak_kb, 100 * 1024)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(8), 0)
        self.assertEqual(self.log()[-1]["connections_cut"], 0)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    connection.close()
    return received
