"""S-85: launches, scores, rosters and content, well and badly, with everything logged: no name, no token, no secret is in it.

The plugin and the LMS repeat in their errors whatever they were given.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest

from ltihost.errors import LtihostError
from ltihost.flows import roster
from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.flows.jobs import JobRunner
from ltihost.plugins.contract import ENTRY_POINT_GROUP
from ltihost.plugins.loader import load_plugins
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import admins, tenants
from tests.core.support_loopback import Request, Server, answer, loopback
from tests.flows import gossip
from tests.flows.gradebook import AGS, ALL_SCOPES, SCOPES_OF_KEY
from tests.flows.picker import Picker, deep_linking, lti_link, token_in
from tests.flows.platform import Change, put
from tests.flows.rig import ACTOR, BASE, OTHER_KEY, Browser, Flow, Rig, code_in
from tests.flows.test_launch_storage import FRAME, confirm, data_of, framed_login
from tests.flows.test_notices import hello, post
from tests.flows.test_roster import NRPS, person
from tests.log_sink import log_sink

ISSUER, CLIENT = "https://gossip.example", "client-9"
PEOPLE = {
    "name": "Zoë Kanarienvogel", "given_name": "Zoëgiven", "family_name": "Kanarienvogel", "middle_name": "Zeisigmiddle",
    "email": "zoe.kanarienvogel@campus.example", "picture": "https://faces.example/kanarienvogel.png",
    "sub": "subject-of-kanarienvogel",
}  # fmt: skip
MEMBER = {
    "name": "Yann Wellensittich", "given_name": "Yanngiven", "family_name": "Wellensittich",
    "email": "yann.wellensittich@campus.example", "picture": "https://faces.example/wellensittich.png",
    "lis_person_sourcedid": "sourcedid-wellensittich",
}  # fmt: skip
COMMENT = "Well sung, Kanarienvogel"
HINT = "login-hint-of-kanarienvogel"


@dataclass
class Gossip:
    """The LMS. What it is sent it repeats in its errors: `broken` maps the beginning of a path to the status."""

    server: Server
    canaries: dict[str, str]
    broken: dict[str, int] = field(default_factory=dict)

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        path = urlsplit(request.path).path
        if path == "/token":
            self.canaries[f"assertion {len(self.canaries)}"] = parse_qs(request.body.decode())["client_assertion"][0]
        status = next((status for start, status in self.broken.items() if path.startswith(start)), None)
        if status is not None:
            told = {"error": f"{request.body!r} {dict(request.headers)} {PEOPLE} {MEMBER}"}
            writer.write(answer(status, json.dumps(told).encode(), {}))
            return
        body: Any = {}
        if path == "/token":
            token = f"AccessTokenKanarienvogel{len(self.canaries)}"
            self.canaries[token] = token
            body = {"access_token": token, "token_type": "bearer", "expires_in": 3600}
        elif path == "/members":
            body = {"id": "x", "context": {"id": "ctx-1"}, "members": [person("subject-of-wellensittich", **MEMBER)]}
        elif path == "/items/1":
            body = {"id": self.server.url("/items/1"), "label": "Quiz", "scoreMaximum": 10}
        writer.write(answer(200, json.dumps(body).encode(), {}))


@dataclass
class Watched:
    """The host with all its logs, and what must not be found in them."""

    rig: Rig
    lms: Gossip
    log: io.StringIO
    canaries: dict[str, str]
    key: str = ""
    bearer: dict[str, str] = field(default_factory=dict)

    def keep(self, **texts: str) -> None:
        self.canaries |= {f"{name} {len(self.canaries)}": text for name, text in texts.items() if text}

    def keep_flow(self, flow: Flow, browser: Browser) -> None:
        cookies = {name: value.partition(".")[2] for name, value in browser.cookies.items() if "." in value}
        self.keep(state=flow.state, nonce=flow.nonce, **cookies)

    def events(self) -> set[str]:
        return {json.loads(line)["event"] for line in self.log.getvalue().splitlines()}

    def check(self) -> None:
        """Whole, as URLs and JSON write it, and of a token each of its parts."""
        log = self.log.getvalue()
        assert len(self.canaries) > len(PEOPLE) + len(MEMBER)
        hits = [name for name, text in self.canaries.items() if any(form in log for form in _forms(text))]
        assert hits == []

    def changes(self) -> list[Change]:
        endpoint = {
            "scope": list(ALL_SCOPES), "lineitems": self.lms.server.url("/items"), "lineitem": self.lms.server.url("/items/1"),
        }  # fmt: skip
        members = {"context_memberships_url": self.lms.server.url("/members"), "service_versions": ["2.0"]}
        lis = {"person_sourcedid": "sourcedid-kanarienvogel"}
        return [put(iss=ISSUER, aud=CLIENT, lti_lis=lis, **PEOPLE), put(**{AGS: endpoint, NRPS: members})]

    async def login(self, browser: Browser, **how: Any) -> Flow:
        self.rig.clock.now = time.time()
        asked = {"iss": ISSUER, "client_id": CLIENT, "login_hint": HINT, "lti_message_hint": f"message-{HINT}"}
        flow = await self.rig.login(browser, **asked | how)
        self.keep_flow(flow, browser)
        return flow

    async def post(self, flow: Flow, browser: Browser, *changes: Change, **how: Any) -> httpx2.Response:
        token = self.rig.token(flow, *self.changes(), *changes, **how)
        self.keep(id_token=token)
        return await self.rig.post(flow, token, browser)

    async def launch(self, *changes: Change, **how: Any) -> httpx2.Response:
        browser = Browser()
        return await self.post(await self.login(browser), browser, *changes, **how)

    async def launched(self) -> dict[str, Any]:
        """A learner's launch, with a column of the gradebook."""
        return await self.exchanged(await self.launch(put(lti_roles=["Learner"])))

    async def score(self, launch: dict[str, Any]) -> None:
        """Post a score, and deliver it once."""
        body = {"user_id": launch["user"]["id"], "given": 8, "maximum": 10, "comment": COMMENT}
        taken = await self.call(f"/line-items/{launch['line_item']['id']}/scores", body, **{"idempotency-key": "k"})
        assert taken.status_code == 202, taken.text
        assert await ScoreRunner(self.rig.host).work_once() == 1

    async def roster(self, launch: dict[str, Any]) -> None:
        """Read it, by a job and at once."""
        with suppress(LtihostError):
            await roster.RosterFlow(self.rig.host).sync(self.rig.tenant.id, launch["context"]["id"])
        jobs = JobRunner(self.rig.host)
        jobs.register(roster.JOB, roster.do)
        self.rig.clock.now += 2 * roster.EVERY_SECONDS
        assert await roster.schedule(self.rig.host) == 1
        assert await jobs.work_once() == 1

    async def exchanged(self, response: httpx2.Response) -> dict[str, Any]:
        code = code_in(response)
        self.keep(code=code)
        answered = await self.rig.redeem(code, self.key)
        assert answered.status_code == 200, answered.text
        launch: dict[str, Any] = answered.json()
        return launch

    async def call(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return await self.rig.http.post(f"/api/v1{path}", json=body, headers=self.bearer | headers)


def _forms(text: str) -> Iterable[str]:
    parts = [part for part in text.split(".") if len(part) >= 30]
    return {text, quote(text), quote(text, safe=""), json.dumps(text)[1:-1], repr(text)[1:-1], *parts}


@pytest.fixture
async def watched(settings: Settings) -> AsyncIterator[Watched]:
    """A host whose only registration is of the gossiping LMS; at the end its log is looked through."""
    plugins = load_plugins(installed=[EntryPoint("gossip", "tests.flows.gossip", ENTRY_POINT_GROUP)])
    canaries = PEOPLE | {f"member {name}": text for name, text in MEMBER.items()} | {"comment": COMMENT, "hint": HINT}
    rig = Rig(settings, plugins)
    async with loopback() as server:
        lms = Gossip(server, canaries)
        server.handler = lms.serve
        with log_sink(level=10) as log:
            await rig.start()
            await rig.operator(tenants.enable_plugin, rig.tenant.id, "gossip", actor=ACTOR)
            rig.registration = await rig.register(
                plugin="gossip", issuer=ISSUER, client_id=CLIENT, token_url=server.url("/token")
            )
            key = await rig.key(rig.application, *SCOPES_OF_KEY, "deeplink:write")
            canaries |= {"key": key, "secret of the key": key.split("_", 3)[3].rpartition("_")[0]}
            yield Watched(rig, lms, log, canaries, key, {"authorization": f"Bearer {key}"})
            gossip.failing.clear()
            await rig.stop()


async def test_launches(watched: Watched) -> None:
    rig = watched.rig
    launch = await watched.exchanged(await watched.launch())
    assert launch["user"]["name"] == PEOPLE["name"]
    refused: Mapping[str, Change] = {
        "expired": put(exp=1_700_000_000, iat=1_699_999_900), "subject_invalid": put(sub=PEOPLE["sub"] * 20),
        "nonce_mismatch": put(nonce="x"), "audience_mismatch": put(aud=PEOPLE["email"]),
        "target_not_registered": put(lti_target_link_uri="https://evil.example/"),
    }  # fmt: skip
    for code, change in refused.items():
        assert await rig.refused(await watched.launch(change)) == code
    assert await rig.refused(await watched.launch(key=OTHER_KEY)) == "key_not_found"
    browser = Browser()
    flow = await watched.login(browser)
    said = await rig.post(flow, None, browser, error="access_denied", error_description=f"{PEOPLE} {flow.state}")
    assert await rig.refused(said) == "access_denied"
    stranger = await watched.login(Browser(), iss=f"https://{HINT}.example")
    assert await rig.refused(stranger.response) == "unknown_registration"
    assert {"launch.refused", "platform_keys.fetched"} <= watched.events()
    watched.check()


async def test_a_launch_by_platform_storage(watched: Watched) -> None:
    rig, browser = watched.rig, Browser()
    rig.clock.now = time.time()
    flow, rung = await framed_login(rig, browser, iss=ISSUER, client_id=CLIENT, login_hint=HINT)
    watched.keep_flow(flow, browser)
    token = rig.token(flow, *watched.changes())
    page = data_of(await rig.post(flow, token, Browser(), headers=FRAME))
    watched.keep(id_token=token, ticket=page["ticket"], secret=rung["value"])
    assert (await confirm(rig, page, rung["value"], headers={})).status_code == 401
    location = (await confirm(rig, page, rung["value"])).json()["location"]
    watched.keep(code=parse_qs(urlsplit(location).query)["code"][0])
    watched.check()


@pytest.mark.parametrize("hook", ["normalise_claims", "launch_accepted"])
async def test_a_plugin_that_fails_in_a_launch(watched: Watched, hook: str) -> None:
    gossip.failing |= {hook}
    answered = await watched.launch()
    assert answered.status_code == (303 if hook == "launch_accepted" else 500)
    assert "plugin.hook_failed" in watched.events()
    watched.check()


async def test_an_exception_inside_a_launch(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(work: Any) -> Any:
        raise RuntimeError(f"{work!r}")

    monkeypatch.setattr(watched.rig.host.database.hot, "accept_launch", fail)
    assert (await watched.launch()).status_code == 500
    assert "launch.failed" in watched.events()
    watched.check()


@pytest.mark.parametrize(
    ("broken", "failing"),
    [
        ({}, set()),
        ({"/token": 400}, set()),
        ({"/items": 500, "/members": 401}, set()),
        ({"/items": 403, "/members": 403}, {"classify_error"}),
    ],
    ids=str,
)
async def test_scores_and_rosters_of_an_lms_that_fails(
    watched: Watched, broken: dict[str, int], failing: set[str]
) -> None:
    launch = await watched.launched()
    watched.lms.broken = broken
    gossip.failing |= failing
    await watched.score(launch)
    await watched.roster(launch)
    told = watched.events()
    assert ("grade.settled" in told) is not bool(broken)
    assert ("access_tokens.not_granted" in told) is ("/token" in broken)
    assert ("plugin.hook_failed" in told) is bool(broken and failing)
    watched.check()


@pytest.mark.parametrize("failing", [{"scale_score", "normalise_member"}, {"grade_settled", "roster_changed"}])
async def test_a_plugin_that_fails_at_a_score_and_at_a_member(watched: Watched, failing: set[str]) -> None:
    launch = await watched.launched()
    gossip.failing |= failing
    await watched.score(launch)
    await watched.roster(launch)
    failed = [json.loads(line) for line in watched.log.getvalue().splitlines() if "plugin.hook_failed" in line]
    assert {line["hook"] for line in failed} == failing
    watched.check()


async def test_content(watched: Watched) -> None:
    picker = Picker(watched.rig, watched.key)
    title = f"For {PEOPLE['name']}"
    launch = await watched.exchanged(await watched.launch(deep_linking(data=HINT, title=title)))
    item = lti_link(text=PEOPLE["name"], custom={"who": PEOPLE["email"]})
    gossip.failing |= {"lint_content_item"}
    link = launch["deep_linking"]["id"]
    assert (await picker.finish(link, item)).status_code >= 500
    gossip.failing.clear()
    finished = await picker.finish(link, item, message=f"{PEOPLE['name']} is done")
    url = finished.json()["continue_url"]
    jwt = token_in(await picker.visit(url))
    watched.keep(jwt=jwt, token=urlsplit(url).path.rpartition("/")[2])
    assert (await picker.visit(url)).status_code == 410
    assert {"plugin.hook_failed", "deep_link.returned"} <= watched.events()
    watched.check()


async def test_strangers(watched: Watched) -> None:
    """Keys, notices and invitations, right and wrong, and an exception while they are looked at."""
    rig = watched.rig
    invitation = await rig.operator(admins.create, HOST, PEOPLE["email"], actor=ACTOR)
    watched.keep(invitation=invitation.token, password="parakeet engine forty")
    wrong = watched.key[:-3] + "zzz"
    watched.keep(wrong=wrong)
    assert (await rig.redeem("c" * 43, wrong)).status_code == 401
    forged = hello(rig, "n-1", put(iss=ISSUER, aud=CLIENT, **PEOPLE), key=OTHER_KEY)
    watched.keep(notice=forged)
    assert (await post(rig, forged)).status_code == 400
    transport = httpx2.ASGITransport(app=rig.app, raise_app_exceptions=False)
    path, own = f"/admin/invitation/{invitation.token}", {"origin": BASE, "sec-fetch-site": "same-origin"}
    fields = {"form": "0" * 64, "password": "parakeet engine forty", "again": "parakeet engine forty"}
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as http:
        assert (await http.post(path, data=fields, headers=own)).status_code == 403
        rig.host.database.run = rig.host.database.run_lookup = _tells  # type: ignore[method-assign]
        assert (await http.post(path, data=fields, headers=own)).status_code == 500
        rig.host.routing.api_key = _tells  # type: ignore[method-assign]
        assert (
            await http.post("/api/v1/launches/exchange", json={"code": "x"}, headers=watched.bearer)
        ).status_code == 500
    del rig.host.database.run, rig.host.database.run_lookup
    assert {"notice.refused", "api.failed"} <= watched.events()
    watched.check()


async def _tells(*given: object, **more: object) -> Any:
    raise RuntimeError(f"{given} {more}")
