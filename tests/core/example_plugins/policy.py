"""A plugin that is no LMS: it runs for every binding of the tenants that enabled it."""

from typing import Any

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="policy", name="Policy", kind="policy")


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> dict[str, Any]:
    claims["name"] = f"<{claims['name']}>"
    return claims
