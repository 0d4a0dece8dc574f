"""A gradebook on a real socket: token endpoint, line items and results, with faults to order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.flows.jobs import JobRunner
from ltihost.flows.line_items import LineItemFlow
from ltihost.flows.results import ResultsFlow
from ltihost.settings import Settings
from ltihost.store.service_tables import Event
from tests.core.support_loopback import Request, Server, answer, loopback, resets
from tests.flows.platform import Change
from tests.flows.rig import Rig

AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
ALL_SCOPES = tuple(SCOPE + name for name in ("lineitem", "lineitem.readonly", "result.readonly", "score"))
ITEM = "application/vnd.ims.lis.v2.lineitem+json"
SCOPES_OF_KEY = (
    "launch:exchange", "lineitems:read", "lineitems:write", "grades:read", "grades:write", "events:read", "roster:read",
)  # fmt: skip
Reply = tuple[int, Any]


@dataclass
class Gradebook:
    """`items` by number, `results` by item number, `scores` by item number and person; `page` items a page. `ledger`
    lists what was done, in order.

    `faults` are taken one per request that fits (method, part of the path): a status, or a word: "lose" does it and
    breaks the connection, "reset" breaks the connection first.
    """

    server: Server
    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    results: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    scores: dict[int, dict[str, float]] = field(default_factory=dict)
    ledger: list[str] = field(default_factory=list)
    faults: list[tuple[str, str, int | str]] = field(default_factory=list)
    page: int = 100
    next_number: int = 1
    before: Callable[[Request], None] | None = None
    tokens: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url("/ctx/1/lineitems?type_id=1")

    def item_url(self, number: int) -> str:
        return self.server.url(f"/ctx/1/lineitems/{number}/lineitem?type_id=1")

    def add(self, **members: Any) -> dict[str, Any]:
        """A column, as if the LMS or an earlier course had made it."""
        number, self.next_number = self.next_number, self.next_number + 1
        self.items[number] = {"id": self.item_url(number)} | members
        return self.items[number]

    def creations(self) -> int:
        return self.ledger.count("POST")

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if urlsplit(request.path).path == "/token":
            asked = parse_qs(request.body.decode())["scope"][0]
            self.tokens.append(asked)
            body = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600, "scope": asked}
            writer.write(answer(200, json.dumps(body).encode(), {}))
            return
        assert request.headers["authorization"] == "Bearer t"
        if self.before is not None:
            self.before(request)
        fault = self._fault(request)
        if fault == "reset":
            await resets(request, writer)
        elif isinstance(fault, int):
            writer.write(answer(fault, b"{}", {}))
        else:
            status, body, headers = self._do(request)
            if fault == "lose":
                await resets(request, writer)
            writer.write(answer(status, b"" if body is None else json.dumps(body).encode(), headers))

    def _fault(self, request: Request) -> int | str | None:
        for number, (method, part, fault) in enumerate(self.faults):
            if request.method == method and part in request.path:
                del self.faults[number]
                return fault
        return None

    def _do(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(request.path)
        assert "type_id=1" in parts.query
        steps = parts.path.strip("/").split("/")[3:]
        self.ledger.append(f"{request.method} {'/'.join(steps)}".strip())
        if not steps:
            return self._container(request, parse_qs(parts.query))
        number = int(steps[0])
        if number not in self.items:
            return 404, {}, {}
        if steps[-1] == "results":
            return 200, self.results.get(number, []), {}
        if steps[-1] == "scores":
            score = json.loads(request.body)
            self.scores.setdefault(number, {})[score["userId"]] = score["scoreGiven"]
            return 200, None, {}
        return self._item(request, number)

    def _container(self, request: Request, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        if request.method == "POST":
            assert request.headers["content-type"] == ITEM
            return 201, self.add(**json.loads(request.body)), {}
        names = {"resource_id": "resourceId", "tag": "tag", "resource_link_id": "resourceLinkId"}
        wanted = {member: query[name][0] for name, member in names.items() if name in query}
        found = [item for item in self.items.values() if all(item.get(name) == value for name, value in wanted.items())]
        start = int(query.get("from", ["0"])[0])
        more = start + self.page < len(found)
        link = f'<{self.url}&from={start + self.page}>; rel="next"'
        return 200, found[start : start + self.page], {"link": link} if more else {}

    def _item(self, request: Request, number: int) -> tuple[int, Any, dict[str, str]]:
        if request.method == "GET":
            return 200, self.items[number], {}
        if request.method == "DELETE":
            del self.items[number]
            return 204, None, {}
        assert request.method == "PUT"
        self.items[number] = {"id": self.item_url(number)} | json.loads(request.body)
        return 200, self.items[number], {}


@dataclass
class Desk:
    """An application's desk: a launched link, a key with every scope, and a worker to let run."""

    rig: Rig
    gradebook: Gradebook
    runner: JobRunner
    key: str
    link_id: str = ""
    context_id: str = ""
    user_id: str = ""

    def ags(self, line_item: int | None = None, scopes: tuple[str, ...] = ALL_SCOPES) -> Change:
        """The claim of the grade service."""

        def change(payload: dict[str, Any]) -> None:
            payload[AGS] = {"scope": list(scopes), "lineitems": self.gradebook.url}
            if line_item is not None:
                payload[AGS]["lineitem"] = self.gradebook.item_url(line_item)

        return change

    async def launch(self, *changes: Change, line_item: int | None = None, **how: Any) -> dict[str, Any]:
        launch = await self.rig.exchange(await self.rig.launch(self.ags(line_item, **how), *changes))
        self.link_id, self.context_id = launch["resource_link"]["id"], launch["context"]["id"]
        self.user_id = launch["user"]["id"]
        return launch

    async def call(self, method: str, path: str, body: Any = None, key: str | None = None, **query: Any) -> Any:
        return await self.rig.http.request(
            method, f"/api/v1{path}", json=body, params=query, headers={"authorization": f"Bearer {key or self.key}"}
        )

    async def want(self, label: str = "Quiz", maximum: float = 10, **more: Any) -> dict[str, Any]:
        """Find or make a line item of the link."""
        found = await self.call(
            "POST", f"/resource-links/{self.link_id}/line-items", {"label": label, "maximum": maximum, **more}
        )
        assert found.status_code in (200, 201), found.text
        item: dict[str, Any] = found.json()
        return item

    async def show(self, line_item_id: str) -> dict[str, Any]:
        found = await self.call("GET", f"/line-items/{line_item_id}")
        assert found.status_code == 200, found.text
        item: dict[str, Any] = found.json()
        return item

    async def alerts(self) -> list[dict[str, Any]]:
        """What the application was alarmed of, oldest first."""

        def read(session: Session) -> list[dict[str, Any]]:
            rows = session.scalars(select(Event).where(Event.type == "alert.raised").order_by(Event.at, Event.id))
            return [row.data for row in rows]

        return await self.rig.host.database.run(self.rig.tenant.id, read)

    async def work(self, rounds: int = 10) -> None:
        """Let the worker do what is due now."""
        for _ in range(rounds):
            if not await self.runner.work_once():
                return

    async def later(self, seconds: float) -> None:
        """Let time pass, and work."""
        self.rig.clock.now += seconds
        await self.work()


@asynccontextmanager
async def desk_of(rig: Rig) -> AsyncIterator[Desk]:
    """The rig's registration gets a gradebook, and its application a desk."""
    async with loopback() as server:
        gradebook = Gradebook(server)
        server.handler = gradebook.serve
        await rig.set(rig.registration.id, token_url=server.url("/token"))
        runner = JobRunner(rig.host)
        flow, results = LineItemFlow(), ResultsFlow()
        runner.register("line_item", flow.work, on_death=flow.bury)
        runner.register("results", results.work)
        yield Desk(rig, gradebook, runner, await rig.key(rig.application, *SCOPES_OF_KEY))


@pytest.fixture
async def desk(rig: Rig, settings: Settings) -> AsyncIterator[Desk]:
    """A desk with a launched link."""
    async with desk_of(rig) as made:
        await made.launch()
        yield made
