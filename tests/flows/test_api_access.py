"""Every route of the API, as the OpenAPI document lists them, against keys that may not use it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.records import HOST, Application
from ltihost.settings import Settings
from ltihost.store import applications, deployments, tenants
from ltihost.store.ids import new_id
from ltihost.store.routing import RoutingCache
from ltihost.store.service_tables import GradeSlot
from ltihost.store.tables import Audit
from tests.flows.gradebook import Desk, desk, desk_of
from tests.flows.platform import DEPLOYMENT
from tests.flows.rig import ACTOR, Rig

__all__ = ["desk"]  # a fixture

#: A body that would do, for each operation that takes one.
BODIES: dict[str, Any] = {
    "exchangeLaunch": {"code": "x"},
    "postScore": {"user_id": "usr_x", "given": 1, "maximum": 2, "attempt": 1},
    "findOrCreateLineItem": {"label": "Quiz", "maximum": 10},
    "changeLineItem": {"label": "Quiz"},
    "finishDeepLink": {"items": []},
}
#: What these answer when they are opened: the samples name a code and a person that do not exist, the launch was no
#: deep linking, its platform has no roster, and the line item has a score.
OPENED = {
    "exchangeLaunch": (410,), "postScore": (422,), "showDeepLink": (404,), "finishDeepLink": (404,),
    "deleteLineItem": (409,), "listMembers": (200, 409), "syncRoster": (202, 409),
}  # fmt: skip
#: The code for an unknown object of each collection.
UNKNOWN = {
    "resource-links": "resource_link_unknown", "line-items": "line_item_unknown", "deliveries": "delivery_unknown",
    "contexts": "context_unknown", "sessions": "session_unknown", "capabilities": "registration_unknown",
    "deep-links": "deep_link_unknown",
}  # fmt: skip
HEADERS = {"postScore": {"idempotency-key": "a-key-of-its-own"}}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    name: str
    scope: str

    @property
    def of(self) -> str | None:
        """The kind of object that the path names."""
        return self.path.split("/")[1] if "{" in self.path else None


@dataclass
class Door:
    """The API of a host with two tenants; `ids` are the first one's objects by the collection in the path."""

    rig: Rig
    operations: list[Operation]
    ids: dict[str, str]
    foreigner: Application
    spent: list[str] = field(default_factory=list)

    async def call(self, operation: Operation, key: str | None, identity: str | None = None) -> Any:
        before, _, after = operation.path.partition("{")
        path = f"{before}{identity or self.ids[operation.of]}{after.partition('}')[2]}" if operation.of else before
        return await self.rig.http.request(
            operation.method, f"/api/v1{path}", json=BODIES.get(operation.name),
            headers=HEADERS.get(operation.name, {}) | ({"authorization": f"Bearer {key}"} if key else {}),
        )  # fmt: skip

    async def key(self, application: Application, *scopes: str) -> str:
        """A key; the one that was made before goes: an application has few."""
        for key_id in self.spent:
            await self.rig.operator(applications.revoke_key, key_id, actor=ACTOR)
        made = await self.rig.operator(applications.create_key, application, scopes=scopes, actor=ACTOR)
        self.spent = [made.id]
        return str(made.text)

    @property
    def scopes(self) -> set[str]:
        return {operation.scope for operation in self.operations}


def _operations(document: Any) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            (security,) = operation["security"]
            (scope,) = security["applicationKey"]
            yield Operation(method.upper(), path, operation["operationId"], scope)


@pytest.fixture
async def door(desk: Desk) -> Door:
    rig = desk.rig
    document = (await rig.http.get("/api/v1/openapi.json")).json()
    launch = await desk.launch()
    item = await desk.want(resource_id="quiz-1")
    slot_id = await rig.host.database.run_host(_slot, rig.tenant.id, item["id"], launch["user"]["id"])
    other = await rig.operator(tenants.create, "other", name="Other", actor=ACTOR)
    foreigner = await rig.operator(
        applications.create, other.id, "tool", name="T", launch_url="https://t.example/", actor=ACTOR
    )
    ids = {
        "resource-links": desk.link_id, "line-items": item["id"], "deliveries": slot_id, "contexts": desk.context_id,
        "sessions": launch["session"]["id"], "capabilities": rig.registration.id, "deep-links": launch["id"],
    }  # fmt: skip
    await _one_key_less(rig)
    return Door(rig, list(_operations(document)), ids, foreigner)


