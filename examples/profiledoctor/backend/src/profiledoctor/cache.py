"""Checks in Redis for an hour. It may be away: then the database answers, somewhat later."""

import json
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

KEEP_SECONDS = 3600


class Cache:
    def __init__(self, client: Redis) -> None:
        self.client = client

    async def get(self, key: str) -> dict | None:
        try:
            found = await self.client.get(f"check:{key}")
        except (RedisError, OSError, TimeoutError) as error:
            logging.warning("the cache does not answer: %s", type(error).__name__)
            return None
        return None if found is None else json.loads(found)

    async def put(self, key: str, value: dict) -> None:
        try:
            await self.client.set(f"check:{key}", json.dumps(value), ex=KEEP_SECONDS)
        except (RedisError, OSError, TimeoutError) as error:
            logging.warning("the cache does not answer: %s", type(error).__name__)
