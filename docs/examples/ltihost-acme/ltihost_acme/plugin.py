"""Acme LMS: a platform by the specs, with two habits of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltihost.plugins import Manifest, Preset, hookimpl

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
TUTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"


def _profile() -> Profile:
    from ltihost_acme.profile import profile

    return profile()


manifest = Manifest(
    key="acme",
    name="Acme LMS",
    families=("acme",),
    help={"deployment_pending": "Acme shows the deployment id under **Tools**, **Details**."},
    presets=(Preset("Acme", None, "{issuer}/lti/auth", "{issuer}/lti/token", "{issuer}/lti/keys"),),
    profile=_profile,
)


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> Mapping[str, Any]:
    """Acme calls teaching assistants `Tutor`, and sends a dash for a course without a title.

    What is absent stays absent, and a shape that makes no sense stays as it is: core refuses both with a code.
    """
    roles, context = claims.get(LTI + "roles"), claims.get(LTI + "context")
    if isinstance(roles, list):
        claims[LTI + "roles"] = [TUTOR if role == "Tutor" else role for role in roles]
    if isinstance(context, dict) and context.get("title") == "-":
        del context["title"]
    return claims
