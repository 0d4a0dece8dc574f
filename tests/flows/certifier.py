"""A platform's services as the certification suite has them: it keeps what it was asked, and gives nothing for less.

The host is served on a socket too, so that every byte between the two crosses the network.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2
import uvicorn

from ltihost.flows import roster
from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.testing.serving import listen, port_of
from tests.core.services.rig import form
from tests.core.support_loopback import Request
from tests.flows.gradebook import SCOPE, Desk, Gradebook, desk_of
from tests.flows.platform import V2, Change, put
from tests.flows.rig import Rig

NRPS_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
MEMBERS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
RESULTS = "application/vnd.ims.lis.v2.resultcontainer+json"
STUDENT = put(
    sub="40899",
    lti_roles=[f"{V2}membership#Learner", f"{V2}institution/person#Student", f"{V2}institution/person#Mentor"],
)


@dataclass
class Suite(Gradebook):
    """Line items as `Gradebook`, and scores, results and a roster. `scores` are bodies by item number."""

    scores: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def services(self) -> list[Request]:
        return [request for request in self.server.requests if request.path != "/token"]

    def _do(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(request.path)
        if parts.path == "/members":
            return 200, self._members(), {"content-type": MEMBERS}
        if parts.path.endswith("/scores"):
            body = json.loads(request.body)
            number = int(parts.path.split("/")[4])
            self.scores.setdefault(number, []).append(body)
            shown = {"id": f"{self.url}#r", "userId": body["userId"], "resultScore": body["scoreGiven"]}
            self.results[number] = [shown | {"resultMaximum": body["scoreMaximum"]}]
            return 200, {}, {}
        return super()._do(request)

    def _members(self) -> dict[str, Any]:
        rows = [
            {"user_id": "40899", "roles": ["Learner"]},
            {"user_id": "39890", "roles": [f"{V2}membership#Instructor"]},
        ]
        return {"id": self.server.url("/members"), "context": {"id": "ctx-1"}, "members": rows}

    def asked(self, method: str, ending: str) -> list[Request]:
        """The requests of this method to a path that ends so."""
        return [
            request for request in self.services
            if request.method == method and urlsplit(request.path).path.endswith(ending)
        ]  # fmt: skip

    def scopes_asked(self) -> set[str]:
        return {
            scope for asked in self.server.requests if asked.path == "/token" for scope in form(asked)["scope"].split()
        }


@dataclass
class Certified:
    """A desk at the suite's platform; the desk's host answers on a socket."""

    desk: Desk
    suite: Suite

    def claim(self) -> Change:
        """The claims of the suite: line items but no line item, and a roster's URL with a query."""

        def change(payload: dict[str, Any]) -> None:
            self.desk.ags()(payload)
            payload["https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"] = {
                "context_memberships_url": self.suite.server.url("/members?memberships=1879"),
                "service_versions": ["2.0"],
            }

        return change

    async def deliver(self) -> None:
        runner = ScoreRunner(self.desk.rig.host)
        assert await runner.work_once() == 1


@asynccontextmanager
async def certified_of(rig: Rig) -> AsyncIterator[Certified]:
    """The rig's host on a socket, with the suite as its platform."""
    async with desk_of(rig) as desk, _served(rig):
        suite = Suite(desk.gradebook.server)
        suite.server.handler = suite.serve
        desk.gradebook = suite
        desk.runner.register(roster.JOB, roster.do)
        yield Certified(desk, suite)


@asynccontextmanager
async def _served(rig: Rig) -> AsyncIterator[None]:
    """Connections wait in the socket until the server has begun, so nobody has to."""
    sockets = listen("127.0.0.1")
    config = uvicorn.Config(rig.app, lifespan="off", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets))
    inside = rig.http
    url = f"http://127.0.0.1:{port_of(sockets)}"
    try:
        async with httpx2.AsyncClient(base_url=url, headers={"host": "localhost:8700"}, trust_env=False) as rig.http:
            yield
    finally:
        rig.http = inside
        server.should_exit = True
        await running


__all__ = ["MEMBERS", "NRPS_SCOPE", "RESULTS", "SCOPE", "SCORE", "STUDENT", "Certified", "Suite", "certified_of"]
