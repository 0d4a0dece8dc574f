"""A score comes in: it is read, stored, and only then answered.

1 read      exact numbers, progress words, times that are past
2 store     ownership, idempotency, the fact, the slot: one transaction
3 hint      a worker hears that there is work
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ltihost.errors import Invalid, NotFound
from ltihost.host import Host
from ltihost.service_records import ActivityProgress, Delivery, GradingProgress
from ltihost.store.grades import Intake, Posted
from ltihost.store.grades_intake import exact
from ltihost.store.grades_store import Grades
from ltihost.store.hot import ApiKey
from ltihost.store.hot_values import findable

#: An application's clock may be so much ahead of ours.
LEEWAY_SECONDS = 60.0
MAX_KEY = 200


def _is_number(value: Any) -> Any:
    """A JSON number: text would hide how it was rounded."""
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _without_sign_of_zero(value: Decimal) -> Decimal:
    return abs(value)


#: Exact, finite and not negative. Fifteen digits survive any reader of JSON.
Number = Annotated[
    Decimal,
    BeforeValidator(_is_number),
    Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False),
    AfterValidator(_without_sign_of_zero),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
_ABOVE_ZERO = {"type": "number", "exclusiveMinimum": 0}


class ScoreBody(BaseModel):
    """What an application says that one person reached."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1, max_length=255, description="Our id of the person: `user.id` of the launch.")
    given: Number | None = Field(
        default=None,
        description="Null reports progress only; as a newer revision it takes back the grade of its attempt.",
    )
    maximum: Annotated[Number, Field(gt=0), WithJsonSchema(_ABOVE_ZERO)] | None = Field(
        default=None, description="The maximum that `given` is out of. Default: the line item's."
    )
    attempt: int = Field(default=1, ge=1, le=1_000_000, description="The application's number of the attempt.")
    revision: int = Field(default=1, ge=1, le=1_000_000, description="A correction of an attempt has a higher one.")
    activity_progress: ActivityProgress = "Completed"
    grading_progress: GradingProgress = "FullyGraded"
    comment: str | None = Field(default=None, max_length=10_000, description="Plain text for learner and teachers.")
    started_at: AwareDatetime | None = None
    submitted_at: AwareDatetime | None = None
    override: Literal["set", "clear"] | None = Field(
        default=None,
        description="`set` makes this score stand whatever the attempts say, `clear` ends that. Needs the scope "
        "`grades:override`.",
    )


async def post_score(
    host: Host, key: ApiKey, tenant_id: str, line_item_id: str, body: ScoreBody, idempotency_key: str
) -> Delivery:
    """Take one score in; durable when it returns. Answers the delivery it belongs to.

    Raises Invalid, NotFound and Conflict as `GradeStore.take` does, and Invalid for times that cannot be
    (`time_in_future`, `times_swapped`), for a score where none belongs (`clear_with_score`) and for a key that is none (`idempotency_key_invalid`).
    """
    _check_times(body, host.clock())
    if body.override == "clear" and body.given is not None:
        raise Invalid("clear_with_score", "Clearing an override states no score.")
    if not idempotency_key.isascii() or not idempotency_key.isprintable() or len(idempotency_key) > MAX_KEY:
        raise Invalid(
            "idempotency_key_invalid", f"An Idempotency-Key has at most {MAX_KEY} printable ASCII characters."
        )
    if not findable(line_item_id):
        raise NotFound("line_item_unknown", "The application has no such line item.")
    if not findable(body.user_id):
        raise Invalid("user_not_in_context", "No such person is known in the line item's context.")
    posted = _posted(body)
    intake = Intake(
        tenant_id, key.application_id, key.id, line_item_id, idempotency_key, _hash(line_item_id, posted), posted
    )
    return (await Grades(host.database).take(intake)).delivery


def _check_times(body: ScoreBody, now: float) -> None:
    for moment in (body.started_at, body.submitted_at):
        if moment is not None and moment.timestamp() > now + LEEWAY_SECONDS:
            raise Invalid("time_in_future", "started_at and submitted_at must be past.")
    if body.started_at and body.submitted_at and body.submitted_at < body.started_at:
        raise Invalid("times_swapped", "submitted_at lies before started_at.")


def _posted(body: ScoreBody) -> Posted:
    kinds: dict[str | None, Literal["attempt", "override", "clear"]] = {"set": "override", "clear": "clear"}
    return Posted(
        user_id=body.user_id,
        kind=kinds.get(body.override, "attempt"),
        attempt=body.attempt,
        revision=body.revision,
        given=body.given,
        maximum=body.maximum,
        activity_progress=body.activity_progress,
        grading_progress=body.grading_progress,
        comment=body.comment,
        started_at=_iso(body.started_at),
        submitted_at=_iso(body.submitted_at),
    )


def _iso(moment: datetime | None) -> str | None:
    """In UTC with milliseconds, as AGS 3.4.10 wants it."""
    if moment is None:
        return None
    return (moment - (moment.utcoffset() or timedelta())).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _hash(line_item_id: str, posted: Posted) -> bytes:
    """The same for bodies that say the same, however they are written."""
    said = asdict(posted) | {"given": exact(posted.given), "maximum": exact(posted.maximum), "line_item": line_item_id}
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()
