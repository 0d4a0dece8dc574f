"""How an administrator registers the host in Canvas, and where to click when a launch is refused.

The words are Canvas's own: Developer Keys, LTI Key, View App Configurations, Deployment Id.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from ltihost.plugins import Document, Guide, ToolUrls

AGS_SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
SCOPES = (
    AGS_SCOPE + "lineitem",
    AGS_SCOPE + "lineitem.readonly",
    AGS_SCOPE + "result.readonly",
    AGS_SCOPE + "score",
    "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
    "https://purl.imsglobal.org/spec/lti/scope/noticehandlers",
)

#: What the application is told beyond the LTI claims. Canvas fills in the values at each launch.
CUSTOM_FIELDS = {
    "canvas_user_id": "$Canvas.user.id",
    "canvas_course_id": "$Canvas.course.id",
    "canvas_assignment_id": "$Canvas.assignment.id",
    "canvas_api_domain": "$Canvas.api.domain",
    "canvas_section_ids": "$Canvas.course.sectionIds",
    "canvas_student_view": "$com.instructure.User.student_view",
    "canvas_enrollment_state": "$Canvas.enrollment.enrollmentState",
    "context_history": "$Context.id.history",
    "due_at": "$Canvas.assignment.dueAt.iso8601",
    "pm_token": "$com.instructure.PostMessageToken",
}

#: Places in Canvas where the tool appears, with the message each sends and what else Canvas wants to know.
PLACEMENTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "course_navigation",
        "LtiResourceLinkRequest",
        {"default": "disabled", "visibility": "members", "windowTarget": "_blank"},
    ),
    ("assignment_selection", "LtiDeepLinkingRequest", {}),
    ("link_selection", "LtiDeepLinkingRequest", {}),
    ("editor_button", "LtiDeepLinkingRequest", {}),
    ("account_navigation", "LtiResourceLinkRequest", {"required_permissions": "manage_account_settings"}),
)


def guide(urls: ToolUrls) -> Guide:
    """The click path and the developer key, filled in with the host's URLs."""
    return Guide(
        steps=(
            "In Canvas open **Admin**, choose the account, then **Developer Keys**.",
            (
                "Press **+ Developer Key**, then **+ LTI Key**. Give it a **Key Name**, set **Method** to **Paste JSON**, paste "
                "the document *Developer key*, press **Save**. Canvas fills in **Redirect URIs** by itself."
            ),
            "Switch the **State** of the new key to **On**. The long number in the column **Details** is the client id.",
            (
                "Tell the host: `ltihost registration set ID issuer=https://canvas.instructure.com client-id=NUMBER`. A beta or "
                "test Canvas has the issuer `https://canvas.beta.instructure.com` or `https://canvas.test.instructure.com`; the "
                "endpoint URLs follow from the issuer."
            ),
            (
                "Only for a Canvas that you run yourselves: give the endpoints too, since its issuer is often "
                "`https://canvas.instructure.com` as well (it stands in `config/security.yml`). They are "
                "`auth-url=https://HOST/api/lti/authorize_redirect`, `token-url=https://HOST/login/oauth2/token` and "
                "`jwks-url=https://HOST/api/lti/security/jwks`. If HOST has an unusual port, set `audience` to the token URL "
                "without the port."
            ),
            (
                "Open **Settings**, **Apps**, **View App Configurations**, press **+ App**, choose **Configuration Type** "
                "**By Client ID**, paste the number, press **Submit** and **Install**. A course's own settings do the same for "
                "one course."
            ),
            (
                "Open the gear menu of the installed app, **Deployment Id**, and copy it: "
                "`ltihost registration set ID deployment-id=TEXT`."
            ),
            (
                "Each further installation (in a sub-account or by a teacher in a course) has a deployment id of its own. "
                "`ltihost registration set ID auto-deployments=same_instance` admits those that come from the same Canvas "
                "account as an approved one; without it each waits for approval."
            ),
        ),
        documents=(Document("Developer key", "application/json", json.dumps(developer_key(urls), indent=2)),),
        asks={
            "issuer": "`https://canvas.instructure.com`; beta and test have their own, see the steps",
            "client-id": "**Developer Keys**, column **Details**: the long number",
            "deployment-id": "**Settings**, **Apps**, **View App Configurations**, gear menu of the app, **Deployment Id**",
            "auto-deployments": "`same_instance` is proposed: teachers install apps in their courses",
        },
        warnings=(
            "Switching the key off or deleting it removes the app from every account and course.",
            (
                "Keep the endpoints on `sso.canvaslms.com`. The former host `canvas.instructure.com` still answers, but "
                "Canvas's storage for browsers that block cookies works only with the new one."
            ),
            (
                "Privacy level `public` lets Canvas send name, e-mail and picture. A lower level is respected; with "
                "`anonymous` people have no names here."
            ),
            "The roles of an account administrator who is not enrolled in the course do not count there.",
        ),
    )


