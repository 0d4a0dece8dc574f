"""Line items: the columns of gradebooks that applications asked for, or that LMSs made with a link.

An application's wish becomes a row at once (`wanted`), and scores may come for it. A job then finds the column in the
LMS or makes it (`ready`); every later change is told the same way. `reservation` makes equal wishes one row, however
many come together. What was deleted in the LMS is `gone`: nobody makes it anew behind the teacher's back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost import service_records
from ltihost.errors import Conflict, NotFound
from ltihost.lti.vocabulary import SCOPE_LINE_ITEM
from ltihost.service_records import OverridePolicy, Policy
from ltihost.store import audit, deployments, directory, jobs
from ltihost.store.guard import UnboundError, lock, tenant_of
from ltihost.store.ids import new_id
from ltihost.store.linking_tables import ContentItem, LinkedItem
from ltihost.store.service_tables import ContextServices, GradeSlot
from ltihost.store.service_tables import LineItem as Row
from ltihost.store.tables import ResourceLink

KIND = "line_item"
#: What the LMS shows of a line item; a change of any of these is told to it.
TOLD = ("label", "maximum", "starts_at", "ends_at", "grades_released")
#: What only the host knows.
KEPT = ("policy", "override_policy", "extra_credit")


@dataclass(frozen=True, slots=True)
class Wish:
    """A line item as an application asks for it. What is None is left to the LMS, policies to the host."""

    label: str
    maximum: Decimal
    resource_id: str | None = None
    tag: str | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    grades_released: bool | None = None
    policy: Policy | None = None
    override_policy: OverridePolicy | None = None
    extra_credit: bool | None = None

    @property
    def own(self) -> bool:
        """Whether a column of its own is meant; else the one of the link."""
        return self.resource_id is not None or self.tag is not None


def record(row: Row, resource_link: str | None = None) -> service_records.LineItem:
    """The row as adapters and plugins know it; `resource_link` is the LMS's id of its link.

    A column that the LMS made and nobody read yet has an empty label and the maximum 1.
    """
    return service_records.LineItem(
        id=row.id,
        label=row.label or "",
        maximum=Decimal(row.maximum or "1"),
        url=row.url,
        resource_id=row.resource_id,
        tag=row.tag,
        resource_link=resource_link,
        coupled=row.coupled,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        grades_released=row.grades_released,
        submission_review=row.submission_review,
        raw=row.raw,
    )


def get(session: Session, line_item_id: str, *, locked: bool = False, alone: bool = False) -> Row:
    """Raises NotFound, also for one that was deleted. `locked` holds the row until the transaction ends, and lets scores
    come that refer to it; `alone` keeps a person's first score off too."""
    query = select(Row).where(Row.id == line_item_id, Row.state != "deleted")
    if locked or alone:
        query = query.with_for_update(key_share=not alone)
    row = session.scalars(query).first()
    if row is None:
        raise NotFound("line_item_unknown", "There is no such line item.")
    return row


def of_link(
    session: Session, resource_link_id: str, application_id: str, *, after: str | None = None, limit: int = 500
) -> list[Row]:
    """The application's line items of a link, by id, those after `after`."""
    query = select(Row).where(
        Row.resource_link_id == resource_link_id, Row.application_id == application_id, Row.state != "deleted"
    )
    query = query if after is None else query.where(Row.id > after)
    return list(session.scalars(query.order_by(Row.id).limit(limit)))


def coupled(session: Session, resource_link_id: str) -> Row | None:
    """The line item that the LMS made with the link, if a launch named it and it stands."""
    return session.scalars(
        select(Row).where(Row.resource_link_id == resource_link_id, Row.coupled, Row.state == "ready").order_by(Row.id)
    ).first()


def with_url(session: Session, registration_id: str, url: str) -> Row | None:
    """The line item that is known under this URL of the platform."""
    return session.scalars(
        select(Row).where(Row.registration_id == registration_id, Row.url == url, Row.state != "deleted")
    ).first()


def want(session: Session, resource_link_id: str, wish: Wish, now: float) -> tuple[Row, bool]:
    """`reserve` for the application to which the link's deployment belongs.

    Raises NotFound, and Conflict: `context_missing`, `line_items_unavailable` when the LMS lets us make none there.
    """
    link = directory.resource_link(session, resource_link_id)
    deployment = deployments.get(session, link.registration_id, link.deployment_id)
    application = deployment.application_owner or "", deployment.application_id or ""
    row, made = reserve(session, link, application, wish, now)
    if made and not _offered(session, row.context_id):
        raise Conflict("line_items_unavailable", "The LMS lets the host make no line items in this context.")
    return row, made


