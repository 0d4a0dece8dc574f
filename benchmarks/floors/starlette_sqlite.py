"""floor-core: Starlette, joserfc, and SQLAlchemy Core in one writer thread that commits launches in groups (FULL)."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import SimpleQueue

from floors.tool import Accept, Accepted, RefusedError, build_app
from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    insert,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Connection

GROUP = 64
Work = tuple[Accepted, asyncio.Future[bool]]

metadata = MetaData()
nonces = Table("nonce", metadata, Column("hash", LargeBinary, primary_key=True), Column("seen_at", Float))
people = Table(
    "person", metadata,
    Column("id", Integer, primary_key=True), Column("registration", Integer), Column("subject", Text),
    Column("name", Text), Column("email", Text), Column("seen_at", Float),
    UniqueConstraint("registration", "subject"),
)  # fmt: skip
launches = Table(
    "launch", metadata,
    Column("id", Text, primary_key=True), Column("person", ForeignKey("person.id")), Column("claims", Text), Column("at", Float),
)  # fmt: skip
audit = Table(
    "audit", metadata,
    Column("id", Integer, primary_key=True), Column("what", Text), Column("launch", Text), Column("at", Float),
)  # fmt: skip

_nonce = upsert(nonces).on_conflict_do_nothing()
_person = upsert(people)
_person = _person.on_conflict_do_update(
    index_elements=["registration", "subject"],
    set_={name: _person.excluded[name] for name in ("name", "email", "seen_at")},
).returning(people.c.id)  # type: ignore[assignment]
_launch, _audit = insert(launches), insert(audit)


@asynccontextmanager
async def open_store() -> AsyncIterator[Accept]:
    loop, queue = asyncio.get_running_loop(), SimpleQueue[Work | None]()
    writer = threading.Thread(target=_write, args=(loop, queue))
    writer.start()

    async def accept(work: Accepted) -> None:
        future: asyncio.Future[bool] = loop.create_future()
        queue.put((work, future))
        if not await future:
            raise RefusedError("nonce spent")

    yield accept
    queue.put(None)
    await asyncio.to_thread(writer.join)


def _write(loop: asyncio.AbstractEventLoop, queue: SimpleQueue[Work | None]) -> None:
    engine = create_engine(f"sqlite:///{os.environ['FLOOR_DATABASE']}", connect_args={"isolation_level": None})
    with engine.connect() as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        metadata.create_all(connection)
        connection.commit()
        while (first := queue.get()) is not None:
            group = [first, *_waiting(queue)]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            done = [(future, _store(connection, work)) for work, future in group]
            connection.commit()
            loop.call_soon_threadsafe(_answer, done)


def _waiting(queue: SimpleQueue[Work | None]) -> list[Work]:
    """What else waits, up to a full group. The end mark goes back to be met when the group is done."""
    group: list[Work] = []
    while len(group) < GROUP - 1 and not queue.empty():
        if (item := queue.get()) is None:
            queue.put(None)
            break
        group.append(item)
    return group


def _store(connection: Connection, work: Accepted) -> bool:
    now, launch_id = time.time(), secrets.token_urlsafe(16)
    if not connection.execute(_nonce, {"hash": work.nonce, "seen_at": now}).rowcount:
        return False
    person = {name: getattr(work, name) for name in ("registration", "subject", "name", "email")}
    person_id = connection.execute(_person, {**person, "seen_at": now}).scalar_one()
    connection.execute(_launch, {"id": launch_id, "person": person_id, "claims": work.claims, "at": now})
    connection.execute(_audit, {"what": "launch.accepted", "launch": launch_id, "at": now})
    return True


def _answer(done: list[tuple[asyncio.Future[bool], bool]]) -> None:
    for future, stored in done:
        if not future.done():
            future.set_result(stored)


app = build_app(open_store)
