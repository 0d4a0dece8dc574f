"""One roster row -> one member. NRPS 2.0, "Membership container media type"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ltihost.lti.claims import clean, usable_id
from ltihost.lti.roles import is_test_user, strongest_role
from ltihost.lti.service_json import LOST
from ltihost.records import Role, RoleName
from ltihost.service_records import LeftOut, Member

_CUSTOM = "https://purl.imsglobal.org/spec/lti/claim/custom"
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member is by a list of roles. A roster has thousands of rows and a handful of different lists."""

    roles: tuple[Role, ...]
    role: RoleName
    test_user: bool


def standing(roles: tuple[Role, ...], *, institution_admin: bool = False) -> Standing:
    """See `strongest_role` for `institution_admin`."""
    return Standing(roles, strongest_role(roles, institution_admin=institution_admin), is_test_user(roles))


def subject_of(row: Mapping[str, Any]) -> str | None:
    """The `user_id`; some platforms write it as a number. One that lost a character is nobody's."""
    value = row.get("user_id")
    subject = usable_id(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)
    return None if subject is None or LOST in subject else subject


def read_member(row: Mapping[str, Any], standing_of: Callable[[tuple[str, ...]], Standing]) -> Member | LeftOut:
    """The row as a member. `standing_of` reads role strings, dialect included.

    A missing status means active, an unknown one inactive; empty texts mean absent.
    """
    subject = subject_of(row)
    if subject is None:
        return LeftOut("the row has no user_id")
    by_roles = standing_of(_texts(row.get("roles")))
    return Member(
        subject=subject,
        active=row.get("status", "Active") in ("Active", None),
        role=by_roles.role,
        roles=by_roles.roles,
        name=_text(row.get("name")),
        given_name=_text(row.get("given_name")),
        family_name=_text(row.get("family_name")),
        middle_name=_text(row.get("middle_name")),
        email=_text(row.get("email")),
        picture=_text(row.get("picture")),
        sourcedid=_text(row.get("lis_person_sourcedid")),
        test_user=by_roles.test_user,
        custom=_custom(row["message"]) if "message" in row else {},
    )


def _custom(messages: Any) -> dict[str, str]:
    """The custom parameters of the link as they are for this member, from the section `message`."""
    parts = messages if isinstance(messages, list) else [messages]
    found = (part.get(_CUSTOM) for part in parts if isinstance(part, Mapping))
    custom = next((part for part in found if isinstance(part, Mapping)), {})
    return {name: str(value) for name, value in custom.items() if value is not None}


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple([item for item in value if isinstance(item, str) and item.isprintable()])


def _text(value: Any) -> str | None:
    """As `clean`, which few texts need."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text[:_MAX_TEXT] or None if text.isprintable() else clean(text, _MAX_TEXT)
