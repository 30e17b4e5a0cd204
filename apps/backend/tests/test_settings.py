import os
import socket
import unittest
from unittest import mock

from reach.files import Storage
from reach.secrets import SecretMissing, read_secret
from reach.settings import Settings, SettingsError, read_settings


class ReadSettings(unittest.TestCase):
    def test_defaults(self):
        expected = Settings("0.0.0.0", 8765, 2222, socket.gethostname(), 30, "info")
        self.assertEqual(read_settings([], {}), expected)

    def test_flags_win_over_the_environment(self):
        settings = read_settings(["--port", "1"], {"PORT": "2", "TUNNEL_PORT": "3", "RELEASE": "r2", "HOST": "::1"})
        self.assertEqual((settings.port, settings.tunnel_port), (1, 3))
        self.assertEqual((settings.release, settings.host), ("r2", "::1"))

    def test_a_storage(self):
        given = {"FILES_ENDPOINT": "https://s3.test", "FILES_BUCKET": "files", "FILES_MAX_MB": "5"}
        self.assertEqual(read_settings([], given).files, Storage("https://s3.test", "files", 5))
        for name, value, message in (
            ("FILES_ENDPOINT", "https://s3.test/files", "FILES_ENDPOINT: not an S3 endpoint: give https://host, without a path"),
            ("FILES_ENDPOINT", "ftp://s3.test", "FILES_ENDPOINT: not an S3 endpoint: give https://host, without a path"),
            ("FILES_ENDPOINT", "https://a:b@s3.test", "FILES_ENDPOINT: not an S3 endpoint: give https://host, without a path"),
            ("FILES_BUCKET", "a/b", "FILES_BUCKET: 'a/b' is not a bucket: give its name"),
            ("FILES_MAX_MB", "0", "FILES_MAX_MB: '0' is not a size: give whole MiB from 1 to 5000"),
        ):  # fmt: skip
            with self.subTest(f"{name}={value}"), self.assertRaises(SettingsError) as caught:
                read_settings([], {**given, name: value})
            self.assertEqual(str(caught.exception), message)

    def test_what_is_wrong_is_said(self):
        for name, value, message in (
            ("PORT", "http", "PORT or --port: 'http' is not a port: give a number from 0 (any free one) to 65535"),
            ("PORT", "65536", "PORT or --port: '65536' is not a port: give a number from 0 (any free one) to 65535"),
            ("TUNNEL_PORT", "-1",
             "TUNNEL_PORT or --tunnel-port: '-1' is not a port: give a number from 0 (any free one) to 65535"),
            ("DRAIN_SECONDS", "30s", "DRAIN_SECONDS: '30s' is not a time: give whole seconds from 0 to 3600"),
            ("DRAIN_SECONDS", "\u0663", "DRAIN_SECONDS: '\u0663' is not a time: give whole seconds from 0 to 3600"),
            ("FILES_BUCKET", "files", "FILES_ENDPOINT: not an S3 endpoint: give https://host, without a path"),
            ("LOG_LEVEL", "loud", "LOG_LEVEL: 'loud' is not a level: give one of debug, info, warning, error"),
        ):  # fmt: skip
            with self.subTest(f"{name}={value}"), self.assertRaises(SettingsError) as caught:
                read_settings([], {name: value})
            self.assertEqual(str(caught.exception), message)


class ReadSecret(unittest.TestCase):
    def test_never_comes_from_the_environment_itself(self):
        with mock.patch.dict(os.environ, {"REACH_API_KEY": "in-clear"}, clear=True):
            with self.assertRaises(SecretMissing) as caught:
                read_secret("REACH_API_KEY")
        self.assertEqual(str(caught.exception), "REACH_API_KEY_FILE is not set")
