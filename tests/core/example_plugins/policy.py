"""A plugin that is no LMS: it runs for every binding of the tenants that enabled it."""

from dataclasses import replace
from typing import Any

from ltihost.plugins import Manifest, Outcome, PausePlatform, Score, hookimpl

manifest = Manifest(key="policy", name="Policy", kind="policy")


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> dict[str, Any]:
    claims["name"] = f"<{claims['name']}>"
    return claims


@hookimpl
def scale_score(score: Score) -> Score | None:
    """Half points for everybody."""
    return None if score.given is None else replace(score, given=score.given / 2)


@hookimpl
def normalise_member(member: dict[str, Any]) -> dict[str, Any]:
    member["name"] = f"<{member['name']}>"
    return member


@hookimpl
def lint_content_item(item: dict[str, Any]) -> None:
    item["title"] = "changed in vain: None means as it was"


@hookimpl
def classify_error() -> Outcome:
    """No LMS, so nobody asks."""
    return PausePlatform("policy")