def reserve(
    session: Session, link: ResourceLink, application: tuple[str, str], wish: Wish, now: float
) -> tuple[Row, bool]:
    """Find or make the application's line item; answer it and whether it was made. `application` is owner and id.

    Equal wishes of a context (resource id and tag) are one. A wish without both means the link's column: the LMS's own
    if there is one. Raises Conflict (`context_missing`) for a link outside a context.
    """
    if link.context_id is None:
        raise Conflict("context_missing", "The link belongs to no context; the LMS keeps no grades for it.")
    lock(session, f"line items {link.context_id}")
    found = _wished(session, link, application[1], wish)
    if found is not None:
        if found.state == "wanted" and found.code is not None:  # it may be that nobody tries any more
            want_job(session, found, now)
        return _with_policies(session, found, wish), False
    row = Row(
        **_place(session, link.registration_id, link.deployment_id, link.context_id, link.id, application, now),
        state="wanted",
        coupled=False,
        reservation=_reservation(link.id, wish),
        label=wish.label,
        maximum=_plain(wish.maximum),
        resource_id=wish.resource_id
        if wish.own
        else link.id,  # by it the column is found again, should answers get lost
        tag=wish.tag,
        starts_at=wish.starts_at,
        ends_at=wish.ends_at,
        grades_released=wish.grades_released,
        policy=wish.policy or "highest",
        override_policy=wish.override_policy or "platform_wins",
        extra_credit=bool(wish.extra_credit),
        version=1,
        synced_version=0,
    )
    session.add(row)
    session.flush()
    want_job(session, row, now)
    return row, True


def note_coupled(
    session: Session,
    *,
    place: tuple[str, str],
    context_id: str,
    resource_link_id: str,
    application: tuple[str, str],
    url: str,
    now: float,
) -> None:
    """Keep the line item that a launch named as its link's own. A link whose line item moved keeps its row and id.

    `place` are registration and deployment, `application` owner and id.
    """
    known = with_url(session, place[0], url)
    if known is not None and known.state != "gone":
        known.resource_link_id = known.resource_link_id or resource_link_id
        return
    lock(session, f"line items {context_id}")
    row = with_url(session, place[0], url) or _reserved(session, context_id, application[1], f"link|{resource_link_id}")
    if row is None:
        row = Row(
            **_place(session, *place, context_id, resource_link_id, application, now),
            state="ready", coupled=True, reservation=f"link|{resource_link_id}", url=url, policy="highest",
            override_policy="platform_wins", extra_credit=False, version=1, synced_version=1,
        )  # fmt: skip
        session.add(row)
        session.flush()
    elif row.url != url and not row.coupled and row.state != "wanted":
        return  # we made a column for this link before the LMS did: scores went there, and go on to
    else:
        row.coupled = row.coupled or row.url is None
        row.url, row.state, row.code, row.updated_at = url, "ready", None, now
        row.synced_version = row.version
        session.flush()
        unblock(session, row.id, now)
    want_job(session, row, now)


def change(session: Session, line_item_id: str, changes: Mapping[str, Any], now: float) -> Row:
    """Change what the application may: `TOLD` and `KEPT`. What the LMS shows is told to it by a job.

    Raises NotFound; Conflict when the line item is gone or being deleted, and when the policy changes after grades came.
    """
    row = get(session, line_item_id, locked=True)
    if row.state in ("gone", "deleting"):
        raise Conflict(f"line_item_{row.state}", "The line item is no longer in the LMS, or about to go.")
    changes = {name: _plain(value) if isinstance(value, Decimal) else value for name, value in changes.items()}
    changed = {name for name, value in changes.items() if getattr(row, name) != value}
    if "policy" in changed and has_slots(session, row.id):
        raise Conflict("line_item_has_grades", "The policy cannot change once scores came under the old one.")
    for name in changed:
        setattr(row, name, changes[name])
    row.updated_at = now if changed else row.updated_at
    if changed & set(TOLD):
        row.version += 1
        session.flush()
        want_job(session, row, now)
    session.flush()
    return row


def delete(session: Session, line_item_id: str, *, force: bool, actor: str, now: float) -> Row:
    """Let a job delete the column in the LMS, and everything in it.

    Raises NotFound, and Conflict: `line_item_coupled` (it belongs to the LMS's link), `line_item_has_grades` unless
    `force`.
    """
    row = get(session, line_item_id, alone=True)
    if row.coupled:
        raise Conflict("line_item_coupled", "The LMS made this line item with the link; delete the link in the LMS.")
    if not force and has_slots(session, row.id):
        raise Conflict("line_item_has_grades", "The line item has grades; say force=true to delete them with it.")
    row.state, row.code, row.updated_at = "deleting", None, now
    session.flush()
    audit.append(
        session, row.tenant_id, actor=actor, action="line_item.deleted", object_id=row.id, details={"force": force}
    )
    want_job(session, row, now)
    return row


def lost(session: Session, line_item_id: str, url: str, now: float, *, look: bool = True) -> bool:
    """The LMS answered 404 under this URL: let a job look where the column went (unless one does already, and says so
    by `look`); False when that was known.

    To be called after the score that met with it was stored as blocked: if the column has been found elsewhere by then,
    that score goes on. Why it is not there, the LMS does not say: moved, or deleted by a teacher.
    """
    row = get(session, line_item_id, locked=True)
    if row.state != "ready":
        return False
    if row.url != url:
        unblock(session, row.id, now)
        return False
    row.state, row.code, row.updated_at = "gone", "line_item_missing", now
    session.flush()
    if look:
        want_job(session, row, now)
    return True


