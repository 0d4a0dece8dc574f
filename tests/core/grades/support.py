"""A gradebook in a database: a world, learners who launched into its context, and a line item that is ready."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store import tables
from ltihost.store.database import Database
from ltihost.store.grades import Claim, Intake, Platform, PlatformSign, Posted, Settled, Taken, Verdict
from ltihost.store.grades_store import Grades
from ltihost.store.ids import new_id
from ltihost.store.service_tables import DeliveryTry, Event, GradeEvent, GradeSlot, LineItem, PlatformHealth
from tests.core.store.support import ADA, BIOLOGY, DEPLOYMENT, World, make_world

OK = PlatformSign("ok")
CONFIRMED = Verdict("confirmed", platform=OK)
_KEYS = itertools.count(1)


@dataclass
class Book:
    """`shift` moves the store's time, in seconds."""

    world: World
    learners: list[str]
    context_id: str
    line_item_id: str
    shift: float = 0.0
    grades: Grades = field(init=False)

    def __post_init__(self) -> None:
        self.grades = Grades(self.db, shift=lambda now: now + self.shift)

    @property
    def db(self) -> Database:
        return self.world.db

    @property
    def tenant_id(self) -> str:
        return self.world.tenant.id

    @property
    def platform(self) -> Platform:
        return Platform(self.tenant_id, self.world.registration.id)

    def intake(self, given: str | int | None = 8, maximum: str | int | None = 10, **changes: Any) -> Intake:
        """A score for the first learner under a key of its own; `changes` to the intake or to what is posted."""
        posted = Posted(
            user_id=self.learners[0], kind="attempt", attempt=1, revision=1,
            given=None if given is None else Decimal(given), maximum=None if maximum is None else Decimal(maximum),
            activity_progress="Completed", grading_progress="FullyGraded",
        )  # fmt: skip
        for name in list(changes):
            if hasattr(posted, name):
                posted = replace(posted, **{name: changes.pop(name)})
        made = Intake(
            tenant_id=self.tenant_id, application_id=self.world.application.id, api_key_id="key",
            line_item_id=self.line_item_id, idempotency_key=f"key-{next(_KEYS)}",
            request_hash=hashlib.sha256(repr(posted).encode()).digest(), posted=posted,
        )  # fmt: skip
        return replace(made, **changes)

    async def take(self, given: str | int | None = 8, maximum: str | int | None = 10, **changes: Any) -> Taken:
        return await self.grades.take(self.intake(given, maximum, **changes))

    async def claim(self, most: int = 8, owner: str = "worker") -> tuple[Claim, ...]:
        return (await self.grades.claim(self.platform, owner=owner, most=most)).claims

    async def settle(self, claim: Claim, verdict: Verdict = CONFIRMED) -> Settled:
        (settled,) = await self.grades.settle([(claim, verdict)])
        return settled

    async def deliver(self) -> list[Claim]:
        """Claim and confirm once all that is due."""
        claims = list(await self.claim())
        for claim in claims:
            await self.settle(claim)
        return claims

    async def slot(self, learner: int = 0) -> GradeSlot:
        rows = await self.rows(GradeSlot)
        return next(row for row in rows if row.user_id == self.learners[learner])

    async def rows(self, table: type[Any]) -> Sequence[Any]:
        return await self.db.run_host(_rows, table, self.tenant_id)

    async def set(self, table: type[Any], **values: Any) -> None:
        """Change every row of the tenant in this table."""
        await self.db.run_host(_set, table, self.tenant_id, values)

    async def set_item(self, **values: Any) -> None:
        await self.set(LineItem, **values)


def _rows(session: Session, table: type[Any], tenant_id: str) -> Sequence[Any]:
    rows = session.scalars(select(table).where(table.tenant_id == tenant_id)).all()
    return sorted(rows, key=lambda row: str(getattr(row, "id", "")))


def _set(session: Session, table: type[Any], tenant_id: str, values: dict[str, Any]) -> None:
    for row in session.scalars(select(table).where(table.tenant_id == tenant_id)):
        for name, value in values.items():
            setattr(row, name, value)


async def make_book(db: Database, *, learners: int = 1, slug: str = "north", **item: Any) -> Book:
    """See the module; `item` changes the line item."""
    world = await make_world(db, slug)
    ids, context_id = [], ""
    for number in range(learners):
        user_id, context_id = await launch(world, f"learner-{number}")
        ids.append(user_id)
    line_item_id = await add_line_item(world, context_id, **item)
    return Book(world, ids, context_id, line_item_id)


async def launch(world: World, subject: str, **changes: Any) -> tuple[str, str]:
    """A launch of this person into the context; answers their id and the context's."""
    outcome = await world.db.hot.accept_launch(
        world.work(person=replace(ADA, key=subject, subject=subject), context=BIOLOGY, **changes)
    )
    assert outcome.refusal is None
    return str(outcome.user_id), str(outcome.context_id)


async def add_line_item(world: World, context_id: str, **changes: Any) -> str:
    """A line item of the application in the context."""
    now = time.time()
    values: dict[str, Any] = {
        "tenant_id": world.tenant.id, "id": new_id("lin"), "registration_id": world.registration.id,
        "deployment_id": DEPLOYMENT, "context_id": context_id, "application_owner": world.tenant.id,
        "application_id": world.application.id, "state": "ready", "coupled": False, "reservation": new_id("res"),
        "url": f"https://lms.example/items/{new_id('x')}", "label": "Quiz", "maximum": "10", "raw": {},
        "policy": "highest", "override_policy": "platform_wins", "extra_credit": False, "version": 1,
        "synced_version": 1, "created_at": now, "updated_at": now,
    } | changes  # fmt: skip
    await world.db.run_host(_add, LineItem(**values))
    return str(values["id"])


def _add(session: Session, row: tables.Base) -> None:
    session.add(row)
    session.flush()


__all__ = ["DeliveryTry", "Event", "GradeEvent", "GradeSlot", "LineItem", "PlatformHealth"]
