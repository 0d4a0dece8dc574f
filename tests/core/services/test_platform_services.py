"""The services over the real store: whose work may be done, where a token may go, with which key it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ltihost.bindings import NotBound
from ltihost.host import Host
from ltihost.plugins import (
    Delivered,
    GiveUp,
    KeepsGradebook,
    LineItem,
    PicksContent,
    ReadsRoster,
    RetryLater,
    SendsScores,
    ServiceUrls,
)
from ltihost.plugins.loader import load_plugins
from ltihost.records import HOST, Registration
from ltihost.settings import Settings
from ltihost.store import deployments, keys, registrations, tables, tenants
from ltihost.store.database import Database
from ltihost.store.service_tables import ServiceOrigin
from tests.core.services.rig import ALL_SCOPES, SCORE, assertion, replies
from tests.core.store.support import ACTOR, DEPLOYMENT, World, make_world
from tests.core.support_loopback import Request, Server, answers, in_turn, loopback


@dataclass
class Stage:
    host: Host
    world: World
    lms: Server

    @property
    def line_item(self) -> LineItem:
        return LineItem("lin_1", "Quiz", Decimal(10), url=self.lms.url("/items/7"))

    async def name_origin(
        self, origin: str | None = None, state: str = "accepted", deployment: str = DEPLOYMENT
    ) -> None:
        """What a launch does that names a service there."""
        place = (self.world.tenant.id, self.world.registration.id, deployment, origin or self.lms.url(""), state)
        await self.host.database.run(self.world.tenant.id, _add_origin, *place)

    async def send(self, line_item: LineItem | None = None) -> object:
        binding = await self.host.binding(self.world.registration.id, DEPLOYMENT)
        urls = ServiceUrls(ags_scopes=ALL_SCOPES)
        return await self.host.adapter(binding).send_score(urls, line_item or self.line_item, "u", SCORE, 1)

    @property
    def calls(self) -> list[Request]:
        return [request for request in self.lms.requests if request.path != "/token"]

    @property
    def kids(self) -> list[str]:
        return [assertion(request)[0]["kid"] for request in self.lms.requests if request.path == "/token"]


def _add_origin(session: Session, tenant: str, registration: str, deployment: str, origin: str, state: str) -> None:
    session.add(
        ServiceOrigin(
            tenant_id=tenant, registration_id=registration, deployment_id=deployment, kind="line_items", origin=origin,
            state=state, first_seen_at=1.0,
        )
    )  # fmt: skip


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with loopback(answers({"access_token": "secret-token-1", "expires_in": 3600})) as lms:
        host = Host.build(settings, plugins=load_plugins([]))
        await host.open()
        world = await make_world(host.database, token_url=lms.url("/token"), auth_url=lms.url("/auth"))
        yield Stage(host, world, lms)
        await host.close()


# Where a token may go


async def test_a_service_that_a_launch_named_gets_the_score(stage: Stage) -> None:
    await stage.name_origin()
    assert await stage.send() == Delivered()
    assert stage.calls[0].headers["authorization"] == "Bearer secret-token-1"


@pytest.mark.parametrize("state", ["held", None])
async def test_an_origin_that_is_held_or_unknown_sees_no_request(stage: Stage, state: str | None) -> None:
    if state:
        await stage.name_origin(state=state)
    assert await stage.send() == GiveUp("service_origin", at_once=True)
    assert stage.calls == []


async def test_an_origin_of_another_deployment_is_not_this_ones(stage: Stage) -> None:
    await stage.host.database.run_host(deployments.approve, stage.world.registration.id, "other", actor=ACTOR)
    await stage.name_origin(deployment="other")
    assert await stage.send() == GiveUp("service_origin", at_once=True)
    assert stage.calls == []


async def test_an_origin_of_another_tenant_is_not_this_ones(stage: Stage) -> None:
    other = await make_world(stage.host.database, "south")
    place = (other.tenant.id, other.registration.id, DEPLOYMENT, stage.lms.url(""), "accepted")
    await stage.host.database.run(other.tenant.id, _add_origin, *place)
    assert await stage.send() == GiveUp("service_origin", at_once=True)


async def test_an_origin_counts_from_the_launch_that_names_it(stage: Stage) -> None:
    await stage.name_origin("https://elsewhere.example")
    assert await stage.send() == GiveUp("service_origin", at_once=True)
    await stage.name_origin()
    assert await stage.send() == Delivered()


async def test_the_port_is_part_of_the_origin(stage: Stage) -> None:
    await stage.name_origin()
    async with loopback() as neighbour:
        item = LineItem("lin_1", "Quiz", Decimal(10), url=neighbour.url("/items/7"))
        assert await stage.send(item) == GiveUp("service_origin", at_once=True)
        assert neighbour.accepts == 0


# Keys and tokens


async def test_the_next_request_after_a_revocation_is_signed_with_another_key(stage: Stage) -> None:
    now = [0.0]
    stage.host.own_keys._looked_up._clock = lambda: now[0]
    await stage.name_origin()
    await stage.send()
    registration, tenant = stage.world.registration, stage.world.tenant
    first = await stage.host.database.run(tenant.id, keys.signing_key, registration.id)
    second = await stage.host.database.run(tenant.id, keys.revoke, first.kid, actor=ACTOR)
    now[0] += 5.0
    await stage.send()
    assert stage.kids == [first.kid, second]


async def test_a_private_key_is_opened_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    stage.host.own_keys._looked_up._clock = lambda: now[0]
    first = await stage.host.own_keys.current(stage.world.registration)
    monkeypatch.setattr("ltihost.own_keys.load_private_key", _never)
    now[0] += 6.0
    assert await stage.host.own_keys.current(stage.world.registration) is first


def _never(pem: bytes) -> None:
    pytest.fail("the key was opened again")


async def test_a_registration_on_the_shared_key_set_signs_with_the_hosts_key(stage: Stage) -> None:
    await stage.host.database.run_host(_use_host_keys, stage.world.registration.id)
    await stage.name_origin()
    await stage.send()
    assert stage.kids == [(await stage.host.database.run(HOST, keys.signing_key, HOST)).kid]


def _use_host_keys(session: Session, registration_id: str) -> None:
    session.execute(update(tables.Registration).where(tables.Registration.id == registration_id).values(key_set="host"))


async def test_without_a_key_the_work_waits(stage: Stage) -> None:
    await stage.name_origin()
    await stage.host.database.run_host(_forget_keys, stage.world.registration.id)
    assert await stage.send() == RetryLater("key_missing", applied="no")
    assert stage.lms.requests == []


def _forget_keys(session: Session, registration_id: str) -> None:
    session.execute(update(tables.KeyPair).where(tables.KeyPair.owner == registration_id).values(state="removed"))


def _everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _every_row(session: Session) -> str:
    mappers = tables.Base.registry.mappers
    return "\n".join(repr(row.values()) for mapper in mappers for row in session.scalars(select(mapper.class_)))


async def test_no_row_holds_a_token(stage: Stage) -> None:
    """S-87."""
    await stage.name_origin()
    assert await stage.send() == Delivered()
    stored = await stage.host.database.run_host(_every_row)
    assert stage.world.registration.id in stored
    assert "secret-token" not in stored


async def test_tokens_are_kept_in_memory_only(sqlite_settings: Settings, tmp_path: Path) -> None:
    """S-87: neither in the database's file nor beside it, so a host that starts again asks again."""
    async with loopback(answers({"access_token": "secret-token-1"})) as lms:
        host = Host.build(sqlite_settings, plugins=load_plugins([]))
        await host.open()
        world = await make_world(host.database, token_url=lms.url("/token"))
        stage = Stage(host, world, lms)
        await stage.name_origin()
        assert await stage.send() == Delivered()
        await host.close()
        stored = _everything_in(tmp_path)
        assert world.registration.id.encode() in stored
        assert b"secret-token" not in stored
        again = Host.build(sqlite_settings, plugins=load_plugins([]))
        await again.open()
        assert await Stage(again, world, lms).send() == Delivered()
        await again.close()
        assert len(stage.kids) == 2


