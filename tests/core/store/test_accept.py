"""An accepted launch: what is stored, what is refused, and that a refusal stores nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Invalid
from ltihost.records import HOST
from ltihost.store import applications, deployments, directory, launches, registrations, tables, tenants
from tests.core.store.support import ACTOR, ADA, BIOLOGY, DEPLOYMENT, QUIZ, World, make_world

Change = Callable[[World], Awaitable[object]]


async def test_everything_of_a_launch_is_stored(world: World) -> None:
    work = world.work()
    outcome = await world.db.hot.accept_launch(work)
    assert outcome.refusal is None
    row = await world.db.run(world.tenant.id, launches.show, work.attempt.id)
    kept = replace(work.attempt, user_id=outcome.user_id, resource_link_id=outcome.resource_link_id)
    assert launches.attempt(row) == kept
    assert (row.launch_json, row.services_json, row.target_url) == (
        work.launch_json,
        work.services_json,
        work.target_url,
    )
    assert row.context_id == outcome.context_id
    assert (row.application_id, row.plugin) == (world.application.id, "lti")
    user = await world.db.run(world.tenant.id, directory.user, outcome.user_id or "")
    assert (user.user_key, user.name, user.email, user.global_role) == ("ada", ADA.name, ADA.email, "user")
    context = await world.db.run(world.tenant.id, directory.context, outcome.context_id or "")
    assert (context.lms_id, context.title, tuple(context.types)) == ("biology", BIOLOGY.title, BIOLOGY.types)
    link = await world.db.run(world.tenant.id, directory.resource_link, outcome.resource_link_id or "")
    assert (link.lms_id, link.context_id, link.launch_count) == ("quiz", context.id, 1)
    (member,) = await world.db.run(world.tenant.id, directory.memberships)
    assert (member.user_id, member.context_id, member.role, member.roles) == (
        user.id,
        context.id,
        "learner",
        ["Learner"],
    )
    assert (member.group_role, member.active, member.source) == ("member", True, "launch")


async def test_a_second_launch_finds_the_same_rows(world: World) -> None:
    first = await world.db.hot.accept_launch(world.work())
    renamed = replace(ADA, name="Ada King", email=None)
    second = await world.db.hot.accept_launch(world.work(person=renamed, role="instructor"))
    assert replace(second, refusal=None) == first
    (user,) = await world.db.run(world.tenant.id, directory.users)
    assert (user.name, user.email) == ("Ada King", None)
    (link,) = await world.db.run(world.tenant.id, directory.resource_links)
    assert link.launch_count == 2
    (member,) = await world.db.run(world.tenant.id, directory.memberships)
    assert member.role == "instructor"


async def test_roles_stay_where_the_registration_does_not_sync_them(world: World) -> None:
    await world.db.hot.accept_launch(world.work())
    await world.db.hot.accept_launch(
        world.work(
            role="instructor", roles_json='["Instructor"]', group_role="manager", global_role="admin", sync_roles=False
        )
    )
    (member,) = await world.db.run(world.tenant.id, directory.memberships)
    assert (member.role, member.roles, member.group_role) == ("learner", ["Learner"], "member")
    (user,) = await world.db.run(world.tenant.id, directory.users)
    assert user.global_role == "user"


async def test_what_did_not_change_is_written_once_a_minute(world: World) -> None:
    """A context and a membership. When a person came last and how often a link was opened is exact."""
    begun = world.attempt().at
    for seconds in (0, 59, 61):
        work = world.work(attempt=world.attempt(at=begun + seconds))
        outcome = await world.db.hot.accept_launch(work)
        context = await world.db.run(world.tenant.id, directory.context, outcome.context_id or "")
        (member,) = await world.db.run(world.tenant.id, directory.memberships)
        written = begun + (61 if seconds == 61 else 0)
        assert (context.last_seen_at, member.last_seen_at) == (written, written)
        (user,) = await world.db.run(world.tenant.id, directory.users)
        (link,) = await world.db.run(world.tenant.id, directory.resource_links)
        assert (user.last_login_at, link.last_launched_at) == (begun + seconds, begun + seconds)
    assert link.launch_count == 3


@pytest.mark.parametrize(
    "changed", [{"title": "Botany"}, {"label": "BIO-2"}, {"types": ("other",)}], ids=lambda changed: next(iter(changed))
)
async def test_a_context_that_changed_is_written_at_once(world: World, changed: dict[str, Any]) -> None:
    await world.db.hot.accept_launch(world.work())
    outcome = await world.db.hot.accept_launch(world.work(context=replace(BIOLOGY, **changed)))
    context = await world.db.run(world.tenant.id, directory.context, outcome.context_id or "")
    ((name, value),) = changed.items()
    assert getattr(context, name) == (list(value) if name == "types" else value)


@pytest.mark.parametrize(
    "changed",
    [{"role": "instructor"}, {"roles_json": '["Instructor"]'}, {"group_role": "manager"}, {"group_role": None}],
    ids=str,
)
async def test_a_membership_that_changed_is_written_at_once(world: World, changed: dict[str, Any]) -> None:
    await world.db.hot.accept_launch(world.work())
    await world.db.hot.accept_launch(world.work(**changed))
    (member,) = await world.db.run(world.tenant.id, directory.memberships)
    expected = {"role": "learner", "roles_json": '["Learner"]', "group_role": "member"} | changed
    assert (member.role, orjson.dumps(member.roles).decode(), member.group_role) == tuple(expected.values())


async def test_who_had_left_is_a_member_again(world: World) -> None:
    await world.db.hot.accept_launch(world.work())
    await world.db.run(world.tenant.id, _leave)
    await world.db.hot.accept_launch(world.work())
    (member,) = await world.db.run(world.tenant.id, directory.memberships)
    assert (member.active, member.left_at) == (True, None)


def _leave(session: Session) -> None:
    member = session.scalars(select(tables.Membership)).one()
    member.active, member.left_at = False, 1.0


async def test_titles_that_are_left_out_stay_known(world: World) -> None:
    await world.db.hot.accept_launch(world.work())
    untitled = replace(BIOLOGY, title=None, label=None), replace(QUIZ, title=None, description=None)
    await world.db.hot.accept_launch(world.work(context=untitled[0], link=untitled[1]))
    (context,) = await world.db.run(world.tenant.id, directory.contexts)
    (link,) = await world.db.run(world.tenant.id, directory.resource_links)
    assert (context.title, context.label) == (BIOLOGY.title, BIOLOGY.label)
    assert (link.title, link.description) == (QUIZ.title, QUIZ.description)


async def test_a_launch_without_person_context_or_link(world: World) -> None:
    outcome = await world.db.hot.accept_launch(world.work(person=None, context=None, link=None))
    assert (outcome.refusal, outcome.user_id, outcome.context_id, outcome.resource_link_id) == (None, None, None, None)
    counts = await world.counts()
    assert [counts[name] for name in ("users", "contexts", "resource_links", "memberships", "launches")] == [
        0,
        0,
        0,
        0,
        1,
    ]


async def test_an_attempt_that_waited_becomes_the_launch(world: World) -> None:
    work = replace(world.work(), was_waiting=True)
    await world.db.hot.record_attempts([replace(work.attempt, outcome="waiting", tenant_id=HOST)])
    assert (await world.db.hot.accept_launch(work)).refusal is None
    stored = await world.db.run_host(launches.page)
    assert [(row.tenant_id, row.id, row.outcome) for row in stored.rows] == [
        (world.tenant.id, work.attempt.id, "accepted")
    ]


async def test_the_shared_registration_of_the_host(world: World) -> None:
    """The registration and the application are the host's, the deployment is the tenant's."""
    application = await world.db.run_host(
        applications.create, HOST, "shared", name="Shared", launch_url="https://shared.example/", actor=ACTOR
    )
    shared = await world.db.run_host(
        registrations.create, HOST, plugin="lti", application=application,
        values=[("issuer", "https://cloud.example"), ("client-id", "c"), ("auth-url", "https://cloud.example/a"),
                ("token-url", "https://cloud.example/t"), ("jwks-url", "https://cloud.example/j")], actor=ACTOR,
    )  # fmt: skip
    await world.db.run_host(registrations.approve, shared.id, actor=ACTOR)
    await world.db.run_host(deployments.approve, shared.id, "d", tenant=world.tenant, actor=ACTOR)
    attempt = world.attempt(registration_id=shared.id, deployment_id="d")
    work = world.work(attempt=attempt, application_id=application.id)
    assert (await world.db.hot.accept_launch(work)).refusal is None
    stored = await world.redeem(work, application_id=application.id)
    assert (stored.tenant.id, stored.application.slug, stored.issuer) == (
        world.tenant.id,
        "shared",
        "https://cloud.example",
    )


# Refusals: one thing is wrong, everything else is right, and nothing is stored


async def _suspend_user(world: World) -> object:
    outcome = await world.db.hot.accept_launch(world.work())
    return await world.db.run(world.tenant.id, directory.suspend_user, outcome.user_id or "", actor=ACTOR)


SWITCHED_OFF: dict[str, Change] = {
    "tenant_suspended": lambda world: world.db.run_host(tenants.suspend, "north", actor=ACTOR),
    "registration_inactive": lambda world: world.db.run_host(registrations.disable, world.registration.id, actor=ACTOR),
    "deployment_disabled": lambda world: world.db.run_host(
        deployments.disable, world.registration.id, DEPLOYMENT, actor=ACTOR
    ),
    "plugin_disabled": lambda world: world.db.run_host(tenants.disable_plugin, world.tenant.id, "lti", actor=ACTOR),
    "user_suspended": _suspend_user,
}


@pytest.mark.parametrize("code", SWITCHED_OFF)
async def test_what_was_switched_off_is_refused(world: World, code: str) -> None:
    await SWITCHED_OFF[code](world)
    before = await world.counts()
    assert (await world.db.hot.accept_launch(world.work())).refusal == code
    assert await world.counts() == before


async def test_people_are_not_created_where_they_may_not_be(world: World) -> None:
    before = await world.counts()
    assert (await world.db.hot.accept_launch(world.work(create_users=False))).refusal == "user_unknown"
    assert await world.counts() == before
    await world.db.hot.accept_launch(world.work())
    assert (await world.db.hot.accept_launch(world.work(create_users=False))).refusal is None


async def test_contexts_are_not_created_where_they_may_not_be(world: World) -> None:
    before = await world.counts()
    assert (await world.db.hot.accept_launch(world.work(create_contexts=False))).refusal == "context_unknown"
    assert await world.counts() == before
    await world.db.hot.accept_launch(world.work())
    assert (await world.db.hot.accept_launch(world.work(create_contexts=False))).refusal is None


async def test_a_deployment_that_moved_is_refused_to_its_former_tenant(world: World) -> None:
    """The launch was read with the former tenant's settings; five seconds of cache must not store it there."""
    shared = await world.db.run_host(registrations.create, HOST, plugin="lti", values=[], actor=ACTOR)
    other = await make_world(world.db, "south")
    for owner in (world, other):
        await world.db.run_host(
            deployments.approve, shared.id, "d", tenant=owner.tenant, application=owner.application, actor=ACTOR
        )
    attempt = world.attempt(registration_id=shared.id, deployment_id="d")
    await world.db.run_host(_activate, shared.id)
    assert (await world.db.hot.accept_launch(world.work(attempt=attempt))).refusal == "deployment_disabled"


