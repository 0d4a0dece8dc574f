"""`GradeRules`: the gradebook service of an LMS by the specs. Assignment and Grade Services 2.0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeGuard

from ltihost.testing.parts import Cell, Column, Context, Link, Tool
from ltihost.testing.services.paging import link_header, whole_number, with_query
from ltihost.testing.services.records import JSON, Answer, Call, Refused, ScorePost, Service

_PROGRESS = {
    "activityProgress": ("Initialized", "Started", "InProgress", "Submitted", "Completed"),
    "gradingProgress": ("FullyGraded", "Pending", "PendingManual", "Failed", "NotReady"),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """A leaking bucket per tool: each request pours in `cost`, `outflow` leaves per second, over `high_water` is refused."""

    high_water: float
    outflow: float
    cost: float


class GradeRules:
    """How this LMS keeps its gradebook. Paths stand below the platform's base URL.

    `gradable` are the kinds of people that can have grades. `keeps_override`: a teacher's own grade stays when a score
    comes. `override_moves_time`: it counts as a change of the grade, at the time it was typed. `renames_links`: a
    column's new label is the new title of its link. `rate` throttles each tool.
    """

    line_items_path: ClassVar[str] = "/contexts/{context}/line_items"
    line_item_path: ClassVar[str] = "/contexts/{context}/line_items/{item}"
    gradable: ClassVar[frozenset[str]] = frozenset({"student", "test_student"})
    keeps_override: ClassVar[bool] = True
    override_moves_time: ClassVar[bool] = False
    renames_links: ClassVar[bool] = False
    rate: ClassVar[Rate | None] = None

    # Addresses.

    def line_items_url(self, base_url: str, tool: Tool, context: Context) -> str:
        return base_url + self.line_items_path.format(context=context.number)

    def line_item_url(self, base_url: str, tool: Tool, context: Context, number: int) -> str:
        return base_url + self.line_item_path.format(context=context.number, item=number)

    # Every request.

    def check_accept(self, wanted: str, accept: str | None) -> None:
        """Raises Refused where the tool does not take what this service gives."""
        given = [part.partition(";")[0].strip() for part in (accept or "*/*").split(",")]
        if not {wanted, "*/*", "application/*"}.intersection(given):
            raise Refused(406, f"Accept must be {wanted}")

    def check_content_type(self, wanted: str, content_type: str | None) -> None:
        if (content_type or "").partition(";")[0].strip() != wanted:
            raise Refused(415, f"Content-Type must be {wanted}")

    def refusal(self, refused: Refused, call: Call | None) -> Answer:
        """The body of an error. `call` is None while nobody is let in."""
        return Answer(refused.status, {"error": refused.text}, JSON)

    def throttled(self, seconds: int) -> Answer:
        return Answer(429, {"error": "Too many requests"}, JSON, {"Retry-After": str(seconds)})

    # Lists. The service says which list it is.

    def page_size(self, service: Service, query: Mapping[str, str]) -> int | None:
        """Rows of one page, None for all at once."""
        return whole_number(query, "limit")

    def page_start(self, query: Mapping[str, str], size: int) -> int:
        """The index of the first row."""
        return whole_number(query, "from") or 0

    def page_links(self, service: Service, url: str, start: int, size: int, total: int) -> str | None:
        """The Link header of a page, None without one."""
        return link_header({"next": with_query(url, {"from": start + size})}) if start + size < total else None

    # Line items.

    def sees_column(self, tool: Tool, column: Column) -> bool:
        """Whether the column is this tool's business."""
        return column.owner in (None, tool.client_id)

    def line_item(self, url: str, column: Column, link_id: str | None) -> dict[str, Any]:
        """A column as the LMS shows it; `url` is its id, `link_id` the LMS's id of the link it is tied to."""
        shown = {
            "id": url, "label": column.label, "scoreMaximum": number(column.maximum), "resourceId": column.resource_id,
            "tag": column.tag, "resourceLinkId": link_id, "startDateTime": column.starts_at,
            "endDateTime": column.ends_at, "gradesReleased": column.grades_released,
            "submissionReview": column.submission_review,
        }  # fmt: skip
        return {name: value for name, value in {**shown, **column.extra}.items() if value not in (None, "")}

    def created(self, body: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
        """What a new (or changed) column is answered with."""
        return dict(shown)

    def check_line_item(self, body: Mapping[str, Any], before: Column | None) -> None:
        """Raises Refused for what cannot be a line item. `before` is the column that an update changes."""
        label, maximum = body.get("label"), body.get("scoreMaximum")
        if not isinstance(label, str) or not label.strip():
            raise Refused(400, "label is missing")
        if not is_number(maximum) or maximum <= 0:
            raise Refused(400, "scoreMaximum must be a number above 0")

    def link_of(self, body: Mapping[str, Any], links: Mapping[str, Link]) -> Link | None:
        """The link that a new or changed line item names; `links` are those of the context by the LMS's id."""
        wanted = body.get("resourceLinkId")
        if not wanted:
            return None
        if str(wanted) not in links:
            raise Refused(404, "There is no such resource link in this context")
        return links[str(wanted)]

    def column_values(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the LMS stores of a line item's body, as fields of `Column`."""
        return {
            "label": body["label"], "maximum": float(body["scoreMaximum"]), "tag": body.get("tag") or "",
            "resource_id": body.get("resourceId") or "", "starts_at": body.get("startDateTime"),
            "ends_at": body.get("endDateTime"), "grades_released": body.get("gradesReleased"),
            "submission_review": body.get("submissionReview"),
            "extra": {name: value for name, value in body.items() if name.startswith("https:")},
        }  # fmt: skip

    def updated(self, column: Column, body: Mapping[str, Any], link: Link | None) -> Column:
        """The column after an update. An LMS may leave the link alone: its members are not the tool's to change."""
        return replace(column, **self.column_values(body))

    def rescaled(self, cell: Cell, before: float, after: float) -> Cell:
        """A grade when its column's maximum changes."""
        return cell if cell.given is None else replace(cell, given=cell.given * after / before)

    def check_delete(self, column: Column) -> None:
        """Raises Refused for a column that must stay."""

    # Scores.

    def check_score_body(self, body: Mapping[str, Any]) -> float:
        """The score's timestamp in Unix seconds. Raises Refused for a body that is no score. AGS 3.4."""
        if not isinstance(body.get("userId"), str) or not body["userId"]:
            raise Refused(400, "userId is missing")
        for name, known in _PROGRESS.items():
            if body.get(name) not in known:
                raise Refused(400, f"{name} must be one of {', '.join(known)}")
        given, maximum = body.get("scoreGiven"), body.get("scoreMaximum")
        if given is not None and (not is_number(given) or given < 0):
            raise Refused(400, "scoreGiven must be a number, at least 0")
        if given is not None and (not is_number(maximum) or maximum <= 0):
            raise Refused(400, "scoreMaximum must be a number above 0")
        return read_time(body.get("timestamp"))

    def check_score(self, post: ScorePost) -> None:
        """Raises Refused where the score cannot be taken."""
        self.check_user(post)
        if post.cell.at is not None and post.at <= post.cell.at:
            raise Refused(409, "A newer score is there already", "stale")
        if post.column.locked:
            raise Refused(403, "This column is locked", "locked")

    def check_user(self, post: ScorePost) -> None:
        if post.kind not in self.gradable:
            raise Refused(400, "No grades can be given to this user here", "user")

    def stored(self, post: ScorePost) -> Cell:
        """The cell after this score. Without a score, or where it is not final, the rest counts only. AGS 3.4.4, 3.4.8."""
        body, cell = post.body, post.cell
        given = body.get("scoreGiven")
        if given is not None:
            given = self.scaled(post) if self.counts(post) else cell.given
        return self.noted(post, replace(cell, given=given))

    def counts(self, post: ScorePost) -> bool:
        """Whether the score is a grade."""
        return bool(post.body["gradingProgress"] == "FullyGraded")

    def scaled(self, post: ScorePost) -> float:
        """The points given, of the column's maximum."""
        return float(post.body["scoreGiven"]) * post.column.maximum / float(post.body["scoreMaximum"])

    def noted(self, post: ScorePost, cell: Cell) -> Cell:
        """What comes with the points: comment, progress, times, and whether it counts as handed in once more."""
        body = post.body
        submission = body.get("submission") or {}
        handed_in = submission.get("submittedAt")
        final = body["activityProgress"] in ("Submitted", "Completed")
        return replace(
            cell,
            comments=self.comments(post),
            at=post.at,
            activity=body["activityProgress"],
            grading=body["gradingProgress"],
            started_at=submission.get("startedAt") or cell.started_at,
            submitted_at=handed_in or cell.submitted_at,
            attempts=cell.attempts + self.new_attempt(post),
            late=cell.late or (final and is_late(handed_in, post)),
            override=cell.override if self.keeps_override or not self.counts(post) else None,
        )

    def comments(self, post: ScorePost) -> tuple[str, ...]:
        """A score without a comment takes the old one away. AGS 3.4.11."""
        comment = post.body.get("comment")
        return (comment,) if comment else ()

    def new_attempt(self, post: ScorePost) -> bool:
        return post.body["activityProgress"] in ("Submitted", "Completed")

    def score_answer(self, result_url: str) -> Answer:
        return Answer(204)

    # Results.

    def result(self, url: str, item_url: str, user_id: str, column: Column, cell: Cell) -> dict[str, Any]:
        """One row of the results."""
        row: dict[str, Any] = {"id": url, "scoreOf": item_url, "userId": user_id}
        if cell.shown is not None:
            row |= {"resultScore": number(cell.shown), "resultMaximum": number(column.maximum)}
        return row | ({"comment": cell.comments[-1]} if cell.comments else {})

    def shown_results(self, rows: list[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
        """The rows that are shown to this request; it has asked for one user or for all. Raises Refused."""
        return [row for row in rows if "resultScore" in row]


def is_number(value: object) -> TypeGuard[float]:
    """A JSON number that is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float) -> float | int:
    """Whole numbers without a decimal point, as JSON of most LMSs has them."""
    return int(value) if float(value).is_integer() else round(value, 5)


def read_time(text: object) -> float:
    """Unix seconds of an ISO 8601 time with a zone. Raises Refused."""
    try:
        found = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        raise Refused(400, "timestamp must be ISO 8601") from None
    if found.tzinfo is None:
        raise Refused(400, "timestamp must have a zone")
    return found.timestamp()


def is_late(handed_in: str | None, post: ScorePost) -> bool:
    """Whether it was handed in after the column's end."""
    ends = post.column.ends_at
    return ends is not None and (read_time(handed_in) if handed_in else post.at) > read_time(ends)


def written_time(seconds: float) -> str:
    """ISO 8601, whole seconds, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
