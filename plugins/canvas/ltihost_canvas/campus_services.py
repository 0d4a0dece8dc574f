"""The services of the simulated Canvas, quirk by quirk.

Sources are canvas-lms: `app/controllers/lti/ims/{scores,line_items,results,names_and_roles}_controller.rb`,
`app/controllers/lti/ims/concerns/{gradebook_services,advantage_services,deep_linking_services}.rb`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ltihost.testing.profile import (
    LTI,
    MEMBERSHIP,
    TEACHING_ASSISTANT,
    TEST_USER,
    Answer,
    Call,
    Cell,
    Column,
    Link,
    Opening,
    Page,
    Profile,
    Rate,
    Refused,
    Row,
    ScorePost,
    Service,
    TokenRefused,
    hex_id,
    is_number,
    link_header,
    read_time,
    whole_number,
    with_query,
    written_time,
)

#: Members of a score that only Canvas knows.
SUBMISSION = "https://canvas.instructure.com/lti/submission"
_ROW_LIMIT, _ROSTER_LIMIT = 10, 50
_MOST_ROWS = 100
#: How an error names its status.
_SYMBOLS = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 412: "precondition_failed",
    422: "unprocessable_entity",
}  # fmt: skip
#: Status and words of what the door and the services refuse; None is an empty body.
_WORDS: Mapping[str, tuple[int, str | None]] = {
    "token": (401, "Invalid access token"),
    "scope": (401, "Insufficient permissions"),
    "access_off": (401, "Unknown or inactive Developer Key"),
    "context": (404, "Context not found"),
    "line_item": (404, None),
    "foreign": (412, "Tool does not have permission to view line_item"),
    "user": (422, "User not found in course or is not a student"),
    "coupled": (401, None),
}


class CanvasServices(Profile):
    """What differs from the specs."""

    line_items_path: ClassVar[str] = "/api/lti/courses/{context}/line_items"
    line_item_path: ClassVar[str] = "/api/lti/courses/{context}/line_items/{item}"
    memberships_path: ClassVar[str] = "/api/lti/courses/{context}/names_and_roles"
    deep_link_path: ClassVar[str] = "/courses/{context}/deep_linking_response"
    notices_path: ClassVar[str | None] = "/api/lti/notice-handlers/{tool}"
    accept_types: ClassVar[tuple[str, ...]] = ("ltiResourceLink",)
    takes_several: ClassVar[bool] = False
    unlisted: ClassVar[frozenset[str]] = frozenset({"administrator"})
    keeps_override: ClassVar[bool] = False
    renames_links: ClassVar[bool] = True
    #: As seen at Instructure's own host; parallel calls cost more there.
    rate: ClassVar[Rate | None] = Rate(700.0, 10.0, 0.5)
    token_leeway: ClassVar[float] = 30

    # Every request.

    def check_accept(self, wanted: str, accept: str | None) -> None:
        """Not looked at."""

    def check_content_type(self, wanted: str, content_type: str | None) -> None:
        if "json" not in (content_type or ""):
            raise Refused(400, "The body is not JSON")

    def refusal(self, refused: Refused, call: Call | None) -> Answer:
        """`{"errors": {"type", "message"}}` (advantage_services.rb); some statuses have no body."""
        status, words = _WORDS.get(refused.code, (refused.status, refused.text))
        if words is None:
            return Answer(status)
        return Answer(status, {"errors": {"type": _SYMBOLS.get(status, "error"), "message": words}})

    def throttled(self, seconds: int) -> Answer:
        """403, not 429; nothing says when to come back."""
        return Answer(
            403, "403 Forbidden (Rate Limit Exceeded)\n", "text/plain",
            {"X-Request-Cost": "0.0", "X-Rate-Limit-Remaining": "0.0"},
        )  # fmt: skip

    # Pages.

    def page_size(self, service: Service, query: Mapping[str, str]) -> int:
        wanted = whole_number(query, "limit") or whole_number(query, "per_page")
        if service == "roster":
            return min(wanted or _ROSTER_LIMIT, _ROSTER_LIMIT)
        return min(wanted or _ROW_LIMIT, _MOST_ROWS)

    def page_start(self, query: Mapping[str, str], size: int) -> int:
        return ((whole_number(query, "page") or 1) - 1) * size

    def page_links(self, service: Service, url: str, start: int, size: int, total: int) -> str:
        here, last = start // size + 1, max(1, -(-total // size))
        pages = {"current": here, **({"next": here + 1} if here < last else {}), "first": 1, "last": last}
        changed = {"limit": None, "per_page": size}
        return link_header({name: with_query(url, {**changed, "page": page}) for name, page in pages.items()})

    # Line items.

    def created(self, body: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
        return dict(shown)

    def updated(self, column: Column, body: Mapping[str, Any], link: Link | None) -> Column:
        """What a coupled one says about reviewing stays; members that are not sent stay too."""
        return replace(column, **self.column_values({**self.line_item("", column, None), **body}))

    def rescaled(self, cell: Cell, before: float, after: float) -> Cell:
        """Points stay as they are."""
        return cell

    def check_delete(self, column: Column) -> None:
        if column.coupled:
            raise Refused(401, "", "coupled")

    # Scores (scores_controller.rb).

    def check_score_body(self, body: Mapping[str, Any]) -> float:
        missing = [
            name for name in ("userId", "activityProgress", "gradingProgress", "timestamp") if not body.get(name)
        ]
        if missing:
            raise Refused(400, f"param is missing or the value is empty: {missing[0]}")
        given, maximum = body.get("scoreGiven"), body.get("scoreMaximum")
        if given is not None and maximum is None:
            raise Refused(422, "ScoreMaximum must be greater than or equal to 0")
        if given is not None and (not is_number(given) or given < 0):
            raise Refused(422, "ScoreGiven must be greater than or equal to 0")
        if given is not None and (not is_number(maximum) or maximum < 0):
            raise Refused(422, "ScoreMaximum must be greater than or equal to 0")
        return read_time(body["timestamp"])

    def check_score(self, post: ScorePost) -> None:
        """An equal timestamp is fine; only times that a tool sent count."""
        self.check_user(post)
        if post.body.get("scoreGiven") is not None and post.body["scoreMaximum"] == 0 and post.column.maximum:
            raise Refused(422, "ScoreMaximum must not be 0")
        if post.cell.at is not None and post.at < post.cell.at:
            raise Refused(400, f"Timestamp is before last updated timestamp of {written_time(post.cell.at)}", "stale")
        handed_in = self.handed_in(post.body)
        if handed_in is not None and read_time(handed_in) > post.now + 60:
            raise Refused(400, "Provided submitted_at timestamp is in the future")
        allowed = post.column.attempts_allowed
        if allowed is not None and self.new_attempt(post) and post.cell.attempts >= allowed:
            raise Refused(422, "The maximum number of allowed attempts has been reached for this submission")

    def stored(self, post: ScorePost) -> Cell:
        """Whatever is not a grade resets the score, unless it says `preserve_score`."""
        cell, special = post.cell, post.body.get(SUBMISSION) or {}
        kept = special.get("preserve_score") or (special.get("prioritize_non_tool_grade") and cell.shown is not None)
        if kept:
            return replace(self.noted(post, cell), override=cell.override)
        return replace(self.noted(post, cell), given=self.scaled(post) if self.counts(post) else None, override=None)

    def counts(self, post: ScorePost) -> bool:
        final = post.body["gradingProgress"] in ("FullyGraded", "PendingManual")
        return final and post.body.get("scoreGiven") is not None

    def comments(self, post: ScorePost) -> tuple[str, ...]:
        """Each one is added to those before."""
        comment = post.body.get("comment")
        return (*post.cell.comments, *([comment] if comment else []))

    def new_attempt(self, post: ScorePost) -> bool:
        """Every score is one more, unless told otherwise or handed in at the very time of the last."""
        special = post.body.get(SUBMISSION) or {}
        if special.get("new_submission") is False or special.get("submission_type") == "none":
            return False
        handed_in = self.handed_in(post.body)
        return handed_in is None or handed_in != post.cell.submitted_at

    def handed_in(self, body: Mapping[str, Any]) -> str | None:
        """When it was handed in: three places, in this order."""
        special = body.get(SUBMISSION) or {}
        return (
            (body.get("submission") or {}).get("submittedAt") or body.get("submittedAt") or special.get("submitted_at")
        )

    def score_answer(self, result_url: str) -> Answer:
        return Answer(200, {"resultUrl": result_url})

    def shown_results(self, rows: list[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
        """Without a grade the row is there, and has no score."""
        return rows

    # Roster (names_and_roles_controller.rb).

    def member(self, row: Row, user_id: str, roles: list[str]) -> dict[str, Any]:
        """Roles of this course only; an old id and a picture."""
        here = [role for role in roles if role.startswith(MEMBERSHIP) or role in (TEACHING_ASSISTANT, TEST_USER)]
        return {
            **super().member(row, user_id, here),
            "picture": "https://campus.example/images/avatar-50.png",
            "lti11_legacy_user_id": hex_id(f"canvas 1.1 {row.person.number}", 40),
        }

    def has_role(self, member: Mapping[str, Any], wanted: str) -> bool:
        """Whole URIs only; anything else finds nobody."""
        return wanted in member["roles"]

    def unknown_link(self, rlid: str) -> Refused:
        return Refused(400, "Invalid 'rlid' parameter")

    def messages(self, row: Row, custom: Mapping[str, str | None]) -> list[dict[str, Any]]:
        (message,) = super().messages(row, custom) or [{}]
        return [{**message, "locale": "en"}]

    # Tokens.

    def check_assertion(
        self, claims: Mapping[str, Any], audiences: Collection[str], used: Collection[str], now: float
    ) -> None:
        """Not older than five minutes either."""
        super().check_assertion(claims, audiences, used, now)
        if claims["iat"] < now - 300:
            raise TokenRefused("invalid_client", "the 'iat' must not be older than 5 minutes")

    # Deep linking (deep_linking_services.rb).

    def answered_serial(self, query: Mapping[str, str], claims: Mapping[str, Any]) -> str:
        """Canvas's own state travels in the return URL."""
        return query.get("data", "")

    def check_choice(
        self, claims: Mapping[str, Any], opening: Opening, issuer: str, used: set[str], now: float
    ) -> None:
        audience = claims.get("aud")
        if (
            claims.get("iss") != opening.tool.client_id
            or claims.get(LTI + "deployment_id") != opening.tool.deployment_id
        ):
            raise Refused(400, "Client not found")
        if issuer not in (audience if isinstance(audience, list) else [audience]):
            raise Refused(400, "the 'aud' is invalid")
        if not is_number(claims.get("iat")) or not now - 300 <= claims["iat"] <= now + 30:
            raise Refused(400, "the 'iat' must not be older than 5 minutes nor in the future")
        if not is_number(claims.get("exp")) or claims["exp"] < now:
            raise Refused(400, "the JWT has expired")

    def choice_refused(self, refused: Refused) -> Page | Answer:
        """A JSON page in the frame."""
        return Answer(400, {"errors": {"jwt": [{"message": refused.text}]}})

    def chosen_column(self, graded: Mapping[str, Any], title: str) -> dict[str, Any]:
        return {**super().chosen_column(graded, title), "grades_released": None}
