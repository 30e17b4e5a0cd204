"""The API: who plays, how it stands, and each goal as it falls."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .models import Match, Team
from .settings import Settings

Count = Annotated[int, Field(ge=0, le=999)]


class NewTeam(BaseModel):
    name: str = Field(min_length=1, max_length=80)


class NewMatch(BaseModel):
    home_id: int
    away_id: int


class Score(BaseModel):
    home_score: Count
    away_score: Count


def create_app(settings: Settings, look_seconds: float = 0.5) -> FastAPI:
    """Make the API. Every viewer of a match looks into the database once in `look_seconds`."""
    engine = create_async_engine(settings.database, pool_pre_ping=True)
    session = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(title="StatsBoard", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    # Set as the process is told to end: streams end with it, and viewers connect to the next release.
    app.state.ending = asyncio.Event()

    async def database() -> AsyncIterator[AsyncSession]:
        async with session() as opened:
            yield opened

    def writer(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {settings.token}".encode()):
            raise HTTPException(401, "the token is missing or wrong")

    Database = Annotated[AsyncSession, Depends(database)]

    @app.get("/health")
    async def health() -> JSONResponse:
        try:
            async with asyncio.timeout(2), session() as opened:
                await opened.execute(text("select 1"))
        except Exception:
            return JSONResponse({"database": "unreachable"}, 503)
        return JSONResponse({"database": "ok"})

    @app.get("/api/teams")
    async def teams(opened: Database) -> list[dict]:
        found = await opened.scalars(select(Team).order_by(Team.name))
        return [{"id": team.id, "name": team.name} for team in found]

    @app.post("/api/teams", status_code=201, dependencies=[Depends(writer)])
    async def add_team(team: NewTeam, opened: Database) -> dict:
        added = Team(name=team.name)
        opened.add(added)
        await saved(opened, "there is a team of this name")
        return {"id": added.id, "name": added.name}

    @app.get("/api/matches")
    async def matches(opened: Database) -> list[dict]:
        return [shown(match) for match in await opened.scalars(select(Match).order_by(Match.id))]

    @app.post("/api/matches", status_code=201, dependencies=[Depends(writer)])
    async def add_match(match: NewMatch, opened: Database) -> dict:
        added = Match(home_id=match.home_id, away_id=match.away_id)
        opened.add(added)
        await saved(opened, "a match needs two teams that there are")
        return shown(added)

    @app.put("/api/matches/{number}/score", dependencies=[Depends(writer)])
    async def score(number: int, score: Score, opened: Database) -> dict:
        changed = update(Match).where(Match.id == number).values(**score.model_dump(), version=Match.version + 1)
        match = await opened.scalar(changed.returning(Match))
        if match is None:
            raise HTTPException(404, "there is no such match")
        await opened.commit()
        return shown(match)

    @app.get("/api/matches/{number}/live")
    async def live(number: int, request: Request) -> StreamingResponse:
        """The match as it stands, and anew with each change. From the database, as another release may have changed it."""

        async def look() -> Match | None:
            async with session() as opened:
                return await opened.get(Match, number)

        async def events(match: Match | None) -> AsyncIterator[str]:
            seen = 0
            while match is not None and not await request.is_disconnected():
                if match.version != seen:
                    yield f"id: {match.version}\ndata: {json.dumps(shown(match))}\n\n"
                    seen = match.version
                try:
                    await asyncio.wait_for(app.state.ending.wait(), look_seconds)
                    return
                except TimeoutError:
                    match = await look()

        first = await look()
        if first is None:
            raise HTTPException(404, "there is no such match")
        return StreamingResponse(events(first), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return app


def shown(match: Match) -> dict:
    fields = ("id", "home_id", "away_id", "home_score", "away_score")
    return {field: getattr(match, field) for field in fields}


async def saved(opened: AsyncSession, problem: str) -> None:
    try:
        await opened.commit()
    except IntegrityError:
        raise HTTPException(409, problem) from None