def wake(session: Session, context_id: str, now: float) -> None:
    """The context's services changed: what waits for them may go on."""
    waiting = select(Row).where(
        Row.context_id == context_id, Row.state.in_(["wanted", "gone", "deleting"]), Row.code.is_not(None)
    )
    for row in session.scalars(waiting):
        want_job(session, row, now)


def want_job(session: Session, row: Row, now: float) -> None:
    """Let a worker make the LMS agree with the row. One job for everything that is wanted of it."""
    jobs.put(
        session, kind=KIND, registration_id=row.registration_id, deployment_id=row.deployment_id, object_id=row.id,
        now=now,
    )  # fmt: skip


def has_slots(session: Session, line_item_id: str) -> bool:
    """Whether scores came for it."""
    return session.scalar(select(GradeSlot.id).where(GradeSlot.line_item_id == line_item_id).limit(1)) is not None


def unblock(session: Session, line_item_id: str, now: float) -> None:
    """Scores that waited for the column may go."""
    for slot in session.scalars(
        select(GradeSlot).where(GradeSlot.line_item_id == line_item_id, GradeSlot.state == "blocked").with_for_update()
    ):
        slot.state = "idle" if slot.confirmed_rev == slot.desired_rev else "pending"
        slot.due_at, slot.code, slot.updated_at = now, None, now
        # What it waited for a column says nothing about the LMS: tries and horizon begin anew.
        slot.tries = slot.stale_tries = 0
        slot.first_failed_at, slot.paused_seconds = None, 0.0
    session.flush()


def _offered(session: Session, context_id: str) -> bool:
    services = session.scalars(select(ContextServices).where(ContextServices.context_id == context_id)).first()
    return services is not None and services.line_items_url is not None and SCOPE_LINE_ITEM in services.ags_scopes


def _wished(session: Session, link: ResourceLink, application_id: str, wish: Wish) -> Row | None:
    reserved = _reserved(session, link.context_id or "", application_id, _reservation(link.id, wish))
    if reserved is not None:
        return reserved
    if not wish.own or _declared(session, link.id, wish):
        return _coupled_of(session, link.id, application_id)
    return session.scalars(
        _standing(link.context_id or "", application_id).where(Row.resource_id == wish.resource_id, Row.tag == wish.tag)
    ).first()


def _declared(session: Session, resource_link_id: str, wish: Wish) -> bool:
    """Whether the link came with this very line item when it was picked: some LMSs do not show its names any more."""
    declared = session.scalars(
        select(ContentItem.line_item)
        .join(LinkedItem, LinkedItem.content_item_id == ContentItem.id)
        .where(LinkedItem.resource_link_id == resource_link_id)
    ).first()
    names = (declared or {}).get("resource_id"), (declared or {}).get("tag")
    return wish.own and names == (wish.resource_id, wish.tag)


def _coupled_of(session: Session, resource_link_id: str, application_id: str) -> Row | None:
    return session.scalars(
        select(Row).where(
            Row.resource_link_id == resource_link_id, Row.coupled, Row.application_id == application_id,
            Row.state != "deleted",
        )
    ).first()  # fmt: skip


def _reserved(session: Session, context_id: str, application_id: str, reservation: str) -> Row | None:
    return session.scalars(_standing(context_id, application_id).where(Row.reservation == reservation)).first()


def _standing(context_id: str, application_id: str) -> Any:
    return select(Row).where(
        Row.context_id == context_id, Row.application_id == application_id, Row.state != "deleted"
    ).order_by(Row.id)  # fmt: skip


def _reservation(resource_link_id: str, wish: Wish) -> str:
    return f"own|{json.dumps([wish.resource_id, wish.tag])}" if wish.own else f"link|{resource_link_id}"


def _with_policies(session: Session, row: Row, wish: Wish) -> Row:
    """Until scores come, whoever asks last says how they are judged."""
    wanted = {name: getattr(wish, name) for name in KEPT if getattr(wish, name) not in (None, getattr(row, name))}
    if wanted and not has_slots(session, row.id):
        for name, value in wanted.items():
            setattr(row, name, value)
        session.flush()
    return row


def _place(
    session: Session, registration_id: str, deployment_id: str, context_id: str, resource_link_id: str | None,
    application: tuple[str, str], now: float,
) -> dict[str, Any]:  # fmt: skip
    tenant_id = tenant_of(session)
    if tenant_id is None:
        raise UnboundError("A line item belongs to one tenant.")
    return {
        "tenant_id": tenant_id, "id": new_id("lin"), "registration_id": registration_id, "deployment_id": deployment_id,
        "context_id": context_id, "resource_link_id": resource_link_id, "application_owner": application[0],
        "application_id": application[1], "raw": {}, "created_at": now, "updated_at": now,
    }  # fmt: skip


def _plain(value: Decimal) -> str:
    """A decimal without exponent, and without zeros at its end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
