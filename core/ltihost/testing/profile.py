"""`Profile`: what makes one LMS look like itself to a tool. A plugin brings its own as `manifest.profile`.

A profile is frozen data (name, colours, endpoints, people, contexts) and short methods, each the spec's answer until a
subclass overrides it. It holds no state and does no I/O: `platform.SimulatedPlatform` signs, remembers and serves.

The names of claims and roles are written out here a second time on purpose. The campus is the other end of the wire,
so a slip in the host's own vocabulary must not hide in a shared constant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ltihost.testing.parts import (
    AuthRequest,
    Cell,
    Column,
    Context,
    ErrorPost,
    Kind,
    Link,
    Look,
    Message,
    Opening,
    Page,
    Person,
    Tool,
)
from ltihost.testing.services.paging import link_header, whole_number, with_query
from ltihost.testing.services.records import (
    JSON,
    SCORE,
    Answer,
    Call,
    Refused,
    Row,
    ScorePost,
    Service,
)
from ltihost.testing.services.rules_content import Chosen, ContentRules
from ltihost.testing.services.rules_grades import GradeRules, Rate, is_number, number, read_time, written_time
from ltihost.testing.services.rules_roster import RosterRules
from ltihost.testing.services.rules_tokens import BadSignature, TokenRefused, TokenRules

__all__ = [
    "AGS",
    "AGS_SCOPES",
    "DEEP_LINKING",
    "FIXED_PARAMETERS",
    "INSTITUTION",
    "JSON",
    "LIS_V2",
    "LTI",
    "MEMBERSHIP",
    "NOTICES",
    "NRPS",
    "SCORE",
    "SYSTEM",
    "TEACHING_ASSISTANT",
    "TEST_USER",
    "Answer",
    "AuthRequest",
    "BadSignature",
    "Call",
    "Cell",
    "Chosen",
    "Claims",
    "Column",
    "Context",
    "ErrorPost",
    "Kind",
    "Link",
    "Look",
    "Message",
    "Opening",
    "Page",
    "Person",
    "Profile",
    "Rate",
    "Refused",
    "Row",
    "ScorePost",
    "Service",
    "TokenRefused",
    "Tool",
    "hex_id",
    "is_number",
    "link_header",
    "number",
    "read_time",
    "whole_number",
    "with_query",
    "written_time",
]

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
AGS_SCOPES = tuple(
    "https://purl.imsglobal.org/spec/lti-ags/scope/" + name
    for name in ("lineitem", "lineitem.readonly", "result.readonly", "score")
)
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
NOTICES = LTI + "platformnotificationservice"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
LIS_V2 = "http://purl.imsglobal.org/vocab/lis/v2/"
MEMBERSHIP = LIS_V2 + "membership#"
INSTITUTION = LIS_V2 + "institution/person#"
SYSTEM = LIS_V2 + "system/person#"
TEACHING_ASSISTANT = LIS_V2 + "membership/Instructor#TeachingAssistant"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

Claims = dict[str, Any]

#: What OpenID Connect and LTI want of an authorisation request, word for word. Security Framework 5.1.1.2.
FIXED_PARAMETERS = {
    "scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none",
}  # fmt: skip


@dataclass(frozen=True)
class Profile(GradeRules, RosterRules, TokenRules, ContentRules):
    """An LMS by the specs; its services are in the classes it is made of. Paths stand below the platform's base URL and may hold `{client_id}`.

    `token_seconds`: life of an id_token. `token_at_login`: it is built when the login starts. `hint_seconds`: life of
    a message hint. `storage_frame`: name of the frame that keeps data for tools, "_parent" for the page itself, None
    without platform storage. `reposts`: a browser without a session is sent once more from the LMS's own page.
    `fixed_issuer`: the issuer where all installations share one; else the base URL. `tool_custom`: parameters that a
    tool registered without its own gets. `words`: what the pages call "courses", "links" and "pick" here.
    """

    key: str
    name: str
    people: tuple[Person, ...]
    contexts: tuple[Context, ...]
    kinds: Mapping[str, Kind]
    look: Look = field(default_factory=Look)
    site: str = "Campus"
    fixed_issuer: str | None = None
    auth_path: str = "/auth"
    jwks_path: str = "/jwks"
    token_path: str = "/token"
    login_method: Literal["get", "post"] = "post"
    token_seconds: int = 300
    token_at_login: bool = False
    hint_seconds: int = 600
    storage_frame: str | None = None
    reposts: bool = False
    tool_custom: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    # Identity of the platform and of what is on it.

    def issuer(self, base_url: str) -> str:
        return self.fixed_issuer or base_url

    def new_client_id(self, number: int) -> str:
        """The id that the LMS gives to its `number`-th tool."""
        return f"{self.key}-client-{number}"

    def new_deployment_id(self, number: int) -> str:
        return f"{self.key}-deployment-{number}"

    def person_id(self, person: Person) -> str:
        """`sub`."""
        return f"person-{person.number}"

    def context_id(self, context: Context) -> str:
        return f"context-{context.number}"

    def link_id(self, link: Link) -> str:
        return f"link-{link.number}"

    # The login request. Security Framework 5.1.1.1.

    def login_hint(self, person: Person) -> str:
        return self.person_id(person)

    def message_hint(self, opening: Opening) -> str:
        """Opaque to the tool; must be different for every launch."""
        return opening.serial

    def login_fields(self, opening: Opening, hint: str) -> dict[str, str]:
        fields = {
            "iss": self.issuer(opening.base_url),
            "login_hint": self.login_hint(opening.person),
            "target_link_uri": opening.target,
            "lti_message_hint": hint,
            "lti_deployment_id": opening.tool.deployment_id,
            "client_id": opening.tool.client_id,
        }
        return fields | self.storage_field(opening)

    def storage_field(self, opening: Opening) -> dict[str, str]:
        offered = self.storage_frame if opening.storage else None
        return {"lti_storage_target": offered} if offered else {}

    # The authorisation endpoint. Security Framework 5.1.1.2 to 5.1.1.5.

    def refuse(self, request: AuthRequest) -> Page | ErrorPost | None:
        """Why this request gets no id_token, in this LMS's way; None when it gets one."""
        opening, params = request.opening, request.params
        if opening is None or request.late:
            return Page(400, "This link cannot be opened", "The launch is unknown here or too old.")
        if params.get("redirect_uri") not in opening.tool.redirect_uris:
            return Page(400, "This link cannot be opened", "The tool asked for an address that is not registered.")
        if params.get("client_id") != opening.tool.client_id:
            return ErrorPost("unauthorized_client")
        for name, value in FIXED_PARAMETERS.items():
            if params.get(name) != value:
                return ErrorPost("invalid_request", f"{name} must be {value}")
        if request.lacks("nonce"):
            return ErrorPost("invalid_request", "nonce is missing")
        return ErrorPost("login_required") if self.someone_else(request, opening) else None

    def someone_else(self, request: AuthRequest, opening: Opening) -> bool:
        """Whether hint or session name another person than the one who opened the link."""
        return request.other_session or request.params.get("login_hint") != self.login_hint(opening.person)

    def answer_fields(self, opening: Opening) -> dict[str, str]:
        """What this LMS posts besides `id_token` and `state`."""
        return {}

    # The message. LTI Core 1.3, section 5.

    def claims(self, opening: Opening) -> Claims:
        """All claims but the nonce. A method that answers None leaves its claim out."""
        found: Claims = {
            **self.envelope(opening),
            **self.identity(opening),
            LTI + "message_type": opening.message,
            LTI + "version": "1.3.0",
            LTI + "deployment_id": opening.tool.deployment_id,
            LTI + "target_link_uri": opening.target,
            LTI + "roles": self.roles(opening),
            LTI + "context": self.context_claim(opening),
            LTI + "resource_link": self.resource_link(opening),
            LTI + "lis": self.lis(opening),
            LTI + "launch_presentation": self.presentation(opening),
            LTI + "tool_platform": self.tool_platform(opening),
            LTI + "custom": self.custom(opening) or None,
            AGS: self.grade_service(opening),
            NRPS: self.roster_service(opening),
            NOTICES: self.notice_service(opening),
            DEEP_LINKING: self.deep_linking(opening) if opening.picking else None,
            LTI + "for_user": self.for_user(opening),
        }
        return {name: value for name, value in found.items() if value is not None}

    def envelope(self, opening: Opening) -> Claims:
        return {
            "iss": self.issuer(opening.base_url),
            "aud": opening.tool.client_id,
            "iat": opening.now,
            "exp": opening.now + self.token_seconds,
        }

    def identity(self, opening: Opening) -> Claims:
        person = opening.person
        if person.anonymous:
            return {}
        return {"sub": self.person_id(person)} | (self.personal(person) if opening.names else {})

    def personal(self, person: Person) -> Claims:
        return {
            "name": person.name, "given_name": person.given_name, "family_name": person.family_name,
            "email": person.email, "locale": "en",
        }  # fmt: skip

    def roles(self, opening: Opening) -> list[str]:
        here = self.kinds[opening.kind].roles if opening.kind else ()
        return [*here, *opening.person.everywhere]

    def context_claim(self, opening: Opening) -> Claims | None:
        context = opening.context
        return {
            "id": self.context_id(context), "label": context.label, "title": context.title,
            "type": [LIS_V2 + "course#CourseOffering"],
        }  # fmt: skip

    def resource_link(self, opening: Opening) -> Claims | None:
        link = opening.link
        return {"id": self.link_id(link), "title": link.title, "description": link.description} if link else None

    def lis(self, opening: Opening) -> Claims | None:
        person, context = opening.person, opening.context
        return {"person_sourcedid": person.sourcedid, "course_section_sourcedid": context.sourcedid}

    def presentation(self, opening: Opening) -> Claims | None:
        return {"document_target": "iframe", "return_url": opening.base_url + "/_return", "locale": "en"}

    def tool_platform(self, opening: Opening) -> Claims | None:
        return {"guid": hex_id(opening.base_url, 32), "name": self.site, "url": opening.base_url, "version": "1"}

    def custom(self, opening: Opening) -> dict[str, str | None]:
        """The tool's parameters, then the link's; a variable this LMS does not know stays as it is written."""
        known = self.variables(opening)
        asked = {
            **opening.tool.custom,
            **(opening.link.custom if opening.link else {}),
            **opening.review.get("custom", {}),
        }
        return {name: known.get(value, value) for name, value in asked.items()}

    def variables(self, opening: Opening) -> Mapping[str, str | None]:
        """Substitution variables and their values, None where this launch has none. Core spec, appendix B."""
        person, context, link = opening.person, opening.context, opening.link
        return {
            "$User.id": self.person_id(person),
            "$User.username": person.slug,
            "$Person.sourcedId": person.sourcedid,
            "$Person.name.full": person.name,
            "$Context.id": self.context_id(context),
            "$Context.title": context.title,
            "$Context.label": context.label,
            "$Context.id.history": self.context_history(context),
            "$ResourceLink.id": self.link_id(link) if link else None,
            "$ResourceLink.title": link.title if link else None,
        }

    def context_history(self, context: Context) -> str:
        """The ids of the contexts this one was copied from, the nearest first."""
        return ",".join(self.context_id(replace(context, number=number)) for number in context.history)

    def link_history(self, link: Link | None) -> str:
        """The ids of the links this one was copied from, the nearest first."""
        return ",".join(self.link_id(replace(link, number=number)) for number in link.history) if link else ""

    def grade_service(self, opening: Opening) -> Claims | None:
        tool, context, column = opening.tool, opening.context, opening.column
        item = self.line_item_url(opening.base_url, tool, context, column.number) if column else None
        return {
            "scope": [scope for scope in AGS_SCOPES if tool.may(scope)],
            "lineitems": self.line_items_url(opening.base_url, tool, context),
            **({"lineitem": item} if item else {}),
        }

    def roster_service(self, opening: Opening) -> Claims | None:
        url = self.memberships_url(opening.base_url, opening.tool, opening.context)
        return {"context_memberships_url": url, "service_versions": ["2.0"]}

    def notice_service(self, opening: Opening) -> Claims | None:
        """Where the tool can ask for notices. Platform Notification Service 1.0."""
        if self.notices_path is None:
            return None
        return {
            "platform_notification_service_url": opening.base_url
            + self.notices_path.format(tool=opening.tool.deployment_id),
            "service_versions": ["1.0"],
            "scope": ["https://purl.imsglobal.org/spec/lti/scope/noticehandlers"],
            "notice_types_supported": ["LtiHelloWorldNotice", "LtiContextCopyNotice"],
        }

    def for_user(self, opening: Opening) -> Claims | None:
        """Whose submission is reviewed. Submission Review 1.0."""
        person = opening.for_user
        if person is None:
            return None
        return {"user_id": self.person_id(person)} | (self.personal(person) if opening.names else {})

    def deep_linking(self, opening: Opening) -> Claims:
        return {
            "deep_link_return_url": f"{opening.base_url}{self.deep_link_path}?context={opening.context.slug}",
            "accept_types": list(self.accept_types),
            "accept_presentation_document_targets": ["iframe", "window"],
            "accept_multiple": True,
            "accept_lineitem": True,
            "data": opening.serial,
        }


def hex_id(text: str, length: int) -> str:
    """`length` (at most 64) hex digits that always come out the same for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]
