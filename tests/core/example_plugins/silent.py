"""It changes its copy and then says that the spec is right."""

from typing import Any

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="silent", name="Silent LMS")


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> None:
    claims.clear()