async def test_an_lms_that_refuses_a_token_gets_a_new_one(stage: Stage) -> None:
    await stage.name_origin()
    await stage.send()
    stage.lms.handler = in_turn(replies(b"", 401), answers({"access_token": "secret-token-2"}), replies(b""))
    assert await stage.send() == Delivered()
    assert [call.headers["authorization"][-1] for call in stage.calls] == ["1", "1", "2"]


# Bindings


async def test_a_binding_says_whose_the_deployment_is(stage: Stage) -> None:
    binding = await stage.host.binding(stage.world.registration.id, DEPLOYMENT)
    assert (binding.tenant.id, binding.application.id) == (stage.world.tenant.id, stage.world.application.id)
    assert (binding.registration.id, binding.deployment_id) == (stage.world.registration.id, DEPLOYMENT)
    adapter = stage.host.adapter(binding)
    assert isinstance(adapter, KeepsGradebook | SendsScores | ReadsRoster | PicksContent)


Deed = Callable[[Database, World], Awaitable[None]]


async def _suspend(db: Database, world: World) -> None:
    await db.run_host(tenants.suspend, world.tenant.slug, actor=ACTOR)


async def _disable_registration(db: Database, world: World) -> None:
    await db.run_host(registrations.disable, world.registration.id, actor=ACTOR)


async def _disable_deployment(db: Database, world: World) -> None:
    await db.run_host(deployments.disable, world.registration.id, DEPLOYMENT, actor=ACTOR)


async def _disable_plugin(db: Database, world: World) -> None:
    await db.run_host(tenants.disable_plugin, world.tenant.id, "lti", actor=ACTOR)


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        (_suspend, "tenant_suspended"),
        (_disable_registration, "registration_inactive"),
        (_disable_deployment, "deployment_disabled"),
        (_disable_plugin, "plugin_disabled"),
    ],
)
async def test_what_is_switched_off_binds_nothing(stage: Stage, deed: Deed, code: str) -> None:
    await deed(stage.host.database, stage.world)
    with pytest.raises(NotBound) as refused:
        await stage.host.binding(stage.world.registration.id, DEPLOYMENT)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("registration", "deployment", "code"),
    [("reg_none", DEPLOYMENT, "registration_inactive"), (None, "none", "deployment_disabled")],
)
async def test_what_is_unknown_binds_nothing(
    stage: Stage, registration: str | None, deployment: str, code: str
) -> None:
    with pytest.raises(NotBound) as refused:
        await stage.host.binding(registration or stage.world.registration.id, deployment)
    assert refused.value.code == code


async def test_a_plugin_that_is_not_loaded_binds_nothing(stage: Stage) -> None:
    await stage.host.database.run_host(_use_plugin, stage.world.registration)
    with pytest.raises(NotBound) as refused:
        await stage.host.binding(stage.world.registration.id, DEPLOYMENT)
    assert refused.value.code == "plugin_unavailable"


def _use_plugin(session: Session, registration: Registration) -> None:
    session.execute(
        update(tables.Registration).where(tables.Registration.id == registration.id).values(plugin="absent")
    )
