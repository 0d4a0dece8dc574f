"""`ContentRules`: deep linking returns and notices of an LMS by the specs. Deep Linking 2.0, section 4.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ltihost.testing.parts import Link, Opening, Page
from ltihost.testing.services.records import Answer, Refused
from ltihost.testing.services.rules_grades import is_number

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A content item as this LMS would add it: a link to the tool with a column or none, or something else to look at.

    `column` are fields of `Column`, None for an ungraded link. `kind` is the item's type; `url` and `text` are what else
    it carries.
    """

    kind: str
    title: str
    link: Link | None = None
    column: Mapping[str, Any] | None = None
    url: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A verified deep linking answer: what would be added, what was refused and why, and what the tool had to say."""

    opening: Opening
    chosen: tuple[Chosen, ...] = ()
    refused: tuple[str, ...] = ()
    message: str = ""
    error: str = ""
    sent: list[Mapping[str, Any]] = field(default_factory=list)


class ContentRules:
    """How this LMS takes content back, and which notices it sends."""

    deep_link_path: ClassVar[str] = "/_deep_link"
    #: Where tools register for notices; None for an LMS without them.
    notices_path: ClassVar[str | None] = "/deployments/{tool}/notice_handlers"
    #: Whether content is added without asking the teacher once more.
    adds_at_once: ClassVar[bool] = False
    takes_several: ClassVar[bool] = True
    accept_types: ClassVar[tuple[str, ...]] = ("ltiResourceLink", "link")

    def answered_serial(self, query: Mapping[str, str], claims: Mapping[str, Any]) -> str:
        """The serial (or its beginning) of the launch that this answer belongs to."""
        return str(claims.get(DL + "data") or "")

    def check_choice(
        self, claims: Mapping[str, Any], opening: Opening, issuer: str, used: set[str], now: float
    ) -> None:
        """Everything but the signature. `used` are the nonces seen before. Raises Refused."""
        expected = {
            "iss": opening.tool.client_id, LTI + "message_type": "LtiDeepLinkingResponse", LTI + "version": "1.3.0",
            LTI + "deployment_id": opening.tool.deployment_id,
        }  # fmt: skip
        wrong = [name for name, value in expected.items() if claims.get(name) != value]
        audience = claims.get("aud")
        if issuer not in (audience if isinstance(audience, list) else [audience]):
            wrong.append("aud")
        if not is_number(claims.get("exp")) or claims["exp"] < now - 60:
            wrong.append("exp")
        if not is_number(claims.get("iat")) or claims["iat"] > now + 60:
            wrong.append("iat")
        if not claims.get("nonce") or claims["nonce"] in used:
            wrong.append("nonce")
        if wrong:
            raise Refused(400, f"Wrong or missing: {', '.join(wrong)}")

    def choice_refused(self, refused: Refused) -> Page | Answer:
        """What the teacher sees of an answer that is not taken."""
        return Page(refused.status, "The content could not be added", refused.text)

    def choose(self, item: Mapping[str, Any], opening: Opening) -> Chosen:
        """What becomes of one content item; its link has no number yet. Raises Refused."""
        kind = str(item.get("type"))
        if kind not in self.accept_types:
            raise Refused(400, f"{kind} cannot be added here")
        title = str(item.get("title") or opening.tool.name)
        if kind != "ltiResourceLink":
            return Chosen(
                kind, title, url=str(item.get("url") or ""), text=str(item.get("text") or item.get("html") or "")
            )
        return self.choose_link(item, title, opening)

    def choose_link(self, item: Mapping[str, Any], title: str, opening: Opening) -> Chosen:
        graded = item.get("lineItem")
        values = self.chosen_column(graded, title) if graded else None
        link = Link(
            slug="",
            number=0,
            title=title,
            description=str(item.get("text") or ""),
            maximum=values["maximum"] if values else None,
            custom=self.chosen_custom(item.get("custom") or {}),
            target=item.get("url"),
            window=bool((item.get("window") or {}).get("targetName")),
        )
        dates = {
            "starts_at": (item.get("available") or {}).get("startDateTime"),
            "ends_at": (item.get("submission") or {}).get("endDateTime"),
        }
        return Chosen("ltiResourceLink", title, link, values and {**dates, **values})

    def chosen_column(self, graded: Mapping[str, Any], title: str) -> dict[str, Any]:
        """Fields of `Column` for the item's line item. Raises Refused."""
        maximum = graded.get("scoreMaximum")
        if not is_number(maximum) or maximum <= 0:
            raise Refused(400, "scoreMaximum of the line item must be a number above 0")
        return {
            "label": graded.get("label") or title, "maximum": float(maximum), "tag": graded.get("tag") or "",
            "resource_id": graded.get("resourceId") or "", "grades_released": graded.get("gradesReleased"),
            "submission_review": graded.get("submissionReview"),
        }  # fmt: skip

    def chosen_custom(self, custom: Mapping[str, Any]) -> dict[str, str]:
        return {str(name): str(value) for name, value in custom.items()}
