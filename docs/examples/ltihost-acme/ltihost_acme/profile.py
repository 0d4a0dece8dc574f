"""A simulated Acme, for `ltihost demo` and for tests."""

from __future__ import annotations

from dataclasses import dataclass

from ltihost.testing.profile import MEMBERSHIP, Claims, Kind, Opening, Profile
from ltihost.testing.world import world

KINDS = {
    "teacher": Kind("Teacher", (MEMBERSHIP + "Instructor",), picks=True),
    "assistant": Kind("Tutor", ("Tutor",)),
    "student": Kind("Student", (MEMBERSHIP + "Learner",)),
}


@dataclass(frozen=True)
class AcmeProfile(Profile):
    """Its course of statistics has no title."""

    def context_claim(self, opening: Opening) -> Claims | None:
        claim = super().context_claim(opening)
        return {**claim, "title": "-"} if claim and opening.context.slug == "statistics" else claim


def profile() -> Profile:
    found = world(KINDS)
    return AcmeProfile(
        key="acme",
        name="Acme LMS",
        site="Acme School",
        people=found.people,
        contexts=found.contexts,
        kinds=KINDS,
        auth_path="/lti/auth",
        token_path="/lti/token",
        jwks_path="/lti/keys",
    )
