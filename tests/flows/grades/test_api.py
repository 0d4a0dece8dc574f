"""Scores through the API, over a host that on SQLite also delivers them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from ltihost.app import build_app
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import applications
from tests.core.grades.support import Book, GradeEvent, GradeSlot, make_book
from tests.core.store.support import ACTOR
from tests.flows.grades.gradebook import Gradebook
from tests.flows.grades.rig import connect

ALL = ("grades:write", "grades:read", "grades:override")


@dataclass
class Api:
    http: httpx2.AsyncClient
    book: Book
    keys: dict[tuple[str, ...], str]

    async def key(self, *scopes: str, book: Book | None = None) -> str:
        book = book or self.book
        if (book.tenant_id, *scopes) not in self.keys:
            made = await book.db.run_host(applications.create_key, book.world.application, scopes=scopes, actor=ACTOR)
            self.keys[(book.tenant_id, *scopes)] = made.text
        return self.keys[(book.tenant_id, *scopes)]

    async def post(
        self, body: dict[str, Any] | str, *, key: str | None = None, item: str | None = None, idempotency: str = "k"
    ) -> httpx2.Response:
        content = body if isinstance(body, str) else json.dumps(self.body(**body))
        headers = {"authorization": f"Bearer {key or await self.key(*ALL)}", "idempotency-key": idempotency}
        headers["content-type"] = "application/json"
        return await self.http.post(
            f"/api/v1/line-items/{item or self.book.line_item_id}/scores", content=content, headers=headers
        )

    def body(self, **values: Any) -> dict[str, Any]:
        return {"user_id": self.book.learners[0], "given": 8, "maximum": 10} | values

    async def get(self, path: str, key: str | None = None) -> httpx2.Response:
        return await self.http.get(f"/api/v1{path}", headers={"authorization": f"Bearer {key or await self.key(*ALL)}"})


@pytest.fixture
async def api(settings: Settings, lms: Gradebook) -> AsyncIterator[Api]:
    app = build_app(settings, plugins=load_plugins(["lti"]))
    async with app.router.lifespan_context(app):
        book = await make_book(app.state.host.database, learners=2, url=lms.item_url())
        await connect(book, lms)
        app.state.host.routing.forget()
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8700") as http:
            yield Api(http, book, {})


async def test_a_score_is_accepted_and_its_delivery_can_be_asked_for(api: Api) -> None:
    answer = await api.post({"comment": "Good", "attempt": 2})
    assert answer.status_code == 202, answer.text
    delivery = answer.json()["delivery"]
    assert delivery == {"id": delivery["id"], "state": "pending"}
    shown = (await api.get(f"/deliveries/{delivery['id']}")).json()
    assert (shown["given"], shown["maximum"], shown["attempt"]) == (8, 10, 2)
    assert shown["user_id"] == api.book.learners[0]
    listed = (await api.get(f"/line-items/{api.book.line_item_id}/deliveries")).json()
    assert [row["id"] for row in listed["data"]] == [delivery["id"]]
    assert listed["next_cursor"] is None


async def test_an_embedded_host_delivers_by_itself(api: Api, lms: Gradebook, settings: Settings) -> None:
    if settings.database.startswith("postgres"):
        await api.post({})
        assert (await api.book.slot()).state == "pending"  # `ltihost worker` does it there
        return
    started = time.monotonic()
    delivery = (await api.post({})).json()["delivery"]
    while (shown := (await api.get(f"/deliveries/{delivery['id']}")).json())["state"] != "idle":
        assert time.monotonic() - started < 10
        await asyncio.sleep(0.01)
    assert shown["confirmed"]["given"] == 8
    assert lms.standing("learner-0") == (8, 10)


async def test_lists_come_in_pages(api: Api) -> None:
    for learner in api.book.learners:
        assert (await api.post({"user_id": learner}, idempotency=learner)).status_code == 202
    path = f"/line-items/{api.book.line_item_id}/deliveries"
    first = (await api.get(f"{path}?limit=1")).json()
    second = (await api.get(f"{path}?limit=1&cursor={first['next_cursor']}")).json()
    assert second["next_cursor"] is None
    assert {first["data"][0]["user_id"], second["data"][0]["user_id"]} == set(api.book.learners)


# S-72


@pytest.mark.parametrize(
    "changes",
    [
        '"given": NaN', '"given": Infinity', '"given": 1e999', '"given": -1', '"given": "90"', '"given": true',
        '"given": 0.1234567', '"given": 8, "maximum": 0', '"given": 0, "maximum": 0', '"given": 8, "maximum": -10',
        '"given": 8, "maximum": NaN', '"given": 12345678901234567',
    ],
)  # fmt: skip
async def test_numbers_that_are_none_are_refused(api: Api, changes: str) -> None:
    answer = await api.post('{"user_id": "%s", %s}' % (api.book.learners[0], changes))  # noqa: UP031
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await api.book.rows(GradeSlot) == []


async def test_numbers_come_through_exactly(api: Api) -> None:
    body = '{"user_id": "%s", "given": 0.300001, "maximum": 1e1}' % api.book.learners[0]  # noqa: UP031
    assert (await api.post(body)).status_code == 202
    (fact,) = await api.book.rows(GradeEvent)
    assert (fact.given, fact.maximum) == ("0.300001", "10")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"given": 101, "maximum": 100}, "given_above_maximum"),
        ({"given": 11, "maximum": None}, "given_above_maximum"),
        ({"user_id": "usr_nobody"}, "user_not_in_context"),
        ({"user_id": "nul\0"}, "user_not_in_context"),
        ({"submitted_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "time_in_future"),
        ({"started_at": "2026-05-02T10:00:00Z", "submitted_at": "2026-05-02T09:00:00Z"}, "times_swapped"),
        ({"submitted_at": "2026-05-02T09:00:00"}, "invalid_request"),
        ({"given": 1, "override": "clear"}, "clear_with_score"),
        ({"attempt": 0}, "invalid_request"),
        ({"line_item_url": "https://evil.example/"}, "invalid_request"),
        ({"activity_progress": "Done"}, "invalid_request"),
    ],
)
async def test_what_cannot_be_is_refused(api: Api, changes: dict[str, Any], code: str) -> None:
    answer = await api.post(changes)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await api.book.rows(GradeEvent) == []


async def test_the_line_item_s_maximum_serves_where_none_is_stated(api: Api) -> None:
    assert (await api.post({"maximum": None})).status_code == 202
    (fact,) = await api.book.rows(GradeEvent)
    assert fact.maximum == "10"


# Whose it is: S-70, S-71, S-73, S-74


async def test_another_tenant_s_key_finds_nothing(api: Api) -> None:
    south = await make_book(api.book.db, slug="south")
    key = await api.key(*ALL, book=south)
    delivery = (await api.post({})).json()["delivery"]
    assert (await api.post({}, key=key)).status_code == 404
    assert (await api.get(f"/deliveries/{delivery['id']}", key)).status_code == 404
    assert (await api.get(f"/line-items/{api.book.line_item_id}/deliveries", key)).status_code == 404


@pytest.mark.parametrize("item", ["lin_unknown", "https:lms.example", "nul%00"])
async def test_a_line_item_that_is_not_ours_is_not_found(api: Api, item: str) -> None:
    answer = await api.post({}, item=item)
    assert (answer.status_code, answer.json()["code"]) == (404, "line_item_unknown")


async def test_scopes_are_needed(api: Api) -> None:
    reader, writer = await api.key("grades:read"), await api.key("grades:write")
    assert (await api.post({}, key=reader)).json()["code"] == "scope_missing"
    delivery = (await api.post({}, key=writer)).json()["delivery"]
    assert (await api.get(f"/deliveries/{delivery['id']}", writer)).status_code == 403
    refused = await api.post({"override": "set", "given": 1}, key=writer, idempotency="o")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_a_cookie_opens_nothing(api: Api) -> None:
    """S-73."""
    answer = await api.http.post(
        f"/api/v1/line-items/{api.book.line_item_id}/scores", json=api.body(),
        headers={"cookie": "__Host-session=x", "idempotency-key": "k"},
    )  # fmt: skip
    assert answer.status_code == 401


# S-76


async def test_a_key_is_needed_and_stands_for_one_body(api: Api) -> None:
    bearer = {"authorization": f"Bearer {await api.key(*ALL)}"}
    url = f"/api/v1/line-items/{api.book.line_item_id}/scores"
    assert (await api.http.post(url, json=api.body(), headers=bearer)).status_code == 422
    first, again = await api.post({}), await api.post({"given": 8.0})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["delivery"]["id"] == again.json()["delivery"]["id"]
    other = await api.post({"given": 9})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    revised = await api.post({"given": 9}, idempotency="another")
    assert (revised.status_code, revised.json()["code"]) == (409, "attempt_exists")
    assert len(await api.book.rows(GradeEvent)) == 1


async def test_fifty_equal_posts_at_once_are_one_event(api: Api) -> None:
    key = await api.key(*ALL)
    answers = await asyncio.gather(*(api.post({}, key=key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["delivery"]["id"] for answer in answers}) == 1
    assert len(await api.book.rows(GradeEvent)) == 1
