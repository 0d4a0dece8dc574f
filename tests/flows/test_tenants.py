"""Tenants and deployments: whose launch it is, and what is never shared."""

from __future__ import annotations

from ltihost.records import HOST, Tenant
from ltihost.store import applications, deployments, directory, role_rules, tables, tenants
from tests.flows.platform import put
from tests.flows.rig import ACTOR, Rig, code_in


async def second_tenant(rig: Rig) -> Tenant:
    tenant: Tenant = await rig.operator(tenants.create, "two", name="Uni Two", actor=ACTOR)
    return tenant


async def test_one_client_id_for_all_customers(rig: Rig) -> None:
    """A vendor's shared registration: the deployment alone says whose launch it is."""
    two = await second_tenant(rig)
    application = await rig.operator(
        applications.create, HOST, "shared", name="Shared", launch_url="https://app.example/tool", actor=ACTOR
    )
    shared = await rig.register((), tenant_id=HOST, client_id="vendor", application=application)
    for deployment, tenant in (("d1", rig.tenant), ("d2", two)):
        await rig.approve(shared.id, deployment, tenant=tenant, application=application)
    seen = {}
    for deployment in ("d1", "d2"):
        answer = await rig.launch(
            put(lti_deployment_id=deployment, aud="vendor"), client_id="vendor", lti_deployment_id=deployment
        )
        assert answer.status_code == 303
        seen[deployment] = (await rig.attempts())[0]
    assert [seen[name].tenant_id for name in ("d1", "d2")] == [rig.tenant.id, two.id]
    assert seen["d1"].user_id != seen["d2"].user_id
    unknown = await rig.launch(put(lti_deployment_id="d3", aud="vendor"), client_id="vendor", lti_deployment_id="d3")
    assert unknown.status_code == 403
    assert await rig.refused(unknown) == "deployment_pending"
    assert (await rig.attempts())[0].tenant_id == HOST
    for tenant in (rig.tenant, two):
        assert await rig.count(tables.User, tenant.id) == 1
    waiting = await rig.operator(deployments.listed, state="pending")
    assert [item.deployment_id for item in waiting] == ["d3"]


async def test_an_approved_deployment_opens_the_door(rig: Rig) -> None:
    change = put(
        lti_deployment_id="new", lti_tool_platform={"guid": "g-1", "name": "Uni", "url": "https://uni.example/"}
    )
    assert await rig.refused(await rig.launch(change, lti_deployment_id=None)) == "deployment_pending"
    await rig.approve(rig.registration.id, "new")
    assert (await rig.launch(change, lti_deployment_id=None)).status_code == 303


async def test_the_same_installation_may_bring_further_deployments_where_that_is_wished(rig: Rig) -> None:
    await rig.register(("first",), client_id="client-2", auto_deployments="same_instance")
    here, elsewhere = {"guid": "g-1"}, {"guid": "g-2"}

    async def launch(deployment: str, platform: dict[str, str] | None) -> int:
        change = put(aud="client-2", lti_deployment_id=deployment, lti_tool_platform=platform)
        return (await rig.launch(change, client_id="client-2", lti_deployment_id=None)).status_code

    assert await launch("first", here) == 303
    assert await launch("second", here) == 303
    assert await launch("third", elsewhere) == 403
    assert await launch("fourth", None) == 403


async def test_never_is_the_default(rig: Rig) -> None:
    change = put(lti_tool_platform={"guid": "g-1"})
    assert (await rig.launch(change)).status_code == 303
    other = put(lti_tool_platform={"guid": "g-1"}, lti_deployment_id="second")
    assert await rig.refused(await rig.launch(other, lti_deployment_id=None)) == "deployment_pending"


async def test_the_same_person_at_two_platforms_is_two_people(rig: Rig) -> None:
    await rig.register(issuer="https://b.example")
    first = await rig.exchange(await rig.launch())
    second = await rig.exchange(await rig.launch(put(iss="https://b.example"), iss="https://b.example"))
    assert first["user"]["subject"] == second["user"]["subject"]
    assert first["user"]["email"] == second["user"]["email"]
    assert first["user"]["id"] != second["user"]["id"]
    assert first["context"]["id"] != second["context"]["id"]


async def test_people_are_known_by_their_subject_alone(rig: Rig) -> None:
    first = await rig.exchange(await rig.launch())
    other = await rig.exchange(await rig.launch(put(sub="other")))
    renamed = await rig.exchange(await rig.launch(put(email="new@example.edu", name="Ada Lovelace")))
    assert other["user"]["id"] != first["user"]["id"]
    assert renamed["user"]["id"] == first["user"]["id"]
    assert renamed["user"]["name"] == "Ada Lovelace"


async def test_the_same_link_in_two_deployments_is_two_links(rig: Rig) -> None:
    await rig.approve(rig.registration.id, "deployment-2")
    first = await rig.exchange(await rig.launch())
    second = await rig.exchange(
        await rig.launch(put(lti_deployment_id="deployment-2"), lti_deployment_id="deployment-2")
    )
    assert first["resource_link"]["lms_id"] == second["resource_link"]["lms_id"]
    assert first["resource_link"]["id"] != second["resource_link"]["id"]


async def test_links_are_counted(rig: Rig) -> None:
    for _ in range(3):
        launch = await rig.exchange(await rig.launch())
        rig.clock.now += 10
    (link,) = await rig.host.database.run(rig.tenant.id, directory.resource_links)
    assert link.id == launch["resource_link"]["id"]
    assert (link.launch_count, round(link.last_launched_at, 3)) == (3, round(rig.clock.now - 10, 3))


async def test_a_code_for_one_application_is_nothing_to_another(rig: Rig) -> None:
    other = await rig.operator(
        applications.create, rig.tenant.id, "other", name="Other", launch_url="https://other.example/", actor=ACTOR
    )
    key = await rig.key(other)
    code = code_in(await rig.launch())
    assert (await rig.redeem(code, key)).status_code == 410
    assert (await rig.redeem(code)).status_code == 200


async def test_a_key_without_the_scope_may_not_exchange(rig: Rig) -> None:
    key = await rig.key(rig.application, "events:read")
    refused = await rig.redeem(code_in(await rig.launch()), key)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_a_registration_that_creates_nobody(rig: Rig) -> None:
    await rig.register(client_id="client-2", create_users="no")
    change = put(aud="client-2")
    assert await rig.refused(await rig.launch(change, client_id="client-2")) == "user_unknown"
    await rig.register(client_id="client-3", create_contexts="no")
    change = put(aud="client-3")
    assert await rig.refused(await rig.launch(change, client_id="client-3")) == "context_unknown"
    assert await rig.count(tables.User) == 0


async def test_anonymous_people_where_they_are_admitted(rig: Rig) -> None:
    await rig.register(client_id="client-2", allow_anonymous="yes")
    change = put(aud="client-2", sub=None, name=None, given_name=None, family_name=None, middle_name=None, email=None)
    launch = await rig.exchange(await rig.launch(change, client_id="client-2"))
    assert launch["user"]["id"] is None
    assert launch["user"]["anonymous"] is True
    assert await rig.count(tables.User) == 0


async def test_role_rules_reach_the_application(rig: Rig) -> None:
    rule = {"global_role": "editor", "group_role": "manager"}
    await rig.operator(role_rules.add, rig.tenant.id, "Instructor", **rule, actor=ACTOR)
    launch = await rig.exchange(await rig.launch())
    assert launch["application_roles"] == {"global": "editor", "group": "manager"}
