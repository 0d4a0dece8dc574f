"""The simulated Moodle: what a real Moodle 4.5.6 was seen to send, and how its endpoints answer.

File names are Moodle's, below `mod/lti/`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from ltihost.testing.profile import (
    INSTITUTION,
    LTI,
    MEMBERSHIP,
    SYSTEM,
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
from ltihost_moodle.campus_services import BASIC_OUTCOME, MoodleServices

INVALID = Page(404, "Invalid request", "The activity cannot be opened like this. Go back to your course and try again.")

#: Only Instructor and Learner exist on the wire, non-editing teachers are Instructors (locallib.php, lti_get_ims_role).
KINDS = {
    "teacher": Kind("Teacher", (MEMBERSHIP + "Instructor",), picks=True),
    "assistant": Kind("Non-editing teacher", (MEMBERSHIP + "Instructor",)),
    "student": Kind("Student", (MEMBERSHIP + "Learner",)),
    "administrator": Kind(
        "Site administrator",
        (INSTITUTION + "Administrator", MEMBERSHIP + "Instructor", SYSTEM + "Administrator"),
        picks=True,
    ),
}
#: What the registration guide asks for, and two variables that Moodle does not know and sends back as they are.
TOOL_CUSTOM = {
    "context_history": "$Context.id.history",
    "groups": "$Moodle.Person.userGroupIds",
    "dueAt": "$ResourceLink.submission.endDateTime",
    "opens_at": "$ResourceLink.available.startDateTime",
}


@dataclass(frozen=True)
class MoodleProfile(MoodleServices):
    """`site` is the short name of the site, `site_name` the full one."""

    site_name: str = "Campus Moodle"
    version: str = "2024100706"

    def new_client_id(self, number: int) -> str:
        """Fifteen letters and digits."""
        return secrets.token_urlsafe(24).replace("-", "x").replace("_", "y")[:15]

    def new_deployment_id(self, number: int) -> str:
        """The id of the tool's record: one client id, one deployment."""
        return str(number)

    def person_id(self, person: Person) -> str:
        return str(person.number)

    def context_id(self, context: Context) -> str:
        return str(context.number)

    def link_id(self, link: Link) -> str:
        """The activity's instance id, not the number in the browser's URL."""
        return str(link.number)

    def message_hint(self, opening: Opening) -> str:
        """JSON text since 4.1, single use (launch.php, contentitem.php)."""
        slot = int(opening.serial[:8], 16)
        if opening.link is None:
            return _compact({"launchid": f"ltilaunch_ContentItemSelectionRequest{slot}"})
        return _compact({"cmid": opening.link.number + 2, "launchid": f"ltilaunch{opening.link.number}_{slot}"})

    def refuse(self, request: AuthRequest) -> Page | ErrorPost | None:
        """auth.php: a page of its own until the launch is found and the redirect URI known, then error posts."""
        opening, params = request.opening, request.params
        if request.lacks("client_id", "redirect_uri", "login_hint", "nonce"):
            return INVALID
        if params.get("scope") != "openid" or params.get("response_type") != "id_token":
            return INVALID
        if opening is None or request.spent or request.late or request.other_session:
            return INVALID
        if params["redirect_uri"] not in opening.tool.redirect_uris:
            return INVALID
        if params["client_id"] != opening.tool.client_id:
            return ErrorPost("unauthorized_client")
        if self.someone_else(request, opening):
            return ErrorPost("access_denied")
        if params.get("response_mode") != "form_post":
            return ErrorPost("invalid_request", "Invalid response_mode")
        return (
            ErrorPost("invalid_request", "Invalid prompt") if params.get("prompt", "none") not in ("", "none") else None
        )

    def claims(self, opening: Opening) -> Claims:
        """Lists are sorted; `ext` names the Moodle and, with the names, the account (locallib.php, lti_build_request_lti2)."""
        claims = super().claims(opening)
        claims[LTI + "roles"] = sorted(claims[LTI + "roles"])
        account = {"user_username": opening.person.slug} if opening.names else {}
        claims[LTI + "ext"] = {**account, "lms": "moodle-2"}
        if opening.link and opening.link.maximum is not None:
            claims[BASIC_OUTCOME] = self.basic_outcome(opening, opening.link)
        return claims

    def personal(self, person: Person) -> Claims:
        return {
            "name": person.name, "given_name": person.given_name, "family_name": person.family_name,
            "email": person.email,
        }  # fmt: skip

    def context_claim(self, opening: Opening) -> Claims:
        """The type is a bare word, not a URI."""
        context = opening.context
        return {"id": str(context.number), "label": context.label, "title": context.title, "type": ["CourseSection"]}

    def presentation(self, opening: Opening) -> Claims:
        if opening.picking:
            return {"locale": "en"}
        query = f"course={opening.context.number}&launch_container=3&instanceid={opening.link and opening.link.number}"
        url = f"{opening.base_url}/mod/lti/return.php?{query}&sesskey={opening.serial[:10]}"
        return {"locale": "en", "document_target": "iframe", "return_url": url}

    def tool_platform(self, opening: Opening) -> Claims:
        return {
            "product_family_code": "moodle", "version": self.version, "guid": hex_id(opening.base_url, 32),
            "name": self.site, "description": self.site_name,
        }  # fmt: skip

    def custom(self, opening: Opening) -> dict[str, str | None]:
        """Every key twice where the old, normalised spelling differs; the roster URL in between (locallib.php:1990)."""
        found: dict[str, str | None] = {
            "context_memberships_url": self.memberships_url(opening.base_url, opening.tool, opening.context)
        }
        for name, value in super().custom(opening).items():
            found[name] = value
            found[re.sub(r"[^0-9a-z]", "_", name.lower())] = value
        return found

    def variables(self, opening: Opening) -> Mapping[str, str | None]:
        context = opening.context
        return {
            **super().variables(opening),
            "$Context.sourcedId": context.sourcedid,
            "$CourseSection.title": context.title,
            "$Membership.role": _old_roles(self.kinds[opening.kind].roles if opening.kind else ()),
            "$Moodle.Person.userGroupIds": "",
        }

    def roster_service(self, opening: Opening) -> Claims:
        return {
            "context_memberships_url": self.memberships_url(opening.base_url, opening.tool, opening.context),
            "service_versions": ["1.0", "2.0"],
        }

    def basic_outcome(self, opening: Opening, link: Link) -> Claims:
        data = {
            "instanceid": str(link.number), "userid": str(opening.person.number),
            "typeid": opening.tool.deployment_id, "launchid": int(opening.serial[:8], 16),
        }  # fmt: skip
        source = _compact({"data": data, "hash": hex_id(_compact(data), 64)})
        return {"lis_result_sourcedid": source, "lis_outcome_service_url": opening.base_url + "/mod/lti/service.php"}

    def deep_linking(self, opening: Opening) -> Claims:
        """No `data`, no `accept_lineitem`; leftovers of the 1.1 message are there."""
        query = f"course={opening.context.number}&id={opening.tool.deployment_id}&sesskey={opening.serial[:10]}"
        return {
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["frame", "iframe", "window"],
            "accept_copy_advice": False,
            "accept_multiple": True,
            "accept_unsigned": False,
            "auto_create": False,
            "can_confirm": False,
            "deep_link_return_url": f"{opening.base_url}/mod/lti/contentitem_return.php?{query}",
            "title": "",
            "text": "",
        }


