"""What the environment says. Secrets come as files, and are in no variable."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

DATABASE = ["DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD_FILE"]


@dataclass(frozen=True)
class Settings:
    database: URL
    """Whoever sends it may change the board."""
    token: str


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings; every one that is missing is named at once."""
    _require(environment, [*DATABASE, "BOARD_TOKEN_FILE"])
    return Settings(database=database(environment), token=_secret(environment["BOARD_TOKEN_FILE"]))


def database(environment: Mapping[str, str] = os.environ) -> URL:
    """Read where the database is. It is all that a migration needs."""
    _require(environment, DATABASE)
    return URL.create(
        "postgresql+asyncpg",
        username=environment["DATABASE_USER"],
        password=_secret(environment["DATABASE_PASSWORD_FILE"]),
        host=environment["DATABASE_HOST"],
        port=int(environment.get("DATABASE_PORT", "5432")),
        database=environment["DATABASE_NAME"],
    )


def _require(environment: Mapping[str, str], names: list[str]) -> None:
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise SystemExit(f"not set: {', '.join(missing)}")


def _secret(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()
