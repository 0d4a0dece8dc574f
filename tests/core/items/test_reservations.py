"""Reservations: whatever is wished for, in whatever order and together, equal wishes are one row and others are not."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.settings import Settings
from ltihost.store import directory, jobs, line_item_sync, line_items
from ltihost.store.database import Database
from ltihost.store.hot import LinkSeen
from ltihost.store.line_items import Wish
from ltihost.store.service_tables import LineItem
from tests.conftest import copy_sqlite
from tests.core.items.conftest import NOW, Placed, placed

_NAMES = st.none() | st.sampled_from(["a", "b", "a|b", '"', "null", "[]", "ä", " "]) | st.text(min_size=1, max_size=5)
_WISHES = st.lists(st.tuples(_NAMES, _NAMES), min_size=1, max_size=12)


def wish(resource_id: str | None = None, tag: str | None = None) -> Wish:
    return Wish("Quiz", Decimal(10), resource_id=resource_id, tag=tag)


def reserve(session: Session, here: Placed, wanted: Wish) -> tuple[LineItem, bool]:
    link = directory.resource_link(session, here.link_id)
    return line_items.reserve(session, link, here.application, wanted, NOW)


async def reserved(db: Database, here: Placed, wanted: Wish) -> tuple[str, bool]:
    row, made = await db.run(here.tenant_id, reserve, here, wanted)
    return row.id, made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=_WISHES)
def test_a_row_for_each_pair_of_names(
    wishes: list[tuple[str | None, str | None]], sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    usable = [(names[0], names[1]) for names in wishes if not any("\x00" in (name or "") for name in names)]
    usable = [names for names in usable if all((name or "").isprintable() for name in names)]

    async def run(chosen: Settings) -> dict[tuple[str | None, str | None], set[str]]:
        database = Database(chosen)
        await database.open()
        here = await placed(database)
        found: dict[tuple[str | None, str | None], set[str]] = {}
        for names in [*usable, *reversed(usable)]:
            identity, _ = await reserved(database, here, wish(*names))
            found.setdefault(names, set()).add(identity)
        await database.close()
        return found

    found = asyncio.run(run(copy_sqlite(sqlite_template, tmp_path_factory.mktemp("wishes"))))
    assert all(len(ids) == 1 for ids in found.values())
    assert len(set.union(set(), *found.values())) == len(found)


async def test_wishes_that_come_together_are_one(db: Database, here: Placed) -> None:
    found = await asyncio.gather(*(reserved(db, here, wish("quiz-1", "final")) for _ in range(20)))
    assert len({identity for identity, _ in found}) == 1
    assert sum(made for _, made in found) == 1


async def test_one_that_was_deleted_gives_its_names_back(db: Database, here: Placed) -> None:
    first, _ = await reserved(db, here, wish("quiz-1"))
    await db.run(here.tenant_id, line_items.delete, first, force=False, actor="test", now=NOW)
    assert (await reserved(db, here, wish("quiz-1")))[0] == first  # it is still on its way out
    await db.run(here.tenant_id, line_item_sync.removed, first, NOW)
    second, made = await reserved(db, here, wish("quiz-1"))
    assert (second != first, made) == (True, True)
    with pytest.raises(NotFound):
        await db.run(here.tenant_id, line_items.get, first)


async def test_policies_can_be_chosen_until_scores_come(db: Database, here: Placed) -> None:
    first, _ = await reserved(db, here, wish("quiz-1"))
    row, _ = await db.run(
        here.tenant_id, reserve, here, Wish("Quiz", Decimal(10), resource_id="quiz-1", policy="latest")
    )
    assert (row.id, row.policy) == (first, "latest")


async def test_a_link_outside_a_context_has_no_line_items(db: Database, here: Placed) -> None:
    outcome = await db.hot.accept_launch(here.world.work(context=None, link=LinkSeen("elsewhere", None, None)))

    def refuse(session: Session) -> None:
        link = directory.resource_link(session, outcome.resource_link_id or "")
        line_items.reserve(session, link, here.application, wish(), NOW)

    with pytest.raises(Conflict) as caught:
        await db.run(here.tenant_id, refuse)
    assert caught.value.code == "context_missing"


async def test_asking_again_for_one_that_failed_tries_again(db: Database, here: Placed) -> None:
    """Its job died: what hindered it may be over."""
    item, _ = await reserved(db, here, wish("quiz-1"))
    await db.run(here.tenant_id, _bury)
    await db.run(here.tenant_id, line_item_sync.troubled, item, "scope_missing", NOW)
    assert (await reserved(db, here, wish("quiz-1")))[0] == item
    assert [job.object_id for job in await db.run(here.tenant_id, jobs.listed, state="pending")] == [item]


def _bury(session: Session) -> None:
    for job in jobs.listed(session):
        job.state = "dead"
