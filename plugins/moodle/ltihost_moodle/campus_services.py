"""The services of the simulated Moodle, quirk by quirk, as a real Moodle 4.5.6 was seen to answer.

File names are Moodle's, below `mod/lti/`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from typing import Any, ClassVar

from ltihost.testing.profile import (
    JSON,
    LTI,
    SCORE,
    Answer,
    BadSignature,
    Call,
    Cell,
    Chosen,
    Column,
    Context,
    Link,
    Opening,
    Page,
    Profile,
    Refused,
    Row,
    ScorePost,
    Service,
    TokenRefused,
    Tool,
    is_number,
    link_header,
    number,
    read_time,
    with_query,
    written_time,
)

BASIC_OUTCOME = "https://purl.imsglobal.org/spec/lti-bo/claim/basicoutcome"
_LONGEST_TEXT, _LONGEST_RESOURCE_ID = 255, 512


class MoodleServices(Profile):
    """What differs from the specs."""

    line_items_path: ClassVar[str] = "/mod/lti/services.php/{context}/lineitems"
    line_item_path: ClassVar[str] = "/mod/lti/services.php/{context}/lineitems/{item}/lineitem"
    memberships_path: ClassVar[str] = "/mod/lti/services.php/CourseSection/{context}/bindings/{tool}/memberships"
    deep_link_path: ClassVar[str] = "/mod/lti/contentitem_return.php"
    notices_path: ClassVar[str | None] = None
    accept_types: ClassVar[tuple[str, ...]] = ("ltiResourceLink",)
    #: Site administrators are in a roster only where they are enrolled as somebody else.
    unlisted: ClassVar[frozenset[str]] = frozenset({"administrator"})
    override_moves_time: ClassVar[bool] = True
    token_leeway: ClassVar[float] = 0

    # Addresses: the tool's number stands in the query, so `/scores` goes before it.

    def line_items_url(self, base_url: str, tool: Tool, context: Context) -> str:
        return f"{super().line_items_url(base_url, tool, context)}?type_id={tool.deployment_id}"

    def line_item_url(self, base_url: str, tool: Tool, context: Context, number: int) -> str:
        return f"{super().line_item_url(base_url, tool, context, number)}?type_id={tool.deployment_id}"

    # Media types and errors (services.php:41-56, resources/lineitems.php:76).

    def check_accept(self, wanted: str, accept: str | None) -> None:
        """Exactly the one type, or none at all; the list of line items refuses even `*/*`."""
        if accept is None or accept == wanted:
            return
        if "*/*" not in accept:
            raise Refused(400, f"No handler found for {accept}")
        if wanted.endswith("lineitemcontainer+json"):
            raise Refused(400, "No context or unsupported content type")

    def check_content_type(self, wanted: str, content_type: str | None) -> None:
        if (content_type or "").partition(";")[0].strip() != wanted:
            raise Refused(400, f"No handler found for {content_type}")

    def refusal(self, refused: Refused, call: Call | None) -> Answer:
        """401 for a missing scope too; of a refused score only the status is told (resources/scores.php:132)."""
        if refused.code == "html":
            return Answer(refused.status, refused.text, "text/html")
        status = 401 if refused.code == "scope" else refused.status
        if call is not None and call.service == "score" and refused.code != "media":
            return Answer(status, [], SCORE)
        return Answer(status, {"status": status, "reason": refused.text, "request": {}}, JSON)

    # Pages: everything at once unless a limit is given.

    def page_links(self, service: Service, url: str, start: int, size: int, total: int) -> str | None:
        """Line items: `&` as `&amp;` and curly quotation marks as UTF-8 (resources/lineitems.php:206). Rosters: well-formed,
        but the role filter is lost (memberships.php:477)."""
        following = start + size < total
        if service == "roster":
            changes = {"limit": size, "from": start + size, "role": None}
            return link_header({"next": with_query(url, changes)}) if following else None
        links = {"first": 0, "canonical": start, **({"next": start + size} if following else {})}
        text = ", ".join(
            f"<{with_query(url, {'limit': size, 'from': index}).replace('&', '&amp;')}>; rel=\u201c{relation}\u201d"
            for relation, index in links.items()
        )
        return text.encode().decode("latin-1")

    # Line items.

    def line_item(self, url: str, column: Column, link_id: str | None) -> dict[str, Any]:
        """Empty texts stay, dates and extensions are not kept; the link's id stands there twice."""
        link = {"resourceLinkId": link_id, "ltiLinkId": link_id} if link_id else {}
        return {
            "id": url, "label": column.label, "scoreMaximum": number(column.maximum),
            "resourceId": column.resource_id, "tag": column.tag, **link,
        }  # fmt: skip

    def created(self, body: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
        """Whatever was sent is sent back, stored or not."""
        return {**body, "id": shown["id"]}

    def check_line_item(self, body: Mapping[str, Any], before: Column | None) -> None:
        """Any maximum will do; what the database cannot hold breaks it."""
        if not body.get("label") or body.get("scoreMaximum") is None:
            raise Refused(400, "No label or Score Maximum")
        lengths = {"label": _LONGEST_TEXT, "tag": _LONGEST_TEXT, "resourceId": _LONGEST_RESOURCE_ID}
        if any(len(str(body.get(name) or "")) > most for name, most in lengths.items()):
            raise _bad_gateway()

    def link_of(self, body: Mapping[str, Any], links: Mapping[str, Link]) -> Link | None:
        wanted = str(body.get("resourceLinkId") or "")
        if wanted and not wanted.isdecimal():
            raise _bad_gateway()
        if wanted and wanted not in links:
            raise Refused(403, "Forbidden")
        return links[wanted] if wanted else None

    def updated(self, column: Column, body: Mapping[str, Any], link: Link | None) -> Column:
        """An update without the link's id unties the column (resources/lineitem.php:195)."""
        return replace(super().updated(column, body, link), link=link.slug if link else None)

    def rescaled(self, cell: Cell, before: float, after: float) -> Cell:
        """An empty grade becomes 0 (lib/grade/grade_item.php:980)."""
        return replace(cell, given=(cell.given or 0.0) * after / before)

    # Scores (resources/scores.php).

    def check_score_body(self, body: Mapping[str, Any]) -> float:
        """The two kinds of progress may be any word, and a score any number."""
        missing = [
            name for name in ("userId", "timestamp", "activityProgress", "gradingProgress") if not body.get(name)
        ]
        if missing or ("scoreGiven" in body and "scoreMaximum" not in body):
            raise Refused(400, "Incorrect score received")
        if any(body.get(name) is not None and not is_number(body[name]) for name in ("scoreGiven", "scoreMaximum")):
            raise Refused(400, "Incorrect score received")
        if not str(body["userId"]).isdecimal():
            raise _bad_gateway()
        return read_time(body["timestamp"])

    def check_score(self, post: ScorePost) -> None:
        """Times are compared in whole seconds."""
        self.check_user(post)
        if post.cell.at is not None and int(post.at) <= int(post.cell.at):
            raise Refused(409, "Refusing score with an earlier timestamp", "stale")
        if post.column.locked:
            raise Refused(500, "Failed to update the grade", "locked")

    def stored(self, post: ScorePost) -> Cell:
        """Whatever is not fully graded erases the number; a grade is cut to what the column allows."""
        given = self.scaled(post) if self.counts(post) and post.body.get("scoreGiven") is not None else None
        return self.noted(post, replace(post.cell, given=given))

    def scaled(self, post: ScorePost) -> float:
        given, maximum = float(post.body["scoreGiven"]), float(post.body["scoreMaximum"])
        points = given * post.column.maximum / maximum if maximum else given
        return round(min(max(points, 0.0), post.column.maximum), 5)

    def score_answer(self, result_url: str) -> Answer:
        return Answer(200, None, SCORE)

    # Results (resources/results.php).

    def result(self, url: str, item_url: str, user_id: str, column: Column, cell: Cell) -> dict[str, Any]:
        row = super().result(url, item_url, user_id, column, cell)
        return {**row, "timestamp": written_time(cell.at or 0)}

    def shown_results(self, rows: list[dict[str, Any]], call: Call) -> list[dict[str, Any]]:
        """A limit together with `type_id` ends in a PHP error; rows without a number are shown too."""
        if "limit" in call.query and "type_id" in call.query:
            raise _crash()
        return rows

    # Roster (service/memberships).

    def member(self, row: Row, user_id: str, roles: list[str]) -> dict[str, Any]:
        """Short role names; a non-editing teacher is a learner here; names are escaped as HTML."""
        person = row.person
        return {
            "status": "Active", "roles": ["Instructor" if row.kind == "teacher" else "Learner"], "user_id": user_id,
            "lis_person_sourcedid": person.sourcedid, "name": escape(person.name, quote=False),
            "given_name": escape(person.given_name, quote=False), "family_name": escape(person.family_name, quote=False),
            "email": person.email, "ext_user_username": person.slug,
        }  # fmt: skip

    def has_role(self, member: Mapping[str, Any], wanted: str) -> bool:
        """An unknown role means everybody."""
        name = wanted.rpartition("#")[2]
        return name not in ("Learner", "Instructor") or name in member["roles"]

    def unknown_link(self, rlid: str) -> Refused:
        return Refused(404, f"Not Found: LTI link {rlid} doesn't exist")

    def messages(self, row: Row, custom: Mapping[str, str | None]) -> list[dict[str, Any]]:
        """Basic outcomes only, no parameters."""
        return [
            {LTI + "message_type": "LtiResourceLinkRequest", BASIC_OUTCOME: {"lis_result_sourcedid": row.person.slug}}
        ]

    # Tokens (token.php): found by `sub`, never mind the rest; the answers say they are HTML.

    def check_assertion(
        self, claims: Mapping[str, Any], audiences: Collection[str], used: Collection[str], now: float
    ) -> None:
        """No leeway at all (lib/php-jwt/src/JWT.php:166)."""
        if claims.get("iat", 0) > now:
            prior = datetime.fromtimestamp(claims["iat"], UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
            raise TokenRefused(f"Cannot handle token with iat prior to {prior}")
        if claims.get("exp", now) < now:
            raise TokenRefused("Expired token")

    def bad_signature(self, what: BadSignature) -> TokenRefused:
        """The quotation marks around "kid" are not escaped, so that body is no JSON (token.php:109)."""
        texts = {
            "no_kid": "error/Error: kid must be provided in JWT header.",
            "unknown_kid": '"kid" invalid, unable to lookup correct key',
            "signature": "Signature verification failed",
        }
        return TokenRefused(texts[what])

    def token_answer(self, body: Mapping[str, Any]) -> Answer:
        members = ",\n".join(f'  "{name}" : {_quoted(value)}' for name, value in body.items())
        return Answer(200, f"{{\n{members}\n}}", "text/html")

    def token_refusal(self, refused: TokenRefused) -> Answer:
        return Answer(400, f'{{\n  "error" : "{refused.code}"\n}}', "text/html")

    # Deep linking (contentitem_return.php, locallib.php:3436).

    def answered_serial(self, query: Mapping[str, str], claims: Mapping[str, Any]) -> str:
        return query.get("sesskey", "")

    def check_choice(
        self, claims: Mapping[str, Any], opening: Opening, issuer: str, used: set[str], now: float
    ) -> None:
        """Issuer and times only."""
        if claims.get("iss") != opening.tool.client_id:
            raise Refused(404, "Consumer key is incorrect.")
        if claims.get("iat", 0) > now or claims.get("exp", now) < now:
            raise Refused(404, "Invalid request")

    def choice_refused(self, refused: Refused) -> Page | Answer:
        return Page(404, refused.text, "Go back to your course and try again.")

    def choose(self, item: Mapping[str, Any], opening: Opening) -> Chosen:
        """Every type becomes an activity of the tool; no name longer than a database column."""
        title = str(item.get("title") or opening.tool.name)
        if len(title) > _LONGEST_TEXT:
            raise Refused(400, "Maximum of 255 characters")
        return self.choose_link({**item, "available": None, "submission": None, "window": None}, title, opening)

    def chosen_column(self, graded: Mapping[str, Any], title: str) -> dict[str, Any]:
        """The label is the activity's name, whatever the tool said."""
        maximum = graded.get("scoreMaximum")
        if not isinstance(maximum, int) or isinstance(maximum, bool) or not 1 <= maximum <= 100:
            raise Refused(400, "Invalid grade value. This must be an integer between 1 and 100")
        return {**super().chosen_column(graded, title), "label": title, "grades_released": None}

    def chosen_custom(self, custom: Mapping[str, Any]) -> dict[str, str]:
        """One parameter a line: a line break in a value begins another one (locallib.php:1410)."""
        if any(isinstance(value, dict | list) for value in custom.values()):
            raise Refused(404, "Invalid request")
        lines = "\n".join(f"{name}={value}" for name, value in custom.items()).splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines if "=" in line)}


def _quoted(value: object) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


def _bad_gateway() -> Refused:
    """A database error ends as HTTP status 0, which the web server in front turns into this (response.php:234)."""
    return Refused(502, "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n", "html")


def _crash() -> Refused:
    """A PHP error becomes a page with status 404 (lib/classes/output/core_renderer.php)."""
    return Refused(404, "<!DOCTYPE html>\n<html><head><title>Error</title></head></html>\n", "html")
