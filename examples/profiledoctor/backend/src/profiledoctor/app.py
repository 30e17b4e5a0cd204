"""The API: a profile in, findings out; a visitor sees those of his own profiles."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from redis.asyncio import Redis
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .cache import Cache
from .findings import findings_of
from .models import Check
from .settings import Settings
from .visitors import COOKIE, new_visitor, signed, visitor_of


class Profile(BaseModel):
    text: str = Field(min_length=1, max_length=20_000, pattern=r"\S")


def create_app(settings: Settings, client: Redis | None = None) -> FastAPI:
    engine = create_async_engine(settings.database, pool_pre_ping=True)
    session = async_sessionmaker(engine, expire_on_commit=False)
    redis = client or Redis.from_url(settings.cache, socket_timeout=0.5, socket_connect_timeout=0.5)
    cache = Cache(redis)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await redis.aclose()
        await engine.dispose()

    app = FastAPI(title="ProfileDoctor", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    async def database() -> AsyncIterator[AsyncSession]:
        async with session() as opened:
            yield opened

    def visitor(response: Response, cookie: Annotated[str, Cookie(alias=COOKIE)] = "") -> str:
        known = visitor_of(cookie, settings.key)
        if known is not None:
            return known
        made = new_visitor()
        response.set_cookie(COOKIE, signed(made, settings.key), 31_536_000, httponly=True, secure=True, samesite="strict")
        return made

    Database = Annotated[AsyncSession, Depends(database)]
    Visitor = Annotated[str, Depends(visitor)]

    @app.get("/health")
    async def health() -> JSONResponse:
        # Not the cache: without it, all is served.
        try:
            async with asyncio.timeout(2), session() as opened:
                await opened.execute(text("select 1"))
        except Exception:
            return JSONResponse({"database": "unreachable"}, 503)
        return JSONResponse({"database": "ok"})

    @app.post("/api/checks", status_code=201)
    async def check(profile: Profile, opened: Database, who: Visitor) -> dict:
        title = profile.text.strip().splitlines()[0][:80]
        made = Check(
            id=secrets.token_hex(16),
            visitor=who,
            made=datetime.now(UTC),
            title=title,
            findings=findings_of(profile.text),
        )
        opened.add(made)
        await opened.commit()
        await cache.put(f"{who}:{made.id}", shown(made))
        return shown(made)

    @app.get("/api/checks")
    async def checks(opened: Database, who: Visitor) -> list[dict]:
        newest = select(Check).where(Check.visitor == who).order_by(Check.made.desc()).limit(50)
        return [shown(each) for each in await opened.scalars(newest)]

    @app.get("/api/checks/{number}")
    async def one(number: str, opened: Database, who: Visitor, response: Response) -> dict:
        kept = await cache.get(f"{who}:{number}")
        response.headers["X-Cache"] = "miss" if kept is None else "hit"
        if kept is not None:
            return kept
        found = await opened.scalar(select(Check).where(Check.id == number, Check.visitor == who))
        if found is None:
            raise HTTPException(404, "there is no such check of yours")
        await cache.put(f"{who}:{number}", shown(found))
        return shown(found)

    return app


def shown(check: Check) -> dict:
    made = check.made.isoformat(timespec="seconds")
    return {"id": check.id, "made": made, "title": check.title, "findings": check.findings}
