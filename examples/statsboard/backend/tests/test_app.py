import asyncio
import json

import httpx
import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from statsboard.app import create_app
from statsboard.models import Base
from statsboard.settings import Settings, load

TOKEN = {"Authorization": "Bearer secret"}


def with_app(directory, test):
    """Run `test` with a client of an API whose database is a file."""

    async def run():
        database = URL.create("sqlite+aiosqlite", database=str(directory / "board.db"))
        engine = create_async_engine(database)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()
        app = create_app(Settings(database=database, token="secret"), look_seconds=0.05)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://board") as client:
            await test(client, app)

    asyncio.run(run())


async def match(client):
    ids = [(await client.post("/api/teams", json={"name": name}, headers=TOKEN)).json()["id"] for name in ("A", "B")]
    made = await client.post("/api/matches", json={"home_id": ids[0], "away_id": ids[1]}, headers=TOKEN)
    assert made.status_code == 201
    return made.json()["id"]


def test_a_score_is_kept_and_shown(tmp_path):
    async def test(client, _):
        number = await match(client)
        put = await client.put(f"/api/matches/{number}/score", json={"home_score": 2, "away_score": 1}, headers=TOKEN)
        assert put.status_code == 200
        [shown] = (await client.get("/api/matches")).json()
        assert (shown["home_score"], shown["away_score"]) == (2, 1)
        assert [team["name"] for team in (await client.get("/api/teams")).json()] == ["A", "B"]

    with_app(tmp_path, test)


def test_nobody_writes_without_the_token(tmp_path):
    async def test(client, _):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert (await client.post("/api/teams", json={"name": "A"}, headers=headers)).status_code == 401
        assert (await client.get("/api/teams")).json() == []

    with_app(tmp_path, test)


def test_what_cannot_be_is_refused(tmp_path):
    async def test(client, _):
        number = await match(client)
        assert (await client.post("/api/teams", json={"name": "A"}, headers=TOKEN)).status_code == 409
        same = await client.post("/api/matches", json={"home_id": 1, "away_id": 1}, headers=TOKEN)
        assert same.status_code == 409
        below = await client.put(
            f"/api/matches/{number}/score", json={"home_score": -1, "away_score": 0}, headers=TOKEN
        )
        assert below.status_code == 422
        missing = await client.put("/api/matches/99/score", json={"home_score": 1, "away_score": 0}, headers=TOKEN)
        assert missing.status_code == 404
        assert (await client.get("/api/matches/99/live")).status_code == 404

    with_app(tmp_path, test)


def test_a_viewer_sees_each_change_once_and_the_end(tmp_path):
    async def test(client, app):
        number = await match(client)

        async def change():
            await asyncio.sleep(0.2)
            score = {"home_score": 1, "away_score": 0}
            await client.put(f"/api/matches/{number}/score", json=score, headers=TOKEN)
            await asyncio.sleep(0.3)
            app.state.ending.set()

        changing = asyncio.create_task(change())
        answer = await client.get(f"/api/matches/{number}/live")
        await changing
        seen = [json.loads(line[6:])["home_score"] for line in answer.text.splitlines() if line.startswith("data: ")]
        assert seen == [0, 1]

    with_app(tmp_path, test)


def test_health_is_that_the_database_answers(tmp_path):
    async def test(client, _):
        assert (await client.get("/health")).status_code == 200

    with_app(tmp_path, test)
    nowhere = Settings(database=URL.create("postgresql+asyncpg", host="127.0.0.1", port=9), token="secret")

    async def without():
        app = create_app(nowhere)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://board") as client:
            assert (await client.get("/health")).status_code == 503

    asyncio.run(without())


def test_all_that_is_missing_is_named_at_once(tmp_path):
    with pytest.raises(SystemExit, match="not set: DATABASE_NAME, BOARD_TOKEN_FILE"):
        load({"DATABASE_HOST": "h", "DATABASE_USER": "u", "DATABASE_PASSWORD_FILE": "/p"})
    (tmp_path / "password").write_text("p@ss\n")
    (tmp_path / "token").write_text("t\n")
    settings = load(
        {
            "DATABASE_HOST": "db",
            "DATABASE_NAME": "board",
            "DATABASE_USER": "app",
            "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
            "BOARD_TOKEN_FILE": str(tmp_path / "token"),
        }
    )
    assert settings.database.password == "p@ss"
    assert "p@ss" not in str(settings.database)
    assert settings.token == "t"
