"""How the host gets into Blackboard Learn, and where to click when a launch is refused.

Two people act: whoever runs this host registers it once in Blackboard's developer portal; then the administrator of each
Learn adds it there by its Application ID. The words are those of the portal and of Learn.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from ltihost.plugins import Document, Guide, ToolUrls

#: Tool-level parameters; Learn fills in the values at each launch. `bb_course_role` is what tells a teaching assistant
#: from an instructor where the site mapped no roles.
CUSTOM_PARAMETERS = (
    "bb_course_pk=@X@course.pk_string@X@",
    "bb_course_role=@X@membership.role@X@",
    "bb_user_role=@X@user.role@X@",
    "bb_user_pk=@X@user.pk_string@X@",
    "bb_ultra=@X@course.ultra_status@X@",
    "bb_parent_course=@X@course.raw_course_id@X@",
    "link_history=$ResourceLink.id.history",
    "context_history=$Context.id.history",
    "due_at=$ResourceLink.submission.endDateTime",
    "opens_at=$ResourceLink.available.startDateTime",
)

#: Type of placement as the portal calls it, its option, and the parameter that tells the application which it was.
PLACEMENTS = (
    ("Deep Linking content tool", "Allow student access: no", "placement=deep_link"),
    ("Course tool", "Allow student access: no", "placement=course_tool"),
    ("Course Content tool", "Can be graded: yes", "placement=content_tool"),
)

NEVER_DELETE = (
    "Never delete the tool or one of its placements under **LTI Tool Providers**: all its links in all courses are gone then "
    "and nobody can bring them back. To switch it off set **Tool Status** to *Excluded* and leave it there."
)


def guide(urls: ToolUrls) -> Guide:
    """The click paths of both people and their documents, filled in with the host's URLs."""
    return Guide(
        steps=(
            (
                "Once per host: sign in at `https://developer.blackboard.com` (also `https://developer.anthology.com`), open "
                "**My Applications**, **Register a REST or LTI application**, and fill in the form from the document *Developer "
                "portal*. Paste *Custom parameters* and add the placements of *Placements*."
            ),
            (
                "The portal now shows the **Application ID**. Tell the host: `ltihost registration set ID "
                "issuer=https://blackboard.com client-id=APPLICATION-ID`. No slash after the issuer; it is the same for every "
                "Learn. The endpoint URLs follow from these two. Key and secret of the same page are not needed."
            ),
            "Once per Learn: send its administrator the Application ID and the document *Administrator's checklist*.",
            (
                "The administrator sends back the **Deployment ID**. Admit it: `ltihost deployment approve REGISTRATION "
                "DEPLOYMENT-ID --tenant SLUG --app SLUG`. A deployment that launches before that waits under the same command."
            ),
            (
                "For browsers that block cookies: Learn keeps the host's short-lived values in a frame of the Learn server, "
                "while the standard sends them only to the sign-in address `https://developer.blackboard.com`. Pin the Learn "
                "server's origin as a storage origin of the registration when you approve it."
            ),
        ),
        documents=(
            Document("Developer portal", "text/plain", portal_fields(urls)),
            Document("Custom parameters", "text/plain", "\n".join(CUSTOM_PARAMETERS) + "\n"),
            Document("Placements", "text/plain", placements(urls)),
            Document("Administrator's checklist", "text/markdown", checklist(urls)),
        ),
        asks={
            "issuer": "`https://blackboard.com`, without a slash at the end",
            "client-id": "developer portal, **Application ID**",
            "deployment-id": "Learn, **Admin**, **LTI Tool Providers**, menu of the tool, **Edit**, **Deployment ID**",
        },
        warnings=(
            NEVER_DELETE,
            (
                "Keep the key set URL for ever. A changed one reaches a Learn only when its administrator enters the Application "
                "ID again; keys are rotated inside the key set."
            ),
            (
                "Two applications of the portal cannot share a host name, and a second tool with the same name on one Learn "
                "cannot be saved: give this host a name of its own."
            ),
            "A new developer group may install on six sites. Ask Blackboard for a production group before the roll-out.",
            "Sign-in and tokens of every Learn go through the developer portal: in its maintenance no launch succeeds.",
            (
                "A copied Learn (staging from production) may keep the Deployment ID. Its launches are held until the "
                "deployment is approved again."
            ),
        ),
    )


