"""One roster row -> one member. NRPS 2.0, "Membership container media type"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ltihost.lti.claims import usable_id
from ltihost.lti.roles import is_test_user, strongest_role
from ltihost.records import Role
from ltihost.service_records import LeftOut, Member

_CUSTOM = "https://purl.imsglobal.org/spec/lti/claim/custom"
_MAX_TEXT = 1_000

ReadRoles = Callable[[Sequence[str]], tuple[Role, ...]]


def subject_of(row: Mapping[str, Any]) -> str | None:
    """The `user_id`; some platforms write it as a number."""
    value = row.get("user_id")
    return usable_id(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def read_member(row: Mapping[str, Any], read_roles: ReadRoles, *, institution_admin: bool = False) -> Member | LeftOut:
    """The row as a member. `read_roles` turns role strings into roles, dialect included.

    A missing status means active, an unknown one inactive; empty texts mean absent.
    """
    subject = subject_of(row)
    if subject is None:
        return LeftOut("the row has no user_id")
    roles = read_roles(_texts(row.get("roles")))
    return Member(
        subject=subject,
        active=row.get("status", "Active") in ("Active", None),
        role=strongest_role(roles, institution_admin=institution_admin),
        roles=roles,
        name=_text(row.get("name")),
        given_name=_text(row.get("given_name")),
        family_name=_text(row.get("family_name")),
        middle_name=_text(row.get("middle_name")),
        email=_text(row.get("email")),
        picture=_text(row.get("picture")),
        sourcedid=_text(row.get("lis_person_sourcedid")),
        test_user=is_test_user(roles),
        custom=_custom(row.get("message")),
    )


def _custom(messages: Any) -> dict[str, str]:
    """The custom parameters of the link as they are for this member, from the section `message`."""
    parts = messages if isinstance(messages, list) else [messages]
    found = (part.get(_CUSTOM) for part in parts if isinstance(part, Mapping))
    custom = next((part for part in found if isinstance(part, Mapping)), {})
    return {name: str(value) for name, value in custom.items() if value is not None}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text[:_MAX_TEXT] or None