async def _one_key_less(rig: Rig) -> None:
    for key in await rig.operator(applications.keys, rig.application.id):
        await rig.operator(applications.revoke_key, key.id, actor=ACTOR)


def _slot(session: Session, tenant_id: str, line_item_id: str, user_id: str) -> str:
    from ltihost.store.service_tables import LineItem

    item = session.scalars(select(LineItem).where(LineItem.id == line_item_id)).one()
    values: dict[str, Any] = {
        column.key: 0 for column in GradeSlot.__mapper__.columns if not column.nullable and not column.primary_key
    }
    row = GradeSlot(
        **values | {
            "tenant_id": tenant_id, "id": new_id("dlv"), "registration_id": item.registration_id,
            "deployment_id": item.deployment_id, "line_item_id": line_item_id, "user_id": user_id, "state": "idle",
            "unknown_outcome": False,
        }
    )  # fmt: skip
    session.add(row)
    return row.id


async def test_each_operation_is_known_here(door: Door) -> None:
    """Else those that are not would go untested."""
    taking = {operation.name for operation in door.operations if operation.method in ("POST", "PATCH", "PUT")}
    assert taking - BODIES.keys() == {"syncRoster"}
    assert {operation.of for operation in door.operations} - {None} <= door.ids.keys()


async def test_no_key_opens_nothing(door: Door) -> None:
    """S-74, S-75; S-33: nor does a token that is good for a launch."""
    flow = await door.rig.login()
    id_token = door.rig.token(flow)
    for operation in door.operations:
        for key in (None, "ltih_live_aaaaaaaaaaaaaaaa_" + "b" * 43 + "_00000000", "nonsense", id_token):
            answer = await door.call(operation, key)
            assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid"), operation
    assert (await door.rig.post(flow, id_token)).status_code == 303


async def test_a_key_that_another_process_revoked_opens_nothing_five_seconds_later(rig: Rig) -> None:
    """R-32: this process remembers keys, and is told nothing."""
    elapsed = [0.0]
    rig.host.routing = RoutingCache(rig.host.database.hot, clock=lambda: elapsed[0])
    made = await rig.operator(applications.create_key, rig.application, scopes=("launch:exchange",), actor=ACTOR)
    bearer = {"authorization": f"Bearer {made.text}"}
    for at, revoked, status in ((0.0, True, 410), (5.0, False, 401)):
        elapsed[0] = at
        answer = await rig.http.post("/api/v1/launches/exchange", json={"code": "x" * 43}, headers=bearer)
        assert answer.status_code == status, answer.text
        if revoked:
            await rig.host.database.run_host(applications.revoke_key, made.id, actor=ACTOR)


async def test_a_key_without_the_scope_opens_nothing(door: Door) -> None:
    """S-74: a key with every scope but the one."""
    for scope in sorted(door.scopes):
        key = await door.key(door.rig.application, *(door.scopes - {scope}))
        for operation in door.operations:
            if operation.scope == scope:
                answer = await door.call(operation, key)
                assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), operation


async def test_another_tenant_s_objects_are_as_unknown_as_none(door: Door) -> None:
    """S-74, S-71: word for word the same answer, with every scope."""
    key = await door.key(door.foreigner, *door.scopes)
    for operation in door.operations:
        if operation.of is None:
            continue
        foreign = await door.call(operation, key)
        identity = door.ids[operation.of]
        unknown = await door.call(operation, key, new_id(identity.partition("_")[0]))
        assert (foreign.status_code, foreign.json()) == (404, unknown.json()), operation


async def test_another_application_of_the_tenant_sees_nothing_either(door: Door) -> None:
    rig = door.rig
    neighbour = await rig.operator(
        applications.create, rig.tenant.id, "neighbour", name="N", launch_url="https://n.example/", actor=ACTOR
    )
    key = await door.key(neighbour, *door.scopes)
    for operation in door.operations:
        if operation.of is not None:
            assert (await door.call(operation, key)).status_code == 404, operation


async def test_its_own_key_opens_everything(door: Door) -> None:
    """Each refusal above has this one defect only."""
    key = await door.key(door.rig.application, *door.scopes)
    for operation in door.operations:
        answer = await door.call(operation, key)
        assert answer.status_code in OPENED.get(operation.name, (200, 201, 202)), (operation, answer.text)


