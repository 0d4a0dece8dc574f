"""`ltihost grade`: what became of scores, and bringing those up again that did not arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, actor, operate, slugs, tenant_id_of, with_database
from ltihost.commands.output import AsJson
from ltihost.errors import Invalid
from ltihost.flows.grades.verify import Checked, verify
from ltihost.host import Host
from ltihost.settings import Settings
from ltihost.store import grade_queries, registrations
from ltihost.store.database import Database
from ltihost.store.grade_queries import Fault, Slot
from ltihost.store.service_tables import DeliveryTry, GradeEvent

LineItemOption = Annotated[str | None, typer.Option("--line-item", metavar="ID", help="Only this line item's.")]


class StateName(StrEnum):
    """The states of a delivery (typer takes several of an enumeration, not of a Literal)."""

    idle = "idle"
    pending = "pending"
    leased = "leased"
    blocked = "blocked"
    waiting_enrolment = "waiting_enrolment"
    conflict = "conflict"
    dead = "dead"


def list_(
    tenant: TenantOption = None,
    state: Annotated[list[StateName] | None, typer.Option("--state", help="Only these; may be given again.")] = None,
    line_item: LineItemOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 200,
    as_json: AsJson = False,
) -> None:
    """List deliveries: those that did not arrive first, with the reason, then those that changed last."""
    found, names, lms = operate(
        _listed, tenant, states=[one.value for one in state or []], line_item_id=line_item, limit=limit
    )
    if as_json:
        output.document([slot_json(slot, names) for slot in found])
        return
    rows = [
        (
            slot.delivery.id, slot.delivery.state, slot.delivery.code, output.short(lms[slot.registration_id]),
            output.short(slot.context_title or slot.context_id), output.short(slot.line_item_label),
            slot.delivery.user_id, _wanted(slot), _standing(slot),
        )
        for slot in found
    ]  # fmt: skip
    columns = ("Delivery", "State", "Why", "LMS", "Context", "Line item", "Person", "Wanted", "In the LMS")
    output.table(columns, rows, empty="none")
    output.say_limit(len(found), limit)


def show(
    delivery: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")], as_json: AsJson = False
) -> None:
    """One delivery: what was stated for it, and each try to send it."""
    slot, events, tries, names = operate(_shown, delivery)
    if as_json:
        more = {"events": [_event_json(event) for event in events], "tries": [_try_json(one) for one in tries]}
        output.document(slot_json(slot, names) | more)
        return
    output.facts([(name, value) for name, value in _facts(slot, names) if value is not None])
    output.say()
    output.say(("Stated", "bold"))
    output.table(
        ("When", "Kind", "Attempt", "Revision", "Score", "Progress", "By API key"),
        [
            (output.moment(event.created_at), event.kind, event.attempt, event.revision,
             _pair(event.given, event.maximum), event.grading_progress, event.actor)
            for event in events
        ],
        empty="nothing",
    )  # fmt: skip
    output.say()
    output.say(("Sent", "bold"))
    output.table(
        ("When", "Revision", "Timestamp", "Outcome", "Why", "Status", "Note"),
        [
            (output.moment(one.started_at), one.rev, output.moment(one.second), one.outcome, one.code,
             one.http_status, one.note)
            for one in tries
        ],
        empty="never",
    )  # fmt: skip


def replay(
    deliveries: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Deliveries by id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that did not arrive.")] = False,
    tenant: TenantOption = None,
    line_item: LineItemOption = None,
    as_json: AsJson = False,
) -> None:
    """Send deliveries again, ten a second. With --all: those that are dead, blocked, waiting or in conflict."""
    if bool(deliveries) == everything:
        raise Invalid("replay_unclear", "Name deliveries, or say --all.")
    woken = operate(_replayed, deliveries or [], tenant, line_item)
    if as_json:
        output.document({"replayed": woken})
        return
    output.say(f"{len(woken)} {'delivery' if len(woken) == 1 else 'deliveries'} will be sent again.")


def verify_(tenant: TenantOption = None, line_item: LineItemOption = None, as_json: AsJson = False) -> None:
    """Read what stands in the LMSs and show where it differs from what they took; check the slots' own order.

    Nothing is written. The exit status is 1 when something is found.
    """

    async def work(settings: Settings, database: Database) -> tuple[list[Checked], list[Fault]]:
        tenant_id = await database.run_host(tenant_id_of, tenant)
        host = Host.build(settings)
        await host.open()
        try:
            checked = [item async for item in verify(host, tenant_id=tenant_id, line_item_id=line_item)]
        finally:
            await host.close()
        return checked, await database.run_host(_faults, tenant_id, line_item)

    checked, faults = with_database(work)
    if as_json:
        output.document(
            {"line_items": [_checked_json(item) for item in checked], "faults": [_fault_json(f) for f in faults]}
        )
    else:
        _print_checked(checked, faults)
    if faults or any(item.differences or item.code for item in checked):
        raise typer.Exit(1)


def slot_json(slot: Slot, names: dict[str, str | None]) -> dict[str, Any]:
    """The JSON form of a delivery."""
    delivery, confirmed, standing = slot.delivery, slot.confirmed, slot.standing
    return {
        "id": delivery.id,
        "tenant": names.get(slot.tenant_id),
        "state": delivery.state,
        "code": delivery.code,
        "note": slot.note,
        "context": {"id": slot.context_id, "title": slot.context_title},
        "line_item": {"id": delivery.line_item_id, "label": slot.line_item_label},
        "user_id": delivery.user_id,
        "wanted": _score_json(delivery.given, delivery.maximum),
        "confirmed": confirmed and _score_json(confirmed.given, confirmed.maximum),
        "standing": standing and _score_json(*standing),
        "read_at": output.iso(slot.read_at) if slot.read_at else None,
        "overridden": slot.overridden,
        "attempt": delivery.attempt,
        "tries": slot.tries,
        "due_at": output.iso(slot.due_at) if delivery.state == "pending" else None,
        "updated_at": output.iso(delivery.updated_at),
    }


def _listed(
    session: Session, /, tenant: str | None, **filters: Any
) -> tuple[list[Slot], dict[str, str | None], dict[str, str]]:
    """Slots, the slugs of tenants, and the names of registrations, both by id."""
    found = grade_queries.listed(session, tenant_id=tenant_id_of(session, tenant), **filters)
    return found, slugs(session), registrations.names(session)


def _shown(
    session: Session, delivery_id: str
) -> tuple[Slot, list[GradeEvent], list[DeliveryTry], dict[str, str | None]]:
    return (grade_queries.get(session, delivery_id), *grade_queries.history(session, delivery_id), slugs(session))


def _replayed(session: Session, ids: list[str], tenant: str | None, line_item_id: str | None) -> list[str]:
    return grade_queries.replay(
        session, ids, tenant_id=tenant_id_of(session, tenant), line_item_id=line_item_id, actor=actor(), now=time.time()
    )


def _faults(session: Session, tenant_id: str | None, line_item_id: str | None) -> list[Fault]:
    found = grade_queries.faults(session, time.time(), line_item_id=line_item_id)
    return [fault for fault in found if tenant_id in (None, fault.tenant_id)]


def _facts(slot: Slot, names: dict[str, str | None]) -> Iterable[tuple[str, object]]:
    delivery = slot.delivery
    yield "Delivery", delivery.id
    yield "State", " ".join(filter(None, (delivery.state, delivery.code)))
    yield "Note", slot.note
    yield "Tenant", names.get(slot.tenant_id)
    yield "Context", f"{slot.context_id} {slot.context_title or ''}".strip()
    yield "Line item", f"{delivery.line_item_id} {slot.line_item_label or ''}".strip()
    yield "Person", delivery.user_id
    yield "Wanted", _wanted(slot)
    yield "Confirmed", slot.confirmed and _pair(slot.confirmed.given, slot.confirmed.maximum)
    yield "In the LMS", _standing(slot)
    yield "Read there", output.moment(slot.read_at) if slot.read_at else None
    yield "Tries", slot.tries or None
    yield "Next try", output.moment(slot.due_at) if delivery.state == "pending" else None
    yield "Failing since", output.moment(slot.first_failed_at) if slot.first_failed_at else None


def _wanted(slot: Slot) -> str | None:
    return _pair(slot.delivery.given, slot.delivery.maximum)


def _standing(slot: Slot) -> str | None:
    """What stands in the LMS as far as is known: read there, else confirmed by it."""
    if slot.standing is not None:
        return f"{_pair(*slot.standing)}{' (changed there)' if slot.overridden else ''}"
    return None if slot.confirmed is None else _pair(slot.confirmed.given, slot.confirmed.maximum)


def _pair(given: object, maximum: object) -> str | None:
    return None if given is None else f"{given}/{maximum}"


def _score_json(given: Any, maximum: Any) -> dict[str, float | None]:
    return {"given": None if given is None else float(given), "maximum": None if maximum is None else float(maximum)}


def _event_json(event: GradeEvent) -> dict[str, Any]:
    return {
        "id": event.id, "kind": event.kind, "attempt": event.attempt, "revision": event.revision,
        **_score_json(event.given, event.maximum), "activity_progress": event.activity_progress,
        "grading_progress": event.grading_progress, "by": event.actor, "at": output.iso(event.created_at),
    }  # fmt: skip


def _try_json(one: DeliveryTry) -> dict[str, Any]:
    return {
        "id": one.id, "revision": one.rev, "timestamp": output.iso(one.second), "outcome": one.outcome,
        "code": one.code, "http_status": one.http_status, "note": one.note, "started_at": output.iso(one.started_at),
        "ended_at": output.iso(one.ended_at) if one.ended_at else None,
    }  # fmt: skip


def _checked_json(item: Checked) -> dict[str, Any]:
    return {
        "id": item.line_item_id,
        "label": item.label,
        "compared": item.compared,
        "code": item.code,
        "differences": [
            {
                "delivery": found.slot.delivery.id,
                "user_id": found.slot.delivery.user_id,
                "confirmed": found.slot.confirmed
                and _score_json(found.slot.confirmed.given, found.slot.confirmed.maximum),
                "standing": found.standing and _score_json(found.standing.given, found.standing.maximum),
            }
            for found in item.differences
        ],
    }


def _fault_json(fault: Fault) -> dict[str, str]:
    return {"delivery": fault.delivery_id, "code": fault.code}


def _print_checked(checked: list[Checked], faults: list[Fault]) -> None:
    rows = [
        (item.line_item_id, output.short(item.label), item.compared, len(item.differences), item.code)
        for item in checked
    ]
    output.table(("Line item", "Label", "Compared", "Different", "Unreadable"), rows, empty="no line items")
    different = [
        (
            found.slot.delivery.id, found.slot.delivery.user_id,
            found.slot.confirmed and _pair(found.slot.confirmed.given, found.slot.confirmed.maximum),
            found.standing and _pair(found.standing.given, found.standing.maximum),
        )
        for item in checked
        for found in item.differences
    ]  # fmt: skip
    if different:
        output.say()
        output.table(("Delivery", "User", "It took", "It shows"), different, empty="")
    for fault in faults:
        output.fail(f"delivery {fault.delivery_id} is not in order: {fault.code}")
