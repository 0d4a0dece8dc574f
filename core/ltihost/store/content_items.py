"""Content items that deep linking returned, and the resource links that turned out to be theirs.

A platform tells nobody whether it kept an item: the first launch of a link does. A second link with the same item is a
copy; so is one whose history names another. Core spec 5.3.5, Deep Linking 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store import events
from ltihost.store.guard import lock, tenant_of
from ltihost.store.linking_tables import ContentItem, ContextOrigin, LinkedItem
from ltihost.store.tables import Context, ResourceLink


@dataclass(frozen=True, slots=True)
class Known:
    """What a launch must know of an item: whose it is and where it leads (None: the application's launch URL)."""

    id: str
    application_id: str
    registration_id: str
    url: str | None
    review_url: str | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A link as a launch showed it. The histories are the platform's ids, newest first."""

    link_id: str
    application_owner: str
    application_id: str
    item_id: str | None
    link_history: tuple[str, ...] = ()
    context_history: tuple[str, ...] = ()


def known(session: Session, item_id: str) -> Known | None:
    """The item of this id."""
    row = session.scalars(select(ContentItem).where(ContentItem.id == item_id)).first()
    return _known(row) if row else None


def known_by_history(
    session: Session, registration_id: str, deployment_id: str, history: Sequence[str]
) -> Known | None:
    """The item behind the newest link of a copied link's history that has one."""
    found = _links(session, registration_id, deployment_id, history)
    for link in found:
        linked = _linked(session, link.id)
        if linked is not None and linked.content_item_id is not None:
            return known(session, linked.content_item_id)
    return None


def note_link(session: Session, seen: Sighting, now: float) -> str | None:
    """Remember which item stands behind a link and where the link comes from; answer the type of the event this made.

    Seen again, nothing changes.
    """
    lock(session, f"link {seen.link_id}")
    link = session.scalars(select(ResourceLink).where(ResourceLink.id == seen.link_id)).one()
    row = _linked(session, link.id)
    if row is None:
        return _first_sight(session, seen, link, now)
    if seen.item_id is None or row.content_item_id == seen.item_id:
        return None
    former, row.content_item_id = row.content_item_id, seen.item_id
    return _tell(session, "link.changed", seen, link, now, former_content_item_id=former)


def _first_sight(session: Session, seen: Sighting, link: ResourceLink, now: float) -> str | None:
    origin = _origin(session, seen, link)
    item_id = seen.item_id
    if item_id is None and origin is not None:
        linked = _linked(session, origin.id)
        item_id = linked.content_item_id if linked else None
    if item_id is None and origin is None:
        return None
    session.add(
        LinkedItem(
            tenant_id=tenant_of(session),
            resource_link_id=link.id,
            content_item_id=item_id,
            origin_link_id=origin.id if origin else None,
            linked_at=now,
        )
    )
    item = session.scalars(select(ContentItem).where(ContentItem.id == item_id)).first()
    if item is not None and item.linked_at is None:
        item.linked_at = now
    if origin is None:
        return _tell(session, "link.created", seen, link, now, content_item_id=item_id)
    return _tell(
        session, "link.copied", seen, link, now,
        content_item_id=item_id, origin_link_id=origin.id, origin_context_id=origin.context_id,
    )  # fmt: skip


def _origin(session: Session, seen: Sighting, link: ResourceLink) -> ResourceLink | None:
    """The link that this one is a copy of: what the platform says comes before what the item's other links suggest."""
    told = _links(session, link.registration_id, link.deployment_id, seen.link_history)
    other = next((found for found in told if found.id != link.id), None)
    if other is not None or seen.item_id is None:
        return other
    origins = _origin_contexts(session, seen, link)
    others = session.execute(
        select(ResourceLink, LinkedItem)
        .join(LinkedItem, LinkedItem.resource_link_id == ResourceLink.id)
        .where(LinkedItem.content_item_id == seen.item_id, LinkedItem.resource_link_id != link.id)
        .order_by(LinkedItem.linked_at)
        .limit(1_000)
    )
    candidates = [found for found, _ in others]
    return next((found for found in candidates if found.context_id in origins), next(iter(candidates), None))


def _origin_contexts(session: Session, seen: Sighting, link: ResourceLink) -> set[str]:
    """Our ids of the contexts from which the link's context was copied, by its history and by notices."""
    by_history = session.scalars(
        select(Context.id).where(
            Context.registration_id == link.registration_id,
            Context.deployment_id == link.deployment_id,
            Context.lms_id.in_(seen.context_history),
        )
    )
    by_notice = session.scalars(
        select(ContextOrigin.origin_context_id).where(ContextOrigin.context_id == link.context_id)
    )
    return {*by_history, *by_notice}


def _links(session: Session, registration_id: str, deployment_id: str, history: Sequence[str]) -> list[ResourceLink]:
    """The links of this history that the host knows, in its order. Their ids mean something in one deployment only."""
    if not history:
        return []
    found = session.scalars(
        select(ResourceLink).where(
            ResourceLink.registration_id == registration_id,
            ResourceLink.deployment_id == deployment_id,
            ResourceLink.lms_id.in_(history),
        )
    )
    return sorted(found, key=lambda link: history.index(link.lms_id))


def _linked(session: Session, link_id: str) -> LinkedItem | None:
    return session.scalars(select(LinkedItem).where(LinkedItem.resource_link_id == link_id)).first()


def _tell(session: Session, kind: str, seen: Sighting, link: ResourceLink, now: float, **facts: str | None) -> str:
    data = {"resource_link_id": link.id, "context_id": link.context_id, "content_item_id": seen.item_id, **facts}
    events.append(
        session, application_owner=seen.application_owner, application_id=seen.application_id, type=kind, data=data,
        now=now,
    )  # fmt: skip
    return kind


def _known(row: ContentItem) -> Known:
    review = (row.line_item or {}).get("submission_review") or {}
    return Known(row.id, row.application_id, row.registration_id, row.url, review.get("url"))