@pytest.mark.parametrize("identity", ["https:lms.example", "lin_1", "1", "lin_" + "A" * 26, "%00"])
async def test_what_is_no_id_of_ours_is_unknown(door: Door, identity: str) -> None:
    """S-71: a platform's URL is never taken for an id; whatever the path names, the answer is that there is none."""
    key = await door.key(door.rig.application, *door.scopes)
    for operation in door.operations:
        if operation.of is not None:
            answer = await door.call(operation, key, identity)
            assert (answer.status_code, answer.json()["code"]) == (404, UNKNOWN[operation.of]), operation
    assert (await door.rig.http.get("/api/v1/line-items/https://lms.example/1")).status_code == 404


async def test_a_link_that_cannot_be_is_unknown_in_the_query_too(desk: Desk) -> None:
    answer = await desk.call("GET", f"/contexts/{desk.context_id}/members", resource_link="\0")
    assert (answer.status_code, answer.json()["code"]) == (404, "resource_link_unknown")


@pytest.mark.parametrize("body", [
    {}, {"label": "Q"}, {"maximum": 1}, {"label": "", "maximum": 1}, {"label": " \t", "maximum": 1},
    {"label": "Q", "maximum": 0}, {"label": "Q", "maximum": -1}, {"label": "Q", "maximum": "10"},
    {"label": "Q", "maximum": True}, {"label": "Q", "maximum": 1e300}, {"label": "Q", "maximum": 1, "tag": "x" * 256},
    {"label": "Q", "maximum": 1, "resource_id": "x" * 256}, {"label": "Q", "maximum": 1, "tag": "a\nb"},
    {"label": "Q", "maximum": 1, "url": "https://lms.example/1"}, {"label": "Q", "maximum": 1, "ends_at": "tomorrow"},
    {"label": "Q", "maximum": 1, "ends_at": "2026-01-01T00:00:00"}, {"label": "Q", "maximum": 1, "policy": "best"},
    {"label": "Q", "maximum": 1, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T23:00:00-01:00"},
    {"label": "Q\0", "maximum": 1}, {"label": "a\nb", "maximum": 1},
])  # fmt: skip
async def test_a_line_item_that_cannot_be_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    answer = await desk.call("POST", f"/resource-links/{desk.link_id}/line-items", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert desk.gradebook.ledger == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_a_maximum_that_is_no_number_is_refused(desk: Desk, number: str) -> None:
    answer = await desk.rig.http.post(
        f"/api/v1/resource-links/{desk.link_id}/line-items", content=f'{{"label": "Q", "maximum": {number}}}',
        headers={"authorization": f"Bearer {desk.key}", "content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 422


async def test_a_long_label_is_cut(desk: Desk) -> None:
    item = await desk.want("x" * 4_000, resource_id="quiz-1")
    assert item["label"] == "x" * 255


async def test_taking_away_what_must_be_is_refused(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    for name in ("label", "maximum", "policy"):
        answer = await desk.call("PATCH", f"/line-items/{item['id']}", {name: None})
        assert answer.status_code == 422, name
    answer = await desk.call("PATCH", f"/line-items/{item['id']}", {"resource_id": "other"})
    assert answer.status_code == 422


async def test_a_list_is_read_at_a_list_s_pace(desk: Desk) -> None:
    """S-77, D32 in words: 600 list reads a minute and key; other calls have a pace of their own."""
    path = f"/resource-links/{desk.link_id}/line-items"
    statuses = [(await desk.call("GET", path)).status_code for _ in range(602)]
    assert statuses == [200] * 600 + [429] * 2
    refused = await desk.call("GET", path)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await desk.call("POST", path, {"label": "Q", "maximum": 1})).status_code == 201
    desk.rig.clock.now += 60
    assert (await desk.call("GET", path)).status_code == 200


async def test_reading_people_in_masses_is_in_the_trail(desk: Desk) -> None:
    """S-77: one row of the trail for each thousand."""
    from ltihost.api.callers import Callers
    from ltihost.store.hot import ApiKey

    callers = Callers(desk.rig.host)
    key = ApiKey("k", desk.rig.application.id, None, b"", frozenset(), None, False)
    for _ in range(25):
        await callers.rows_read(key, desk.rig.tenant.id, "results", 100)

    def read(session: Session) -> list[Any]:
        return [row.details["rows"] for row in session.scalars(select(Audit).where(Audit.action == "data.read"))]

    assert sorted(await desk.rig.host.database.run(desk.rig.tenant.id, read)) == [1_000, 2_000]


async def test_lists_go_on_where_the_cursor_says(desk: Desk) -> None:
    wanted = {(await desk.want(resource_id=f"r{number}"))["id"] for number in range(5)}
    found: list[str] = []
    cursor: str | None = None
    path = f"/resource-links/{desk.link_id}/line-items"
    while True:
        page = (await desk.call("GET", path, limit=2, **({"cursor": cursor} if cursor else {}))).json()
        found += [item["id"] for item in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert (set(found), len(found)) == (wanted, 5)
    for bad in ("x", "WzFd", "W10", "A" * 501):
        assert (await desk.call("GET", path, cursor=bad)).status_code == 422, bad


# Sessions, events, capabilities


async def test_a_session_is_the_launch_as_it_was_exchanged(desk: Desk) -> None:
    launch = await desk.launch()
    again = await desk.call("GET", f"/sessions/{launch['session']['id']}")
    assert (again.status_code, again.json()) == (200, launch)


async def test_a_session_that_is_over_is_gone(desk: Desk) -> None:
    launch = await desk.launch()
    path = f"/sessions/{launch['session']['id']}"
    await desk.rig.operator(deployments.disable, desk.rig.registration.id, DEPLOYMENT, actor=ACTOR)
    assert (await desk.call("GET", path)).status_code == 404
    await desk.rig.approve(desk.rig.registration.id, DEPLOYMENT)
    assert (await desk.call("GET", path)).status_code == 200
    desk.rig.clock.now += 12 * 3600 + 1
    gone = await desk.call("GET", path)
    assert (gone.status_code, gone.json()["code"]) == (404, "session_unknown")


async def test_events_are_read_from_a_cursor_on(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    start = (await desk.call("GET", "/events")).json()
    desk.gradebook.items.clear()
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    page = (await desk.call("GET", "/events", cursor=start["next_cursor"])).json()
    (event,) = page["data"]
    assert (event["type"], event["tenant_id"]) == ("alert.raised", desk.rig.tenant.id)
    assert (event["data"]["code"], event["data"]["line_item_id"]) == ("line_item_gone", item["id"])
    empty = (await desk.call("GET", "/events", cursor=page["next_cursor"])).json()
    assert empty == {"data": [], "next_cursor": page["next_cursor"]}


@pytest.mark.parametrize("place", [[2**63], [2**64 - 1], [-1], ["x"], [True]])
async def test_a_place_that_no_event_has_is_no_cursor(desk: Desk, place: list[Any]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")
    answer = await desk.call("GET", "/events", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")


async def test_capabilities_come_from_what_was_granted(desk: Desk) -> None:
    found = await desk.call("GET", f"/capabilities/{desk.rig.registration.id}")
    assert found.status_code == 200
    can = found.json()["capabilities"]
    assert (can["grades"], can["line_items"], can["results"], can["deep_linking"]) == (True, True, True, True)
    await desk.launch(scopes=("https://purl.imsglobal.org/spec/lti-ags/scope/score",))
    can = (await desk.call("GET", f"/capabilities/{desk.rig.registration.id}")).json()["capabilities"]
    assert (can["grades"], can["line_items"], can["results"]) == (True, False, False)


@pytest.fixture
async def shared(settings: Settings) -> AsyncIterator[tuple[Desk, str]]:
    """An application of the host that serves the rig's tenant, and a key of it for every tenant."""
    rig = Rig(settings)
    await rig.start()
    async with desk_of(rig) as made:
        application = await rig.operator(
            applications.create, HOST, "shared", name="S", launch_url="https://app.example/tool", actor=ACTOR
        )
        await rig.operator(deployments.approve, rig.registration.id, DEPLOYMENT, application=application, actor=ACTOR)
        key = await rig.key(application, "launch:exchange", "lineitems:read", "lineitems:write", "events:read")
        rig.api_key = made.key = key
        yield made, key
    await rig.stop()


async def test_a_key_for_every_tenant_finds_the_tenant_by_the_object(shared: tuple[Desk, str]) -> None:
    desk, _ = shared
    await desk.launch()
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    assert (await desk.show(item["id"]))["state"] == "ready"
    assert (await desk.call("GET", f"/line-items/{new_id('lin')}")).status_code == 404
