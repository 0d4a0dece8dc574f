"""The simulated Canvas: hosted dialect, one issuer for every institution, tokens built when the login starts.

Sources are canvas-lms: `lib/lti/messages/*.rb`, `app/models/lti/lti_advantage_adapter.rb` and
`app/controllers/lti/ims/authentication_controller.rb`.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ltihost.testing.profile import (
    INSTITUTION,
    LIS_V2,
    LTI,
    MEMBERSHIP,
    SYSTEM,
    TEACHING_ASSISTANT,
    TEST_USER,
    AuthRequest,
    Claims,
    Context,
    ErrorPost,
    Kind,
    Link,
    Look,
    Opening,
    Page,
    Person,
    hex_id,
)
from ltihost.testing.world import world
from ltihost_canvas.campus_services import CanvasServices

PLACEMENT = "https://www.instructure.com/placement"
LEGACY_USER_ID = LTI + "lti11_legacy_user_id"
REQUIRED = (
    "client_id", "login_hint", "lti_message_hint", "nonce", "prompt", "redirect_uri", "response_mode",
    "response_type", "scope",
)  # fmt: skip
#: Canvas serialises its model objects whole.
JUNK: Claims = {"validation_context": None, "errors": {"errors": {}}}

KINDS = {
    "teacher": Kind("Teacher", (MEMBERSHIP + "Instructor",), picks=True),
    "assistant": Kind("TA", (MEMBERSHIP + "Instructor", TEACHING_ASSISTANT), picks=True),
    "designer": Kind("Designer", (MEMBERSHIP + "ContentDeveloper",), picks=True),
    "student": Kind("Student", (MEMBERSHIP + "Learner",)),
    "observer": Kind("Observer", (MEMBERSHIP + "Mentor",)),
    "test_student": Kind("Student View", (MEMBERSHIP + "Learner", TEST_USER)),
    "administrator": Kind("Account admin", (), picks=True),
}
#: What an enrolment anywhere in the institution makes a person everywhere in it.
SOMEWHERE = {
    "teacher": "Instructor", "assistant": "Instructor", "designer": "Instructor", "student": "Student",
    "administrator": "Administrator",
}  # fmt: skip
#: What the registration guide asks for. `sis_id` asks for a variable that Canvas does not have.
TOOL_CUSTOM = {
    "canvas_user_id": "$Canvas.user.id",
    "canvas_course_id": "$Canvas.course.id",
    "canvas_assignment_id": "$Canvas.assignment.id",
    "canvas_student_view": "$com.instructure.User.student_view",
    "context_history": "$Context.id.history",
    "due_at": "$Canvas.assignment.dueAt.iso8601",
    "sis_id": "$Canvas.user.sisid",
}


@dataclass(frozen=True)
class CanvasProfile(CanvasServices):
    """`site` is the name of the root account."""

    def new_client_id(self, number: int) -> str:
        """The developer key's global id."""
        return str(170_370_000_000_000_000 + number)

    def new_deployment_id(self, number: int) -> str:
        return f"{number}:{hex_id(f'install {number}', 40)}"

    def person_id(self, person: Person) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"canvas person {person.number}"))

    def context_id(self, context: Context) -> str:
        return hex_id(f"canvas context {context.number}", 40)

    def link_id(self, link: Link) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"canvas link {link.number}"))

    def login_hint(self, person: Person) -> str:
        return hex_id(f"canvas login {person.number}", 40)

    def message_hint(self, opening: Opening) -> str:
        """A long text of three parts like a signed token; only Canvas ever reads it."""
        header = _part({"typ": "JWT", "alg": "HS256"})
        body = {
            "verifier": opening.serial * 4, "canvas_domain": opening.base_url, "context_type": "Course",
            "context_id": opening.context.number, "exp": opening.now + self.hint_seconds,
        }  # fmt: skip
        return f"{header}.{_part(body)}.{hex_id(opening.serial, 43)}"

    def login_fields(self, opening: Opening, hint: str) -> dict[str, str]:
        """`deployment_id` instead of the standard's `lti_deployment_id`, and two hints of its own."""
        return {
            "iss": self.issuer(opening.base_url),
            "login_hint": self.login_hint(opening.person),
            "target_link_uri": opening.target,
            "lti_message_hint": hint,
            "canvas_region": "not_configured",
            "canvas_environment": "prod",
            "client_id": opening.tool.client_id,
            "deployment_id": opening.tool.deployment_id,
        } | self.storage_field(opening)

    def refuse(self, request: AuthRequest) -> Page | ErrorPost | None:
        """authentication_controller.rb: a plain page for a foreign redirect URI, error posts for everything else."""
        opening, params = request.opening, request.params
        if opening is None or not _registered(params.get("redirect_uri", ""), opening.tool.redirect_uris):
            return Page(400, "Invalid redirect_uri", "The app is not set up for this address.")
        if missing := request.lacks(*REQUIRED):
            return ErrorPost("invalid_request_object", f"The following parameters are missing: {','.join(missing)}")
        if params["scope"] != "openid":
            return ErrorPost("invalid_request_object", "The 'scope' must be 'openid'")
        if params["client_id"] != opening.tool.client_id:
            return ErrorPost("unauthorized_client", "Client not authorized in requested context")
        if self.someone_else(request, opening):
            return ErrorPost("login_required", "Must have an active user session")
        return (
            ErrorPost("launch_no_longer_valid", "The launch has either expired or already been consumed")
            if (request.spent or request.late)
            else None
        )

    def answer_fields(self, opening: Opening) -> dict[str, str]:
        """The form is a Rails form, and it repeats the storage target."""
        rails = {"utf8": "✓", "authenticity_token": hex_id(opening.serial, 64)}
        return rails | self.storage_field(opening)

    def claims(self, opening: Opening) -> Claims:
        claims = super().claims(opening)
        person, menu = opening.person, opening.link is not None and opening.link.placement == "navigation"
        claims[LTI + "roles"] = sorted(set(claims[LTI + "roles"]))
        claims[PLACEMENT] = "assignment_selection" if opening.picking else self.menu(opening) if menu else None
        claims[LEGACY_USER_ID] = "" if person.anonymous else hex_id(f"canvas 1.1 {person.number}", 40)
        claims["locale"] = "en"
        claims["errors"] = {"errors": {}}
        return claims

    def menu(self, opening: Opening) -> str:
        return "account_navigation" if opening.context.account else "course_navigation"

    def envelope(self, opening: Opening) -> Claims:
        return {**super().envelope(opening), "azp": opening.tool.client_id}

    def personal(self, person: Person) -> Claims:
        return {
            "name": person.name, "given_name": person.given_name, "family_name": person.family_name,
            "email": person.email, "picture": "https://campus.example/images/avatar-50.png",
        }  # fmt: skip

    def roles(self, opening: Opening) -> list[str]:
        """This course's enrolment, and what the person is anywhere in the institution."""
        if opening.person.anonymous:
            return [SYSTEM + "None"]
        kinds = {context.enrolled.get(opening.person.slug) for context in self.contexts}
        somewhere = [INSTITUTION + role for kind, role in SOMEWHERE.items() if kind in kinds]
        return [*super().roles(opening), *somewhere, SYSTEM + "User"]

    def context_claim(self, opening: Opening) -> Claims:
        context = opening.context
        if context.account:
            return {"id": self.context_id(context), "title": context.title, "type": ["Account"], **JUNK}
        kind = LIS_V2 + "course#CourseOffering"
        return {"id": self.context_id(context), "label": context.label, "title": context.title, "type": [kind], **JUNK}

    def resource_link(self, opening: Opening) -> Claims | None:
        """Without a real link the context's id and name stand in for it (resource_link_request.rb)."""
        link, context = opening.link, opening.context
        if link is None:
            return None
        if link.placement == "navigation":
            return {"id": self.context_id(context), "title": context.title, "description": None, **JUNK}
        description = f"<p>{link.description}</p>" if link.description else None
        return {"id": self.link_id(link), "title": link.title, "description": description, **JUNK}

    def lis(self, opening: Opening) -> Claims | None:
        """Only with names; a missing SIS id comes as the variable's own name (jwt_message.rb)."""
        if not opening.names or opening.person.anonymous:
            return None
        return {
            "person_sourcedid": opening.person.sourcedid or "$Person.sourcedId",
            "course_offering_sourcedid": opening.context.sourcedid or "$CourseSection.sourcedId",
            **JUNK,
        }

    def presentation(self, opening: Opening) -> Claims:
        """`document_target` is always "iframe", in a tab too."""
        place = "accounts" if opening.context.account else "courses"
        url = f"{opening.base_url}/{place}/{opening.context.number}/external_content/success/external_tool_redirect"
        return {"document_target": "iframe", "return_url": url, "locale": "en", "height": None, "width": None, **JUNK}

    def tool_platform(self, opening: Opening) -> Claims:
        guid = hex_id(f"root account {self.site}", 40) + ":canvas-lms"
        return {"guid": guid, "name": self.site, "version": "cloud", "product_family_code": "canvas", **JUNK}

    def variables(self, opening: Opening) -> Mapping[str, str | None]:
        graded = opening.link is not None and opening.link.maximum is not None
        assignment = {"$Canvas.assignment.id": str(opening.link.number)} if opening.link and graded else {}
        return {
            **super().variables(opening),
            "$Canvas.user.id": str(opening.person.number),
            "$Canvas.course.id": str(opening.context.number),
            "$com.instructure.User.student_view": "true" if opening.kind == "test_student" else "false",
            **assignment,
        }

    def grade_service(self, opening: Opening) -> Claims | None:
        found = None if opening.context.account else super().grade_service(opening)
        return found and {**found, **JUNK}

    def roster_service(self, opening: Opening) -> Claims | None:
        found = None if opening.context.account else super().roster_service(opening)
        return found and {**found, **JUNK}

    def deep_linking(self, opening: Opening) -> Claims:
        """Its own data travels in the return URL; there is no `data` and no `accept_lineitem`."""
        return {
            "deep_link_return_url": f"{opening.base_url}{self.deep_link_path.format(context=opening.context.number)}?data={opening.serial}",
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["iframe", "window"],
            "accept_media_types": "application/vnd.ims.lti.v1.ltilink",
            "auto_create": False,
            "accept_multiple": False,
            **JUNK,
        }


