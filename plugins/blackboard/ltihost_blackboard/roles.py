"""Course roles: Learn calls nearly everybody with any power in a course Instructor, unless its administrator mapped roles.

The custom parameter `bb_course_role=@X@membership.role@X@` tells them apart: P instructor, T teaching assistant,
G grader, B course builder, S student, U guest, or a code of the site's own (Blackboard's template variables; course role
mapping, release 3900.17). An instructor could edit a parameter, so it may lower a role and never raises one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from ltihost_blackboard.claims import CUSTOM, ROLES

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
INSTRUCTOR = MEMBERSHIP + "#Instructor"
LEARNER = MEMBERSHIP + "#Learner"
CONTENT_DEVELOPER = MEMBERSHIP + "#ContentDeveloper"
GRADER = MEMBERSHIP + "/Instructor#Grader"
TEACHING_ASSISTANT = MEMBERSHIP + "/Instructor#TeachingAssistant"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

COURSE_ROLE = "bb_course_role"

Claims = Mapping[str, Any]


def _codes(value: object) -> object:
    return [code.strip() for code in value.split(",") if code.strip()] if isinstance(value, str) else value


Codes = Annotated[tuple[str, ...], BeforeValidator(_codes)]


class Settings(BaseModel):
    """What a tenant may say about course roles that its own site made: comma-separated codes, as in `COACH,TUTOR`."""

    assistant_codes: Codes = Field(
        default=(), title="Assistant codes", description="Own course roles that count as teaching assistant"
    )
    builder_codes: Codes = Field(
        default=(), title="Builder codes", description="Own course roles that count as content developer"
    )


def with_course_roles(claims: Claims, settings: Settings) -> Claims:
    """The roles as the course means them. Learners stay learners whatever the parameter says."""
    roles = claims.get(ROLES)
    if not isinstance(roles, list):
        return claims
    custom = claims.get(CUSTOM)
    code = custom.get(COURSE_ROLE) if isinstance(custom, dict) else None
    return {**claims, ROLES: _preview_learner(_lowered(roles, code, settings))}


def _lowered(roles: list[Any], code: object, settings: Settings) -> list[Any]:
    if INSTRUCTOR not in roles:
        return roles
    if code == "G":
        return _with(roles, (GRADER, TEACHING_ASSISTANT))
    if code == "T" or code in settings.assistant_codes:
        return _with(roles, (TEACHING_ASSISTANT,))
    if code == "B" or code in settings.builder_codes:
        return [CONTENT_DEVELOPER if role == INSTRUCTOR else role for role in roles]
    return roles


def _preview_learner(roles: list[Any]) -> list[Any]:
    """Student Preview may send TestUser and nothing else (note on names and roles in Blackboard's documentation)."""
    has_context_role = any(isinstance(role, str) and role.startswith(MEMBERSHIP) for role in roles)
    return [*roles, LEARNER] if TEST_USER in roles and not has_context_role else roles


def _with(roles: list[Any], more: Collection[str]) -> list[Any]:
    return [*roles, *(role for role in more if role not in roles)]
