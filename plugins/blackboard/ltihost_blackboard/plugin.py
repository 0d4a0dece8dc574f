"""Blackboard Learn: who this plugin is, and its hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltihost.plugins import (
    Binding,
    Launch,
    LeftOut,
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
from ltihost_blackboard.adapter import BlackboardAdapter
from ltihost_blackboard.claims import normalise
from ltihost_blackboard.content_items import linted
from ltihost_blackboard.errors import classified
from ltihost_blackboard.guide import HELP, guide
from ltihost_blackboard.members import normalised
from ltihost_blackboard.roles import Settings, with_course_roles
from ltihost_blackboard.scores import scaled

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile


def _profile() -> Profile:
    """Imported when asked for: a host in production has no use for a simulated LMS."""
    from ltihost_blackboard.profile import profile

    return profile()


PORTAL = "https://developer.blackboard.com/api/v1"

manifest = Manifest(
    key="blackboard",
    name="Blackboard Learn",
    api=(1, 1),
    families=("BlackboardLearn",),
    pins_instance=True,
    settings=Settings,
    help=HELP,
    presets=(
        Preset(
            name="Blackboard Learn",
            issuer="https://blackboard.com",
            auth_url=f"{PORTAL}/gateway/oidcauth",
            token_url=f"{PORTAL}/gateway/oauth2/jwttoken",
            jwks_url=f"{PORTAL}/management/applications/{{client_id}}/jwks.json",
        ),
    ),
    guide=guide,
    profile=_profile,
)


@hookimpl
def normalise_claims(claims: dict[str, Any], binding: Binding) -> Mapping[str, Any]:
    return with_course_roles(normalise(claims), Settings.model_validate(binding.settings))


@hookimpl
def scale_score(score: Score) -> Score | Withheld:
    return scaled(score)


@hookimpl
def normalise_member(member: dict[str, Any]) -> Mapping[str, Any] | LeftOut:
    return normalised(member)


@hookimpl
def lint_content_item(item: dict[str, Any], launch: Launch) -> Mapping[str, Any] | Unacceptable:
    return linted(item, launch)


@hookimpl
def classify_error(response: ServiceAnswer, operation: Operation) -> Outcome | None:
    return classified(response, operation)


@hookimpl
def register_adapter() -> type[LtiAdapter]:
    return BlackboardAdapter
