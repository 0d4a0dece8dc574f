"""Canvas's roster rows -> rows as NRPS means them. The numbers (N1, N2…) are those of the table in this package's README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltihost.plugins import LeftOut
from ltihost_canvas.claims import ROLES, sub_roles_spelt, unresolved, whole_history, without_unresolved

TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

Row = Mapping[str, Any]


def normalised(row: Row) -> Row | LeftOut:
    """N3: once a teacher used Student View its test student is listed (canvas-lms, memberships_provider.rb)."""
    roles = row.get("roles")
    if isinstance(roles, list) and TEST_USER in roles:
        return LeftOut("This is Canvas's test student for Student View, who is nobody.")
    return with_resolved_message(with_spelt_roles(without_unresolved_sourcedid(row)))


def without_unresolved_sourcedid(row: Row) -> Row:
    """N4: a person without SIS id may come with the variable's own name (canvas-lms, jwt_message.rb)."""
    if not unresolved(row.get("lis_person_sourcedid")):
        return row
    return {name: value for name, value in row.items() if name != "lis_person_sourcedid"}


def with_spelt_roles(row: Row) -> Row:
    """As at the launch: one of Canvas's role tables writes `membership/instructor#TeachingAssistant`."""
    return {**row, "roles": sub_roles_spelt({ROLES: row["roles"]})[ROLES]} if "roles" in row else row


def with_resolved_message(row: Row) -> Row:
    """N5: the section `message` holds custom parameters per member; Canvas fills in a few and leaves the others as they
    were written (canvas-lms, names_and_roles_serializer.rb).
    """
    message = row.get("message")
    if not isinstance(message, list):
        return row
    steps = (whole_history(without_unresolved(part)) if isinstance(part, dict) else part for part in message)
    return {**row, "message": list(steps)}
