"""Role rules: which roles of the application an LTI role gives. The strongest of all that fit wins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ltihost.lti.roles import read_role
from ltihost.records import Role, RoleRule

#: Weakest first. A name that is not here is weaker than all of them.
GLOBAL_ROLES = ("user", "advancedUser", "editor", "manager", "admin")
GROUP_ROLES = ("member", "contributor", "manager")


def apply_role_rules(rules: Iterable[RoleRule], roles: Sequence[Role]) -> tuple[str | None, str | None]:
    """The (global role, group role) that `roles` earn; None where no rule gives one."""
    fitting = [rule for rule in rules if any(_fits(rule.lti_role, role) for role in roles)]
    return (
        _strongest((rule.global_role for rule in fitting), GLOBAL_ROLES),
        _strongest((rule.group_role for rule in fitting), GROUP_ROLES),
    )


def _fits(lti_role: str, role: Role) -> bool:
    """A URI is compared whole; a short name means the context role of that name, and no other scope."""
    if ":" in lti_role:
        return lti_role == role.uri
    wanted = read_role(lti_role)
    return wanted.role != "none" and (wanted.scope, wanted.role, wanted.sub_role) == (
        role.scope,
        role.role,
        role.sub_role,
    )


def _strongest(names: Iterable[str | None], order: Sequence[str]) -> str | None:
    given = [name for name in names if name]
    return max(given, key=lambda name: order.index(name) if name in order else -1, default=None)
