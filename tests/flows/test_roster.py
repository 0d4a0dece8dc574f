"""Rosters: read from a platform on a real socket, page by page, and stored whole or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.bindings import NotBound
from ltihost.errors import Conflict, ServiceFailed
from ltihost.flows import roster
from ltihost.flows.jobs import JobRunner
from ltihost.flows.roster import RosterFlow, Synced
from ltihost.settings import Settings
from ltihost.store import jobs, roster_queries, rosters, tables, tenants
from ltihost.store.service_tables import Event, GradeSlot, LineItem
from tests.core.support_loopback import Request, Server, answer, loopback
from tests.flows.platform import V2, Change
from tests.flows.rig import ACTOR, Rig

NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
MEDIA_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


def person(user_id: Any, role: str = "Learner", **members: Any) -> dict[str, Any]:
    return {"user_id": user_id, "roles": [f"{V2}membership#{role}"], "status": "Active"} | members


@dataclass
class Platform:
    """An LMS with one context. `broken` maps the number of a page to the status it is answered with.

    `changed` are other members of its containers, `links` links beside the one to the next page.
    """

    server: Server
    members: list[dict[str, Any]] = field(default_factory=list)
    size: int = 100
    context_id: str = "ctx-1"
    broken: dict[int, int] = field(default_factory=dict)
    custom: bool = False
    changed: dict[str, Any] = field(default_factory=dict)
    links: tuple[str, ...] = ()

    def page(self, query: dict[str, list[str]]) -> tuple[int, bytes, dict[str, str]]:
        number = int(query.get("page", ["1"])[0])
        if number in self.broken:
            return self.broken[number], b"{}", {}
        start = (number - 1) * self.size
        rows = [dict(row) for row in self.members[start : start + self.size]]
        if self.custom:
            for row in rows:
                row["message"] = [{"https://purl.imsglobal.org/spec/lti/claim/custom": {"section": row["user_id"]}}]
        body = {"id": "x", "context": {"id": self.context_id}, "members": rows} | self.changed
        more = start + self.size < len(self.members)
        following = (f'<{self.server.url(f"/members?page={number + 1}")}>; rel="next"',) if more else ()
        links = ", ".join((*self.links, *following))
        return 200, json.dumps(body).encode(), {"content-type": MEDIA_TYPE} | ({"link": links} if links else {})

    @property
    def asked(self) -> list[Request]:
        return [request for request in self.server.requests if request.path.startswith("/members")]


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(request.path)
        if url.path == "/token":
            body = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600}
            writer.write(answer(200, json.dumps(body).encode(), {}))
            return
        status, content, headers = made.page(parse_qs(url.query))
        writer.write(answer(status, content, headers))

    async with loopback(serve) as server:
        made = Platform(server)
        yield made


class Course:
    """A context of that platform, opened once by a teacher."""

    def __init__(self, rig: Rig, platform: Platform, context_id: str, link_id: str) -> None:
        self.rig, self.platform = rig, platform
        self.context_id, self.link_id = context_id, link_id
        self.flow = RosterFlow(rig.host)
        self.keys: dict[str, str] = {}

    async def sync(self, **how: Any) -> Synced:
        return await self.flow.sync(self.rig.tenant.id, self.context_id, **how)

    async def run(self, function: Any, *args: Any, **named: Any) -> Any:
        return await self.rig.host.database.run(self.rig.tenant.id, function, *args, **named)

    async def members(self) -> dict[str, tables.Membership]:
        found = await self.run(roster_queries.members, self.context_id, limit=1_000_000)
        return {user.user_key: membership for user, membership in found}

    async def users(self) -> dict[str, tables.User]:
        found = await self.run(roster_queries.members, self.context_id, limit=1_000_000)
        return {user.user_key: user for user, _ in found}

    async def rows(self, table: Any) -> list[Any]:
        def every(session: Session) -> list[Any]:
            return list(session.scalars(select(table)))

        found: list[Any] = await self.run(every)
        return found


def offering(platform: Platform) -> Change:
    def change(payload: dict[str, Any]) -> None:
        payload[NRPS] = {"context_memberships_url": platform.server.url("/members"), "service_versions": ["2.0"]}

    return change


@pytest.fixture
async def course(settings: Settings, platform: Platform) -> AsyncIterator[Course]:
    rig = Rig(settings)
    await rig.start()
    await rig.set(rig.registration.id, token_url=platform.server.url("/token"), remove_on_unenrol="yes")
    launch = await rig.exchange(await rig.launch(offering(platform)))
    yield Course(rig, platform, launch["context"]["id"], launch["resource_link"]["id"])
    await rig.stop()


async def test_every_page_is_read_and_stored(course: Course, platform: Platform) -> None:
    platform.size = 2
    platform.members = [person("39890", "Instructor"), *(person(f"s{number}") for number in range(4))]
    done = await course.sync()
    assert (done.state, done.pages, done.total) == ("applied", 3, 5)
    members = await course.members()
    assert {key: row.role for key, row in members.items()} == {
        "39890": "instructor", "s0": "learner", "s1": "learner", "s2": "learner", "s3": "learner",
    }  # fmt: skip
    assert {request.headers["accept"] for request in platform.asked} == {MEDIA_TYPE}


async def test_who_left_is_removed_and_the_application_is_told(course: Course, platform: Platform) -> None:
    platform.members = [person("s1"), person("s2")]
    await course.sync()
    platform.members = [person("s1")]
    done = await course.sync()
    gone = (await course.members())["s2"]
    assert done.change is not None
    assert done.change.removed == (gone.user_id,)
    assert not gone.active
    told = [event.data["counts"]["removed"] for event in await course.rows(Event) if event.type == "roster.changed"]
    assert sorted(told) == [0, 1]


async def test_a_registration_may_keep_those_who_left(course: Course, platform: Platform) -> None:
    await course.rig.set(course.rig.registration.id, remove_on_unenrol="no")
    platform.members = [person("s1"), person("s2")]
    await course.sync()
    platform.members = [person("s1")]
    await course.sync()
    kept = (await course.members())["s2"]
    assert kept.active
    assert kept.left_at is not None


async def test_a_page_that_fails_removes_nobody_and_the_next_run_completes(course: Course, platform: Platform) -> None:
    """N-14."""
    platform.size = 10
    platform.members = [person(f"s{number}") for number in range(100)]
    await course.sync()
    platform.members, platform.broken = platform.members[:95], {7: 400}
    with pytest.raises(ServiceFailed):
        await course.sync()
    assert all(row.active for row in (await course.members()).values())
    known = await course.run(rosters.roster, course.context_id)
    assert (known.generation, known.stale_since is None) == (1, False)
    platform.broken = {}
    assert (await course.sync()).state == "applied"
    assert sum(row.active for key, row in (await course.members()).items() if key.startswith("s")) == 95


async def test_an_empty_list_changes_nothing(course: Course, platform: Platform) -> None:
    platform.members = [person("s1"), person("s2")]
    await course.sync()
    platform.members = []
    done = await course.sync()
    assert (done.state, done.code) == ("failed", "roster_empty")
    assert all(row.active for row in (await course.members()).values())


async def test_a_context_that_always_was_empty_is_no_fault(course: Course) -> None:
    assert (await course.sync()).state == "applied"


async def test_too_many_leaving_wait_for_a_person(course: Course, platform: Platform) -> None:
    platform.members = [person(f"s{number}") for number in range(20)]
    await course.sync()
    platform.members = platform.members[:10]
    done = await course.sync()
    assert (done.state, done.code) == ("held", "roster_brake")
    assert all(row.active for row in (await course.members()).values())
    await course.run(rosters.approve, done.run_id, ACTOR)
    done = await course.sync(lift_brake=True)
    assert done.change is not None
    assert len(done.change.removed) == 10


async def test_whoever_is_listed_twice_counts_once_as_the_later_row_says(course: Course, platform: Platform) -> None:
    """N-13."""
    platform.members = [person("s1"), person("s2"), person("s1", "Instructor")]
    assert (await course.sync()).total == 2
    assert (await course.members())["s1"].role == "instructor"


@pytest.mark.parametrize(
    "row",
    [
        person("gone", status="Inactive"), person("gone", status="Deleted"), person("gone", status="Resting"),
        {"roles": ["Learner"]}, person(""), person(None), person(True), person("x" * 256), person("a\u0000b"),
    ],
    ids=["inactive", "deleted", "unknown-status", "no-id", "empty-id", "null-id", "boolean-id", "long-id", "nul"],
)  # fmt: skip
async def test_rows_that_are_no_members_are_left_out(course: Course, platform: Platform, row: dict[str, Any]) -> None:
    platform.members = [person("s1"), row]
    done = await course.sync()
    assert (done.total, done.left_out) == (1, 1)
    assert set(await course.members()) == {"39890", "s1"}


async def test_an_id_written_as_a_number_is_the_same_person(course: Course, platform: Platform) -> None:
    platform.members = [person(39890, "Instructor")]
    await course.sync()
    assert set(await course.members()) == {"39890"}


async def test_html_in_a_name_is_text(course: Course, platform: Platform) -> None:
    name = '<script>alert(1)</script> & "co"'
    platform.members = [person("s1", name=name, given_name="", email=None)]
    await course.sync()
    found = (await course.users())["s1"]
    assert (found.name, found.given_name, found.email) == (name, None, None)


async def test_missing_status_and_short_role_names(course: Course, platform: Platform) -> None:
    """N-13."""
    platform.members = [{"user_id": "s1", "roles": ["Instructor"]}, {"user_id": "s2", "roles": []}]
    await course.sync()
    members = await course.members()
    assert (members["s1"].role, members["s2"].role) == ("instructor", "none")
    assert members["s1"].active


async def test_another_context_s_roster_is_not_taken(course: Course, platform: Platform) -> None:
    platform.members = [person("s1")]
    platform.context_id = "another"
    with pytest.raises(ServiceFailed) as caught:
        await course.sync()
    assert caught.value.code == "roster_context"
    assert set(await course.members()) == {"39890"}


async def test_a_registration_without_rosters_asks_for_none(course: Course, platform: Platform) -> None:
    await course.rig.set(course.rig.registration.id, nrps="no")
    with pytest.raises(ServiceFailed) as caught:
        await course.sync()
    assert caught.value.code == "roster_off"
    assert platform.asked == []


async def test_a_suspended_tenant_s_roster_waits(course: Course, platform: Platform) -> None:
    await course.rig.operator(tenants.suspend, course.rig.tenant.slug, actor=ACTOR)
    with pytest.raises(NotBound):
        await course.sync()
    assert platform.asked == []


async def test_the_members_of_one_link_with_their_parameters(course: Course, platform: Platform) -> None:
    """N-15."""
    platform.members, platform.custom = [person("s1"), person("s2")], True
    found = await course.flow.read_link(course.rig.tenant.id, course.context_id, "link-1")
    assert {member.subject: member.custom for member in found} == {"s1": {"section": "s1"}, "s2": {"section": "s2"}}
    assert "rlid=link-1" in platform.asked[0].path
    assert set(await course.members()) == {"39890"}  # nothing was stored


async def test_a_wish_is_done_by_a_worker(course: Course, platform: Platform) -> None:
    platform.members = [person("s1")]
    for _ in range(3):  # equal wishes are one
        await roster.wish(course.rig.host, course.rig.tenant.id, course.context_id)
    runner = JobRunner(course.rig.host)
    runner.register(roster.JOB, roster.do)
    assert await runner.work_once() == 1
    assert await runner.work_once() == 0
    assert "s1" in await course.members()


async def test_rosters_in_use_are_read_daily(course: Course, platform: Platform) -> None:
    platform.members = [person("s1")]
    assert await roster.schedule(course.rig.host) == 1
    runner = JobRunner(course.rig.host)
    runner.register(roster.JOB, roster.do)
    await runner.work_once()
    assert await roster.schedule(course.rig.host) == 0
    course.rig.clock.now += roster.EVERY_SECONDS + 1
    assert await roster.schedule(course.rig.host) == 1
    course.rig.clock.now += roster.IN_USE_SECONDS
    assert await course.run(jobs.listed, kind=roster.JOB)
    assert await roster.schedule(course.rig.host) == 0


async def test_rosters_that_are_switched_off_are_not_read(course: Course, platform: Platform) -> None:
    await roster.wish(course.rig.host, course.rig.tenant.id, course.context_id)
    await course.rig.set(course.rig.registration.id, nrps="no")
    runner = JobRunner(course.rig.host)
    runner.register(roster.JOB, roster.do)
    assert await runner.work_once() == 1
    assert await roster.schedule(course.rig.host) == 0
    assert await course.run(jobs.listed) == []
    assert platform.asked == []


async def test_a_roster_that_is_gone_is_no_fault_of_the_job(course: Course) -> None:
    def forget(session: Session) -> None:
        from ltihost.store.service_tables import ContextServices

        session.scalars(select(ContextServices)).one().memberships_url = None

    await roster.wish(course.rig.host, course.rig.tenant.id, course.context_id)
    await course.run(forget)
    runner = JobRunner(course.rig.host)
    runner.register(roster.JOB, roster.do)
    assert await runner.work_once() == 1
    assert await course.run(jobs.listed) == []
    with pytest.raises(Conflict):
        await roster.wish(course.rig.host, course.rig.tenant.id, course.context_id)


async def test_a_long_roster_is_stored_in_slices(course: Course, platform: Platform) -> None:
    """A second reading changes nothing. Torture reads five thousand, and a hundred thousand."""
    platform.members = [person(f"s{number}", name=f"Student {number}") for number in range(2_500)]
    platform.size = 500
    first, again = await course.sync(), await course.sync()
    assert first.change is not None
    assert again.change is not None
    assert (first.total, len(first.change.added), again.change.added) == (2_500, 2_500, ())


async def test_scores_that_waited_for_an_enrolment_go_on(course: Course, platform: Platform) -> None:
    """Whoever the LMS lists, it should take a score for."""
    platform.members = [person("s1")]
    await course.sync()
    user_id = (await course.members())["s1"].user_id
    await course.run(_waiting_score, course, user_id)
    await course.sync()
    [slot] = await course.rows(GradeSlot)
    assert slot.state == "pending"


def _waiting_score(session: Session, course: Course, user_id: str) -> None:
    rig, now = course.rig, course.rig.clock()
    place = {"registration_id": rig.registration.id, "deployment_id": "deployment-1", "tenant_id": rig.tenant.id}
    deployment = session.scalars(select(tables.Deployment)).first()
    assert deployment is not None
    place["deployment_id"] = deployment.deployment_id
    session.add(
        LineItem(
            **place, id="lin_1", context_id=course.context_id, application_owner=rig.application.tenant_id,
            application_id=rig.application.id, state="ready", coupled=False, reservation="x", url="https://x.example/1",
            label="Quiz", maximum="10", raw={}, policy="highest", override_policy="platform_wins", extra_credit=False,
            version=1, synced_version=1, created_at=now, updated_at=now,
        )
    )  # fmt: skip
    session.flush()
    session.add(
        GradeSlot(
            **place, id="dlv_1", line_item_id="lin_1", user_id=user_id, state="waiting_enrolment", desired_rev=1,
            sent_rev=1, confirmed_rev=0, last_second=0, unknown_outcome=False, due_at=now + 1e6, tries=1, stale_tries=0,
            paused_seconds=0.0, lease_no=1, lease_until=0.0, updated_at=now,
        )
    )  # fmt: skip
