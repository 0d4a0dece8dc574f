"""Rosters in the store: generations, who is added, changed and gone, and what the switches of the registration do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.lti.roles import read_roles
from ltihost.service_records import Member, RosterChange
from ltihost.store import roster_queries, rosters, tables
from ltihost.store.roster_people import Listed, Sync
from ltihost.store.service_tables import ContextServices, Event, RosterRun
from tests.core.store.support import ADA, World, make_world

LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
INSTRUCTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"


def listed(key: str, *, role: str = "learner", uri: str = LEARNER, group: str | None = "member", **member: Any) -> Any:
    made = Member(key, True, role, read_roles([uri]), **member)  # type: ignore[arg-type]
    return Listed(key, made, "user", group)


def _offer(session: Session, world: World, context_id: str, url: str | None) -> None:
    session.add(
        ContextServices(
            tenant_id=world.tenant.id,
            context_id=context_id,
            line_items_url=None,
            ags_scopes=[],
            memberships_url=url,
            groups_url=None,
            notices_url=None,
            seen_at=time.time(),
        )
    )


async def launched(world: World, *, url: str | None = "https://lms.example/members") -> str:
    """The context that Ada launched from; its LMS offers a roster."""
    outcome = await world.db.hot.accept_launch(world.work())
    assert outcome.context_id is not None
    await world.db.run(world.tenant.id, _offer, world, outcome.context_id, url)
    return outcome.context_id


class Course:
    """A context whose roster is synced again and again."""

    def __init__(self, world: World, context_id: str) -> None:
        self.world, self.context_id = world, context_id

    async def run(self, function: Any, *args: Any, **named: Any) -> Any:
        return await self.world.db.run(self.world.tenant.id, function, *args, **named)

    async def sync(
        self, *members: Listed, remove: bool = True, sync_roles: bool = True, keep_launched: bool = False
    ) -> RosterChange:
        sync = await self.run(rosters.begin, self.context_id, time.time())
        leaving, _ = await self.run(rosters.would_leave, sync, {member.key for member in members})
        how = {"remove": remove, "sync_roles": sync_roles, "keep_launched": keep_launched}
        change: RosterChange = await self.run(self.ending, sync, members, leaving=leaving, **how)
        return change

    def ending(
        self, session: Session, sync: Sync, members: Sequence[Listed], *, leaving: Sequence[str] = (),
        remove: bool = True, sync_roles: bool = True, keep_launched: bool = False,
    ) -> RosterChange:  # fmt: skip
        """All of the members in the last transaction."""
        return rosters.finish(
            session, sync, members, RosterChange(self.context_id, sync.generation), rosters.Totals(1, len(members), 0),
            leaving=leaving, sync_roles=sync_roles, keep_launched=keep_launched, remove=remove, now=time.time(),
        )  # fmt: skip

    async def people(self) -> dict[str, tables.Membership]:
        pairs = await self.run(roster_queries.members, self.context_id)
        return {user.user_key: membership for user, membership in pairs}

    async def users(self) -> dict[str, tables.User]:
        return {user.user_key: user for user, _ in await self.run(roster_queries.members, self.context_id)}


@pytest.fixture
async def course(world: World) -> Course:
    return Course(world, await launched(world))


async def test_people_who_never_launched_are_added(course: Course) -> None:
    change = await course.sync(listed("ada"), listed("bob", name="Bob", email="bob@example.edu"))
    people, users = await course.people(), await course.users()
    assert (len(change.added), len(change.changed), change.removed) == (1, 0, ())
    assert (people["ada"].source, people["bob"].source) == ("launch", "roster")
    assert (people["ada"].generation, people["bob"].generation) == (1, 1)
    assert users["bob"].last_login_at is None
    assert (users["bob"].name, users["bob"].email, users["bob"].subject) == ("Bob", "bob@example.edu", "bob")


async def test_the_same_roster_again_changes_nothing_and_tells_nobody(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"))
    change = await course.sync(listed("ada"), listed("bob"))
    assert (change.added, change.changed, change.removed) == ((), (), ())
    assert {row.generation for row in (await course.people()).values()} == {1}
    assert len(await course.run(lambda session: session.scalars(select(Event)).all())) == 1


async def test_who_is_not_listed_any_more_loses_the_membership_and_keeps_the_row(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"))
    change = await course.sync(listed("ada"))
    bob = (await course.people())["bob"]
    assert change.removed == (bob.user_id,)
    assert (bob.active, bob.group_role, bob.source, bob.generation) == (False, None, "roster", 1)
    assert bob.left_at is not None
    assert (await course.sync(listed("ada"))).removed == ()  # told once


async def test_without_removal_a_person_who_left_keeps_the_membership(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"), remove=False)
    change = await course.sync(listed("ada"), remove=False)
    bob = (await course.people())["bob"]
    assert change.removed == (bob.user_id,)
    assert (bob.active, bob.group_role) == (True, "member")
    assert bob.left_at is not None
    assert (await course.sync(listed("ada"), remove=False)).removed == ()


async def test_who_comes_back_is_a_member_again(course: Course) -> None:
    for members in ((listed("ada"), listed("bob")), (listed("ada"),)):
        await course.sync(*members)
    change = await course.sync(listed("ada"), listed("bob"))
    bob = (await course.people())["bob"]
    assert change.added == (bob.user_id,)
    assert (bob.active, bob.left_at, bob.group_role, bob.generation) == (True, None, "member", 3)


async def test_who_came_by_a_launch_and_was_never_listed_is_left_alone(course: Course) -> None:
    """A site administrator opens a link without being enrolled."""
    change = await course.sync(listed("bob"))
    ada = (await course.people())["ada"]
    assert change.removed == ()
    assert (ada.active, ada.left_at, ada.generation) == (True, None, 0)


async def test_a_changed_role_follows_the_lms(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"))
    change = await course.sync(listed("ada"), listed("bob", role="instructor", uri=INSTRUCTOR, group="manager"))
    bob = (await course.people())["bob"]
    assert change.changed == (bob.user_id,)
    assert (bob.role, bob.roles, bob.group_role) == ("instructor", [INSTRUCTOR], "manager")


async def test_without_role_sync_a_known_membership_keeps_its_role(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"), sync_roles=False)
    teacher = listed("bob", role="instructor", uri=INSTRUCTOR, group="manager")
    change = await course.sync(listed("ada"), teacher, sync_roles=False)
    bob = (await course.people())["bob"]
    assert change.changed == ()
    assert (bob.role, bob.group_role, bob.generation) == ("learner", "member", 1)


async def test_where_rosters_know_less_a_role_from_a_launch_stays(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"), keep_launched=True)
    teachers = [listed(key, role="instructor", uri=INSTRUCTOR) for key in ("ada", "bob")]
    change = await course.sync(*teachers, keep_launched=True)
    people = await course.people()
    assert (people["ada"].role, people["bob"].role) == ("learner", "instructor")
    assert change.changed == (people["bob"].user_id,)


async def test_a_roster_fills_gaps_but_does_not_contradict_a_launch(course: Course) -> None:
    await course.sync(listed("ada", name="A. Lovelace", middle_name="King"), listed("bob", name="Bob"))
    await course.sync(listed("ada"), listed("bob", name="Robert"))
    users = await course.users()
    assert (users["ada"].name, users["ada"].middle_name) == (ADA.name, "King")
    assert users["bob"].name == "Robert"


async def test_one_sync_of_a_context_at_a_time(course: Course) -> None:
    now = time.time()
    await course.run(rosters.begin, course.context_id, now)
    with pytest.raises(Conflict) as caught:
        await course.run(rosters.begin, course.context_id, now + 1)
    assert caught.value.code == "roster_sync_running"


async def test_a_sync_that_was_cut_off_stands_in_nobody_s_way(course: Course) -> None:
    first = await course.run(rosters.begin, course.context_id, time.time() - 3_600)
    await course.run(rosters.begin, course.context_id, time.time())
    runs = {run.id: run for run in await course.run(roster_queries.runs, context_id=course.context_id)}
    assert (runs[first.run_id].state, runs[first.run_id].code) == ("failed", "abandoned")


async def test_a_sync_that_was_given_up_stores_nothing_more(course: Course) -> None:
    """It was only slow: what it read is older than what another sync stored meanwhile."""
    slow = await course.run(rosters.begin, course.context_id, time.time() - 3_600)
    await course.sync(listed("ada"), listed("newcomer"))
    old = [listed("ada"), listed("long gone")]
    storing: list[tuple[Any, ...]] = [
        (rosters.would_leave, slow, {"ada", "long gone"}),
        (partial(rosters.apply, sync_roles=True, now=time.time()), slow, old),
        (partial(course.ending, leaving=[(await course.people())["newcomer"].user_id]), slow, old),
    ]
    for function, *args in storing:
        with pytest.raises(Conflict) as caught:
            await course.run(function, *args)
        assert caught.value.code == "roster_superseded"
    assert {key for key, row in (await course.people()).items() if row.active} == {"ada", "newcomer"}
    assert await course.run(_state, slow.run_id) == "failed"


async def test_a_sync_is_given_up_or_applied_but_not_both(course: Course) -> None:
    """Its last transaction and the beginning of the next sync meet."""
    for _ in range(5):
        slow = await course.run(rosters.begin, course.context_id, time.time() - 3_600)
        meeting: tuple[Any, Any] = await asyncio.gather(
            course.run(course.ending, slow, [listed("ada")]),
            course.run(rosters.begin, course.context_id, time.time()),
            return_exceptions=True,
        )
        applied, after = meeting
        assert isinstance(after, Sync)
        given_up = isinstance(applied, Conflict)
        assert given_up or isinstance(applied, RosterChange)
        assert await course.run(_state, slow.run_id) == ("failed" if given_up else "applied")
        assert after.generation == slow.generation + (not given_up)
        await course.run(course.ending, after, [listed("ada")])


@pytest.mark.parametrize("state", ["applied", "failed"])
async def test_a_sync_that_has_ended_is_not_ended_again(course: Course, state: str) -> None:
    sync = await course.run(rosters.begin, course.context_id, time.time())
    if state == "applied":
        await course.run(course.ending, sync, [listed("ada")])
    else:
        await course.run(rosters.stop, sync, "failed", "page_7", "It broke off.", 50.0)
    await course.run(rosters.stop, sync, "held", "cut_off", "Too late.", 60.0)
    assert await course.run(_state, sync.run_id) == state
    roster = await course.run(rosters.roster, course.context_id)
    assert (roster.code, roster.stale_since) == ((None, None) if state == "applied" else ("page_7", 50.0))


async def test_a_failed_sync_leaves_members_and_generation(course: Course) -> None:
    await course.sync(listed("ada"), listed("bob"))
    sync = await course.run(rosters.begin, course.context_id, time.time())
    await course.run(rosters.stop, sync, "failed", "page_7", "It broke off.", 50.0, pages=7)
    roster = await course.run(rosters.roster, course.context_id)
    assert (roster.generation, roster.code, roster.stale_since) == (1, "page_7", 50.0)
    assert all(row.active for row in (await course.people()).values())
    await course.sync(listed("ada"), listed("bob"))
    roster = await course.run(rosters.roster, course.context_id)
    assert (roster.generation, roster.code, roster.stale_since) == (2, None, None)


async def test_how_many_would_leave(course: Course) -> None:
    await course.sync(*(listed(f"p{number}") for number in range(10)))
    sync = await course.run(rosters.begin, course.context_id, time.time())
    leaving, of = await course.run(rosters.would_leave, sync, {"p1", "p2", "new"})
    keys = {key for key, row in (await course.people()).items() if row.user_id in leaving}
    assert (keys, of) == ({f"p{number}" for number in (0, *range(3, 10))}, 10)


async def test_slices_of_one_sync_count_as_one(course: Course) -> None:
    sync = await course.run(rosters.begin, course.context_id, time.time())
    first = await course.run(rosters.apply, sync, [listed("a"), listed("b")], sync_roles=True, now=1.0)
    assert len(first.added) == 2
    whole = await course.run(
        rosters.finish, sync, [listed("c")], first, rosters.Totals(2, 3, 0),
        leaving=(), sync_roles=True, remove=True, now=2.0,
    )  # fmt: skip
    assert len(whole.added) == 3
    [event] = await course.run(lambda session: session.scalars(select(Event)).all())
    assert (event.type, event.data["counts"]) == ("roster.changed", {"added": 3, "changed": 0, "removed": 0})


async def test_a_held_run_is_approved_once(course: Course) -> None:
    sync = await course.run(rosters.begin, course.context_id, time.time())
    await course.run(rosters.stop, sync, "held", "roster_brake", "Too many.", time.time(), removed=9)
    run = await course.run(rosters.approve, sync.run_id, "cli:ops")
    assert (run.state, run.approved_by) == ("superseded", "cli:ops")
    with pytest.raises(Conflict) as caught:
        await course.run(rosters.approve, sync.run_id, "cli:ops")
    assert caught.value.code == "run_not_held"
    with pytest.raises(NotFound):
        await course.run(rosters.approve, "run_unknown", "cli:ops")


async def test_without_the_service_there_is_nothing_to_sync(world: World) -> None:
    context_id = await launched(world, url=None)
    with pytest.raises(Conflict) as caught:
        await world.db.run(world.tenant.id, rosters.begin, context_id, time.time())
    assert caught.value.code == "roster_unavailable"


async def test_which_rosters_are_due(course: Course) -> None:
    now = time.time()
    when = {"synced_before": now - 3_600, "seen_after": now - 86_400}
    assert [row.id for row in await course.run(roster_queries.due, **when)] == [course.context_id]
    await course.sync(listed("ada"))
    assert await course.run(roster_queries.due, **when) == []
    assert await course.run(roster_queries.due, synced_before=now + 60, seen_after=now + 60) == []


async def test_another_tenant_sees_nothing(course: Course) -> None:
    other = await make_world(course.world.db, "south")
    await course.sync(listed("ada"))
    run = other.db.run
    assert await run(other.tenant.id, roster_queries.members, course.context_id) == []
    assert await run(other.tenant.id, roster_queries.runs) == []
    with pytest.raises(NotFound):
        await run(other.tenant.id, rosters.begin, course.context_id, time.time())


async def test_members_by_role_and_state_page_by_page(course: Course) -> None:
    teacher = listed("tina", role="instructor", uri=INSTRUCTOR)
    await course.sync(listed("ada"), listed("bob"), teacher)
    await course.sync(listed("ada"), replace(teacher))
    run = course.run
    assert [u.user_key for u, _ in await run(roster_queries.members, course.context_id, role="instructor")] == ["tina"]
    assert [u.user_key for u, _ in await run(roster_queries.members, course.context_id, active=False)] == ["bob"]
    keys, after = [], ""
    while page := await run(roster_queries.members, course.context_id, after=after, limit=1):
        keys.append(page[0][0].user_key)
        after = page[0][0].id
    assert sorted(keys) == ["ada", "bob", "tina"]


def _state(session: Session, run_id: str) -> str | None:
    return session.scalar(select(RosterRun.state).where(RosterRun.id == run_id))


async def test_two_thousand_members_are_stored(course: Course) -> None:
    """In slices as the flow stores them; nobody is added twice when the same people come again."""
    for generation in (1, 2):
        sync = await course.run(rosters.begin, course.context_id, time.time())
        members = [listed(f"person-{number}", name=f"Person {number}") for number in range(2_000)]
        change = await course.run(rosters.apply, sync, members[:1_000], sync_roles=True, now=1.0)
        change = await course.run(
            rosters.finish, sync, members[1_000:], change, rosters.Totals(20, 2_000, 0),
            leaving=(), sync_roles=True, remove=True, now=2.0,
        )  # fmt: skip
        assert len(change.added) == (2_000 if generation == 1 else 0)
        assert await course.run(_state, sync.run_id) == "applied"
