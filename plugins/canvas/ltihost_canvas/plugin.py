"""Canvas: who this plugin is, and its hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ltihost.plugins import (
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
    hookimpl,
)
from ltihost_canvas.adapter import CanvasAdapter
from ltihost_canvas.claims import normalise
from ltihost_canvas.content_items import linted
from ltihost_canvas.errors import classified
from ltihost_canvas.guide import HELP, guide
from ltihost_canvas.members import normalised
from ltihost_canvas.scores import scaled

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile


def _profile() -> Profile:
    """Imported when asked for: a host in production has no use for a simulated LMS."""
    from ltihost_canvas.profile import profile

    return profile()


def _preset(environment: str, part: str) -> Preset:
    sso = f"https://sso.{part}canvaslms.com"
    return Preset(
        name=f"Canvas, {environment}",
        issuer=f"https://canvas.{part}instructure.com",
        auth_url=f"{sso}/api/lti/authorize_redirect",
        token_url=f"{sso}/login/oauth2/token",
        jwks_url=f"{sso}/api/lti/security/jwks",
    )


manifest = Manifest(
    key="canvas",
    name="Canvas",
    api=(1, 1),
    families=("canvas",),
    help=HELP,
    presets=(_preset("production", ""), _preset("beta", "beta."), _preset("test", "test.")),
    guide=guide,
    profile=_profile,
)


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> Mapping[str, Any]:
    return normalise(claims)


@hookimpl
def scale_score(score: Score) -> Score:
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
    return CanvasAdapter
