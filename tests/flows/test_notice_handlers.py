"""The platform is told our address for notices: after the launch that names its service, once, and again on change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from ltihost.flows.jobs import JobRunner
from ltihost.flows.notices import register_handlers
from ltihost.store import jobs
from ltihost.store.linking_tables import NoticeHandler
from ltihost.store.notices import JOB
from tests.flows.notice_service import NoticeService
from tests.flows.platform import Change, put
from tests.flows.rig import BASE, Rig

SCOPE = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
TYPES = ["LtiHelloWorldNotice", "LtiContextCopyNotice", "LtiSomethingElseNotice"]


@pytest.fixture
def service() -> Iterator[NoticeService]:
    made = NoticeService()
    yield made
    made.close()


def offers(url: str, types: list[str] | None = None) -> Change:
    told = {
        "platform_notification_service_url": url, "service_versions": ["1.0"], "scope": [SCOPE],
        "notice_types_supported": TYPES if types is None else types,
    }  # fmt: skip
    return put(lti_platformnotificationservice=told)


async def work(rig: Rig) -> int:
    runner = JobRunner(rig.host)
    runner.register(JOB, register_handlers)
    return await runner.work_once()


async def handlers(rig: Rig) -> list[Any]:
    def read(session: Any) -> list[Any]:
        return list(session.scalars(select(NoticeHandler).order_by(NoticeHandler.type)))

    return await rig.host.database.run_host(read)


async def test_a_launch_that_names_the_service_has_the_platform_told(rig: Rig, service: NoticeService) -> None:
    await rig.set(rig.registration.id, token_url=f"{service.origin}/token")
    await rig.launch(offers(service.url))
    assert service.told == [], "no launch waits for it"
    assert await work(rig) == 1
    handler = f"{BASE}/lti/notices/{rig.registration.id}"
    assert service.told == [
        {"notice_type": "LtiContextCopyNotice", "handler": handler},
        {"notice_type": "LtiHelloWorldNotice", "handler": handler},
    ]
    assert service.scopes == [SCOPE]
    assert [row.registered_at for row in await handlers(rig)] == [rig.clock()] * 2
    await rig.launch(offers(service.url))
    assert await work(rig) == 0


async def test_another_service_is_told_again_and_nothing_else_is(rig: Rig, service: NoticeService) -> None:
    await rig.set(rig.registration.id, token_url=f"{service.origin}/token")
    await rig.launch(offers(service.url))
    await work(rig)
    del service.told[:]
    await rig.launch(offers(service.url + "/new", ["LtiContextCopyNotice"]))
    assert await work(rig) == 1
    assert [body["notice_type"] for body in service.told] == ["LtiContextCopyNotice"]


@pytest.mark.parametrize("change", [put(), offers("https://lms.example/pns", ["LtiSomethingElseNotice"]), offers("x")])
async def test_without_a_service_for_what_is_wanted_nothing_is_wished(rig: Rig, change: Change) -> None:
    await rig.launch(change)
    assert await handlers(rig) == []
    assert await rig.host.database.run(rig.tenant.id, jobs.listed, kind=JOB) == []


async def test_what_the_platform_does_not_take_stays_wanted(rig: Rig, service: NoticeService) -> None:
    await rig.set(rig.registration.id, token_url=f"{service.origin}/token")
    service.status = 503
    await rig.launch(offers(service.url))
    await work(rig)
    first = (await handlers(rig))[0]
    assert (first.registered_at, bool(first.code)) == (None, True)
    service.status = 200
    rig.clock.now += 3_600
    assert await work(rig) == 1
    assert [(row.registered_at, row.code) for row in await handlers(rig)] == [(rig.clock(), None)] * 2
