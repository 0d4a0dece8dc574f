"""From records to values: what the hot path writes, the same on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import orjson

from ltihost.errors import Invalid
from ltihost.records import Attempt, Check
from ltihost.store.hot import AcceptLaunch
from ltihost.store.ids import new_id


@dataclass(frozen=True, slots=True)
class RowCaps:
    """How many refused attempts a minute become rows: launches per registration, logins per tenant.

    A launch post whose state names no registration is a stranger's and counts like a login.
    """

    launch: int = 600
    login: int = 60

    def of(self, attempt: Attempt) -> int:
        return self.login if attempt.kind == "login" or attempt.registration_id is None else self.launch


def launch_values(work: AcceptLaunch) -> dict[str, Any]:
    """Every value an accepted launch writes, by name. Raises Invalid for an id that cannot be stored."""
    return {
        **attempt_values(work.attempt),
        **_person_values(work),
        **_place_values(work),
        "was_waiting": work.was_waiting,
        "application": work.application_id,
        "plugin": work.plugin,
        "message": work.message,
        "nonce_hash": work.nonce_hash,
        "nonce_expires": work.nonce_expires,
        "role": work.role,
        "roles": work.roles_json,
        "global_role": work.global_role,
        "group_role": work.group_role,
        "create_users": work.create_users,
        "create_contexts": work.create_contexts,
        "sync_roles": work.sync_roles,
        "launch_json": work.launch_json,
        "services_json": work.services_json,
        "target_url": work.target_url,
        "code_hash": work.code_hash,
        "code_expires": work.code_expires,
        "audit": new_id("aud"),
        "audit_details": _json(
            {"registration": work.attempt.registration_id, "deployment": work.attempt.deployment_id}
        ),
    }


def attempt_values(attempt: Attempt) -> dict[str, Any]:
    """Every value an attempt writes, by name; what a browser or an LMS sent is made storable."""
    return {
        "id": attempt.id,
        "tenant": attempt.tenant_id,
        "code": attempt.code,
        "kind": attempt.kind,
        "outcome": attempt.outcome,
        "at": attempt.at,
        "refusal": attempt.refusal,
        "registration": attempt.registration_id,
        "deployment": storable(attempt.deployment_id),
        "message": storable(attempt.message),
        "rung": attempt.rung,
        "checks": _checks(attempt.checks),
        "warnings": _json([storable(warning) for warning in attempt.warnings]),
        "remote_address": storable(attempt.remote_address),
        "user_agent": storable(attempt.user_agent),
        "user": attempt.user_id,
    }


def _checks(checks: Sequence[Check]) -> str:
    """The checks as JSON, without what goes without saying: every accepted launch stores twenty that passed."""
    try:
        return _json([_check_values(check) for check in checks])
    except TypeError:  # a lone surrogate in what was received
        return _json([_check_values(replace(check, received=storable(check.received))) for check in checks])


def _check_values(check: Check) -> dict[str, str]:
    values = {"name": check.name}
    if check.status != "passed":
        values["status"] = check.status
    if check.expected is not None:
        values["expected"] = check.expected
    if check.received is not None:
        values["received"] = check.received
    return values


def _person_values(work: AcceptLaunch) -> dict[str, Any]:
    person = work.person
    if person is None:
        return {"new_user": None, "user_key": None}
    return {
        "new_user": new_id("usr"),
        "user_key": _whole(person.key),
        "subject": _whole(person.subject),
        "name": storable(person.name),
        "given_name": storable(person.given_name),
        "family_name": storable(person.family_name),
        "middle_name": storable(person.middle_name),
        "email": storable(person.email),
        "picture": storable(person.picture),
        "locale": storable(person.locale),
        "test_user": person.test_user,
    }


_NO_PLACE = dict.fromkeys(
    ("new_context", "context_key", "context_title", "context_label", "context_types", "new_link", "link_key")
)


def _place_values(work: AcceptLaunch) -> dict[str, Any]:
    values: dict[str, Any] = dict(_NO_PLACE)
    if work.context is not None:
        values |= {
            "new_context": new_id("ctx"),
            "context_key": _whole(work.context.lms_id),
            "context_title": storable(work.context.title),
            "context_label": storable(work.context.label),
            "context_types": _json([storable(kind) for kind in work.context.types]),
        }
    if work.link is not None:
        values |= {
            "new_link": new_id("lnk"),
            "link_key": _whole(work.link.lms_id),
            "link_title": storable(work.link.title),
            "link_description": storable(work.link.description),
        }
    return values


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    """`text` without what PostgreSQL cannot store (NUL, lone surrogates); for what is only shown."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def findable(*keys: str | None) -> bool:
    """Whether rows of these keys can exist; what cannot be stored need not be looked for."""
    return all(key is None or storable(key) == key for key in keys)


def _whole(key: str) -> str:
    """`key` as it is. A key is never repaired: two people could become one."""
    if not findable(key):
        raise Invalid("text_unstorable", "An id in the launch holds characters that cannot be stored.")
    return key


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
