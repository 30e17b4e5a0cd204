import dataclasses
import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from reach.app import App
from reach.files import Credentials, Storage, presign
from tests.support import API_KEY, SETTINGS, AppTest

STORAGE = Storage("https://0123.r2.cloudflarestorage.com", "reach-files", 1)


class Presign(unittest.TestCase):
    def test_signs_as_amazon_publishes_it(self):
        # The example in "Authenticating Requests: Using Query Parameters" of Amazon's S3 API reference.
        url = presign(
            "GET",
            "https://examplebucket.s3.amazonaws.com/test.txt",
            Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            1369353600,
            86400,
            region="us-east-1",
        )
        signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        self.assertEqual(
            url,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            f"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}",
        )


class Files(AppTest):
    async def asyncSetUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, value in (("FILES_ACCESS_KEY_ID", "key-id"), ("FILES_SECRET_ACCESS_KEY", "hunter2")):
            (folder / name).write_text(value)
            self.enterContext(mock.patch.dict(os.environ, {f"{name}_FILE": str(folder / name)}))
        self.folder = folder
        await super().asyncSetUp()
        await self.app.drain()
        self.app = App(dataclasses.replace(SETTINGS, files=STORAGE))
        await self.app.start()

    async def ask(self, body: object, key: str = API_KEY):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", "/api/files", {"Authorization": f"Bearer {key}"}, text)

    async def test_offers_one_url_for_each_way(self):
        answer = await self.ask({"name": "Bär 1.txt", "type": "text/plain", "size": 12})
        self.assertEqual((answer.status, answer.headers["cache-control"]), (200, "no-store"))
        upload, download = (answer.json()[way] for way in ("upload", "download"))
        self.assertEqual(upload["headers"], {"content-type": "text/plain"})
        urls = [urlsplit(way["url"]) for way in (upload, download)]
        self.assertEqual(urls[0][:3], urls[1][:3])
        self.assertRegex(upload["url"], r"^https://0123\.r2\.cloudflarestorage\.com/reach-files/files/[\w-]{22}\?")
        put, get = (parse_qs(url.query) for url in urls)
        self.assertEqual(put["X-Amz-SignedHeaders"], ["content-length;content-type;host"])
        self.assertEqual((put["X-Amz-Expires"], get["X-Amz-Expires"]), (["900"], ["86400"]))
        self.assertEqual(get["response-content-disposition"], ["attachment; filename*=UTF-8''B%C3%A4r%201.txt"])
        self.assertNotIn(b"hunter2", answer.body)

    async def test_no_two_files_are_one(self):
        urls = {(await self.ask({"name": "a", "type": "", "size": 0})).json()["upload"]["url"] for _ in range(5)}
        self.assertEqual(len(urls), 5)

    async def test_a_type_is_signed_with_single_spaces(self):
        for given, signed in (("text/plain;  charset=utf-8 ", "text/plain; charset=utf-8"), ("", "application/octet-stream")):
            upload = (await self.ask({"name": "a", "type": given, "size": 0})).json()["upload"]
            self.assertEqual(upload["headers"], {"content-type": signed})

    async def test_needs_the_key(self):
        self.assertEqual((await self.ask({"name": "a", "type": "", "size": 0}, "wrong")).status, 401)

    async def test_refuses_what_is_no_file(self):
        for body, status, error in (
            (b"", 400, "describe the file: name, type and size"),
            (b"\xff", 400, "describe the file: name, type and size"),
            ([], 400, "describe the file: name, type and size"),
            ({"type": "", "size": 1}, 400, "name: give 1 to 200 characters without a slash"),
            ({"name": "", "type": "", "size": 1}, 400, "name: give 1 to 200 characters without a slash"),
            ({"name": "../a", "type": "", "size": 1}, 400, "name: give 1 to 200 characters without a slash"),
            ({"name": "a\n", "type": "", "size": 1}, 400, "name: give 1 to 200 characters without a slash"),
            ({"name": "a" * 201, "type": "", "size": 1}, 400, "name: give 1 to 200 characters without a slash"),
            ({"name": "a", "type": "a\r\nb: c", "size": 1}, 400, "type: give a media type, or an empty text"),
            ({"name": "a", "type": "", "size": "1"}, 400, "size: give the bytes"),
            ({"name": "a", "type": "", "size": True}, 400, "size: give the bytes"),
            ({"name": "a", "type": "", "size": -1}, 400, "size: give the bytes"),
            ({"name": "a", "type": "", "size": 1024 * 1024 + 1}, 413, "the file is larger than 1 MiB"),
        ):
            with self.subTest(body):
                answer = await self.ask(body)
                self.assertEqual((answer.status, answer.json()), (status, {"error": error}))

    async def test_is_unhealthy_without_its_credentials(self):
        (self.folder / "FILES_SECRET_ACCESS_KEY").write_text("")
        health = (await self.request("GET", "/health")).json()
        self.assertEqual(health["checks"]["secrets"], "FILES_SECRET_ACCESS_KEY_FILE is empty")
        answer = await self.ask({"name": "a", "type": "", "size": 0})
        self.assertEqual((answer.status, answer.json()["error"]), (503, "no credentials of the storage are configured"))

    async def test_a_rotated_key_counts_at_once(self):
        (self.folder / "FILES_ACCESS_KEY_ID").write_text("other")
        url = (await self.ask({"name": "a", "type": "", "size": 0})).json()["upload"]["url"]
        self.assertIn("X-Amz-Credential=other%2F", url)


class NoFiles(AppTest):
    async def test_without_a_storage_there_is_no_such_path(self):
        self.assertEqual((await self.request("POST", "/api/files", body=b"{}")).status, 404)
