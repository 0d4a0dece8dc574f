"""Its hooks fail."""

from typing import Any

from ltihost.plugins import Delivery, Launch, Manifest, Outcome, ServiceAnswer, hookimpl

manifest = Manifest(key="failing", name="Failing LMS")


@hookimpl
def normalise_claims(claims: dict[str, Any]) -> dict[str, Any]:
    return {"gone": claims["no such claim"]}


@hookimpl
def launch_accepted(launch: Launch) -> None:
    raise RuntimeError(launch.id)


@hookimpl
def scale_score() -> Any:
    return {"given": 1}


@hookimpl
def normalise_member(member: dict[str, Any]) -> Any:
    return [member]


@hookimpl
def lint_content_item(item: dict[str, Any]) -> Any:
    return item["no such member"]


@hookimpl
def classify_error(response: ServiceAnswer) -> Outcome:
    raise RuntimeError(response.status)


@hookimpl
def grade_settled(delivery: Delivery) -> None:
    raise RuntimeError(delivery.id)
