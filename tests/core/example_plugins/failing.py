"""Its hooks fail."""

from typing import Any

from ltihost.plugins import Launch, Manifest, hookimpl

manifest = Manifest(key="failing", name="Failing LMS")


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> dict[str, Any]:
    return {"gone": claims["no such claim"]}


@hookimpl
def launch_accepted(launch: Launch) -> None:
    raise RuntimeError(launch.id)