def developer_key(urls: ToolUrls) -> dict[str, Any]:
    """The LTI key in the form that **Paste JSON** takes. It holds nothing secret."""
    return {
        "title": urls.name,
        "description": f"Opens {urls.name} and returns results to Canvas",
        "oidc_initiation_url": urls.login,
        "target_link_uri": urls.launch,
        "public_jwk_url": urls.key_set,
        "scopes": list(SCOPES),
        "custom_fields": CUSTOM_FIELDS,
        "extensions": [
            {
                "platform": "canvas.instructure.com",
                "domain": urlsplit(urls.origin).hostname,
                "tool_id": _slug(urls.name),
                "privacy_level": "public",
                "settings": {
                    "text": urls.name,
                    "labels": {"en": urls.name},
                    "selection_width": 900,
                    "selection_height": 700,
                    "placements": [_placement(urls, *placement) for placement in PLACEMENTS],
                },
            }
        ],
    }


def _placement(urls: ToolUrls, name: str, message_type: str, more: dict[str, str]) -> dict[str, str]:
    return {"placement": name, "message_type": message_type, "target_link_uri": urls.launch, **more}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "ltihost"


HELP = {
    "unknown_registration": "Canvas sends the long number from **Developer Keys**, column **Details**, as client id. Beta and "
    "test have issuers of their own.",
    "audience_mismatch": "The client id is the long number in **Developer Keys**, column **Details**.",
    "nonce_mismatch": "Nothing can be set in Canvas; it returns the nonce as it came. Look for a proxy between browser and Canvas "
    "that repeats pages.",
    "deployment_pending": "The app was installed in another account or course. Its **Deployment Id** is in the gear menu "
    "under **Settings**, **Apps**, **View App Configurations**.",
    "browser_binding": "Let the link open outside the frame: tick **Load This Tool In A New Tab** on the assignment or the "
    "module item.",
    "login_required": "The person's Canvas session was not found: another account is open in a second tab, or the browser "
    "blocks Canvas's own cookies. Signing in to Canvas again or a new window helps.",
    "launch_no_longer_valid": "Canvas keeps each launch for one use and five minutes. Open the link in Canvas again.",
    "platform_error": "`unauthorized_client`: the key is **Off** in this account, see **Developer Keys**. "
    "`invalid_request_object`: a fault of this host, please report it.",
    "subject_missing": "The course is public and the person was not signed in to Canvas.",
    "issuer_mismatch": "A Canvas that you run yourselves takes its issuer from `lti_iss` in `config/security.yml`.",
    "keys_unavailable": "The key set is `https://sso.canvaslms.com/api/lti/security/jwks`, or "
    "`https://HOST/api/lti/security/jwks` on a Canvas of your own.",
    "key_not_found": "Production, beta and test Canvas have key sets of their own: issuer and key set URL must be of the same.",
    "sig_invalid": "Issuers can be alike (a Canvas of your own may claim `https://canvas.instructure.com`), key sets cannot: "
    "check the key set URL.",
    "target_not_registered": "Look at the URL of the link: the assignment's **External Tool URL**, or the key's "
    "**Target Link URI** under **Developer Keys**.",
    "message_type_unsupported": "Remove the placement that sends it: **Developer Keys**, edit the key, **Placements**.",
    "deep_linking_off": "Assignment, module and editor placements need deep linking. Remove them under **Developer Keys**, "
    "**Placements**, or switch deep linking on.",
    "picker_missing": "Assignment, module and editor placements need a picker. Remove them under **Developer Keys**, "
    "**Placements**, or give the application one.",
    "token_too_large": "A long assignment description or many custom fields make the launch large: shorten the key's "
    "`custom_fields`.",
}
