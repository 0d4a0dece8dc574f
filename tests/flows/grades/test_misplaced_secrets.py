"""S-81: scores for which a moved secret would be needed wait, those of others go out, and the operator hears of it once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store import keys, tables, tenants
from ltihost.store.crypto import SecretBox
from ltihost.store.secret_alarm import ACTION
from tests.core.grades.support import Book, GradeSlot, make_book
from tests.core.store.misplaced import copy_key, copy_secrets, put_key
from tests.core.store.support import ACTOR
from tests.flows.grades.rig import Rig, connect

DAY = 86_400.0


async def neighbour(rig: Rig) -> Book:
    """Another tenant with a score for the same gradebook."""
    book = await make_book(rig.book.db, slug="south", url=rig.lms.item_url("2"))
    await connect(book, rig.lms)
    await book.take(5)
    rig.host.routing.forget()
    return book


async def alarms(rig: Rig) -> list[tuple[str, str, Any]]:
    def read(session: Session) -> list[tuple[str, str, Any]]:
        rows = session.scalars(select(tables.Audit).where(tables.Audit.action == ACTION))
        return [(row.tenant_id, row.object_id.partition("/")[0], row.details["code"]) for row in rows]

    return await rig.book.db.run_host(read)


async def test_without_its_own_key_nothing_is_signed(rig: Rig) -> None:
    other = await neighbour(rig)
    mine, run = rig.book.world.registration.id, rig.book.db.run_host
    former = await run(copy_key, other.world.registration.id, mine)
    await rig.book.take(8)
    for _ in range(3):
        await rig.deliver(after=60)
    assert [entry.item for entry in rig.lms.ledger] == ["/items/2"]
    slot = await rig.book.slot()
    assert (slot.state, slot.code) == ("pending", "secret_altered")
    assert await alarms(rig) == [(rig.book.tenant_id, "key_pairs", "secret_altered")]
    await run(put_key, mine, former)
    await rig.deliver(after=DAY)
    assert rig.standing() == (8, 10)


async def test_without_a_secret_of_its_plugin_nothing_is_sent(rig: Rig) -> None:
    other = await neighbour(rig)
    run = rig.book.db.run_host

    async def seal(book: Book) -> None:
        await run(tenants.enable_plugin, book.tenant_id, "lti", secrets={"token": "x"}, actor=ACTOR)

    await seal(rig.book)
    await seal(other)
    await run(copy_secrets, other.tenant_id, rig.book.tenant_id)
    await rig.book.take(8)
    for _ in range(3):
        await rig.deliver(after=200)
    assert [entry.item for entry in rig.lms.ledger] == ["/items/2"]
    slot = await rig.book.slot()
    assert (slot.state, slot.code, slot.tries) == ("pending", "secret_unreadable", 0)
    assert await alarms(rig) == [(rig.book.tenant_id, "tenant_plugins", "secret_altered")]
    await seal(rig.book)
    await rig.deliver(after=30 * DAY)
    assert rig.standing() == (8, 10)


async def test_a_comment_that_does_not_open_keeps_back_no_grade(rig: Rig) -> None:
    """Neither its own nor those of others, which are claimed together with it."""
    await rig.book.take(8, comment="Well done")
    await rig.deliver()
    slot = await rig.book.slot()
    await rig.book.set(GradeSlot, confirmed_comment=slot.confirmed_comment[::-1])
    await rig.book.take(9, attempt=2)
    await rig.book.take(7, comment="So so", user_id=rig.book.learners[1])
    await rig.deliver(after=3)
    assert (rig.standing(0), rig.standing(1)) == ((9, 10), (7, 10))


async def test_a_grade_goes_out_without_a_comment_that_a_lost_key_sealed(rig: Rig) -> None:
    await rig.book.take(8, comment="Well done")
    rig.book.db.box = SecretBox(["another key without commas that is long enough"])
    (lost,) = await rig.book.db.run_host(keys.listed, rig.book.world.registration.id)
    await rig.book.db.run_host(keys.revoke, lost.id, actor=ACTOR)
    assert await rig.deliver() == 1
    (entry,) = rig.lms.ledger
    assert (entry.given, entry.body.get("comment")) == (8, None)