def _activate(session: Session, registration_id: str) -> None:
    row = session.get(tables.Registration, registration_id)
    assert row is not None
    row.state = "active"


async def test_another_application_than_the_approved_one_gets_nothing(world: World) -> None:
    other = await world.db.run_host(
        applications.create, world.tenant.id, "other", name="Other", launch_url="https://other.example/", actor=ACTOR
    )
    assert (await world.db.hot.accept_launch(world.work(application_id=other.id))).refusal == "deployment_disabled"


async def test_a_nonce_is_spent_once(world: World) -> None:
    first = world.work()
    assert (await world.db.hot.accept_launch(first)).refusal is None
    before = await world.counts()
    again = world.work(nonce_hash=first.nonce_hash)
    assert (await world.db.hot.accept_launch(again)).refusal == "state_used"
    assert await world.counts() == before
    assert not await world.db.hot.consume_nonce(world.registration.id, first.nonce_hash, first.nonce_expires)


async def test_an_error_post_spends_the_nonce_too(world: World) -> None:
    work = world.work()
    assert await world.db.hot.consume_nonce(world.registration.id, work.nonce_hash, work.nonce_expires)
    assert not await world.db.hot.consume_nonce(world.registration.id, work.nonce_hash, work.nonce_expires)
    assert (await world.db.hot.accept_launch(work)).refusal == "state_used"


