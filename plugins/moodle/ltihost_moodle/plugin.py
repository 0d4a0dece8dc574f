"""Moodle: who this plugin is, and its hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltihost.plugins import Manifest, Preset, hookimpl
from ltihost_moodle.claims import normalise
from ltihost_moodle.guide import HELP, guide

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile


def _profile() -> Profile:
    """Imported when asked for: a host in production has no use for a simulated LMS."""
    from ltihost_moodle.profile import profile

    return profile()


manifest = Manifest(
    key="moodle",
    name="Moodle",
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
