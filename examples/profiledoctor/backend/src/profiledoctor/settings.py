"""What the environment says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

NAMES = ["DATABASE_URL", "REDIS_URL", "SECRET_KEY"]


@dataclass(frozen=True)
class Settings:
    database: str = field(repr=False)
    cache: str = field(repr=False)
    """Signs visitors' cookies."""
    key: str = field(repr=False)


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings; every one that is missing is named at once."""
    missing = [name for name in NAMES if not environment.get(name)]
    if missing:
        raise SystemExit(f"not set: {', '.join(missing)}")
    return Settings(*(environment[name] for name in NAMES))
