"""The built-in plugin `lti`: an LMS that keeps to the specs needs no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltihost.plugins.contract import Document, Guide, Manifest, ToolUrls
from ltihost.plugins.hookspecs import hookimpl
from ltihost.plugins.lti_adapter import LtiAdapter

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile


def guide(urls: ToolUrls) -> Guide:
    """How to register the host in any LMS that speaks LTI 1.3."""
    sheet = (
        f"Tool name:              {urls.name}\n"
        f"Tool (target link) URL: {urls.launch}\n"
        f"Login initiation URL:   {urls.login}\n"
        f"Redirect URI:           {urls.launch}\n"
        f"Public key set URL:     {urls.key_set}\n"
    )
    return Guide(
        steps=(
            "Add an LTI 1.3 tool in the administration of the LMS.",
            "Copy the values of the sheet below into its form.",
            "Let the LMS send name and e-mail if the application needs them.",
            "Hand the values that the LMS shows for this tool back to the host.",
        ),
        documents=(Document("Tool settings", "text/plain", sheet),),
        asks={
            "issuer": "also called platform id",
            "client-id": "also called application id",
            "auth-url": "also called authentication request or OIDC URL",
            "token-url": "also called access token URL",
            "jwks-url": "also called public keyset URL",
            "deployment-id": "shown with the tool, or in its first launch",
        },
    )


def profile() -> Profile:
    """The simulated LMS that keeps to the specs."""
    from ltihost.testing import world

    return world.profile()


manifest = Manifest(key="lti", name="LTI 1.3", guide=guide, profile=profile)


@hookimpl
def register_adapter() -> type[LtiAdapter]:
    return LtiAdapter
