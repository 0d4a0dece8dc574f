"""Blackboard Learn: who this plugin is, and its hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltihost.plugins import Binding, Manifest, Preset, hookimpl
from ltihost_blackboard.claims import normalise
from ltihost_blackboard.guide import HELP, guide
from ltihost_blackboard.roles import Settings, with_course_roles

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
