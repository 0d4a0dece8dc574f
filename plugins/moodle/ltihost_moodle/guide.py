"""How an administrator registers the host in Moodle, and where to click when a launch is refused.

The words are Moodle's own English ones (mod/lti/lang/en/lti.php).
"""

from __future__ import annotations

from ltihost.plugins import Document, Guide, ToolUrls

#: What Moodle adds to each launch. The history of a copied course is the only trace that Moodle leaves of a copy;
#: the groups are the only group information that it gives anywhere.
CUSTOM_PARAMETERS = "context_history=$Context.id.history\nmoodle_groups=$Moodle.Person.userGroupIds\n"


def guide(urls: ToolUrls) -> Guide:
    """The click path and the form, field by field, filled in with the host's URLs."""
    return Guide(
        steps=(
            (
                "In Moodle open **Site administration**, **Plugins**, **Activity modules**, **External tool**, **Manage tools** "
                "and follow **configure a tool manually**."
            ),
            (
                "Fill in the form from the document *External tool configuration*, field by field; leave the others as they "
                "are. Press **Save changes**."
            ),
            (
                "On the new tool's card press the magnifying glass, **View configuration details**. Tell the host what it "
                "shows: `ltihost registration set ID issuer=PLATFORM-ID client-id=CLIENT-ID deployment-id=DEPLOYMENT-ID`. The "
                "three endpoint URLs follow from the platform id; compare them."
            ),
            (
                "In a course, **More**, **LTI External tools**, switch on **Show in activity chooser** for the tool (Moodle 4.3 "
                "and later)."
            ),
        ),
        documents=(
            Document("External tool configuration", "text/plain", form(urls)),
            Document("Custom parameters", "text/plain", CUSTOM_PARAMETERS),
        ),
        asks={
            "issuer": "**View configuration details**, **Platform ID**: the site's address without a slash at the end",
            "client-id": "**View configuration details**, **Client ID**",
            "deployment-id": "**View configuration details**, **Deployment ID**",
            "jwks-url": "**View configuration details**, **Public keyset URL** (filled in from the issuer)",
            "token-url": "**View configuration details**, **Access token URL** (filled in from the issuer)",
            "auth-url": "**View configuration details**, **Authentication request URL** (filled in from the issuer)",
        },
        warnings=(
            (
                "**Share launcher's name** on *Delegate to teacher* leaves activities made by deep linking without names: "
                "Moodle saves those with the answer No. Choose *Always*."
            ),
            (
                "Moodle fetches the public keyset by its own rules. For a host in a private network or on a port other than 80 "
                "and 443 change **Site administration**, **General**, **Security**, **HTTP security**: **cURL blocked hosts "
                "list** and **cURL allowed ports list**."
            ),
            (
                "Moodle has no storage for browsers that block cookies in frames: people with such browsers get a button that "
                "opens the activity in a new window, unless **Default launch container** is *New window* already."
            ),
            "When the site moves to another address (or from http to https) its platform id changes: set the new issuer.",
            "Moodle calls non-editing teachers Instructor when they launch, but Learner in its roster.",
        ),
    )


def form(urls: ToolUrls) -> str:
    """The form "External tool configuration", one field a line, in the order in which Moodle shows it."""
    fields = (
        ("Tool settings", ""),
        ("Tool name", urls.name),
        ("Tool URL", urls.launch),
        ("Tool description", f"Opens {urls.name}"),
        ("LTI version", "LTI 1.3"),
        ("Public key type", "Keyset URL"),
        ("Public keyset", urls.key_set),
        ("Initiate login URL", urls.login),
        ("Redirection URI(s)", urls.launch),
        ("Custom parameters", "see the document of that name"),
        ("Tool configuration usage", "Show in activity chooser and as a preconfigured tool"),
        ("Default launch container", "Embed, without blocks"),
        ("Supports Deep Linking (Content-Item Message)", "tick"),
        ("Content Selection URL", urls.launch),
        ("Services", ""),
        ("IMS LTI Assignment and Grade Services", "Use this service for grade sync and column management"),
        (
            "IMS LTI Names and Role Provisioning",
            "Use this service to retrieve members' information as per privacy settings",
        ),
        ("Tool Settings", "Do not use this service"),
        ("Privacy", ""),
        ("Share launcher's name with tool", "Always"),
        ("Share launcher's email with tool", "Always, or Never if the application does without"),
        (
            "Accept grades from the tool",
            "As specified in Deep Linking definition or Delegate to teacher",
        ),
    )
    return "".join(f"{label}: {value}\n" if value else f"\n[{label}]\n" for label, value in fields).lstrip()


HELP = {
    "unknown_registration": "Compare with **Site administration**, **Plugins**, **Activity modules**, **External tool**, "
    "**Manage tools**, magnifying glass on the tool's card: **Platform ID** and **Client ID**. A course tool that was "
    "restored into another course or site is a new tool with a new client id, and has to be registered anew.",
    "issuer_mismatch": "**Platform ID** in the tool's configuration details: the site's address, no slash at the end. It "
    "changes when the site moves or goes from http to https.",
    "audience_mismatch": "**Site administration**, **Plugins**, **Activity modules**, **External tool**, **Manage tools**, "
    "magnifying glass on the tool's card: **Client ID**. A tool that was deleted and added again has a new one.",
    "sig_invalid": "**Public keyset URL** in the tool's configuration details (**Manage tools**, magnifying glass) has to be the "
    "registration's, and this very site's.",
    "nonce_mismatch": "Nothing can be set in Moodle; it returns the nonce as it came. Look for a proxy or cache between browser "
    "and site that repeats pages.",
    "deployment_pending": "Moodle gives each tool exactly one deployment, its **Deployment ID** in the configuration details. "
    "Another one means that somebody made a second tool.",
    "browser_binding": "Set **Default launch container** (of the tool) or **Launch container** (of the activity) to "
    "**New window**.",
    "state_used": "Reload and back button repeat a launch, which Moodle and this host allow once: open the activity again from "
    "the course page.",
    "access_denied": "The person is signed in to Moodle as somebody else in another tab: one account per browser, then open "
    "the activity again.",
    "platform_error": "`unauthorized_client`: the tool has another **Client ID**. `invalid_request`: please report it.",
    "expired": "Moodle's launches live for 60 seconds: compare the clocks of both servers.",
    "issued_in_future": "Compare the clocks of both servers; Moodle itself allows no difference at all.",
    "keys_unavailable": "The key set is the site's address followed by `/mod/lti/certs.php`.",
    "key_not_found": "**Public keyset URL** in the tool's configuration details: it has to be this very site's.",
    "version_unsupported": "Set **LTI version** of the tool to **LTI 1.3**.",
    "message_type_unsupported": "In the tool's form untick what the tool should not do, or ask the application's maker.",
    "target_not_registered": "Look at the activity's **Tool URL**: it has to be empty, the tool's own, or the application's.",
    "deep_linking_off": "Untick **Supports Deep Linking (Content-Item Message)** in the tool's form, or switch deep linking on.",
    "picker_missing": "Untick **Supports Deep Linking (Content-Item Message)** in the tool's form, or give the application a picker.",
}
