"""Tenants, applications, registrations, deployments, role rules: what can be made, and what is refused."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from ltihost.errors import Conflict, Invalid, LtihostError, NotFound
from ltihost.records import HOST
from ltihost.store import applications, audit, deployments, keys, registrations, role_rules, tenants
from ltihost.store.database import Database
from tests.core.store.support import ACTOR, DEPLOYMENT, World, endpoints, make_world


async def refusal(work: Awaitable[Any], error: type[LtihostError]) -> str:
    with pytest.raises(error) as caught:
        await work
    return caught.value.code


# Tenants


async def test_a_tenant_and_its_switches(db: Database) -> None:
    run = db.run_host
    made = await run(tenants.create, "north", "The North", actor=ACTOR)
    assert await run(tenants.by_slug, "north") == made
    assert await run(tenants.listed) == [made]
    assert not (await run(tenants.suspend, "north", actor=ACTOR)).active
    assert (await run(tenants.resume, "north", actor=ACTOR)) == made
    switch = await run(
        tenants.enable_plugin, made.id, "canvas", settings={"scale": 10}, secrets={"token": "t"}, actor=ACTOR
    )
    assert (switch.enabled, switch.settings, switch.secret_names) == (True, {"scale": 10}, ("token",))
    assert not (await run(tenants.disable_plugin, made.id, "canvas", actor=ACTOR)).enabled
    again = await run(tenants.enable_plugin, made.id, "canvas", actor=ACTOR)
    assert again == switch  # settings stay where none are given
    assert [item.key for item in await run(tenants.plugins, made.id)] == ["lti", "canvas"]
    cleared = await run(tenants.enable_plugin, made.id, "canvas", settings={}, secrets={}, actor=ACTOR)
    assert (cleared.settings, cleared.secret_names) == ({}, ())


async def test_tenants_that_cannot_be(db: Database) -> None:
    await db.run_host(tenants.create, "north", "The North", actor=ACTOR)
    assert await refusal(db.run_host(tenants.create, "north", "Again", actor=ACTOR), Conflict) == "tenant_exists"
    assert await refusal(db.run_host(tenants.create, "host", "Us", actor=ACTOR), Conflict) == "tenant_exists"
    for slug in ("", "North", "a b", "-a", "a-", "a" * 64, "é", "a\n"):
        assert await refusal(db.run_host(tenants.create, slug, "x", actor=ACTOR), Invalid) == "slug_invalid"
    assert await refusal(db.run_host(tenants.create, "fine", "a\nb", actor=ACTOR), Invalid) == "text_invalid"
    assert await refusal(db.run_host(tenants.suspend, "nobody", actor=ACTOR), NotFound) == "tenant_unknown"
    assert await refusal(db.run_host(tenants.suspend, "host", actor=ACTOR), Conflict) == "tenant_is_host"
    north = await db.run_host(tenants.by_slug, "north")
    assert (
        await refusal(db.run_host(tenants.disable_plugin, north.id, "x", actor=ACTOR), NotFound) == "plugin_not_enabled"
    )


# Applications and their keys


async def test_an_application_as_it_was_given(db: Database) -> None:
    tenant = await db.run_host(tenants.create, "north", "The North", actor=ACTOR)
    made = await db.run_host(
        applications.create, tenant.id, "tool", name="Tool", launch_url="https://a.example/l", picker_url="https://a.example/p",
        webhook_url="https://a.example/w", allowed_targets=["https://a.example/b", "https://a.example/a"],
        release=["email", "names"], actor=ACTOR,
    )  # fmt: skip
    assert await db.run_host(applications.get, made.id) == made
    assert (made.allowed_targets, made.release) == (
        ("https://a.example/a", "https://a.example/b"),
        frozenset({"email", "names"}),
    )


async def test_the_tenant_s_own_application_comes_before_the_host_s(world: World) -> None:
    run = world.db.run_host
    shared = await run(applications.create, HOST, "tool", name="Shared", launch_url="https://s.example/", actor=ACTOR)
    only = await run(applications.create, HOST, "only", name="Only", launch_url="https://o.example/", actor=ACTOR)
    assert await run(applications.by_slug, "tool", world.tenant.id) == world.application
    assert await run(applications.by_slug, "only", world.tenant.id) == only
    assert await run(applications.by_slug, "tool") == shared
    other = await make_world(world.db, "south")
    listed = await run(applications.listed, world.tenant.id)
    assert {item.id for item in listed} == {shared.id, only.id, world.application.id}
    assert {item.id for item in await run(applications.listed)} >= {other.application.id, shared.id}


async def test_applications_that_cannot_be(world: World) -> None:
    def create(slug: str = "new", **changes: Any) -> Awaitable[Any]:
        values = {"name": "New", "launch_url": "https://a.example/"} | changes
        return world.db.run_host(applications.create, world.tenant.id, slug, actor=ACTOR, **values)

    assert await refusal(create("tool"), Conflict) == "application_exists"
    for url in ("", "a.example", "ftp://a.example/", "https://u:p@a.example/", "https://a.example/#x", "https://", "https://a b/",
                "javascript:alert(1)", "https://a.example:99999/", "https://a.example\\@b.example/"):  # fmt: skip
        assert (await refusal(create(launch_url=url), Invalid)) in ("url_invalid", "text_invalid"), url
    assert await refusal(create(release=["everything"]), Invalid) == "choice_invalid"
    assert await refusal(world.db.run_host(applications.get, "app_x"), NotFound) == "application_unknown"
    assert await refusal(world.db.run_host(applications.by_slug, "x"), NotFound) == "application_unknown"


async def test_a_key_is_shown_once_and_kept_as_a_hash(world: World) -> None:
    """S-75."""
    made = await world.db.run_host(applications.create_key, world.application, scopes=["b", "a"], actor=ACTOR)
    kind, live, key_id, rest = made.text.split("_", 3)
    assert (kind, live, key_id, len(key_id)) == ("ltih", "live", made.id, 16)
    secret, _, checksum = rest.rpartition("_")
    assert (len(secret), len(checksum)) == (43, 8)
    (stored,) = await world.db.run_host(applications.keys, world.application.id)
    assert stored.scopes == {"a", "b"}
    assert secret not in repr(stored)
    parsed = applications.parse_key(made.text)
    assert parsed is not None
    assert (parsed.id, parsed.secret_hash) == (stored.id, stored.secret_hash)


async def test_a_mistyped_key_needs_no_query(world: World) -> None:
    made = await world.db.run_host(applications.create_key, world.application, actor=ACTOR)
    for position in range(len(made.text)):
        typed = made.text[:position] + ("x" if made.text[position] != "x" else "y") + made.text[position + 1 :]
        assert applications.parse_key(typed) is None
    for text in ("", made.text[:-1], made.text + "0", made.text + "\n", " " + made.text, made.text.upper()):
        assert applications.parse_key(text) is None


async def test_two_keys_are_live_at_most(world: World) -> None:
    run = world.db.run_host
    made = [await run(applications.create_key, world.application, actor=ACTOR) for _ in range(2)]
    assert await refusal(run(applications.create_key, world.application, actor=ACTOR), Conflict) == "too_many_keys"
    await run(applications.revoke_key, made[0].id, actor=ACTOR)
    await run(applications.create_key, world.application, expires_at=1.0, actor=ACTOR)  # expired, so not live
    await run(applications.create_key, world.application, actor=ACTOR)
    assert await refusal(run(applications.revoke_key, "x", actor=ACTOR), NotFound) == "key_unknown"
    shared = await run(applications.create, HOST, "shared", name="Shared", launch_url="https://s.example/", actor=ACTOR)
    for tenant_id in (None, None, world.tenant.id, world.tenant.id):
        await run(applications.create_key, shared, tenant_id, actor=ACTOR)
    assert await refusal(run(applications.create_key, shared, actor=ACTOR), Conflict) == "too_many_keys"
    other = await make_world(world.db, "south")
    foreign = run(applications.create_key, world.application, other.tenant.id, actor=ACTOR)
    assert await refusal(foreign, Invalid) == "application_of_other_tenant"


# Registrations


async def test_a_draft_becomes_pending_and_then_active(world: World) -> None:
    run = world.db.run_host
    draft = await run(registrations.create, world.tenant.id, plugin="lti", application=world.application, actor=ACTOR)
    assert (draft.state, draft.issuer, draft.name, draft.application_id) == ("draft", None, "lti", world.application.id)
    values = endpoints("draft")
    assert (await run(registrations.update, draft.id, values[:-1], actor=ACTOR)).state == "draft"
    assert registrations.missing(await run(registrations.get, draft.id)) == ["jwks-url"]
    assert await refusal(run(registrations.approve, draft.id, actor=ACTOR), Invalid) == "registration_incomplete"
    assert (await run(registrations.update, draft.id, values[-1:], actor=ACTOR)).state == "pending"
    assert (await run(registrations.approve, draft.id, actor=ACTOR)).state == "active"
    assert (await run(registrations.disable, draft.id, actor=ACTOR)).state == "disabled"
    assert (await run(registrations.approve, draft.id, actor=ACTOR)).state == "active"
    assert {item.id for item in await run(registrations.listed, world.tenant.id)} == {draft.id, world.registration.id}


async def test_every_field_is_read_and_stored(world: World) -> None:
    given = {
        "name": "Our LMS", "issuer": "https://i.example/", "client-id": "c 1", "auth-url": "https://i.example/a?x=1",
        "token-url": "https://i.example/t", "jwks-url": "https://i.example/j", "audience": "aud", "home-url": "https://h.example/",
        "auto-deployments": "same_instance", "key-set": "host", "algorithms": "RS256, ES256", "trusted-audiences": "a,b",
        "leeway": "300", "max-token-bytes": "131072", "frame-origins": "https://f.example,https://g.example:8443",
        "storage-origins": "https://s.example", "allow-missing-kid": "yes", "allow-anonymous": "yes", "institution-admin": "yes",
        "nrps": "no", "deep-linking": "no", "create-users": "no", "create-contexts": "no", "sync-roles": "no",
        "remove-on-unenrol": "yes",
    }  # fmt: skip
    assert set(given) == set(registrations.FIELDS)
    stored = await world.db.run_host(registrations.update, world.registration.id, given.items(), actor=ACTOR)
    read = {name: getattr(stored, name.replace("-", "_")) for name in given}
    assert read == given | {
        "algorithms": ("RS256", "ES256"), "trusted-audiences": ("a", "b"), "leeway": 300, "max-token-bytes": 131072,
        "frame-origins": ("https://f.example", "https://g.example:8443"), "storage-origins": ("https://s.example",),
        "allow-missing-kid": True, "allow-anonymous": True, "institution-admin": True, "nrps": False, "deep-linking": False,
        "create-users": False, "create-contexts": False, "sync-roles": False, "remove-on-unenrol": True,
    }  # fmt: skip
    route = await world.db.hot.route(stored.id)
    assert route is not None
    assert route.registration == stored


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", "lms"), ("leeway", "301"), ("leeway", "-1"), ("leeway", "1.5"), ("max-token-bytes", "999999"), ("nrps", "true"),
        ("algorithms", "HS256"), ("algorithms", ""), ("auto-deployments", "always"), ("frame-origins", "https://a.example/path"),
        ("frame-origins", "https://a.example; script-src *"), ("frame-origins", "https://*.example"), ("client-id", ""),
        ("state", "active"), ("tenant-id", "x"), ("id", "x"), ("deployment-id", ""), ("deployment-id", "x" * 256),
    ],
)  # fmt: skip
async def test_values_that_cannot_be(world: World, field: str, value: str) -> None:
    before = await world.db.run_host(registrations.get, world.registration.id)
    await refusal(world.db.run_host(registrations.update, before.id, [(field, value)], actor=ACTOR), Invalid)
    assert await world.db.run_host(registrations.get, before.id) == before


async def test_issuer_client_and_key_set_together_are_unique(world: World) -> None:
    """D12: the same pair with another key set may be registered beside it."""
    run, values = world.db.run_host, dict(endpoints("north"))
    other = await make_world(world.db, "south")

    def again(**changes: str) -> Awaitable[Any]:
        pairs = list((values | {name.replace("_", "-"): value for name, value in changes.items()}).items())
        return run(registrations.create, other.tenant.id, plugin="lti", values=pairs, actor=ACTOR)

    assert await refusal(again(), Conflict) == "registration_exists"
    second = await again(jwks_url="https://north.example/other")
    moved = run(registrations.update, second.id, [("jwks-url", values["jwks-url"])], actor=ACTOR)
    assert await refusal(moved, Conflict) == "registration_exists"
    assert {route.registration.id for route in await world.db.hot.routes(values["issuer"], values["client-id"])} == {
        world.registration.id,
        second.id,
    }


async def test_a_registration_on_the_shared_urls_uses_the_host_s_keys(world: World) -> None:
    assert await world.db.run(HOST, keys.public_keys, HOST) == []
    made = await world.db.run_host(registrations.create, HOST, plugin="lti", values=[("key-set", "host")], actor=ACTOR)
    assert made.key_set == "host"
    assert len(await world.db.run(HOST, keys.public_keys, HOST)) == 1


async def test_what_belongs_to_others_cannot_be_used(world: World) -> None:
    other = await make_world(world.db, "south")
    run = world.db.run_host
    made = run(registrations.create, other.tenant.id, plugin="lti", application=world.application, actor=ACTOR)
    assert await refusal(made, Invalid) == "application_of_other_tenant"
    shared = run(registrations.create, HOST, plugin="lti", values=[("auto-deployments", "same_instance")], actor=ACTOR)
    assert await refusal(shared, Invalid) == "auto_deployments_shared"


# Deployments


async def test_a_deployment_id_given_with_the_registration_is_approved(world: World) -> None:
    values = [*endpoints("more"), ("deployment-id", "one"), ("deployment-id", "two")]
    made = await world.db.run_host(
        registrations.create, world.tenant.id, plugin="lti", application=world.application, values=values, actor=ACTOR
    )
    found = await world.db.run_host(deployments.listed, registration_id=made.id)
    assert [(row.deployment_id, row.state, row.tenant_id) for row in found] == [
        ("one", "approved", world.tenant.id), ("two", "approved", world.tenant.id),
    ]  # fmt: skip


async def test_approving_again_believes_another_installation(world: World) -> None:
    note = world.db.hot.note_deployment
    await note(world.registration.id, DEPLOYMENT, guid="old", url="https://old.example", name="Old")
    row = await world.db.run_host(deployments.approve, world.registration.id, DEPLOYMENT, actor=ACTOR)
    assert (row.instance_guid, row.instance_url, row.instance_name) == (None, None, None)
    await note(world.registration.id, DEPLOYMENT, guid="new", url=None, name=None)
    assert (await world.db.run_host(deployments.get, world.registration.id, DEPLOYMENT)).instance_guid == "new"


async def test_approving_a_pending_one_remembers_its_installation(world: World) -> None:
    await world.db.hot.note_deployment(world.registration.id, "new", guid="here", url=None, name=None)
    row = await world.db.run_host(deployments.approve, world.registration.id, "new", actor=ACTOR)
    assert (row.state, row.instance_guid, row.application_id) == ("approved", "here", world.application.id)


async def test_moving_a_deployment_is_noted_on_both_sides(world: World) -> None:
    """S-38."""
    other = await make_world(world.db, "south")
    shared = await world.db.run_host(registrations.create, HOST, plugin="lti", actor=ACTOR)
    for owner in (world, other):
        await world.db.run_host(
            deployments.approve, shared.id, "d", tenant=owner.tenant, application=owner.application, actor=ACTOR
        )
    for owner in (world, other):
        newest = (await world.db.run_host(audit.page, owner.tenant.id, limit=1))[0]
        assert (newest.action, newest.details["tenant"]) == ("deployment.moved", other.tenant.id)


async def test_deployments_that_cannot_be(world: World) -> None:
    run, other = world.db.run_host, await make_world(world.db, "south")
    shared = await run(registrations.create, HOST, plugin="lti", actor=ACTOR)
    bare = await run(registrations.create, world.tenant.id, plugin="lti", actor=ACTOR)

    def approve(registration_id: str, **to: Any) -> Awaitable[Any]:
        return run(deployments.approve, registration_id, "d", actor=ACTOR, **to)

    assert await refusal(approve("reg_x"), NotFound) == "registration_unknown"
    assert await refusal(approve(shared.id), Invalid) == "tenant_missing"
    assert await refusal(approve(shared.id, tenant=world.tenant), Invalid) == "application_missing"
    assert await refusal(approve(bare.id), Invalid) == "application_missing"
    assert await refusal(approve(bare.id, application=other.application), Invalid) == "application_of_other_tenant"
    assert await refusal(approve(bare.id, tenant=other.tenant), Conflict) == "registration_of_other_tenant"
    assert await refusal(run(deployments.disable, bare.id, "d", actor=ACTOR), NotFound) == "deployment_unknown"


# Role rules


async def test_role_rules_are_listed_and_removed(world: World) -> None:
    run = world.db.run_host
    rule = await run(role_rules.add, world.tenant.id, "Instructor", global_role="editor", actor=ACTOR)
    assert [row.id for row in await run(role_rules.listed, world.tenant.id)] == [rule.id]

    def add(**changes: Any) -> Awaitable[Any]:
        values = {"lti_role": "Instructor", "global_role": "x"} | changes
        return run(role_rules.add, world.tenant.id, actor=ACTOR, **values)

    assert await refusal(add(), Conflict) == "role_rule_exists"
    assert await refusal(add(lti_role="Learner", global_role=None), Invalid) == "role_rule_empty"
    assert await refusal(add(registration_id="reg_x"), NotFound) == "registration_unknown"
    await add(registration_id=world.registration.id)
    await run(role_rules.remove, world.tenant.id, rule.id, actor=ACTOR)
    assert await refusal(run(role_rules.remove, world.tenant.id, rule.id, actor=ACTOR), NotFound) == "role_rule_unknown"


# What every change has in common


async def test_every_change_is_in_the_trail_with_its_actor(world: World) -> None:
    await world.db.run_host(applications.create_key, world.application, actor="cli:ada")
    await world.db.run_host(registrations.disable, world.registration.id, actor="cli:ada")
    trail = await world.db.run_host(audit.page, world.tenant.id)
    assert [row.action for row in trail if row.actor == "cli:ada"] == ["registration.disabled", "key.created"]
    assert {row.action for row in trail} == {
        "tenant.created", "plugin.enabled", "application.created", "registration.created", "registration.set",
        "registration.approved", "deployment.approved", "key.created", "registration.disabled",
    }  # fmt: skip


async def test_a_change_that_fails_leaves_nothing(world: World) -> None:
    before = await world.counts()
    values = [*endpoints("half"), ("deployment-id", "x" * 256)]
    made = world.db.run_host(
        registrations.create, world.tenant.id, plugin="lti", application=world.application, values=values, actor=ACTOR
    )
    await refusal(made, Invalid)
    assert await world.counts() == before