def portal_fields(urls: ToolUrls) -> str:
    """The portal's form, one field a line."""
    return (
        f"Application Name: {urls.name}\n"
        f"Description: Opens {urls.name} from Blackboard Learn\n"
        f"Domain(s): {urlsplit(urls.origin).hostname}\n"
        "My integration supports LTI 1.3: on\n"
        f"Login Initiation URL: {urls.login}\n"
        f"Tool Redirect URL(s): {urls.launch}\n"
        f"Tool JWKS URL: {urls.key_set}\n"
        "Signing Algorithm: RS256\n"
        "Custom Parameters: see the document of that name\n"
    )


def placements(urls: ToolUrls) -> str:
    """The placements to add in the portal, so that no administrator has to."""
    return "\n".join(
        f"Name: {urls.name}\nType: {kind}\n{option}\nTarget link URI: {urls.launch}\nCustom parameters: {parameter}\n"
        for kind, option, parameter in PLACEMENTS
    )


def checklist(urls: ToolUrls) -> str:
    """For the administrator of one Learn."""
    return f"""# {urls.name} on your Blackboard Learn

1. **Admin**, **Integrations**, **LTI Tool Providers**, **Manage Global Properties**: *Enabled in courses* Yes; *Allow
   configured tool providers to post grades* Yes.
2. **Register LTI 1.3/Advantage Tool**: paste the Application ID as **Client ID**, **Submit**.
3. **Tool Status**: *Approved*. It can come up as *Excluded*.
4. **User Fields to Send**: tick **Role in Course**, **Name** and **Email Address**. Without *Role in Course* everybody
   arrives without rights, teachers too.
5. **Allow grade service access** Yes. **Allow Membership Service Access** Yes.
6. **Submit**. Open the tool's menu, **Edit**, copy the **Deployment ID** and send it to us.
7. **Manage Placements**: switch on what your courses shall see.
8. In a course: LTI must be available, and only people enrolled in the course can open the tool.

Do not do this: {NEVER_DELETE}
"""


HELP = {
    "unknown_registration": "Learn's issuer is `https://blackboard.com` without a slash; the client id is the **Application "
    "ID** of the developer portal.",
    "audience_mismatch": "The client id is the **Application ID** of the developer portal. In Learn it was typed in as **Client ID**: "
    "**Admin**, **LTI Tool Providers**, **Register LTI 1.3/Advantage Tool**.",
    "sig_invalid": "Each Application ID has keys of its own: the id in the key set URL must be the one that the developer portal "
    "shows for this application.",
    "nonce_mismatch": "Nothing can be set in Learn; it returns the nonce as it came. Look for a proxy between browser and Learn that "
    "repeats pages.",
    "deployment_pending": "A Learn that was not approved yet. Compare with its **Admin**, **LTI Tool Providers**, menu of "
    "the tool, **Edit**, **Deployment ID**.",
    "instance_changed": "Learn's `tool_platform.url` or guid is another one than before. A Learn copied from production "
    "keeps the Deployment ID: register the tool anew there, or approve the deployment again if the server moved.",
    "browser_binding": "Pin the Learn server's origin as a storage origin of the registration, or tick **Launch in new "
    "window** on the placement.",
    "login_required": "The person has to sign in to Learn again.",
    "platform_error": "Look under **Admin**, **LTI Tool Providers**: **Tool Status** must be *Approved*, LTI must be enabled "
    "in **Manage Global Properties** and in the course.",
    "subject_missing": "Learn sends a user id for everybody who is signed in: report this launch.",
    "roles_invalid": "Tick **Role in Course** under **User Fields to Send** (menu of the tool, **Edit**).",
    "keys_unavailable": "The key set is at `https://developer.blackboard.com/api/v1/management/applications/APPLICATION-ID/"
    "jwks.json`. If it does not answer, the portal is in maintenance: see status.blackboard.com.",
    "key_not_found": "Each Application ID has a key set of its own: the id in the key set URL must be this registration's.",
    "alg_not_allowed": "Choose RS256 as **Signing Algorithm** in the developer portal.",
    "target_not_registered": "Look at **Target link URI** of the placement (**Manage Placements**, **Edit**) or at the link "
    "in the course.",
    "message_type_unsupported": "The placement sends a message of another kind (proctoring, asset processor, EULA): switch "
    "it off under **Manage Placements**.",
    "deep_linking_off": "Switch the *Deep Linking content tool* placement off under **Manage Placements**, or deep linking on.",
    "picker_missing": "Switch the *Deep Linking content tool* placement off under **Manage Placements**, or give the application "
    "a picker.",
}
