"""What stands in the LMS's gradebook, beside what it took from us. Nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.bindings import NotBound
from ltihost.errors import ServiceFailed
from ltihost.flows.grades.judge import same_grade
from ltihost.host import Host
from ltihost.service_records import LineItem, Result, Score, ServiceUrls
from ltihost.store import grade_queries, line_items, services, tables
from ltihost.store.grade_queries import Slot
from ltihost.store.service_tables import LineItem as Row


@dataclass(frozen=True, slots=True)
class Difference:
    """A person whose grade in the LMS is not the one it took from us; `standing` is None where it shows none."""

    slot: Slot
    standing: Result | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A line item that was read, or could not be (`code` says why)."""

    tenant_id: str
    line_item_id: str
    label: str | None
    compared: int = 0
    differences: tuple[Difference, ...] = ()
    code: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    registration_id: str
    deployment_id: str
    line_item: LineItem
    urls: ServiceUrls
    slots: Sequence[tuple[Slot, str]]


async def verify(
    host: Host, *, tenant_id: str | None = None, line_item_id: str | None = None
) -> AsyncIterator[Checked]:
    """Read the results of each line item that has a column, and compare them with what the LMS confirmed."""
    for tenant, item, label in await host.database.run_host(_items, tenant_id, line_item_id):
        place = await host.database.run(tenant, _place, item)
        try:
            binding = await host.binding(place.registration_id, place.deployment_id)
            found = await host.adapter(binding).results(place.urls, place.line_item)
        except (NotBound, ServiceFailed) as error:
            yield Checked(tenant, item, label, code=error.code)
            continue
        standing = {result.subject: result for result in found}
        different = tuple(
            Difference(slot, standing.get(subject))
            for slot, subject in place.slots
            if not same_grade(_confirmed(slot), standing.get(subject))
        )
        yield Checked(tenant, item, label, len(place.slots), different)


def _confirmed(slot: Slot) -> Score:
    confirmed = slot.confirmed
    given, maximum = (confirmed.given, confirmed.maximum) if confirmed else (None, None)
    return Score(given, maximum, "Completed", "FullyGraded")


def _items(session: Session, tenant_id: str | None, line_item_id: str | None) -> list[tuple[str, str, str | None]]:
    query = select(Row).where(Row.state == "ready", Row.url.is_not(None)).order_by(Row.tenant_id, Row.id)
    if tenant_id is not None:
        query = query.where(Row.tenant_id == tenant_id)
    if line_item_id is not None:
        query = query.where(Row.id == line_item_id)
    return [(row.tenant_id, row.id, row.label) for row in session.scalars(query)]


def _place(session: Session, line_item_id: str) -> _Place:
    row = line_items.get(session, line_item_id)
    slots = grade_queries.of_line_item(session, line_item_id)
    users = {slot.delivery.user_id for slot in slots}
    subjects = {user.id: user.subject for user in session.scalars(select(tables.User).where(tables.User.id.in_(users)))}
    return _Place(
        row.registration_id,
        row.deployment_id,
        line_items.record(row),
        services.urls_of(session, row.context_id) or ServiceUrls(),
        [(slot, subjects[slot.delivery.user_id]) for slot in slots if slot.confirmed is not None],
    )