def profile() -> MoodleProfile:
    """A Moodle whose address has a path, as many have."""
    found = world(KINDS)
    return MoodleProfile(
        key="moodle",
        name="Moodle",
        site="CAMPUS",
        people=found.people,
        contexts=found.contexts,
        kinds=KINDS,
        look=Look("#0f6cbf", "#ffffff", "#f98012", "#ffffff", "#1d2125", "#f3f5f8", "topbar"),
        auth_path="/mod/lti/auth.php",
        jwks_path="/mod/lti/certs.php",
        token_path="/mod/lti/token.php",
        token_seconds=60,
        reposts=True,
        tool_custom=TOOL_CUSTOM,
        words={
            "pick": "Select content",
            "courses": "My courses",
            "links": "External tools",
            "grades": "Grades",
            "people": "Participants",
        },
    )


def _old_roles(roles: tuple[str, ...]) -> str:
    """`$Membership.role` in the words of LTI 1.1."""
    old = {
        MEMBERSHIP + "Instructor": "Instructor", MEMBERSHIP + "Learner": "Learner",
        SYSTEM + "Administrator": "urn:lti:sysrole:ims/lis/Administrator",
        INSTITUTION + "Administrator": "urn:lti:instrole:ims/lis/Administrator",
    }  # fmt: skip
    return ",".join(name for uri, name in old.items() if uri in roles)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
