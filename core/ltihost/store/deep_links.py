"""Deep linking conversations: from the launch of the picker to the one answer that goes back to the platform.

A row is made when the application first asks about it; until then the launch alone says everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, NotFound
from ltihost.launch_record import LaunchRow
from ltihost.store import tables
from ltihost.store.guard import lock
from ltihost.store.linking_tables import ContentItem
from ltihost.store.linking_tables import DeepLink as Row

#: How long after the launch an answer is taken, and how long after that the browser may bring it back at least.
OPEN_SECONDS = 2 * 3_600
RETURN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class DeepLink:
    """A conversation and the launch that began it. `state`: open, finished (waits for the browser), returned.

    `answer` is empty while it is open; then it has `items` (the wire's), `message`, `error` and `warnings`.
    """

    id: str
    tenant_id: str
    application_owner: str
    application_id: str
    registration_id: str
    deployment_id: str
    state: str
    request_hash: bytes | None
    answer: Mapping[str, Any]
    expires_at: float
    launch: LaunchRow


def get(session: Session, link_id: str, application_id: str | None = None) -> DeepLink:
    """The conversation, of this application if one is named. Raises NotFound."""
    launch = session.scalars(
        select(tables.Launch).where(
            tables.Launch.id == link_id, tables.Launch.outcome == "accepted", tables.Launch.message == "deep_linking"
        )
    ).first()
    if launch is None or application_id not in (None, launch.application_id):
        raise NotFound("deep_link_unknown", "There is no such deep linking conversation.")
    return _record(_row(session, launch), launch)


def finish(
    session: Session,
    link: DeepLink,
    *,
    request_hash: bytes,
    answer: Mapping[str, Any],
    items: Iterable[ContentItem],
    now: float,
) -> None:
    """Keep the answer and remember its items, once. The same request again changes nothing; another raises Conflict."""
    lock(session, f"deep link {link.id}")
    found = get(session, link.id)
    if found.state != "open":
        check_same(found, request_hash)
        return
    session.execute(
        update(Row)
        .where(Row.id == link.id)
        .values(
            state="finished",
            request_hash=request_hash,
            answer=dict(answer),
            finished_at=now,
            expires_at=max(link.expires_at, now + RETURN_SECONDS),
        )
    )
    session.add_all(items)
    session.flush()


def check_same(link: DeepLink, request_hash: bytes) -> None:
    """Raise Conflict when this finished conversation was finished by another request."""
    if link.request_hash != request_hash:
        raise Conflict("deep_link_finished", "This conversation was finished already, with another answer.")


def spend(session: Session, link_id: str, now: float) -> bool:
    """Note that the answer is on its way; False when it was already."""
    changed = session.execute(
        update(Row).where(Row.id == link_id, Row.state == "finished").values(state="returned", returned_at=now)
    )
    return bool(cast("CursorResult[Any]", changed).rowcount)


def _row(session: Session, launch: tables.Launch) -> Row:
    row = _found(session, launch.id)
    if row is None:
        lock(session, f"deep link {launch.id}")
        row = _found(session, launch.id) or _opened(session, launch)
    return row


def _found(session: Session, link_id: str) -> Row | None:
    query = select(Row).where(Row.id == link_id).execution_options(populate_existing=True)
    return session.scalars(query).first()


def _opened(session: Session, launch: tables.Launch) -> Row:
    row = Row(
        tenant_id=launch.tenant_id,
        id=launch.id,
        application_owner=launch.application_owner,
        application_id=launch.application_id,
        state="open",
        request_hash=None,
        answer={},
        expires_at=launch.at + OPEN_SECONDS,
        finished_at=None,
        returned_at=None,
    )
    session.add(row)
    session.flush()
    return row


def _record(row: Row, launch: tables.Launch) -> DeepLink:
    began = {name: getattr(launch, name) for name in LaunchRow.__dataclass_fields__}
    return DeepLink(
        id=row.id,
        tenant_id=row.tenant_id,
        application_owner=row.application_owner,
        application_id=row.application_id,
        registration_id=cast("str", launch.registration_id),
        deployment_id=cast("str", launch.deployment_id),
        state=row.state,
        request_hash=row.request_hash,
        answer=row.answer,
        expires_at=row.expires_at,
        launch=LaunchRow(**began),
    )
