"""Secrets come as files: NAME_FILE holds the path, the file holds the value.

Never from the environment: it shows in `docker inspect` and in every child process. A secret is read when it is
needed and not kept, so that a core dump or a heap walk finds as little as possible.
"""

import os
from collections.abc import Iterable
from pathlib import Path

API_KEY = "REACH_API_KEY"
FILES_CREDENTIALS = ("FILES_ACCESS_KEY_ID", "FILES_SECRET_ACCESS_KEY")


class SecretMissing(Exception):
    """Says which secret and why. Never holds the value."""


def read_secret(name: str) -> str:
    path = os.environ.get(f"{name}_FILE")
    if not path:
        raise SecretMissing(f"{name}_FILE is not set")
    try:
        # Editors and `echo` end a file with a newline that is no part of the value.
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SecretMissing(f"{name}_FILE cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretMissing(f"{name}_FILE is not text") from None
    if not value:
        raise SecretMissing(f"{name}_FILE is empty")
    return value


def missing_secrets(required: Iterable[str]) -> list[str]:
    """One reason for each required secret that cannot be had; empty when all is well."""
    reasons = []
    for name in required:
        try:
            read_secret(name)
        except SecretMissing as reason:
            reasons.append(str(reason))
    return reasons
