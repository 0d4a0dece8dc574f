"""What a score may do where it wants to go, by what is known there. Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from ltihost.errors import Invalid, NotFound
from ltihost.lti.roles import read_roles
from ltihost.store.grades import NEVER, Intake
from ltihost.store.script import Row

#: Roles of people who are graded.
_LEARNERS = frozenset({"learner", "member"})


def placed(intake: Intake, place: Row) -> Intake:
    """The intake with the line item's maximum where the score names none. Raises NotFound and Invalid."""
    posted = intake.posted
    if place["line_item_id"] is None:
        raise no_line_item()
    if place["role"] is None:
        raise Invalid("user_not_in_context", "No such person is known in the line item's context.")
    if not _is_learner(place):
        raise Invalid("user_not_in_context", "The person is in the line item's context, but not as a learner now.")
    if posted.given is None:
        return intake
    maximum = posted.maximum or number(place["maximum"])
    if maximum is None:
        raise Invalid("maximum_missing", "The line item has no maximum of its own; state one with the score.")
    if posted.given > maximum and not place["extra_credit"]:
        raise Invalid("given_above_maximum", "The score is above its maximum, and the line item gives no extra credit.")
    return replace(intake, posted=replace(posted, maximum=maximum))


def _is_learner(place: Row) -> bool:
    """Whether the person launched into the context, or is on its newest roster, and is graded there.

    Who left the roster has `left_at`, until a launch brings them back.
    """
    if place["role"] is None:
        return False
    if place["source"] != "launch" and (not place["active"] or place["left_at"] is not None):
        return False
    return place["role"] in _LEARNERS or any(
        role.scope == "context" and role.role in _LEARNERS for role in read_roles(orjson.loads(place["roles"]))
    )


def moved(slot: Row, place: Row, now: float) -> dict[str, Any]:
    """The slot after something new should stand there. One that backs off goes on doing so."""
    after = dict(slot) | {"updated_at": now}
    if _goes_on(slot, place):
        # Two timestamps of a slot are a second apart, and none lies ahead.
        fresh = {"due_at": max(now, slot["last_second"] + 1.0), "tries": 0, "stale_tries": 0, "first_failed_at": None}
        after |= fresh | {"state": "pending", "code": None, "note": None, "paused_seconds": 0.0}
        if not is_ready(place):
            gone = place["state"] == "gone"
            after |= {"state": "blocked", "due_at": NEVER, "code": "line_item_gone" if gone else "line_item_pending"}
    return after


def is_ready(place: Row) -> bool:
    """Whether the line item has its column in the LMS."""
    return place["state"] == "ready" and place["url"] is not None


def _goes_on(slot: Row, place: Row) -> bool:
    match slot["state"]:
        case "idle":
            return True
        case "pending":
            return slot["first_failed_at"] is None
        case "dead":
            return bool(slot["due_at"] < NEVER)
        case "conflict":
            return bool(place["override_policy"] == "tool_wins")
    return False


def no_line_item() -> NotFound:
    """To raise, or to answer."""
    return NotFound("line_item_unknown", "The application has no such line item.")


def number(text: str | None) -> Decimal | None:
    """A number as it is stored: text, and so exact."""
    return None if text is None else Decimal(text)
