"""Everything that can be set, from flags or the environment. Secrets are not settings: see secrets.py."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from reach.files import Storage


@dataclass(frozen=True)
class Settings:
    host: str
    port: int
    tunnel_port: int
    release: str
    drain_seconds: float
    log_level: str
    files: Storage | None = None


class SettingsError(Exception):
    """What is wrong, where, and how to cure it, in one line."""


def read_settings(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    parser = argparse.ArgumentParser(prog="reach", description="Reach's backend.", allow_abbrev=False)
    parser.add_argument("--host", default=environment.get("HOST", "0.0.0.0"), help="address to listen on (HOST)")
    parser.add_argument("--port", default=environment.get("PORT", "8765"), help="HTTP port (PORT)")
    parser.add_argument("--tunnel-port", default=environment.get("TUNNEL_PORT", "2222"), help="tunnel (TUNNEL_PORT)")
    options = parser.parse_args(arguments)
    return Settings(
        host=options.host,
        port=_port("PORT or --port", options.port),
        tunnel_port=_port("TUNNEL_PORT or --tunnel-port", options.tunnel_port),
        # In a container the host name is the container's id, so two releases differ even when nobody names them.
        release=environment.get("RELEASE") or socket.gethostname(),
        drain_seconds=_seconds("DRAIN_SECONDS", environment.get("DRAIN_SECONDS", "30")),
        log_level=_level("LOG_LEVEL", environment.get("LOG_LEVEL", "info")),
        files=_storage(environment),
    )


def _port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise SettingsError(f"{name}: {text!r} is not a port: give a number from 0 (any free one) to 65535")
    return int(text)


def _seconds(name: str, text: str) -> float:
    if not (text.isascii() and text.isdigit() and int(text) <= 3600):
        raise SettingsError(f"{name}: {text!r} is not a time: give whole seconds from 0 to 3600")
    return float(text)


def _storage(environment: Mapping[str, str]) -> Storage | None:
    endpoint, bucket = environment.get("FILES_ENDPOINT", ""), environment.get("FILES_BUCKET", "")
    max_mb = environment.get("FILES_MAX_MB", "100")
    if not endpoint and not bucket:
        return None
    where = urlsplit(endpoint)
    if where.scheme not in ("http", "https") or not where.netloc or "@" in where.netloc or where[2:] != ("", "", ""):
        raise SettingsError("FILES_ENDPOINT: not an S3 endpoint: give https://host, without a path")
    if not (bucket.isascii() and bucket.replace("-", "").replace(".", "").isalnum()):
        raise SettingsError(f"FILES_BUCKET: {bucket!r} is not a bucket: give its name")
    if not (max_mb.isascii() and max_mb.isdigit() and 0 < int(max_mb) <= 5000):
        raise SettingsError(f"FILES_MAX_MB: {max_mb!r} is not a size: give whole MiB from 1 to 5000")
    return Storage(endpoint, bucket, int(max_mb))


def _level(name: str, text: str) -> str:
    levels = ("debug", "info", "warning", "error")
    if text not in levels:
        raise SettingsError(f"{name}: {text!r} is not a level: give one of {', '.join(levels)}")
    return text
