"""Moodle: who this plugin is, and its hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltihost.plugins import (
    LtiAdapter,
    Manifest,
    Operation,
    Outcome,
    Preset,
    Score,
    ServiceAnswer,
    Unacceptable,
    Withheld,
    hookimpl,
)
from ltihost_moodle.adapter import MoodleAdapter
from ltihost_moodle.claims import normalise
from ltihost_moodle.content_items import linted
from ltihost_moodle.errors import classified
from ltihost_moodle.guide import HELP, guide
from ltihost_moodle.members import normalised
from ltihost_moodle.scores import scaled

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile


def _profile() -> Profile:
    """Imported when asked for: a host in production has no use for a simulated LMS."""
    from ltihost_moodle.profile import profile

    return profile()


manifest = Manifest(
    key="moodle",
    name="Moodle",
    api=(1, 1),
    families=("moodle",),
    help=HELP,
    presets=(
        Preset(
            name="Moodle",
            issuer=None,
            auth_url="{issuer}/mod/lti/auth.php",
            token_url="{issuer}/mod/lti/token.php",
            jwks_url="{issuer}/mod/lti/certs.php",
        ),
    ),
    guide=guide,
    profile=_profile,
)


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> Mapping[str, Any]:
    return normalise(claims)


@hookimpl
def scale_score(score: Score) -> Score | Withheld:
    return scaled(score)


@hookimpl
def normalise_member(member: dict[str, Any]) -> Mapping[str, Any]:
    return normalised(member)


@hookimpl
def lint_content_item(item: dict[str, Any]) -> Mapping[str, Any] | Unacceptable:
    return linted(item)


@hookimpl
def classify_error(response: ServiceAnswer, operation: Operation) -> Outcome | None:
    return classified(response, operation)


@hookimpl
def register_adapter() -> type[LtiAdapter]:
    return MoodleAdapter
