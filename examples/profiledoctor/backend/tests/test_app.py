import asyncio

import fakeredis
import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine

from profiledoctor.app import create_app
from profiledoctor.findings import findings_of
from profiledoctor.models import Base
from profiledoctor.settings import Settings, load
from profiledoctor.visitors import COOKIE, signed, visitor_of

GOOD = "Ada, ada@example.com. " + "I built 3 engines. " * 12


def with_app(directory, test, redis=None):
    """Run `test` with a maker of clients of an API whose database is a file."""

    async def run():
        database = f"sqlite+aiosqlite:///{directory}/checks.db"
        engine = create_async_engine(database)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()
        app = create_app(Settings(database, "", "key"), redis or fakeredis.FakeAsyncRedis())
        transport = httpx.ASGITransport(app)
        await test(lambda: httpx.AsyncClient(transport=transport, base_url="https://doctor"))

    asyncio.run(run())


def ids(text):
    return [finding["id"] for finding in findings_of(text)]


def test_a_profile_is_told_what_it_lacks():
    assert ids(GOOD) == []
    assert ids("A team player") == ["short", "figures", "contact", "phrases"]
    assert "sentences" in ids("word " * 31)
    assert "long" in ids("word. " * 401)
    assert "shouting" in ids("AMAZING! FANTASTIC! UNBELIEVABLE!")


def test_findings_are_kept_listed_and_cached(tmp_path):
    async def test(client):
        async with client() as ada:
            made = (await ada.post("/api/checks", json={"text": "Ada\nA team player"})).json()
            assert made["title"] == "Ada"
            assert [each["id"] for each in (await ada.get("/api/checks")).json()] == [made["id"]]
            answer = await ada.get(f"/api/checks/{made['id']}")
            assert (answer.json(), answer.headers["X-Cache"]) == (made, "hit")

    with_app(tmp_path, test)


def test_without_the_cache_the_database_answers(tmp_path):
    async def test(client):
        async with client() as ada:
            made = (await ada.post("/api/checks", json={"text": GOOD})).json()
            answer = await ada.get(f"/api/checks/{made['id']}")
            assert (answer.status_code, answer.headers["X-Cache"]) == (200, "miss")

    with_app(tmp_path, test, Redis(host="127.0.0.1", port=9, socket_connect_timeout=0.2))


def test_nobody_sees_the_checks_of_another(tmp_path):
    async def test(client):
        async with client() as ada, client() as eve:
            made = (await ada.post("/api/checks", json={"text": GOOD})).json()
            assert (await eve.get("/api/checks")).json() == []
            assert (await eve.get(f"/api/checks/{made['id']}")).status_code == 404
            forged = ada.cookies[COOKIE].partition(".")[0] + "." + "0" * 64
            answer = await eve.get("/api/checks", headers={"Cookie": f"{COOKIE}={forged}"})
            assert answer.json() == []

    with_app(tmp_path, test)
    assert visitor_of(signed("ada", "key"), "key") == "ada"
    assert visitor_of(signed("ada", "another"), "key") is None


@pytest.mark.parametrize("text", ["", " \n ", "x" * 20_001])
def test_what_is_no_profile_is_refused(tmp_path, text):
    async def test(client):
        async with client() as ada:
            assert (await ada.post("/api/checks", json={"text": text})).status_code == 422

    with_app(tmp_path, test)


def test_health_is_that_the_database_answers(tmp_path):
    async def test(client):
        async with client() as ada:
            assert (await ada.get("/health")).status_code == 200

    with_app(tmp_path, test)

    async def without():
        app = create_app(Settings("postgresql+asyncpg://127.0.0.1:9/x", "redis://127.0.0.1:9", "key"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://doctor") as client:
            assert (await client.get("/health")).status_code == 503

    asyncio.run(without())


def test_all_that_is_missing_is_named_at_once():
    with pytest.raises(SystemExit, match="not set: DATABASE_URL, SECRET_KEY"):
        load({"REDIS_URL": "redis://cache"})
    settings = load({"DATABASE_URL": "postgresql://a:p@b/c", "REDIS_URL": "redis://u:p@c", "SECRET_KEY": "k"})
    assert (settings.key, "p@" in repr(settings)) == ("k", False)
