"""S-81: sealed values that somebody moved to another tenant's row open nothing, stop what needs them, and are told of once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.records import HOST, Tenant
from ltihost.store import applications, audit, registrations, tables, tenants
from ltihost.store.secret_alarm import ACTION
from tests.core.store.misplaced import copy_key, copy_secrets, put_key
from tests.flows.picker import Picker, lti_link, token_in
from tests.flows.platform import put
from tests.flows.rig import ACTOR, Browser, Rig
from tests.flows.test_launch_storage import FRAME
from tests.flows.test_notices import hello, post


async def alarms(rig: Rig) -> list[tuple[str, str, dict[str, Any]]]:
    """Tenant, place and details of each alarm in the audit trails."""

    def read(session: Session) -> list[tuple[str, str, dict[str, Any]]]:
        rows = session.scalars(select(tables.Audit).where(tables.Audit.action == ACTION))
        return [(row.tenant_id, row.object_id, row.details) for row in rows]

    return await rig.host.database.run_host(read)


async def set_secret(rig: Rig, tenant: Tenant) -> None:
    secrets = {"token": tenant.slug}
    await rig.operator(tenants.enable_plugin, tenant.id, "lti", secrets=secrets, actor=ACTOR)


@pytest.fixture
async def two(rig: Rig) -> Tenant:
    """Another tenant with a registration of its own, `client-2`. Its plugin's secrets now stand in the first one's row too."""
    tenant: Tenant = await rig.operator(tenants.create, "two", name="Uni Two", actor=ACTOR)
    application = await rig.operator(
        applications.create, tenant.id, "tool", name="Tool", launch_url="https://app.example/tool", actor=ACTOR
    )
    await rig.register(client_id="client-2", tenant_id=tenant.id, application=application)
    for one in (rig.tenant, tenant):
        await set_secret(rig, one)
    await rig.operator(copy_secrets, tenant.id, rig.tenant.id)
    return tenant


TOLD = ("tenant_plugins/lti", {"code": "secret_altered"})


async def test_a_login_of_the_tenant_is_refused_and_one_of_another_goes_on(rig: Rig, two: Tenant) -> None:
    browsers = [Browser() for _ in range(5)]
    flows = await asyncio.gather(*(rig.login(browser) for browser in browsers))
    for flow in flows:
        assert flow.response.status_code == 503
        assert flow.response.headers["retry-after"] == "5"
    refused = (await rig.login()).response
    assert await rig.refused(refused) == "secret_unreadable"
    assert "tenant_plugins" not in refused.text
    assert {attempt.refusal for attempt in await rig.attempts()} == {"secret_unreadable"}
    assert (await rig.launch(put(aud="client-2"), client_id="client-2")).status_code == 303
    assert await alarms(rig) == [(rig.tenant.id, *TOLD)]
    stored = await rig.operator(registrations.get, rig.registration.id)
    assert stored.state == "active"
    await set_secret(rig, rig.tenant)
    assert (await rig.launch()).status_code == 303


async def test_a_launch_under_way_is_refused(rig: Rig, two: Tenant) -> None:
    """A login that names no deployment gets through to the platform."""
    flow = await rig.login(lti_deployment_id=None)
    assert flow.response.status_code == 302
    assert await rig.refused(await rig.post(flow, rig.token(flow))) == "secret_unreadable"
    (failed,) = [check for check in (await rig.attempts())[0].checks if check.status == "failed"]
    assert (failed.name, failed.received) == ("plugin", "tenant_plugins/lti")
    assert await rig.count(tables.User) == 0
    assert len(await alarms(rig)) == 1


async def test_others_on_a_shared_registration_go_on(rig: Rig, two: Tenant) -> None:
    """The reason why no registration is switched off for it."""
    application = await rig.operator(
        applications.create, HOST, "shared", name="Shared", launch_url="https://app.example/tool", actor=ACTOR
    )
    shared = await rig.register((), tenant_id=HOST, client_id="vendor", application=application)
    for deployment, tenant in (("d1", rig.tenant), ("d2", two)):
        await rig.approve(shared.id, deployment, tenant=tenant, application=application)
    refused = await rig.login(client_id="vendor", lti_deployment_id="d1")
    assert await rig.refused(refused.response) == "secret_unreadable"
    change = put(lti_deployment_id="d2", aud="vendor")
    assert (await rig.launch(change, client_id="vendor", lti_deployment_id="d2")).status_code == 303


async def test_the_storage_rung_says_so_too(rig: Rig, two: Tenant) -> None:
    refused = await rig.login(Browser(), headers=FRAME)
    assert await rig.refused(refused.response) == "secret_unreadable"


async def test_a_platform_brings_its_notice_again(rig: Rig, two: Tenant) -> None:
    assert (await post(rig, hello(rig))).status_code == 503
    await set_secret(rig, rig.tenant)
    assert (await post(rig, hello(rig))).status_code == 204
    assert len(await alarms(rig)) == 1


async def test_another_process_rings_no_second_time_within_the_hour(rig: Rig, two: Tenant) -> None:
    await rig.login()
    rig.host.database.alarm._rang.clear()
    await rig.login()
    assert len(await alarms(rig)) == 1
    assert await rig.operator(audit.verify, rig.tenant.id) is None


async def test_the_deep_linking_page_waits_for_the_secret_and_for_the_key(rig: Rig) -> None:
    """Nothing is spent, so the teacher's choice goes out once the value is back in its place."""
    picker = await Picker.of(rig)
    other = await rig.register((), client_id="client-2")
    finished = await picker.finish(await picker.begin(), lti_link())
    url = finished.json()["continue_url"]
    former = await rig.operator(copy_key, other.id, rig.registration.id)
    for _ in range(2):
        page = await picker.visit(url)
        assert (page.status_code, "Please try again later" in page.text) == (503, True)
        assert "secret" not in page.text
    assert [(place.partition("/")[0], details["code"]) for _, place, details in await alarms(rig)] == [
        ("key_pairs", "secret_altered")
    ]
    await rig.operator(put_key, rig.registration.id, former)
    page = await picker.visit(url)
    assert page.status_code == 200
    assert (await picker.claims(token_in(page)))["iss"] == "client-1"
    assert (await picker.visit(url)).status_code == 410


async def test_choosing_content_waits_for_the_secret(rig: Rig, two: Tenant) -> None:
    await set_secret(rig, rig.tenant)
    picker = await Picker.of(rig)
    link = await picker.begin()
    await rig.operator(copy_secrets, two.id, rig.tenant.id)
    assert await picker.refused(link, lti_link()) == (409, "secret_unreadable")
    await set_secret(rig, rig.tenant)
    url = (await picker.finish(link, lti_link())).json()["continue_url"]
    await rig.operator(copy_secrets, two.id, rig.tenant.id)
    assert (await picker.visit(url)).status_code == 503
    await set_secret(rig, rig.tenant)
    assert (await picker.visit(url)).status_code == 200
