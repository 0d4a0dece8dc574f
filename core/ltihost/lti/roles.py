"""Role strings -> the host's closed role set. Core spec, appendix A.2.

Strings are compared whole: `membership#Instructor`, `membership/Learner#Instructor` and
`institution/person#Instructor` mean three different things, and only the first one teaches here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ltihost.lti.vocabulary import (
    CONTEXT_ROLES,
    DEPRECATED_PERSON,
    INSTITUTION_PERSON,
    INSTITUTION_ROLES,
    MEMBERSHIP,
    SYSTEM_PERSON,
    SYSTEM_ROLES,
    TEST_USER,
)
from ltihost.records import Role, RoleName, Scope

_SUB_ROLES = {sub: role for role, subs in CONTEXT_ROLES.items() for sub in subs if role == "Instructor"}
_URN = re.compile(r"urn:lti:(role|instrole|sysrole):ims/lis/([A-Za-z]+)(?:/([A-Za-z-]+))?")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")

#: The role words of the closed set, per scope.
NAMES: dict[Scope, frozenset[str]]


@lru_cache(maxsize=4096)
def read_role(uri: str) -> Role:
    """One role string as the spec means it. An unknown one keeps its `uri` and grants nothing (role "none")."""
    if uri == TEST_USER:
        return Role("system", "test_user", None, uri)
    for prefix, scope, known in _PERSON_PREFIXES:
        if uri.startswith(prefix) and (name := uri[len(prefix) :]) in known:
            return Role(scope, _word(name), None, uri)
    if (found := _context_role(uri)) is not None:
        role, sub_role = found
        return Role("context", _word(role), _word(sub_role) if sub_role else None, uri)
    if match := _URN.fullmatch(uri):
        return _from_urn(match, uri)
    return Role("context", "none", None, uri)


def read_roles(uris: Sequence[str]) -> tuple[Role, ...]:
    """All roles, in the order in which they were sent; the order carries no meaning."""
    return tuple(read_role(uri) for uri in uris)


def known_role(role: Role) -> bool:
    """Whether `role` is in the closed set (what a plugin answers is held against it)."""
    return role.role in NAMES.get(role.scope, frozenset())


def strongest_role(roles: Sequence[Role], *, institution_admin: bool = False) -> RoleName:
    """The one role in this context: first match, context roles only.

    `institution_admin` lets an administrator of the institution or the system count as one here, when
    the person has no role in the context.
    """
    held = {(role.role, role.sub_role) for role in roles if role.scope == "context"}
    names = {name for name, _ in held}
    if any(name == "instructor" and (sub or "").startswith("teaching_assistant") for name, sub in held):
        return "teaching_assistant"
    for name, word in _ORDER:
        if name in names:
            return word
    if institution_admin and any(
        role.role in ("administrator", "sys_admin") for role in roles if role.scope != "context"
    ):
        return "administrator"
    return "none"


def is_test_user(roles: Sequence[Role]) -> bool:
    """Whether this is a preview or demonstration user. Core spec A.2.4."""
    return any(role.scope == "system" and role.role == "test_user" for role in roles)


_ORDER: tuple[tuple[str, RoleName], ...] = (
    ("instructor", "instructor"),
    ("teaching_assistant", "teaching_assistant"),
    ("content_developer", "content_developer"),
    ("administrator", "administrator"),
    ("manager", "administrator"),
    ("learner", "learner"),
    ("mentor", "mentor"),
    ("member", "member"),
)
# The deprecated `person#` prefix says neither system nor institution: the lesser one is assumed.
_PERSON_PREFIXES: tuple[tuple[str, Scope, frozenset[str]], ...] = (
    (SYSTEM_PERSON, "system", SYSTEM_ROLES),
    (INSTITUTION_PERSON, "institution", INSTITUTION_ROLES),
    (DEPRECATED_PERSON, "institution", INSTITUTION_ROLES | SYSTEM_ROLES),
)


def _context_role(uri: str) -> tuple[str, str | None] | None:
    if uri.startswith(MEMBERSHIP + "#"):
        role = uri[len(MEMBERSHIP) + 1 :]
        return (role, None) if role in CONTEXT_ROLES else None
    if uri.startswith(MEMBERSHIP + "/"):
        return _pair(uri[len(MEMBERSHIP) + 1 :])
    if uri in CONTEXT_ROLES:
        return uri, None
    if uri in _SUB_ROLES:
        return _SUB_ROLES[uri], uri
    return _pair(uri)


def _pair(text: str) -> tuple[str, str] | None:
    role, _, sub_role = text.partition("#")
    return (role, sub_role) if sub_role in CONTEXT_ROLES.get(role, ()) else None


def _from_urn(match: re.Match[str], uri: str) -> Role:
    """The LTI 1.1 forms, which some platforms still send."""
    kind, name, sub_role = match.groups()
    if kind == "sysrole" and name in SYSTEM_ROLES:
        return Role("system", _word(name), None, uri)
    if kind == "instrole" and name in INSTITUTION_ROLES:
        return Role("institution", _word(name), None, uri)
    if kind == "role" and name in CONTEXT_ROLES:
        return Role("context", _word(name), _word(sub_role) if sub_role in CONTEXT_ROLES[name] else None, uri)
    return Role("context", "none", None, uri)


def _word(name: str) -> str:
    return _WORDS.sub("_", name).replace("-", "_").lower()


NAMES = {
    "system": frozenset(map(_word, SYSTEM_ROLES)) | {"test_user"},
    "institution": frozenset(map(_word, INSTITUTION_ROLES | SYSTEM_ROLES)),
    "context": frozenset(map(_word, CONTEXT_ROLES)) | {"none"},
}
