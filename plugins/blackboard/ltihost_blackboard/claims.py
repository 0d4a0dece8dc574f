"""Blackboard Learn's dialect -> claims as the spec means them: one step per quirk; no step changes what it was given.

The numbers (B4, B5…) are those of the quirk table in this package's README. The sources are Blackboard's developer
documentation (docs.anthology.com), its sample tools and its support articles; Learn itself is closed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ltihost.plugins import unresolved_variable

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
CONTEXT = LTI + "context"
CUSTOM = LTI + "custom"
MESSAGE_TYPE = LTI + "message_type"
RESOURCE_LINK = LTI + "resource_link"
ROLES = LTI + "roles"

#: Endings of the names of members that open a session of the person; see `without_secrets`.
SECRETS = ("one_time_session_token", "caliper_federated_session_id")
VARIABLE_PREFIXES = ("$CourseGroup.",)

_TEMPLATE_VARIABLE = re.compile(r"@X@[^@]*@X@")
_PRIMARY_KEY = re.compile(r"_[0-9]+_[0-9]+")

Claims = Mapping[str, Any]


def normalise(claims: Claims) -> Claims:
    """All steps in order; roles are lowered elsewhere (`roles.py`). Doing it twice changes nothing more."""
    for step in STEPS:
        claims = step(claims)
    return claims


def without_secrets(claims: Claims) -> Claims:
    """B15, B18: every launch carries a token that signs the person in to Learn's REST interface, and the id of the
    Caliper session among the custom parameters (JWT sample in Blackboard's documentation). They end here, before any
    store, log or other plugin.
    """
    return {name: _without_secrets(value) for name, value in claims.items() if not name.endswith(SECRETS)}


def roles_present(claims: Claims) -> Claims:
    """B21: without the tick "Role in Course" Learn sends no roles at all: nobody, not a faulty message."""
    return {**claims, ROLES: []} if claims.get(ROLES) is None else claims


def without_folder_link(claims: Claims) -> Claims:
    """B6: the `resource_link` of a deep linking request is the folder that the item shall go to, not a link
    (deep linking sample in Blackboard's documentation).
    """
    if claims.get(MESSAGE_TYPE) != "LtiDeepLinkingRequest":
        return claims
    return {name: value for name, value in claims.items() if name != RESOURCE_LINK}


def synthetic_link(claims: Claims) -> Claims:
    """B5: course, system and administrator tools are no content and come without `resource_link`
    (1EdTech/lti-1-3-php-library, issue 43).
    """
    if claims.get(MESSAGE_TYPE) != "LtiResourceLinkRequest" or claims.get(RESOURCE_LINK) is not None:
        return claims
    return {**claims, RESOURCE_LINK: {"synthetic": True, "title": _members(claims, CONTEXT).get("title")}}


def whole_link_id(claims: Claims) -> Claims:
    """B4: before 3900.8 the id of a link in the text editor had its title glued on, `_13_1mylink`
    (Behind the Blackboard, article 000059257). An id that is a primary key as it stands is left alone.
    """
    link = _members(claims, RESOURCE_LINK)
    sent, title = link.get("id"), link.get("title")
    if not isinstance(sent, str) or not isinstance(title, str) or _PRIMARY_KEY.fullmatch(sent):
        return claims
    key = sent.removesuffix(title)
    return {**claims, RESOURCE_LINK: {**link, "id": key}} if _PRIMARY_KEY.fullmatch(key) else claims


def without_unresolved(claims: Claims) -> Claims:
    """B19: what Learn cannot fill in stays as it was written: `$CourseGroup.id`, `@X@membership.role@X@`
    (dynamic values in Blackboard's documentation).
    """
    custom = _members(claims, CUSTOM)
    kept = {name: value for name, value in custom.items() if not _unresolved(value)}
    return claims if len(kept) == len(custom) else {**claims, CUSTOM: kept}


STEPS: tuple[Callable[[Claims], Claims], ...] = (
    without_secrets,
    roles_present,
    without_folder_link,
    synthetic_link,
    whole_link_id,
    without_unresolved,
)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(member) for name, member in value.items() if not name.endswith(SECRETS)}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _unresolved(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return unresolved_variable(value, VARIABLE_PREFIXES) or _TEMPLATE_VARIABLE.fullmatch(value) is not None


def _members(claims: Claims, name: str) -> dict[str, Any]:
    value = claims.get(name)
    return value if isinstance(value, dict) else {}
