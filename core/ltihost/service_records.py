"""The frozen records of the services: line items, scores, results, members, content items, and what an LMS answered.

Like `records`, they cross the seams of the host: between flows, store, plugins and applications.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from ltihost.records import Role, RoleName

ActivityProgress = Literal["Initialized", "Started", "InProgress", "Submitted", "Completed"]
GradingProgress = Literal["FullyGraded", "Pending", "PendingManual", "Failed", "NotReady"]
Policy = Literal["highest", "latest", "first"]
#: Who wins when a teacher changed a grade in the LMS.
OverridePolicy = Literal["platform_wins", "tool_wins"]
#: What was asked of the LMS when it answered with an error.
Operation = Literal[
    "token",
    "line_items.list", "line_item.read", "line_item.create", "line_item.update", "line_item.delete",
    "score", "results",
    "roster",
    "notice_handler",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceUrls:
    """Where a context's services are, as the newest verified launch from it said. Applications never see them."""

    line_items_url: str | None = None
    ags_scopes: tuple[str, ...] = ()
    memberships_url: str | None = None
    groups_url: str | None = None
    notices_url: str | None = None


@dataclass(frozen=True, slots=True)
class LineItem:
    """A column of the LMS's gradebook. AGS 3.2.

    `id` is ours and None for one that only the LMS knows; `url` is the platform's `id`, None until it was created
    there. `resource_link` is the LMS's id of the link it belongs to. `coupled`: the LMS made it with the link, not we.
    `raw` is the whole object as the LMS last showed it: an update sends it back whole. Dates are ISO 8601 texts.
    """

    id: str | None
    label: str
    maximum: Decimal
    url: str | None = None
    resource_id: str | None = None
    tag: str | None = None
    resource_link: str | None = None
    coupled: bool = False
    starts_at: str | None = None
    ends_at: str | None = None
    grades_released: bool | None = None
    submission_review: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SentScore:
    """What the LMS last confirmed for this line item and user."""

    given: Decimal | None
    maximum: Decimal | None
    attempt: int | None
    comment: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """What should stand in the gradebook for one user. AGS 3.4.

    `given` is None to clear the grade or to report progress only. `attempt` is the application's number of it.
    `previous` is what the LMS confirmed before; `repeated` says that this very score was sent already and that nobody
    knows whether it arrived. `extensions` are members of the body whose names are full URLs.
    """

    given: Decimal | None
    maximum: Decimal | None
    activity_progress: ActivityProgress
    grading_progress: GradingProgress
    attempt: int = 1
    comment: str | None = None
    started_at: str | None = None
    submitted_at: str | None = None
    previous: SentScore | None = None
    repeated: bool = False
    extensions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        return self.given is not None and self.grading_progress == "FullyGraded"


@dataclass(frozen=True, slots=True)
class Withheld:
    """A plugin's answer that a score must not be sent: to this LMS it would do harm. `reason` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """What stands in the LMS's gradebook now. AGS 3.3. `given` is None where no grade stands."""

    subject: str
    given: Decimal | None
    maximum: Decimal = Decimal(1)
    comment: str | None = None
    scoring_subject: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One row of a roster, read. NRPS 2.0. `subject` is the `sub` of that person's launches."""

    subject: str
    active: bool
    role: RoleName
    roles: tuple[Role, ...]
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    middle_name: str | None = None
    email: str | None = None
    picture: str | None = None
    sourcedid: str | None = None
    test_user: bool = False
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A plugin's answer that a roster row is no member of the context. `reason` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class RosterPage:
    """One page as the LMS sent it: rows, the context they belong to, and the URL of changes since, if it gives one."""

    rows: tuple[Mapping[str, Any], ...]
    context_lms_id: str | None = None
    differences_url: str | None = None


@dataclass(frozen=True, slots=True)
class Unacceptable:
    """A plugin's answer that this LMS cannot take a content item. `reason` is one sentence that says what would do."""

    reason: str


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What an LMS answered: status, headers (names in lower case), and the body as far as it was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


# What became of one try to deliver (a plugin or the adapter states one; the worker acts on it).


@dataclass(frozen=True, slots=True)
class Delivered:
    """The LMS took it. `note` is one sentence for people, if there is something to say."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class RetryLater:
    """A fault of the platform that should pass. `after` are seconds the LMS asked for. `applied` says whether the LMS
    may have stored it nevertheless: "no" only when the request surely did not reach it."""

    code: str
    after: float | None = None
    applied: Literal["no", "perhaps"] = "perhaps"


@dataclass(frozen=True, slots=True)
class PausePlatform:
    """Nothing can be sent to this platform for now: throttled (`after` seconds), or access refused altogether."""

    code: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Stale:
    """The LMS holds something newer than what was sent."""

    code: str = "stale_timestamp"


@dataclass(frozen=True, slots=True)
class LineItemGone:
    """The column is not there (any more)."""

    code: str = "line_item_gone"


@dataclass(frozen=True, slots=True)
class WaitForEnrolment:
    """The LMS does not know the user in this context, or not yet."""

    code: str = "user_not_enrolled"


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """It cannot be sent for a reason outside the score that a person must clear (permission, missing scope)."""

    code: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The LMS refuses this one for good. Unless `at_once`, it is tried three times over an hour before that is believed."""

    code: str
    at_once: bool = False


Outcome = Delivered | RetryLater | PausePlatform | Stale | LineItemGone | WaitForEnrolment | NeedsAttention | GiveUp


@dataclass(frozen=True, slots=True)
class Delivery:
    """A grade slot as applications and plugins see it: what should stand in the LMS, and how far that is."""

    id: str
    line_item_id: str
    user_id: str
    state: Literal["idle", "pending", "leased", "blocked", "waiting_enrolment", "conflict", "dead"]
    given: Decimal | None
    maximum: Decimal | None
    attempt: int | None
    code: str | None = None
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What one roster sync changed; ids are ours."""

    context_id: str
    generation: int
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
