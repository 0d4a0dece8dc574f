"""The rest of the hot path: look-ups, deployments, attempts and their caps, codes, keys, clean-up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from ltihost.errors import DecryptionError, LtihostError
from ltihost.records import HOST, EnabledPlugin, RoleRule
from ltihost.store import (
    applications,
    audit,
    deployments,
    directory,
    registrations,
    role_rules,
    tenants,
)
from ltihost.store.database import Database
from tests.core.store.misplaced import copy_secrets
from tests.core.store.support import ACTOR, DEPLOYMENT, World, digest, endpoints, make_world

# Look-ups


async def test_a_registration_by_its_id(world: World) -> None:
    route = await world.db.hot.route(world.registration.id)
    assert route is not None
    assert (route.registration, route.tenant) == (world.registration, world.tenant)
    assert await world.db.hot.route("reg_unknown") is None


async def test_registrations_by_issuer_and_client_id(world: World) -> None:
    issuer = world.registration.issuer or ""
    values = dict(endpoints("north")) | {"client-id": "second"}
    other = await world.db.run_host(
        registrations.create, world.tenant.id, plugin="lti", values=list(values.items()), actor=ACTOR
    )
    await world.db.run_host(
        registrations.create, world.tenant.id, plugin="lti", values=[("issuer", issuer)], actor=ACTOR
    )  # a draft

    async def found(issuer: str, client_id: str | None) -> set[str]:
        return {route.registration.id for route in await world.db.hot.routes(issuer, client_id)}

    assert await found(issuer, None) == {world.registration.id, other.id}
    assert await found(issuer, "second") == {other.id}
    assert await found(issuer, "third") == set()
    assert await found(issuer + "/", None) == set()
    assert await found(issuer.upper(), None) == set()


async def test_a_deployment_with_all_that_belongs_to_it(world: World) -> None:
    run = world.db.run_host
    await run(
        tenants.enable_plugin, world.tenant.id, "policy", settings={"mark": 1}, secrets={"token": "s3cret"}, actor=ACTOR
    )
    await run(tenants.enable_plugin, world.tenant.id, "unused", actor=ACTOR)
    await run(tenants.disable_plugin, world.tenant.id, "unused", actor=ACTOR)
    await run(role_rules.add, world.tenant.id, "Instructor", global_role="editor", actor=ACTOR)
    await run(
        role_rules.add,
        world.tenant.id,
        "Learner",
        group_role="member",
        registration_id=world.registration.id,
        actor=ACTOR,
    )
    found = await world.db.hot.deployment(world.registration.id, DEPLOYMENT)
    assert found is not None
    assert (found.state, found.tenant, found.application) == ("approved", world.tenant, world.application)
    assert found.plugins == (EnabledPlugin("lti", {}), EnabledPlugin("policy", {"mark": 1, "token": "s3cret"}))
    assert found.role_rules == (
        RoleRule("Instructor", "editor", None),
        RoleRule("Learner", None, "member", world.registration.id),
    )
    assert await world.db.hot.deployment(world.registration.id, "unknown") is None


async def test_rules_of_another_registration_do_not_apply(world: World) -> None:
    other = await world.db.run_host(registrations.create, world.tenant.id, plugin="lti", actor=ACTOR)
    await world.db.run_host(
        role_rules.add, world.tenant.id, "Learner", group_role="x", registration_id=other.id, actor=ACTOR
    )
    found = await world.db.hot.deployment(world.registration.id, DEPLOYMENT)
    assert found is not None
    assert found.role_rules == ()


@pytest.mark.parametrize("hostile", ["a\0b", "\ud800", "' OR 1=1 --", "%", "\\", "\u202e"])
async def test_hostile_keys_find_nothing(world: World, hostile: str) -> None:
    assert await world.db.hot.route(hostile) is None
    assert await world.db.hot.routes(hostile, None) == []
    assert await world.db.hot.routes(world.registration.issuer or "", hostile) == []
    assert await world.db.hot.deployment(world.registration.id, hostile) is None
    assert await world.db.hot.api_key(hostile) is None


# Deployments that were never seen


async def test_an_unknown_deployment_is_noted_as_pending(world: World) -> None:
    await world.db.hot.note_deployment(world.registration.id, "new", guid="g", url=None, name="An LMS")
    found = await world.db.hot.deployment(world.registration.id, "new")
    assert found is not None
    assert (found.state, found.tenant, found.application, found.instance_guid) == ("pending", None, None, "g")
    (row,) = await world.db.run(world.tenant.id, deployments.listed, state="pending")
    assert (row.deployment_id, row.instance_name) == ("new", "An LMS")


async def test_a_known_deployment_is_completed_and_never_changed(world: World) -> None:
    note = world.db.hot.note_deployment
    await note(world.registration.id, DEPLOYMENT, guid="first", url=None, name=None)
    await note(world.registration.id, DEPLOYMENT, guid="second", url="https://lms.example", name=None)
    found = await world.db.hot.deployment(world.registration.id, DEPLOYMENT)
    assert found is not None
    assert (found.state, found.instance_guid, found.instance_url) == ("approved", "first", "https://lms.example")


async def test_noting_touches_a_shared_registration_s_deployment_wherever_it_is(world: World) -> None:
    shared = await world.db.run_host(
        registrations.create, HOST, plugin="lti", application=None, values=endpoints("cloud"), actor=ACTOR
    )
    await world.db.hot.note_deployment(shared.id, "d", guid=None, url=None, name=None)
    waiting = await world.db.run_host(deployments.get, shared.id, "d")
    assert waiting.tenant_id == HOST
    await world.db.run_host(
        deployments.approve, shared.id, "d", tenant=world.tenant, application=world.application, actor=ACTOR
    )
    await world.db.hot.note_deployment(shared.id, "d", guid="g", url=None, name=None)
    found = await world.db.hot.deployment(shared.id, "d")
    assert found is not None
    assert (found.tenant, found.instance_guid) == (world.tenant, "g")


async def test_a_hundred_wait_for_approval_at_most(world: World) -> None:
    """One platform cannot fill the table with deployments of its invention; what is known is still completed."""
    note = world.db.hot.note_deployment
    for number in range(102):
        await note(world.registration.id, f"d{number}", guid=None, url=None, name=None)
    await note(world.registration.id, "d99", guid="known", url=None, name=None)
    await note(world.registration.id, DEPLOYMENT, guid="approved", url=None, name=None)
    waiting = await world.db.run_host(deployments.listed, state="pending")
    assert {row.deployment_id for row in waiting} == {f"d{number}" for number in range(100)}
    for deployment_id, guid in (("d99", "known"), (DEPLOYMENT, "approved")):
        row = await world.db.run_host(deployments.get, world.registration.id, deployment_id)
        assert row.instance_guid == guid


async def test_noting_for_an_unknown_registration_does_nothing(world: World) -> None:
    before = await world.counts()
    await world.db.hot.note_deployment("reg_unknown", "d", guid=None, url=None, name=None)
    assert await world.counts() == before


async def adopting(db: Database, **values: str) -> World:
    """A world whose one deployment is known to come from the installation `here`."""
    world = await make_world(db, **{"auto_deployments": "same_instance"} | values)
    await db.hot.note_deployment(world.registration.id, DEPLOYMENT, guid="here", url=None, name=None)
    return world


async def test_a_deployment_of_the_same_installation_is_adopted(db: Database) -> None:
    world = await adopting(db)
    found = await db.hot.adopt_deployment(world.registration.id, "second", guid="here")
    assert found is not None
    assert (found.state, found.tenant, found.application) == ("approved", world.tenant, world.application)
    trail = await db.run_host(audit.page, world.tenant.id)
    assert [row.details for row in trail if row.actor == "same_instance"] == [{"deployment": "second", "guid": "here"}]


async def test_parallel_first_launches_adopt_once_and_all_get_in(db: Database) -> None:
    world = await adopting(db)
    adopt = db.hot.adopt_deployment
    found = await asyncio.gather(*(adopt(world.registration.id, "second", guid="here") for _ in range(10)))
    assert {item is not None and item.state for item in found} == {"approved"}
    trail = await db.run_host(audit.page, world.tenant.id)
    assert len([row for row in trail if row.actor == "same_instance"]) == 1


async def test_a_pending_deployment_of_the_same_installation_is_adopted(db: Database) -> None:
    world = await adopting(db)
    await db.hot.note_deployment(world.registration.id, "second", guid="here", url=None, name=None)
    assert await db.hot.adopt_deployment(world.registration.id, "second", guid="here") is not None


async def test_another_installation_is_not_adopted(db: Database) -> None:
    world = await adopting(db)
    assert await db.hot.adopt_deployment(world.registration.id, "second", guid="elsewhere") is None
    assert await db.hot.deployment(world.registration.id, "second") is None


async def test_never_means_never(db: Database) -> None:
    world = await adopting(db, auto_deployments="never")
    assert await db.hot.adopt_deployment(world.registration.id, "second", guid="here") is None


async def test_a_disabled_deployment_is_not_adopted(db: Database) -> None:
    world = await adopting(db)
    await db.run_host(deployments.approve, world.registration.id, "second", actor=ACTOR)
    await db.hot.note_deployment(world.registration.id, "second", guid="here", url=None, name=None)
    await db.run_host(deployments.disable, world.registration.id, "second", actor=ACTOR)
    assert await db.hot.adopt_deployment(world.registration.id, "second", guid="here") is None


async def test_a_disabled_twin_vouches_for_nobody(db: Database) -> None:
    world = await adopting(db)
    await db.run_host(deployments.disable, world.registration.id, DEPLOYMENT, actor=ACTOR)
    assert await db.hot.adopt_deployment(world.registration.id, "second", guid="here") is None


# One-time codes


async def test_a_code_opens_one_session(world: World) -> None:
    work = world.work()
    outcome = await world.db.hot.accept_launch(work)
    stored = await world.redeem(work, now=1_000.0 + work.code_expires - 1_010, session_seconds=50)
    assert (stored.launch_id, stored.tenant, stored.application) == (work.attempt.id, world.tenant, world.application)
    assert (stored.registration_id, stored.registration_name) == (world.registration.id, world.registration.name)
    assert (stored.issuer, stored.plugin, stored.deployment_id) == (world.registration.issuer, "lti", DEPLOYMENT)
    assert (stored.user_id, stored.context_id, stored.resource_link_id) == (
        outcome.user_id, outcome.context_id, outcome.resource_link_id,
    )  # fmt: skip
    assert (stored.launch_json, stored.launched_at, stored.message) == (
        work.launch_json,
        work.attempt.at,
        "resource_link",
    )
    assert stored.session_expires == pytest.approx(work.code_expires - 10 + 50)
    assert (await world.counts())["sessions"] == 1
    assert await world.redeem(work) is None


async def test_parallel_exchanges_open_one_session(world: World) -> None:
    work = world.work()
    await world.db.hot.accept_launch(work)
    opened = await asyncio.gather(*(world.redeem(work) for _ in range(10)))
    assert len([item for item in opened if item is not None]) == 1
    assert (await world.counts())["sessions"] == 1


@pytest.mark.parametrize(
    "changes",
    [{"application_id": "app_other"}, {"tenant_id": "ten_other"}, {"now": 9e9}],
    ids=["another application", "another tenant", "too late"],
)
async def test_a_code_opens_nothing_for_others_or_too_late(world: World, changes: dict[str, str | float]) -> None:
    work = world.work()
    await world.db.hot.accept_launch(work)
    assert await world.redeem(work, **changes) is None
    assert await world.redeem(work, tenant_id=world.tenant.id) is not None  # and was not burnt by it


async def test_the_host_itself_may_redeem_for_any_application(world: World) -> None:
    work = world.work()
    await world.db.hot.accept_launch(work)
    assert (await world.redeem(work, application_id=None)).application == world.application


OFF: dict[str, Callable[[World], Awaitable[object]]] = {
    "tenant": lambda world: world.db.run_host(tenants.suspend, "north", actor=ACTOR),
    "registration": lambda world: world.db.run_host(registrations.disable, world.registration.id, actor=ACTOR),
    "deployment": lambda world: world.db.run_host(deployments.disable, world.registration.id, DEPLOYMENT, actor=ACTOR),
}


@pytest.mark.parametrize("what", OFF)
async def test_a_code_opens_nothing_once_something_is_off(world: World, what: str) -> None:
    work = world.work()
    await world.db.hot.accept_launch(work)
    await OFF[what](world)
    assert await world.redeem(work) is None
    assert (await world.counts())["sessions"] == 0


async def test_a_code_opens_nothing_for_a_suspended_person(world: World) -> None:
    work = world.work()
    outcome = await world.db.hot.accept_launch(work)
    await world.db.run(world.tenant.id, directory.suspend_user, outcome.user_id or "", actor=ACTOR)
    assert await world.redeem(work) is None


# API keys


async def test_an_api_key_by_its_id(world: World) -> None:
    made = await world.db.run_host(
        applications.create_key, world.application, scopes=["launch:exchange"], expires_at=9e9, actor=ACTOR
    )
    parsed = applications.parse_key(made.text)
    assert parsed is not None
    found = await world.db.hot.api_key(parsed.id)
    assert found is not None
    assert (found.secret_hash, found.scopes) == (parsed.secret_hash, frozenset({"launch:exchange"}))
    assert (found.application_id, found.tenant_id) == (world.application.id, world.tenant.id)
    assert (found.expires_at, found.revoked) == (9e9, False)
    await world.db.run_host(applications.revoke_key, made.id, actor=ACTOR)
    revoked = await world.db.hot.api_key(made.id)
    assert revoked is not None
    assert revoked.revoked


async def test_a_key_of_the_host_s_application_serves_every_tenant_or_one(world: World) -> None:
    application = await world.db.run_host(
        applications.create, HOST, "shared", name="Shared", launch_url="https://shared.example/", actor=ACTOR
    )
    every = await world.db.run_host(applications.create_key, application, actor=ACTOR)
    one = await world.db.run_host(applications.create_key, application, world.tenant.id, actor=ACTOR)
    found = [await world.db.hot.api_key(key.id) for key in (every, one)]
    assert [item and item.tenant_id for item in found] == [None, world.tenant.id]


# Clean-up


async def test_what_expired_is_deleted_and_the_rest_stays(world: World) -> None:
    old, new = world.work(nonce_expires=100.0, code_expires=100.0), world.work()
    for work in (old, new):
        await world.db.hot.accept_launch(work)
    await world.redeem(new, session_seconds=-10)
    await world.db.hot.consume_nonce(world.registration.id, digest("error"), 50.0)
    assert await world.db.hot.prune(time.time()) == 4
    assert await world.db.hot.prune(time.time()) == 0
    counts = await world.counts()
    assert (counts["nonces"], counts["one_time_codes"], counts["sessions"], counts["launches"]) == (1, 0, 0, 2)


async def test_plugin_settings_that_were_moved_do_not_open(world: World) -> None:
    """S-81: the sealed settings of one tenant's plugin, copied into another's row."""
    other = await make_world(world.db, "south")
    for item in (world, other):
        await world.db.run_host(
            tenants.enable_plugin, item.tenant.id, "lti", secrets={"token": item.tenant.slug}, actor=ACTOR
        )
    await world.db.run_host(copy_secrets, world.tenant.id, other.tenant.id)
    assert await world.db.hot.deployment(world.registration.id, DEPLOYMENT) is not None
    with pytest.raises(DecryptionError) as caught:
        await world.db.hot.deployment(other.registration.id, DEPLOYMENT)
    assert isinstance(caught.value, LtihostError)
    assert caught.value.code == "secret_altered"
