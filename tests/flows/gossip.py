"""An LMS plugin that, once it is told to, fails in every hook and says in its exceptions all that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ltihost.plugins import Binding, Delivery, Launch, LineItem, Manifest, RosterChange, Score, ServiceAnswer, hookimpl

manifest = Manifest(key="gossip", name="Gossiping LMS")
#: The hooks that fail.
failing: set[str] = set()


def _tell(hook: str, *given: object) -> None:
    if hook in failing:
        raise RuntimeError(f"{hook} was given {given!r}")


@hookimpl
def normalise_claims(claims: dict[str, Any], binding: Binding) -> None:
    _tell("normalise_claims", claims, binding)


@hookimpl
def map_roles(roles: Sequence[str], binding: Binding) -> None:
    _tell("map_roles", roles, binding)


@hookimpl
def scale_score(score: Score, line_item: LineItem, binding: Binding) -> None:
    _tell("scale_score", score, line_item, binding)


@hookimpl
def normalise_member(member: dict[str, Any], binding: Binding) -> None:
    _tell("normalise_member", member, binding)


@hookimpl
def lint_content_item(item: dict[str, Any], launch: Launch, binding: Binding) -> None:
    _tell("lint_content_item", item, launch, binding)


@hookimpl
def classify_error(response: ServiceAnswer, binding: Binding) -> None:
    _tell("classify_error", response, response.text, binding)


@hookimpl
def launch_accepted(launch: Launch) -> None:
    _tell("launch_accepted", launch)


@hookimpl
def grade_settled(delivery: Delivery, binding: Binding) -> None:
    _tell("grade_settled", delivery, binding)


@hookimpl
def roster_changed(change: RosterChange, binding: Binding) -> None:
    _tell("roster_changed", change, binding)
