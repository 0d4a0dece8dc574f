"""Notices from the platform: each trusted for its signature alone, and received once. Certification 7.7, PN."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.flows import notices as flow
from ltihost.flows.notices import BATCHES_PER_MINUTE, MAX_BODY
from ltihost.store import deployments, registrations, tenants
from ltihost.store.linking_tables import ContextOrigin, NoticeHandler
from ltihost.store.linking_tables import Notice as Row
from ltihost.store.service_tables import Event
from ltihost.store.tables import Context
from tests.flows.platform import CLIENT, DEPLOYMENT, ISSUER, LTI, Change, put
from tests.flows.rig import ACTOR, KEY, OTHER_KEY, Rig


def claims_of(rig: Rig, notice_id: str, kind: str, **more: Any) -> dict[str, Any]:
    """A notice with nothing wrong; it has no nonce and names nobody."""
    now = int(rig.clock())
    return {
        "iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 300, LTI + "version": "1.3.0",
        LTI + "deployment_id": DEPLOYMENT,
        LTI + "notice": {"id": notice_id, "timestamp": "2026-11-21T08:00:00Z", "type": kind},
    } | {LTI + name: value for name, value in more.items()}  # fmt: skip


def hello(rig: Rig, notice_id: str = "n-1", *changes: Change, key: Any = KEY) -> str:
    claims = claims_of(rig, notice_id, "LtiHelloWorldNotice")
    for change in changes:
        change(claims)
    return str(key.sign(KEY.header(), claims))


def copy(rig: Rig, notice_id: str = "c-1", new: str = "ctx-2", origins: Any = ("ctx-1",), **more: Any) -> str:
    told = {"context": {"id": new, "title": "Biology again"}, "origin_contexts": list(origins)} | more
    return KEY.sign(KEY.header(), claims_of(rig, notice_id, "LtiContextCopyNotice", **told))


async def post(rig: Rig, *tokens: Any, registration: str | None = None, **headers: str) -> httpx2.Response:
    body = json.dumps({"notices": [{"jwt": token} for token in tokens]}).encode()
    return await post_raw(rig, body, registration, **headers)


async def post_raw(rig: Rig, body: bytes, registration: str | None = None, **headers: str) -> httpx2.Response:
    path = f"/lti/notices/{registration or rig.registration.id}"
    return await rig.http.post(path, content=body, headers={"content-type": "application/json"} | headers)


async def rows(rig: Rig, model: type[Any]) -> list[Any]:
    return await rig.host.database.run_host(lambda session: list(session.scalars(select(model))))


async def told_events(rig: Rig) -> list[dict[str, Any]]:
    return [row.data for row in await rows(rig, Event) if row.type == "notice.received"]


async def test_a_notice_needs_no_cookie_no_state_and_no_nonce(rig: Rig) -> None:
    """PN-01, PN-06, NT2."""
    assert (await post(rig, hello(rig))).status_code == 204
    [row] = await rows(rig, Row)
    assert (row.notice_id, row.type, row.stated_at) == ("n-1", "LtiHelloWorldNotice", "2026-11-21T08:00:00Z")


async def test_the_same_notice_signed_again_has_no_second_effect(rig: Rig) -> None:
    """PN-03, NT3."""
    await rig.launch()
    for _ in range(2):
        rig.clock.now += 30
        assert (await post(rig, copy(rig), copy(rig))).status_code == 204
    assert len(await rows(rig, Row)) == 1
    assert len(await told_events(rig)) == 1


async def test_an_unknown_type_is_acknowledged(rig: Rig) -> None:
    """PN-04, NT4."""
    token = KEY.sign(KEY.header(), claims_of(rig, "x-1", "LtiBrandNewNotice"))
    assert (await post(rig, token)).status_code == 204
    assert await rows(rig, Event) == []


async def test_a_bad_notice_does_not_spoil_the_others(rig: Rig) -> None:
    """PN-02, NT4."""
    forged = hello(rig, "n-2", key=OTHER_KEY)
    assert (await post(rig, forged, 7, hello(rig, "n-3"), "a.b.c")).status_code == 204
    assert [row.notice_id for row in await rows(rig, Row)] == ["n-3"]


DEFECTS: list[tuple[str, Change]] = [
    ("aud", put(aud="client-9")),
    ("iss", put(iss="https://other.example")),
    ("azp", put(aud=[CLIENT], azp="stranger")),
    ("expired", put(exp=1_700_000_000, iat=1_699_999_900)),
    ("no exp", put(exp=None)),
    ("no version", put(lti_version=None)),
    ("unknown deployment", put(lti_deployment_id="deployment-9")),
    ("no deployment", put(lti_deployment_id=None)),
    ("no notice", put(lti_notice=None)),
    ("notice without id", put(lti_notice={"type": "LtiHelloWorldNotice"})),
    ("notice without type", put(lti_notice={"id": "n-1"})),
    ("a message", put(lti_message_type="LtiResourceLinkRequest")),
]


@pytest.mark.parametrize("change", [change for _, change in DEFECTS], ids=[name for name, _ in DEFECTS])
async def test_each_notice_with_one_defect_is_refused(rig: Rig, change: Change) -> None:
    """PN-05, NT1."""
    assert (await post(rig, hello(rig, "n-1", change))).status_code == 400
    assert await rows(rig, Row) == []
    assert (await post(rig, hello(rig))).status_code == 204


async def test_forged_notices_and_launch_tokens_are_refused(rig: Rig) -> None:
    """S-33: a token for one purpose serves no other."""
    flow = await rig.login()
    assert (await post(rig, hello(rig, key=OTHER_KEY), rig.token(flow))).status_code == 400
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, hello(rig, "n-9"))) == "nonce_mismatch"


async def test_a_context_copy_is_told_with_our_ids(rig: Rig) -> None:
    """PN-07. Contexts that the host does not know have no id of ours."""
    old = (await rig.exchange(await rig.launch()))["context"]["id"]
    assert (await post(rig, copy(rig, origins=["ctx-1", {"id": "ctx-unknown"}, 7]))).status_code == 204
    [told] = await told_events(rig)
    new = told["context_id"]
    assert told == {"notice": "LtiContextCopyNotice", "context_id": new, "origin_context_ids": [old]}
    [origin] = await rows(rig, ContextOrigin)
    assert (origin.context_id, origin.origin_context_id) == (new, old)
    launch = await rig.exchange(await rig.launch(put(lti_context={"id": "ctx-2"}, lti_resource_link={"id": "link-2"})))
    assert launch["context"]["id"] == new
    [event] = [row for row in await rows(rig, Event) if row.type == "notice.received"]
    assert event.application_id == rig.application.id


async def test_no_context_is_made_where_the_registration_makes_none(rig: Rig) -> None:
    await rig.launch()
    await rig.set(rig.registration.id, create_contexts="no")
    assert (await post(rig, copy(rig))).status_code == 204
    assert [row.lms_id for row in await rows(rig, Context)] == ["ctx-1"]
    assert [told["context_id"] for told in await told_events(rig)] == [None]


async def test_a_copy_without_a_context_is_no_notice(rig: Rig) -> None:
    assert (await post(rig, copy(rig, context=None))).status_code == 400
    assert (await post(rig, copy(rig, origin_contexts=None))).status_code == 204


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"notices": []}', b'{"notices": "x"}', b'{"notices": [{}]}', b"\xff", b'{"notices": [NaN]}'],
)
async def test_what_is_no_batch_is_refused(rig: Rig, body: bytes) -> None:
    assert (await post_raw(rig, body)).status_code == 400


async def test_batches_are_bounded(rig: Rig) -> None:
    """NT6."""
    good = hello(rig)
    assert (await post(rig, *[good] * 101)).status_code == 400
    assert (await post_raw(rig, b"x" * (MAX_BODY + 1))).status_code == 413
    padded = json.dumps({"notices": [{"jwt": good}], "padding": "x" * (MAX_BODY - 2_000)}).encode()
    assert (await post_raw(rig, padded)).status_code == 204
    answers = [(await post_raw(rig, b"{}")).status_code for _ in range(BATCHES_PER_MINUTE)]
    assert answers[-1] == 429
    assert answers[0] == 400
    rig.clock.now += 60
    assert (await post(rig, good)).status_code == 204


async def test_only_active_registrations_have_the_address(rig: Rig) -> None:
    assert (await post(rig, hello(rig), registration="reg_" + "a" * 26)).status_code == 404
    await rig.operator(registrations.disable, rig.registration.id, actor=ACTOR)
    assert (await post(rig, hello(rig))).status_code == 404


@pytest.mark.parametrize("switch", ["deployment", "tenant", "plugin"])
async def test_what_is_switched_off_receives_nothing(rig: Rig, switch: str) -> None:
    if switch == "deployment":
        await rig.operator(deployments.disable, rig.registration.id, DEPLOYMENT, actor=ACTOR)
    elif switch == "tenant":
        await rig.operator(tenants.suspend, rig.tenant.slug, actor=ACTOR)
    else:
        await rig.operator(tenants.disable_plugin, rig.tenant.id, "lti", actor=ACTOR)
    assert (await post(rig, hello(rig))).status_code == 400
    assert await rows(rig, Row) == []


async def test_the_platform_comes_again_when_its_keys_could_not_be_read(rig: Rig) -> None:
    """NT5: what fails for a while is not lost, and the good ones of the batch have their effect."""
    rig.keys.status = 500
    assert (await post(rig, hello(rig))).status_code == 503
    rig.keys.status = 200
    rig.clock.now += 3_600
    assert (await post(rig, hello(rig))).status_code == 204


async def test_the_platform_comes_again_when_the_database_is_busy(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from ltihost.errors import Busy

    def busy(*_: Any, **__: Any) -> None:
        raise Busy("busy", "The database is busy.")

    monkeypatch.setattr(flow.notices, "receive", busy)
    assert (await post(rig, hello(rig))).status_code == 503
    monkeypatch.undo()
    assert (await post(rig, hello(rig))).status_code == 204


async def test_a_greeting_verifies_the_address(rig: Rig) -> None:
    def told(session: Session) -> None:
        session.add(
            NoticeHandler(
                tenant_id=rig.tenant.id,
                registration_id=rig.registration.id,
                deployment_id=DEPLOYMENT,
                type="LtiContextCopyNotice",
                handler="x",
                service_url="y",
                registered_at=1.0,
            )
        )

    await rig.operator(told)
    assert (await post(rig, hello(rig))).status_code == 204
    [handler] = await rows(rig, NoticeHandler)
    assert handler.verified_at == rig.clock()