def profile() -> CanvasProfile:
    """A school on hosted Canvas, with its account as a place of its own and a visitor who is not signed in."""
    found = world(KINDS, navigation="Exercises")
    account = Context(
        "account", 1, "", "Example University", "", {"sam": "administrator"},
        (Link("account-menu", 81, "Exercises", placement="navigation"),),
        account=True, summary="Settings and apps of the whole institution.",
    )  # fmt: skip
    visitor = Person("visitor", 99, "Public", "visitor", anonymous=True)
    contexts = tuple(replace(context, enrolled=dict(context.enrolled)) for context in found.contexts)
    return CanvasProfile(
        key="canvas",
        name="Canvas",
        site="Example University",
        people=(*found.people, visitor),
        contexts=(*contexts, account),
        kinds=KINDS,
        look=Look("#0374b5", "#ffffff", "#c8372d", "#2d3b45", "#ffffff", "#ffffff", "rail"),
        fixed_issuer="https://canvas.instructure.com",
        auth_path="/api/lti/authorize_redirect",
        jwks_path="/api/lti/security/jwks",
        token_path="/login/oauth2/token",
        token_seconds=3600,
        token_at_login=True,
        hint_seconds=300,
        storage_frame="post_message_forwarding",
        tool_custom=TOOL_CUSTOM,
        words={"pick": "Find an external tool", "courses": "Dashboard", "links": "Assignments", "grades": "Grades"},
    )


def _registered(uri: str, registered: tuple[str, ...]) -> bool:
    """A query may be added to a registered URI."""
    return any(uri == known or uri.partition("?")[0] == known for known in registered)


def _part(value: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
