"""The simulated Blackboard Learn (Ultra): one issuer and one client id for every customer, a key set per client.

Learn's source is closed; this follows Anthology's developer documentation and the samples printed there.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from ltihost.testing.profile import (
    INSTITUTION,
    MEMBERSHIP,
    SYSTEM,
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
from ltihost_blackboard.campus_services import BlackboardServices

GROUPS = "https://purl.imsglobal.org/spec/lti-gs/claim/groupsservice"
SESSION_TOKEN = "https://blackboard.com/lti/claim/one_time_session_token"
FOUNDATIONS = "https://blackboard.com/webapps/foundations-connector/foundations-ids"

#: Every privileged course role is an Instructor unless the customer maps it; the code of the real one is a variable.
KINDS = {
    "teacher": Kind("Instructor", (MEMBERSHIP + "Instructor",), picks=True),
    "assistant": Kind("Teaching assistant", (MEMBERSHIP + "Instructor",), picks=True),
    "grader": Kind("Grader", (MEMBERSHIP + "Instructor",)),
    "designer": Kind("Course builder", (MEMBERSHIP + "Instructor",), picks=True),
    "student": Kind("Student", (MEMBERSHIP + "Learner", INSTITUTION + "Student")),
    "test_student": Kind("Student preview", (MEMBERSHIP + "Learner", TEST_USER)),
    "administrator": Kind(
        "System administrator",
        (MEMBERSHIP + "Instructor", SYSTEM + "Administrator", MEMBERSHIP + "Administrator", INSTITUTION + "Staff"),
        picks=True,
    ),
}
COURSE_ROLES = {
    "teacher": "P", "assistant": "T", "grader": "G", "designer": "B", "student": "S", "test_student": "S",
    "administrator": "P",
}  # fmt: skip
#: What the registration guide asks for; `group` is a variable that stays as it is outside a group.
TOOL_CUSTOM = {
    "bb_course_role": "@X@membership.role@X@",
    "bb_user_role": "@X@user.role@X@",
    "bb_course_pk": "@X@course.pk_string@X@",
    "bb_ultra": "@X@course.ultra_status@X@",
    "link_history": "$ResourceLink.id.history",
    "context_history": "$Context.id.history",
    "group": "$CourseGroup.id",
}


@dataclass(frozen=True)
class BlackboardProfile(BlackboardServices):
    """`base_url` plays the developer portal and the Learn host at once."""

    def new_client_id(self, number: int) -> str:
        """The application id."""
        return _uuid(f"application {number}")

    def new_deployment_id(self, number: int) -> str:
        return _uuid(f"deployment {number}")

    def person_id(self, person: Person) -> str:
        """32 digits without dashes."""
        return hex_id(f"blackboard person {person.number}", 32)

    def context_id(self, context: Context) -> str:
        return hex_id(f"blackboard context {context.number}", 32)

    def link_id(self, link: Link) -> str:
        """The content item's key: the same few numbers at every customer."""
        return f"_{link.number}_1"

    def message_hint(self, opening: Opening) -> str:
        item = opening.link.number if opening.link else 14
        hint = {
            "contentId": f"_{item}_1", "parentContentId": "_13_1", "fromUltra": True, "openNewWindow": False,
            "deepLinkLaunch": opening.picking, "launch": opening.serial,
        }  # fmt: skip
        return base64.b64encode(json.dumps(hint).encode()).decode()

    def refuse(self, request: AuthRequest) -> Page | ErrorPost | None:
        """Only the exact redirect URI and the hints are known to be checked; `response_mode` and `prompt` are not.

        What Learn posts on an error is nowhere documented, so it stays on a page of its own.
        """
        opening, params = request.opening, request.params
        if opening is None or request.late or params.get("client_id") != opening.tool.client_id:
            return Page(400, "Invalid request", "The LTI launch could not be completed.")
        if params.get("redirect_uri") not in opening.tool.redirect_uris:
            return Page(400, "Invalid redirect_uri", "The redirect URI is not registered for this application.")
        wrong = params.get("scope") != "openid" or params.get("response_type") != "id_token" or request.lacks("nonce")
        if wrong or self.someone_else(request, opening):
            return Page(400, "Invalid request", "The LTI launch could not be completed.")
        return None

    def claims(self, opening: Opening) -> Claims:
        claims = super().claims(opening)
        courses = f"{opening.base_url}/learn/api/v1/lti/courses/_{opening.context.number}_1"
        claims[GROUPS] = {
            "context_groups_url": courses + "/groups",
            "context_group_sets_url": courses + "/groupsets",
            "scope": ["https://purl.imsglobal.org/spec/lti-gs/scope/contextgroup.readonly"],
            "service_versions": ["1.0"],
        }
        claims["locale"] = "en-US"
        claims[SESSION_TOKEN] = hex_id(opening.serial, 32)
        claims[FOUNDATIONS] = {"site-id": _uuid("site"), "tenant-id": _uuid("tenant")}
        return claims

    def personal(self, person: Person) -> Claims:
        return {
            "name": person.name, "given_name": person.given_name, "family_name": person.family_name,
            "email": person.email,
        }  # fmt: skip

    def resource_link(self, opening: Opening) -> Claims | None:
        """In deep linking the folder the item will stand in; nothing at all for a course tool."""
        link = opening.link
        if link is None:
            return {"id": "_14_1"}
        if link.placement == "navigation":
            return None
        described = {"description": link.description} if link.description else {}
        return {"id": self.link_id(link), "title": link.title, **described}

    def presentation(self, opening: Opening) -> Claims | None:
        """No `document_target`; nothing in deep linking."""
        if opening.picking:
            return None
        item = opening.link.number if opening.link else 0
        query = f"course_id=_{opening.context.number}_1&content_id=_{item}_1&toGC=false&launch_id={opening.serial[:8]}"
        url = f"{opening.base_url}/webapps/blackboard/execute/blti/launchReturn?{query}&launch_time={opening.now}123"
        return {"return_url": url, "locale": "en-US"}

    def tool_platform(self, opening: Opening) -> Claims:
        """The name is the vendor's; only `url` names the customer."""
        return {
            "guid": hex_id(opening.base_url, 32), "name": "Blackboard, Inc.", "description": "Blackboard, Inc.",
            "product_family_code": "BlackboardLearn", "version": "3900.120.0-rel.12+abc1234",
            "url": opening.base_url + "/", "contact_email": "lms@campus.example",
        }  # fmt: skip

    def custom(self, opening: Opening) -> dict[str, str | None]:
        """Two Caliper values come unasked; the second names the person's session."""
        return {
            **super().custom(opening),
            "caliper_profile_url": opening.base_url + "/learn/api/v1/telemetry/caliper/profile",
            "caliper_federated_session_id": f"https://caliper-mapping.example/v1/sites/{_uuid('site')}/sessions/{opening.serial}",
        }

    def variables(self, opening: Opening) -> Mapping[str, str | None]:
        administrator = opening.kind == "administrator"
        history = self.link_history(opening.link)
        return {
            **super().variables(opening),
            **({"$ResourceLink.id.history": history} if history else {}),
            "@X@membership.role@X@": COURSE_ROLES.get(opening.kind or "", "U"),
            "@X@user.role@X@": "Z" if administrator else "N",
            "@X@course.pk_string@X@": f"_{opening.context.number}_1",
            "@X@course.ultra_status@X@": "true",
        }

    def roster_service(self, opening: Opening) -> Claims:
        return {
            "context_memberships_url": self.memberships_url(opening.base_url, opening.tool, opening.context),
            "scope": ["https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"],
            "service_versions": ["2.0"],
        }

    def deep_linking(self, opening: Opening) -> Claims:
        return {
            "deep_link_return_url": opening.base_url + self.deep_link_path,
            "accept_types": ["ltiResourceLink", "link"],
            "accept_presentation_document_targets": ["iframe", "window"],
            "accept_media_types": "*/*",
            "accept_multiple": True,
            "auto_create": True,
            "accept_copy_advice": False,
            "data": f"_{opening.context.number}_1::_14_1::2::false::true::_13_1::{opening.serial}::false::false",
        }


def profile() -> BlackboardProfile:
    """One customer's Learn with the Ultra course view; administrators are enrolled, else Learn lets nobody in."""
    found = world(KINDS, navigation="Exercises")
    return BlackboardProfile(
        key="blackboard",
        name="Blackboard",
        site="Example College",
        people=found.people,
        contexts=found.contexts,
        kinds=KINDS,
        look=Look("#6d28d9", "#ffffff", "#6d28d9", "#1f1b24", "#ffffff", "#f4f3f6", "panel"),
        fixed_issuer="https://blackboard.com",
        auth_path="/api/v1/gateway/oidcauth",
        jwks_path="/api/v1/management/applications/{client_id}/jwks.json",
        token_path="/api/v1/gateway/oauth2/jwttoken",
        login_method="get",
        token_seconds=3600,
        storage_frame="lti_storage_frame",
        tool_custom=TOOL_CUSTOM,
        words={"pick": "Content Market", "courses": "Courses", "links": "Course content", "people": "Roster"},
    )


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"blackboard {text}"))
