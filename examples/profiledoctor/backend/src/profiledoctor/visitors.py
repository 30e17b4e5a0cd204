"""Whose checks they are: a random name in a cookie, signed, so that nobody takes another's."""

import hmac
import secrets

COOKIE = "visitor"


def new_visitor() -> str:
    return secrets.token_hex(16)


def signed(visitor: str, key: str) -> str:
    return f"{visitor}.{hmac.digest(key.encode(), visitor.encode(), 'sha256').hex()}"


def visitor_of(cookie: str, key: str) -> str | None:
    """Give the visitor of a cookie; None if we did not sign it."""
    visitor = cookie.partition(".")[0]
    return visitor if hmac.compare_digest(signed(visitor, key).encode(), cookie.encode()) else None