async def test_a_replay_does_not_hide_the_launch_that_was_accepted(world: World) -> None:
    work = world.work()
    await world.db.hot.accept_launch(work)
    await world.db.hot.record_attempts([replace(work.attempt, outcome="refused", refusal="state_used")])
    row = await world.db.run(world.tenant.id, launches.show, work.attempt.id)
    assert row.outcome == "accepted"


# Many at once


async def test_one_refused_launch_among_many_disturbs_nobody(world: World) -> None:
    works = [world.work() for _ in range(40)]
    spent = works[0].nonce_hash
    bad_key = replace(ADA, key="a\0b")
    works[7] = world.work(nonce_hash=spent)
    works[11] = world.work(create_users=False, person=replace(ADA, key="nobody"))
    works[13] = world.work(code_hash=works[1].code_hash)  # breaks a unique key: an error, not a refusal
    works[17] = world.work(person=bad_key)
    outcomes = await asyncio.gather(*map(world.db.hot.accept_launch, works), return_exceptions=True)
    ended = [outcome if isinstance(outcome, BaseException) else outcome.refusal for outcome in outcomes]
    assert sorted(str(end) for end in (ended[0], ended[7])) == ["None", "state_used"]
    assert ended[11] == "user_unknown"
    assert isinstance(ended[17], Invalid)
    assert sorted(type(end).__name__ for end in (ended[1], ended[13])) == ["Conflict", "NoneType"]
    assert {end for number, end in enumerate(ended) if number not in (0, 1, 7, 11, 13, 17)} == {None}
    assert (await world.counts())["launches"] == 36 == (await world.counts())["one_time_codes"]


@pytest.mark.parametrize("parallel", [20])
async def test_one_nonce_under_many_posts(world: World, parallel: int) -> None:
    work = world.work()
    posts = [world.work(nonce_hash=work.nonce_hash) for _ in range(parallel)]
    outcomes = await asyncio.gather(*map(world.db.hot.accept_launch, posts))
    assert sorted(str(outcome.refusal) for outcome in outcomes) == ["None"] + ["state_used"] * (parallel - 1)
    assert (await world.counts())["launches"] == 1


async def test_many_first_launches_of_one_person_make_one_person(world: World) -> None:
    outcomes = await asyncio.gather(*(world.db.hot.accept_launch(world.work()) for _ in range(20)))
    assert len({(outcome.user_id, outcome.context_id, outcome.resource_link_id) for outcome in outcomes}) == 1
    (link,) = await world.db.run(world.tenant.id, directory.resource_links)
    assert link.launch_count == 20
