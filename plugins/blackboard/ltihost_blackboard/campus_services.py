"""The services of the simulated Blackboard Learn, quirk by quirk.

Learn's source is closed; this follows Anthology's developer documentation, its support articles and what integrators
report. What nobody has written down is played by the spec.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ltihost.testing.profile import (
    LTI,
    Answer,
    Call,
    Cell,
    Chosen,
    Column,
    Link,
    Opening,
    Profile,
    Refused,
    Row,
    ScorePost,
    Service,
    TokenRefused,
    link_header,
    whole_number,
    with_query,
)

_DATA = "https://purl.imsglobal.org/spec/lti-dl/claim/data"
_PAGE = 1000


class BlackboardServices(Profile):
    """What differs from the specs."""

    line_items_path: ClassVar[str] = "/learn/api/v1/lti/courses/_{context}_1/lineItems"
    line_item_path: ClassVar[str] = "/learn/api/v1/lti/courses/_{context}_1/lineItems/_{item}_1"
    memberships_path: ClassVar[str] = "/learn/api/v1/lti/external/namesandroles/_{context}_1"
    deep_link_path: ClassVar[str] = "/webapps/blackboard/controller/lti/v2/deeplinking"
    notices_path: ClassVar[str | None] = "/learn/api/v1/lti/notices/{tool}"
    adds_at_once: ClassVar[bool] = True
    offers_differences: ClassVar[bool] = True

    def refusal(self, refused: Refused, call: Call | None) -> Answer:
        """Where the administrator switched access off, the gateway's own word stands in the body."""
        status = 403 if refused.code in ("scope", "foreign") else refused.status
        text = "SiteApplicationDisabled" if refused.code == "access_off" else refused.text
        return Answer(status, {"status": status, "message": text})

    # Pages: a thousand rows, and a next page that never ends.

    def page_size(self, service: Service, query: Mapping[str, str]) -> int | None:
        return whole_number(query, "limit") or (_PAGE if service == "roster" else None)

    def page_links(self, service: Service, url: str, start: int, size: int, total: int) -> str | None:
        """The last page of a roster names a next one too: itself (support article 000078208)."""
        if start + size < total:
            return link_header({"next": with_query(url, {"from": start + size})})
        return link_header({"next": url}) if service == "roster" and total > size else None

    # Line items.

    def line_item(self, url: str, column: Column, link_id: str | None) -> dict[str, Any]:
        """A column that came with content has neither tag nor resource id; there is no beginning."""
        shown = super().line_item(url, replace(column, starts_at=None, extra={}), link_id)
        hidden = ("tag", "resourceId") if column.coupled else ()
        return {name: value for name, value in shown.items() if name not in hidden}

    def check_line_item(self, body: Mapping[str, Any], before: Column | None) -> None:
        """Maxima are whole numbers; the id may not be sent back."""
        super().check_line_item(body, before)
        if not isinstance(body["scoreMaximum"], int):
            raise Refused(400, "scoreMaximum must be an integer")
        if before is not None and "id" in body:
            raise Refused(400, "id is read-only")

    def link_of(self, body: Mapping[str, Any], links: Mapping[str, Link]) -> Link | None:
        """Only content brings a column that is tied to it."""
        return None

    # Scores.

    def check_score_body(self, body: Mapping[str, Any]) -> float:
        """The maximum may be left out."""
        if body.get("scoreGiven") is not None and body.get("scoreMaximum") is None:
            return super().check_score_body({**body, "scoreMaximum": 1})
        return super().check_score_body(body)

    def check_score(self, post: ScorePost) -> None:
        """Times are not compared: whoever comes last wins."""
        self.check_user(post)
        if post.column.locked:
            raise Refused(403, "The column is locked")

    def check_user(self, post: ScorePost) -> None:
        if post.kind not in self.gradable:
            raise Refused(400, f"User could not be found: {post.body['userId']}", "user")

    def stored(self, post: ScorePost) -> Cell:
        """Without a score only Initialized with NotReady takes the grade away."""
        body, given = post.body, post.cell.given
        if body.get("scoreGiven") is not None:
            given = self.scaled(post) if self.counts(post) else given
        elif (body["activityProgress"], body["gradingProgress"]) == ("Initialized", "NotReady"):
            given = None
        return self.noted(post, replace(post.cell, given=given))

    def scaled(self, post: ScorePost) -> float:
        maximum = float(post.body.get("scoreMaximum") or post.column.maximum)
        return float(post.body["scoreGiven"]) * post.column.maximum / maximum

    def score_answer(self, result_url: str) -> Answer:
        return Answer(200)

    # Results.

    def result(self, url: str, item_url: str, user_id: str, column: Column, cell: Cell) -> dict[str, Any]:
        row = {"comment": "", **super().result(url, item_url, user_id, column, cell)}
        return row | ({"resultMaximum": int(column.maximum)} if "resultMaximum" in row else {})

    def shown_results(self, rows: list[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
        """Asked for one user the comment is lost; without a result that is an error."""
        if "user_id" not in call.query:
            return rows
        if not any("resultScore" in row for row in rows):
            raise Refused(404, "No result was found")
        return [{name: value for name, value in row.items() if name != "comment"} for row in rows]

    # Roster.

    def member(self, row: Row, user_id: str, roles: list[str]) -> dict[str, Any]:
        return {**super().member(row, user_id, roles), "middle_name": ""}

    def messages(self, row: Row, custom: Mapping[str, str | None]) -> list[dict[str, Any]] | None:
        """None at all."""
        return None

    # Tokens.

    def check_assertion(
        self, claims: Mapping[str, Any], audiences: Collection[str], used: Collection[str], now: float
    ) -> None:
        """`iss` may be any word."""
        super().check_assertion({**claims, "iss": claims["sub"]}, audiences, used, now)
        if not claims.get("iss"):
            raise TokenRefused("invalid_client", "iss is missing")

    def token_answer(self, body: Mapping[str, Any]) -> Answer:
        return super().token_answer({**body, "token_type": "bearer"})

    # Deep linking.

    def answered_serial(self, query: Mapping[str, str], claims: Mapping[str, Any]) -> str:
        """The seventh part of the data."""
        parts = str(claims.get(_DATA) or "").split("::")
        return parts[6] if len(parts) > 6 else ""

    def check_choice(
        self, claims: Mapping[str, Any], opening: Opening, issuer: str, used: set[str], now: float
    ) -> None:
        """`sub` is wanted too, the nonce is not, and the data must come back unaltered."""
        super().check_choice({"nonce": "-", **claims}, opening, issuer, set(), now)
        if claims.get("sub") != opening.tool.client_id:
            raise Refused(400, "Wrong or missing: sub")
        if claims.get(_DATA) != self.deep_linking(opening)["data"]:
            raise Refused(400, f"Wrong or missing: {LTI}data")

    def choose_link(self, item: Mapping[str, Any], title: str, opening: Opening) -> Chosen:
        """Links are found by their URL's domain; without one there is nothing to open."""
        return super().choose_link(item, title if item.get("url") else "(Invalid Link)", opening)

    def chosen_column(self, graded: Mapping[str, Any], title: str) -> dict[str, Any]:
        if not isinstance(graded.get("scoreMaximum"), int):
            raise Refused(400, "scoreMaximum of the line item must be an integer")
        return super().chosen_column(graded, title)
