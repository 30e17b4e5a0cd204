"""Presigned URLs: a browser sends a file to object storage, and gets it from there, without the server in between.

The server only signs (AWS Signature Version 4, as S3 and R2 read it): who has the URL may do that one thing, with
those headers, until it expires. What the signature covers is what the storage holds the browser to, the size too.
"""

import hashlib
import hmac
import json
import secrets as randomness
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException

UPLOAD_SECONDS = 15 * 60
DOWNLOAD_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class Storage:
    """Where the files are: an S3 endpoint and a bucket there."""

    endpoint: str
    bucket: str
    max_mb: int


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class File:
    name: str
    type: str
    size: int


def read_file(body: bytes, max_mb: int) -> File:
    """A file as a browser describes it: {"name": "a.txt", "type": "text/plain", "size": 12}."""
    try:
        described = json.loads(body)
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise HTTPException(400, "describe the file: name, type and size")
    name, kind, size = (described.get(key) for key in ("name", "type", "size"))
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable() or "/" in name or "\\" in name:
        raise HTTPException(400, "name: give 1 to 200 characters without a slash")
    if not isinstance(kind, str) or len(kind) > 100 or not kind.isascii() or not kind.isprintable():
        raise HTTPException(400, "type: give a media type, or an empty text")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise HTTPException(400, "size: give the bytes")
    if size > max_mb * 1024 * 1024:
        raise HTTPException(413, f"the file is larger than {max_mb} MiB")
    # With single spaces, as signatures are made of them.
    return File(name, " ".join(kind.split()) or "application/octet-stream", size)


def offer(file: File, storage: Storage, credentials: Credentials) -> dict[str, object]:
    """The two URLs of a new file: one that takes exactly it, and one that gives it back under its name."""
    now = time.time()
    # A name that nobody can guess, so that no upload meets another's.
    key = f"files/{randomness.token_urlsafe(16)}"
    url = f"{storage.endpoint}/{storage.bucket}/{key}"
    headers = {"content-length": str(file.size), "content-type": file.type}
    # To be kept and not shown: what somebody sent must not run as a page of the storage.
    disposition = {"response-content-disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"}
    return {
        "upload": {
            "url": presign("PUT", url, credentials, now, UPLOAD_SECONDS, headers=headers),
            "headers": {"content-type": file.type},
            "expiresInSeconds": UPLOAD_SECONDS,
        },
        "download": {
            "url": presign("GET", url, credentials, now, DOWNLOAD_SECONDS, query=disposition),
            "expiresInSeconds": DOWNLOAD_SECONDS,
        },
    }


def presign(
    method: str,
    url: str,
    credentials: Credentials,
    now: float,
    seconds: int,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    region: str = "auto",
) -> str:
    """The URL with a signature in its query. Who uses it must send `headers` as they are given here, in lower case."""
    where = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    signed = {"host": where.netloc, **(headers or {})}
    names = ";".join(sorted(signed))
    parameters = {
        **(query or {}),
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": names,
    }
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(parameters.items()))
    path = quote(where.path, safe="/")
    lines = [f"{name}:{signed[name]}\n" for name in sorted(signed)]
    request = f"{method}\n{path}\n{asked}\n{''.join(lines)}\n{names}\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = b"AWS4" + credentials.secret_access_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    return f"{where.scheme}://{where.netloc}{path}?{asked}&X-Amz-Signature={signature}"
