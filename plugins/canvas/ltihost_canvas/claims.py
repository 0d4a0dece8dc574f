"""Canvas's dialect -> claims as the spec means them: one step per quirk; no step changes what it was given.

The numbers (L1, L2…) are those of the quirk table in this package's README.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ltihost.plugins import unresolved_variable

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
CONTEXT = LTI + "context"
CUSTOM = LTI + "custom"
LAUNCH_PRESENTATION = LTI + "launch_presentation"
LEGACY_USER_ID = LTI + "lti11_legacy_user_id"
RESOURCE_LINK = LTI + "resource_link"
ROLES = LTI + "roles"
PLACEMENT = "https://www.instructure.com/placement"

#: Where an application finds the placement: the launch has no member for it, since the spec has none.
PLACEMENT_PARAMETER = "canvas_placement"
#: The list of earlier courses, as the developer key of the registration guide asks for it.
HISTORY_PARAMETER = "context_history"
#: How Canvas's own variables begin. Canvas itself spells one of them `$com.Instructure.membership.roles`.
VARIABLE_PREFIXES = ("$Canvas.", "$com.instructure.", "$com.Instructure.", "$vnd.")

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"

Claims = Mapping[str, Any]


def normalise(claims: Claims) -> Claims:
    """All steps in order. Doing it twice changes nothing more."""
    for step in STEPS:
        claims = step(claims)
    return claims


def without_junk(claims: Claims) -> Claims:
    """L1: Canvas serialises its model objects whole, so that `validation_context: null` and `errors: {"errors": {}}`
    stand in many claims (seen in the fixtures of PyLTI1p3 and packbackbooks/lti-1-3-php-library).
    """
    return {name: _without_junk(value) for name, value in claims.items() if not _junk(name, value)}


def without_empty_legacy_id(claims: Claims) -> Claims:
    """L6: a launch without a user carries an empty `lti11_legacy_user_id` (canvas-lms, jwt_message.rb)."""
    if claims.get(LEGACY_USER_ID) != "":
        return claims
    return {name: value for name, value in claims.items() if name != LEGACY_USER_ID}


def synthetic_link(claims: Claims) -> Claims:
    """L2, L21: where there is no real link (navigation placements, old SpeedGrader) Canvas sends the context's id as
    `resource_link.id` and its name as title (canvas-lms, resource_link_request.rb).
    """
    context, link = _members(claims, CONTEXT), _members(claims, RESOURCE_LINK)
    if not link.get("id") or link["id"] != context.get("id"):
        return claims
    return {**claims, RESOURCE_LINK: {"synthetic": True, "title": link.get("title") or context.get("title")}}


def without_constant_target(claims: Claims) -> Claims:
    """L5: `document_target` is "iframe" even in a new tab (canvas-lms, jwt_message.rb), so it says nothing."""
    presentation = _members(claims, LAUNCH_PRESENTATION)
    if "document_target" not in presentation:
        return claims
    kept = {name: value for name, value in presentation.items() if name != "document_target"}
    return {**claims, LAUNCH_PRESENTATION: kept}


def without_unresolved(claims: Claims) -> Claims:
    """L10: a variable that Canvas does not fill in comes back as its own name (canvas-lms, variable_expander.rb)."""
    custom = _members(claims, CUSTOM)
    return _with_custom(claims, {name: value for name, value in custom.items() if not unresolved(value)})


def whole_history(claims: Claims) -> Claims:
    """L11: a long list of earlier courses ends in ",truncated"; one that took too long is the text "timed out"
    (canvas-lms, substitutions_helper.rb). Neither word is a course.
    """
    custom = _members(claims, CUSTOM)
    history = custom.get(HISTORY_PARAMETER)
    if not isinstance(history, str):
        return claims
    if history == "timed out":
        return _with_custom(claims, {name: value for name, value in custom.items() if name != HISTORY_PARAMETER})
    courses = [course for course in history.split(",") if course.strip() != "truncated"]
    return _with_custom(claims, {**custom, HISTORY_PARAMETER: ",".join(courses)})


def placement_as_custom(claims: Claims) -> Claims:
    """L12: the placement is a claim of Canvas's own (canvas-lms, jwt_message.rb); a parameter of that name wins."""
    placement, custom = claims.get(PLACEMENT), _members(claims, CUSTOM)
    if not isinstance(placement, str) or not placement:
        return claims
    return _with_custom(claims, {PLACEMENT_PARAMETER: placement, **custom})


def sub_roles_spelt(claims: Claims) -> Claims:
    """`membership/instructor#TeachingAssistant` with a lower-case i stands in one of Canvas's role tables
    (canvas-lms, substitutions_helper.rb).
    """
    roles = claims.get(ROLES)
    return {**claims, ROLES: [_spelt(role) for role in roles]} if isinstance(roles, list) else claims


def unresolved(value: object) -> bool:
    """Whether `value` is the name of a variable that Canvas did not fill in."""
    return isinstance(value, str) and unresolved_variable(value, VARIABLE_PREFIXES)


STEPS: tuple[Callable[[Claims], Claims], ...] = (
    without_junk,
    without_empty_legacy_id,
    synthetic_link,
    without_constant_target,
    without_unresolved,
    whole_history,
    placement_as_custom,
    sub_roles_spelt,
)


def _junk(name: str, value: object) -> bool:
    """A custom parameter may well be called `errors`; its value is then a text."""
    return name in ("validation_context", "errors") and (value is None or isinstance(value, dict))


def _without_junk(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_junk(member) for name, member in value.items() if not _junk(name, member)}
    return [_without_junk(item) for item in value] if isinstance(value, list) else value


def _spelt(role: object) -> object:
    wrong = MEMBERSHIP + "/instructor#"
    return (
        MEMBERSHIP + "/Instructor#" + role.removeprefix(wrong)
        if isinstance(role, str) and role.startswith(wrong)
        else role
    )


def _members(claims: Claims, name: str) -> dict[str, Any]:
    value = claims.get(name)
    return value if isinstance(value, dict) else {}


def _with_custom(claims: Claims, custom: dict[str, Any]) -> Claims:
    """`claims` with these parameters; without a custom claim there stays none unless there is something to say."""
    return {**claims, CUSTOM: custom} if custom or CUSTOM in claims else claims
