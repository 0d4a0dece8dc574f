"""The hooks. This page is the whole list; a plugin implements only what differs.

Hooks are synchronous and pure: no network, no files, no clock. They receive copies and frozen records and
never a database session. Answering None means "as the spec says". Write the parameters you need, by name.

Order for a hook that turns one value into another: core's reading of the spec, then the plugin of the
registration's LMS, then the tenant's other plugins in the tenant's order (`scale_score`: the LMS's own comes last). An LMS plugin's hooks run for its own
registrations only. A hook exists here when the host calls it; a name that is not here is refused at load.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from ltihost.plugins.lti_adapter import LtiAdapter
    from ltihost.records import Binding, Launch, Role
    from ltihost.service_records import (
        Delivery,
        LeftOut,
        LineItem,
        Operation,
        Outcome,
        RosterChange,
        Score,
        ServiceAnswer,
        Unacceptable,
        Withheld,
    )

PROJECT = "ltihost"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def normalise_claims(claims: dict[str, Any], binding: Binding) -> Mapping[str, Any] | None:
    """Turn verified claims in this LMS's dialect into claims as the spec means them.

    `claims` is a deep copy that may be changed in place. Whatever comes back, core restores iss, aud, azp, sub,
    nonce, deployment_id, exp and iat from the verified token. A navigation launch without a real link may answer
    `resource_link: {"synthetic": true, "title": …}`. An exception refuses the launch with `plugin_error`.
    """


@hookspec
def map_roles(roles: Sequence[str], binding: Binding) -> Sequence[Role] | None:
    """Turn role strings into the host's closed role set. Core spec, appendix A.2.

    Every answered role's `uri` must be one of `roles`; others, and roles outside the closed set, are ignored.
    """


@hookspec
def scale_score(score: Score, line_item: LineItem, binding: Binding) -> Score | Withheld | None:
    """Turn the application's score into what this gradebook takes: scale, bounds, progress words, comment form.

    Runs for the tenant's other plugins first and for the LMS's own last: dialect is what leaves the house. A `Withheld`
    ends the chain: nothing is sent, and the reason is shown. An exception puts the score off and alerts.
    """


@hookspec
def normalise_member(member: dict[str, Any], binding: Binding) -> Mapping[str, Any] | LeftOut | None:
    """Turn one roster row in this LMS's dialect into a row as NRPS 2.0 means it, or leave it out with a reason.

    `member` is a copy that may be changed in place. `user_id` is restored by core: no plugin can rename a person.
    """


@hookspec
def lint_content_item(
    item: dict[str, Any], launch: Launch, binding: Binding
) -> Mapping[str, Any] | Unacceptable | None:
    """Turn one content item (JSON as Deep Linking 2.0 section 3 writes it) into what this LMS accepts.

    `item` is a copy that may be changed in place; `launch` is the deep linking launch. An `Unacceptable` refuses the
    whole answer with its reason, before anything leaves.
    """


@hookspec
def classify_error(response: ServiceAnswer, operation: Operation, binding: Binding) -> Outcome | None:
    """Say what an LMS's error answer (status 400 and above) means. None: as the specs and HTTP say.

    Only the plugin of the registration's LMS is asked.
    """


@hookspec
def register_adapter() -> type[LtiAdapter] | None:
    """Answer the class for what needs I/O or more than one step. Without it, `LtiAdapter` serves."""


@hookspec
def register_routes() -> Sequence[BaseRoute] | None:
    """Answer Starlette routes; they are mounted below `/plugins/<key>/`."""


@hookspec
def launch_accepted(launch: Launch) -> Awaitable[None] | None:
    """An event, after the launch is stored. What it returns, if awaitable, is awaited for two seconds at most."""


@hookspec
def grade_settled(delivery: Delivery, binding: Binding) -> Awaitable[None] | None:
    """An event, after a score was delivered, given up, or found overridden. Awaited for two seconds at most."""


@hookspec
def roster_changed(change: RosterChange, binding: Binding) -> Awaitable[None] | None:
    """An event, after a roster sync changed something. Awaited for two seconds at most."""
