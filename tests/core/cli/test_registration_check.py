"""`registration check`: what each step finds, and that exactly one fault is named for one defect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ltihost.outbound import Outbound
from ltihost.plugins.loader import load_plugins
from ltihost.records import Application, EnabledPlugin, Registration, Tenant
from ltihost.registration_check import Finding, check_registration
from ltihost.store.hot import Deployment
from tests.core.support_loopback import LOOPBACK, Handler, answers, loopback
from tests.core.support_tokens import a_registration, public_jwk, rsa_key

PLUGINS = load_plugins([])
KEY = public_jwk(rsa_key(), kid="k1")
TENANT = Tenant("tnt_1", "uni", "University")
APPLICATION = Application("app_1", "tnt_1", "quiz", "Quiz", "https://quiz.example/launch")
APPROVED = Deployment("r1", "d1", "approved", TENANT, APPLICATION, plugins=(EnabledPlugin("lti"),))


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    client = Outbound(LOOPBACK)
    yield client
    await client.aclose()


async def check(
    outbound: Outbound,
    handler: Handler,
    *,
    deployments: tuple[Deployment, ...] = (APPROVED,),
    plugin: str = "lti",
    **changes: Any,
) -> list[Finding]:
    """What the check finds of a registration that is good but for `changes`."""
    async with loopback(handler) as server:
        base = server.url("")
        registration: Registration = a_registration(
            issuer=base, auth_url=base + "/auth", token_url=base + "/token", jwks_url=base + "/jwks", plugin=plugin
        )
        return await check_registration(replace(registration, **changes), deployments, PLUGINS.get(plugin), outbound)


def faults(findings: list[Finding]) -> dict[str, str]:
    return {finding.step: finding.status for finding in findings if finding.status != "ok"}


def said(findings: list[Finding], step: str) -> Finding:
    return next(finding for finding in findings if finding.step == step)


async def test_a_good_registration_passes_every_step(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [KEY]}))
    assert faults(findings) == {}
    assert [finding.step for finding in findings] == [
        "values", "state", "plugin", "deployment d1", "issuer", "auth-url", "token-url", "jwks-url", "key set",
    ]  # fmt: skip
    assert said(findings, "key set").detail == "1 usable"


async def test_missing_values_are_named_with_the_command_that_sets_them(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [KEY]}), client_id=None, token_url=None)
    assert faults(findings) == {"values": "fail"}
    assert said(findings, "values").fix == "ltihost registration set r1 client-id=... token-url=..."


async def test_without_a_key_set_url_nothing_is_fetched(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [KEY]}), jwks_url=None)
    assert faults(findings) == {"values": "fail"}
    assert "key set" not in [finding.step for finding in findings]


async def test_a_pending_registration_is_a_warning(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [KEY]}), state="pending")
    assert faults(findings) == {"state": "warn"}
    assert said(findings, "state").fix == "ltihost registration approve r1"


async def test_a_plugin_that_is_not_loaded_fails(outbound: Outbound) -> None:
    approved = replace(APPROVED, plugins=(EnabledPlugin("absent"),))
    findings = await check(outbound, answers({"keys": [KEY]}), plugin="absent", deployments=(approved,))
    assert faults(findings) == {"plugin": "fail"}


@pytest.mark.parametrize(
    ("deployment", "status", "fix"),
    [
        (replace(APPROVED, plugins=()), "fail", "ltihost plugin enable lti --tenant uni"),
        (replace(APPROVED, tenant=replace(TENANT, active=False)), "fail", "ltihost tenant resume uni"),
        (replace(APPROVED, state="pending"), "warn", "ltihost deployment approve r1 d1 --tenant SLUG --app SLUG"),
        (replace(APPROVED, state="disabled"), "warn", "ltihost deployment approve r1 d1 --tenant SLUG --app SLUG"),
    ],
)
async def test_a_deployment_that_would_not_launch(
    outbound: Outbound, deployment: Deployment, status: str, fix: str
) -> None:
    findings = await check(outbound, answers({"keys": [KEY]}), deployments=(deployment,))
    assert faults(findings) == {"deployment d1": status}
    assert said(findings, "deployment d1").fix == fix


async def test_no_deployment_yet_is_a_warning(outbound: Outbound) -> None:
    assert faults(await check(outbound, answers({"keys": [KEY]}), deployments=())) == {"deployments": "warn"}


async def test_a_deployment_id_is_quoted_for_the_shell(outbound: Outbound) -> None:
    odd = replace(APPROVED, deployment_id="1:a b", state="pending")
    finding = said(await check(outbound, answers({"keys": [KEY]}), deployments=(odd,)), "deployment 1:a b")
    assert finding.fix == "ltihost deployment approve r1 '1:a b' --tenant SLUG --app SLUG"


async def test_a_url_that_the_guard_refuses_fails_by_its_name(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [KEY]}), auth_url="https://user:pass@lms.example/auth")
    assert faults(findings) == {"auth-url": "fail"}


@pytest.mark.parametrize(
    ("handler", "detail"),
    [
        (answers({"keys": []}, status=404), "404"),
        (answers({}, status=302, location="https://elsewhere.example/"), "redirect"),
        (answers(b"<html>"), "no usable JSON"),
        (answers({"keys": {}}), "list named keys"),
        (answers({"keys": []}), "no usable key"),
        (answers({"keys": [public_jwk(rsa_key(), kid=None)]}), "no usable key"),
    ],
)
async def test_a_key_set_that_no_launch_could_use_fails(outbound: Outbound, handler: Handler, detail: str) -> None:
    findings = await check(outbound, handler)
    assert faults(findings) == {"key set": "fail"}
    assert detail in said(findings, "key set").detail
    assert said(findings, "key set").fix


async def test_the_only_key_needs_no_name_where_that_is_allowed(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [public_jwk(rsa_key(), kid=None)]}), allow_missing_kid=True)
    assert faults(findings) == {}


async def test_a_server_that_does_not_listen_is_a_failure_not_a_traceback(outbound: Outbound) -> None:
    async with loopback(answers({})) as server:
        gone = server.url("/jwks")
    findings = await check(outbound, answers({"keys": [KEY]}), jwks_url=gone)
    assert faults(findings) == {"key set": "fail"}


async def test_an_unusable_key_beside_a_good_one_is_a_warning(outbound: Outbound) -> None:
    findings = await check(outbound, answers({"keys": [KEY, KEY | {"kid": "k2", "e": "AQ"}]}))
    assert faults(findings) == {"key set": "warn"}
    assert "k2" in said(findings, "key set").detail
