"""Acme LMS: a platform by the specs, with a few habits of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ltihost.plugins import (
    LtiAdapter,
    Manifest,
    Operation,
    Outcome,
    Preset,
    Score,
    ServiceAnswer,
    WaitForEnrolment,
    hookimpl,
)

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
#: A comment in Acme's gradebook has so many characters at most; a longer one is refused whole.
MAX_COMMENT = 250
TUTOR = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"


def _profile() -> Profile:
    from ltihost_acme.profile import profile

    return profile()


manifest = Manifest(
    key="acme",
    name="Acme LMS",
    api=(1, 1),
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


@hookimpl
def scale_score(score: Score) -> Score:
    """Acme cuts nothing by itself, so the comment is cut here. The number stays what it is."""
    if score.comment is None or len(score.comment) <= MAX_COMMENT:
        return score
    return replace(score, comment=score.comment[: MAX_COMMENT - 1] + "…")


@hookimpl
def classify_error(response: ServiceAnswer, operation: Operation) -> Outcome | None:
    """Acme says 422 of somebody who is not in the course: the score is good, and waits."""
    unknown = operation == "score" and response.status == 422 and "no such student" in response.text
    return WaitForEnrolment() if unknown else None


class AcmeAdapter(LtiAdapter):
    """Acme answers one request after the other, and refuses a score that is older than the one it has."""

    in_flight = 1
    enforces_timestamp = True


@hookimpl
def register_adapter() -> type[LtiAdapter]:
    return AcmeAdapter
