"""R-31: many slots, and a transaction that somebody left open while they are claimed and settled."""

from __future__ import annotations

import time

import asyncpg
import pytest

from ltihost.settings import Settings
from ltihost.store.database import Database
from ltihost.store.grades import AT_ONCE
from tests.core.grades.support import CONFIRMED, Book, make_book

pytestmark = pytest.mark.postgres

#: One slot in so many is due.
DUE_SHARE = 80

_COPIES = """
INSERT INTO {table} SELECT (jsonb_populate_record(one, jsonb_build_object({changes}))).*
  FROM {table} AS one, generate_series(1, $1::int) AS number
"""
_SLOTS = """
INSERT INTO grade_slots (tenant_id, id, registration_id, deployment_id, line_item_id, user_id, state, winner_event_id,
                         desired_rev, sent_rev, confirmed_rev, last_second, unknown_outcome, due_at, tries, stale_tries,
                         paused_seconds, lease_no, lease_until, updated_at)
SELECT l.tenant_id, 'dlv_' || place, l.registration_id, l.deployment_id, l.id, u.id,
       CASE WHEN place % $1 = 0 THEN 'pending' ELSE 'idle' END, 'gev_' || place, 1, CASE WHEN place % $1 = 0 THEN 0 ELSE 1 END,
       CASE WHEN place % $1 = 0 THEN 0 ELSE 1 END, 0, false, place / 1e6, 0, 0, 0, 0, 0, 0
  FROM (SELECT *, row_number() OVER (ORDER BY id) AS row FROM line_items) AS l,
       (SELECT *, row_number() OVER (ORDER BY id) AS row FROM users) AS u,
       LATERAL (SELECT (l.row - 1) * (SELECT count(*) FROM users) + u.row AS place) AS placed
"""
_FACTS = """
INSERT INTO grade_events (tenant_id, id, slot_id, kind, attempt, revision, given, maximum, activity_progress,
                          grading_progress, actor, request_hash, created_at)
SELECT tenant_id, winner_event_id, id, 'attempt', 1, 1, '7', '10', 'Completed', 'FullyGraded', 'key', '', 0
  FROM grade_slots
"""
#: One for each slot, spread over the last twelve days.
_TRIES = """
INSERT INTO delivery_tries (tenant_id, id, slot_id, rev, lease_no, second, started_at, ended_at, outcome, http_status)
SELECT tenant_id, 'dlt_' || row_number() OVER (), id, 1, 0, 0, at, at, 'confirmed', 200
  FROM grade_slots, LATERAL (SELECT extract(epoch FROM now()) - 1e6 * random() AS at) AS past
"""


async def test_what_is_due_among_many_slots_is_claimed_while_an_old_snapshot_is_open(
    postgres_settings: Settings,
) -> None:
    """Small counts and no bound; `make torture` has a million of each."""
    times = await claim_all(postgres_settings, 50)
    assert len(times) == 50 * 50 // DUE_SHARE // AT_ONCE + 2  # the last one finds nothing


async def claim_all(settings: Settings, side: int) -> list[float]:
    """Claim and confirm all that is due, while a snapshot from before is open; answers the seconds of each claim."""
    database = Database(settings)
    await database.open()
    book = await make_book(database)
    owner = await asyncpg.connect(settings.owner_database)
    reader = await asyncpg.connect(settings.owner_database)
    await fill(book, owner, side)
    snapshot = reader.transaction(isolation="repeatable_read")
    await snapshot.start()
    assert await reader.fetchval("SELECT count(*) FROM grade_slots WHERE state = 'pending'") == side * side // DUE_SHARE
    times = await _claims(book)
    assert await reader.fetchval("SELECT count(*) FROM grade_slots WHERE state = 'pending'") == side * side // DUE_SHARE
    await snapshot.rollback()
    assert await owner.fetchval("SELECT count(*) FROM grade_slots WHERE state <> 'idle'") == 0
    assert await owner.fetchval("SELECT count(*) FROM delivery_tries") == side * side + side * side // DUE_SHARE
    await reader.close()
    await owner.close()
    await database.close()
    return times


async def fill(book: Book, owner: asyncpg.Connection, side: int) -> None:
    """As many people and line items; a slot, a fact and a delivery of the past for each pair."""
    await book.take(1)  # the platform has a breaker then
    await owner.execute("DELETE FROM grade_events; DELETE FROM idempotency_keys; DELETE FROM grade_slots")
    people = "'id', 'usr_' || number, 'user_key', 'k' || number, 'subject', 's' || number"
    await owner.execute(_COPIES.format(table="users", changes=people), side - 1)
    items = "'id', 'lin_' || number, 'reservation', 'r' || number, 'url', 'https://lms.example/items/' || number"
    await owner.execute(_COPIES.format(table="line_items", changes=items), side - 1)
    await owner.execute(_SLOTS, DUE_SHARE)
    await owner.execute(_FACTS)
    await owner.execute(_TRIES)
    await owner.execute("VACUUM ANALYZE grade_slots, grade_events, delivery_tries, users, line_items")


async def _claims(book: Book) -> list[float]:
    times = []
    while True:
        started = time.perf_counter()
        claims = await book.claim(most=1_000)
        times.append(time.perf_counter() - started)
        if not claims:
            return times
        await book.grades.settle([(claim, CONFIRMED) for claim in claims])
