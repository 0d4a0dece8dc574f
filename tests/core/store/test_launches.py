"""Looking for launches and attempts."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ltihost.errors import Invalid, NotFound
from ltihost.records import HOST
from ltihost.store import directory, launches
from tests.core.store.support import World, make_world


async def test_newest_first_page_by_page(world: World) -> None:
    now = time.time()
    attempts = [world.refused(at=now + number // 3) for number in range(23)]  # several at the same moment
    await world.db.hot.record_attempts(attempts)
    seen: list[str] = []
    cursor = None
    while True:
        page = await world.db.run(world.tenant.id, launches.page, cursor=cursor, limit=5)
        seen += [row.id for row in page.rows]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [item.id for item in sorted(attempts, key=lambda item: (item.at, item.id), reverse=True)]


async def test_every_filter(world: World) -> None:
    accepted = world.work()
    outcome = await world.db.hot.accept_launch(accepted)
    other = await make_world(world.db, "south")
    refused, waiting = world.refused(refusal="expired"), world.refused(outcome="waiting", refusal="browser_binding")
    unbound = world.refused(tenant_id=HOST, registration_id=None, refusal="unknown_registration", kind="login")
    elsewhere = other.refused(refusal="expired")
    await world.db.hot.record_attempts([refused, waiting, unbound, elsewhere])

    async def found(**filters: Any) -> set[str]:
        return {row.id for row in (await world.db.run_host(launches.page, **filters)).rows}

    assert await found() == {accepted.attempt.id, refused.id, waiting.id, unbound.id, elsewhere.id}
    assert await found(tenant_id=world.tenant.id) == {accepted.attempt.id, refused.id, waiting.id}
    assert await found(tenant_id=HOST) == {unbound.id}
    assert await found(registration_id=other.registration.id) == {elsewhere.id}
    assert await found(user_id=outcome.user_id or "") == {accepted.attempt.id}
    assert await found(outcome="waiting") == {waiting.id}
    assert await found(refusal="expired") == {refused.id, elsewhere.id}
    assert await found(refusal="expired", tenant_id=world.tenant.id) == {refused.id}


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "é", "____________"])
async def test_a_cursor_that_is_none_of_ours(world: World, cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        await world.db.run(world.tenant.id, launches.page, cursor=cursor)
    assert caught.value.code == "cursor_invalid"


async def test_one_by_its_id_or_by_the_code_that_somebody_read_out(world: World) -> None:
    accepted, refused = world.work(), world.refused()
    await world.db.hot.accept_launch(accepted)
    await world.db.hot.record_attempts([refused])
    show = world.db.run_host
    for attempt in (accepted.attempt, refused):
        for name in (attempt.id, attempt.code, attempt.code.lower().replace("-", " ")):
            assert (await show(launches.show, name)).id == attempt.id
    with pytest.raises(NotFound):
        await show(launches.show, "ZZZZ-ZZZZ")


async def test_the_newest_of_two_with_one_code(world: World) -> None:
    older = world.refused(at=100.0)
    newer = world.refused(at=200.0, code=older.code)
    await world.db.hot.record_attempts([older, newer])
    assert (await world.db.run_host(launches.show, older.code)).id == newer.id


async def test_people_of_a_registration(world: World) -> None:
    other = await make_world(world.db, "south")
    for item in (world, other):
        await item.db.hot.accept_launch(item.work())
    found = await world.db.run_host(directory.users, registration_id=other.registration.id)
    assert [row.tenant_id for row in found] == [other.tenant.id]
    assert await world.db.run_host(directory.count_users) == 2
    (context,) = await world.db.run(world.tenant.id, directory.contexts)
    (link,) = await world.db.run(world.tenant.id, directory.resource_links, context_id=context.id)
    assert link.context_id == context.id
    (member,) = await world.db.run(world.tenant.id, directory.memberships, context_id=context.id)
    assert await world.db.run(world.tenant.id, directory.memberships, user_id="usr_x") == []
    assert member.context_id == context.id
