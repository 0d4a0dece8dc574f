"""What became of a line item in the LMS: how the job that asked there writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ltihost import service_records
from ltihost.service_records import ServiceUrls
from ltihost.store import directory, events, line_items, services
from ltihost.store.line_items import _plain, has_slots, unblock, with_url
from ltihost.store.service_tables import LineItem as Row


@dataclass(frozen=True, slots=True)
class Task:
    """A line item and what the job needs to ask for it. `version` is what the application wants of it now."""

    state: str
    version: int
    synced_version: int
    own: bool
    line_item: service_records.LineItem
    urls: ServiceUrls
    link_lms_id: str | None


def task(session: Session, line_item_id: str) -> Task:
    """Raises NotFound."""
    row = line_items.get(session, line_item_id)
    link = directory.resource_link(session, row.resource_link_id).lms_id if row.resource_link_id else None
    return Task(
        state=row.state,
        version=row.version,
        synced_version=row.synced_version,
        own=not (row.reservation or "").startswith("link|"),
        line_item=line_items.record(row),
        urls=services.urls_of(session, row.context_id) or ServiceUrls(),
        link_lms_id=link,
    )


def bound(session: Session, line_item_id: str, found: service_records.LineItem, coupled: bool, now: float) -> bool:
    """The column was found in the LMS; answer whether something is to be told to it.

    What the LMS shows counts, unless the application changed its wish since. When another line item of ours is known
    under its URL and has scores, a person is needed.
    """
    row = line_items.get(session, line_item_id, locked=True)
    if not _freed(session, row, found.url or "", now):
        _alert(session, row, "line_item_taken", now)
        return False
    row.url, row.coupled, row.raw = found.url, row.coupled or coupled, dict(found.raw)
    if row.version == max(row.synced_version, 1):
        row.synced_version = row.version
        _take(row, found)
    _settle(session, row, now)
    return row.version > row.synced_version


def seen(session: Session, line_item_id: str, lms: service_records.LineItem, now: float) -> None:
    """This is what the LMS shows. What it was not told yet stays as it is wanted."""
    row = line_items.get(session, line_item_id, locked=True)
    if row.state not in ("ready", "gone") or row.url != lms.url:
        return
    row.raw = dict(lms.raw)
    if row.version == row.synced_version:
        _take(row, lms)
    if row.state == "gone":
        _settle(session, row, now)


def told(session: Session, line_item_id: str, answered: service_records.LineItem, version: int, now: float) -> None:
    """The LMS was told that version, and this is what it made of it. A change since then stays to be told."""
    row = line_items.get(session, line_item_id, locked=True)
    row.url = answered.url or row.url
    row.raw = dict(answered.raw)
    row.synced_version = max(row.synced_version, version)
    if row.version == version:
        _take(row, answered)
    if row.state == "deleting":
        row.updated_at = now
        session.flush()
        return
    _settle(session, row, now)


def troubled(session: Session, line_item_id: str, code: str, now: float) -> None:
    """It needs a person. A column that could not be deleted stands on; one that stands still takes scores."""
    row = line_items.get(session, line_item_id, locked=True)
    if row.state == "deleting":
        row.state = "ready" if row.url else "wanted"
    _alert(session, row, code, now)


def waits(session: Session, line_item_id: str, code: str | None, now: float) -> None:
    """Why it is not done yet; shown to the application."""
    row = line_items.get(session, line_item_id, locked=True)
    if row.state != "gone":
        row.code, row.updated_at = code, now
    session.flush()


def removed(session: Session, line_item_id: str, now: float) -> None:
    """It is gone from the LMS because the application wanted so: an equal wish makes a new one."""
    row = line_items.get(session, line_item_id, locked=True)
    row.state, row.reservation, row.code, row.updated_at = "deleted", None, None, now
    session.flush()


def gone(session: Session, line_item_id: str, now: float) -> None:
    """It was looked for and is not there; a person should know."""
    row = line_items.get(session, line_item_id, locked=True)
    if row.code != "line_item_gone":
        _alert(session, row, "line_item_gone", now)


def _freed(session: Session, row: Row, url: str, now: float) -> bool:
    """Whether the URL may be this row's: one that only a launch named gives it up, if no score came there."""
    other = with_url(session, row.registration_id, url)
    if other is None or other.id == row.id:
        return True
    noted = other.coupled and (other.reservation or "").startswith("link|")
    if not noted or has_slots(session, other.id) or other.application_id != row.application_id:
        return False
    row.coupled = row.coupled or other.coupled
    row.resource_link_id = row.resource_link_id or other.resource_link_id
    other.state, other.reservation, other.updated_at = "deleted", None, now
    session.flush()
    return True


def _take(row: Row, lms: service_records.LineItem) -> None:
    """The row says what the LMS says."""
    row.label = lms.label or row.label
    row.maximum = _plain(lms.maximum) if lms.maximum > 0 else row.maximum
    row.resource_id = lms.resource_id or row.resource_id
    row.tag = lms.tag or row.tag
    row.starts_at, row.ends_at = lms.starts_at or row.starts_at, lms.ends_at or row.ends_at
    row.grades_released = row.grades_released if lms.grades_released is None else lms.grades_released
    row.submission_review = dict(lms.submission_review) if lms.submission_review else row.submission_review


def _settle(session: Session, row: Row, now: float) -> None:
    row.state, row.code, row.updated_at = "ready", None, now
    session.flush()
    unblock(session, row.id, now)


def _alert(session: Session, row: Row, code: str, now: float) -> None:
    row.code, row.updated_at = code, now
    session.flush()
    data: Mapping[str, Any] = {
        "code": code, "line_item_id": row.id, "context_id": row.context_id, "resource_link_id": row.resource_link_id,
    }  # fmt: skip
    events.append(
        session, application_owner=row.application_owner, application_id=row.application_id, type="alert.raised",
        data=data, now=now,
    )  # fmt: skip
