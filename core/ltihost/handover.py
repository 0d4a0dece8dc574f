"""The launch an application receives: its JSON form, stored without our ids and completed when it is exchanged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_RESULT_READ, SCOPE_SCORE
from ltihost.records import DeepLinking, Launch, Person, Services
from ltihost.store.hot import LaunchedItem, StoredLaunch

CODE_SECONDS = 60
SESSION_SECONDS = 12 * 3600
_NAMES = ("name", "given_name", "family_name", "middle_name")


def launch_json(launch: Launch) -> str:
    """What is stored with an accepted launch: everything but ids, tenant, registration and session."""
    return orjson.dumps(
        {
            "target_link_uri": launch.target_link_uri,
            "user": _person(launch.person),
            "role": launch.role,
            "roles": [{"scope": r.scope, "role": r.role, "sub_role": r.sub_role, "uri": r.uri} for r in launch.roles],
            "application_roles": {"global": launch.global_role, "group": launch.group_role},
            "test_user": launch.test_user,
            "context": launch.context and {
                "id": None, "lms_id": launch.context.lms_id, "title": launch.context.title,
                "label": launch.context.label, "types": launch.context.types,
            },
            "resource_link": launch.resource_link and {
                "id": None, "lms_id": launch.resource_link.lms_id, "title": launch.resource_link.title,
                "description": launch.resource_link.description,
            },
            "line_item": None,
            "custom": launch.custom,
            "lis": launch.lis,
            "for_user": launch.for_user and _reviewed(launch.for_user),
            "groups": None,
            "presentation": launch.presentation,
            "deep_linking": _deep_linking(launch.deep_linking),
            "capabilities": capabilities(launch),
            "browser": {"rung": launch.rung, "cookies": launch.cookies},
            "warnings": launch.warnings,
        }
    ).decode()  # fmt: skip


def services_json(launch: Launch) -> str:
    """What the host keeps for itself: service URLs and the deep linking return address."""
    deep_linking = launch.deep_linking
    return orjson.dumps(
        {
            "services": launch.services,
            "deep_linking": deep_linking and {
                "return_url": deep_linking.return_url, "data": deep_linking.data,
                "accept_media_types": deep_linking.accept_media_types,
            },
            "instance": launch.instance,
        }
    ).decode()  # fmt: skip


def capabilities(launch: Launch) -> dict[str, bool]:
    """What can be done from this launch, read from what the platform granted, never from its name."""
    services, scopes = launch.services, frozenset(launch.services.ags_scopes)
    person, registration = launch.person, launch.binding.registration
    return {
        "grades": SCOPE_SCORE in scopes and _any_line_item(services),
        "line_items": SCOPE_LINE_ITEM in scopes and services.line_items_url is not None,
        "results": SCOPE_RESULT_READ in scopes and _any_line_item(services),
        "roster": registration.nrps and services.memberships_url is not None,
        "deep_linking": launch.deep_linking is not None,
        "groups": services.groups_url is not None,
        "names": person.name is not None or person.given_name is not None or person.family_name is not None,
        "emails": person.email is not None,
        "pictures": person.picture is not None,
    }


def application_launch(stored: StoredLaunch) -> dict[str, Any]:
    """The whole launch for the application: ids filled in, personal data as far as it was released."""
    launch: dict[str, Any] = orjson.loads(stored.launch_json)
    for person in ("user", "for_user"):
        if launch[person] is not None:
            _release(launch[person], stored.application.release)
    launch["user"]["id"] = stored.user_id
    if launch["for_user"] is not None and launch["for_user"]["subject"] == launch["user"]["subject"]:
        launch["for_user"]["id"] = stored.user_id  # one's own work, perhaps at one's very first launch
    for part, identity in (("context", stored.context_id), ("resource_link", stored.resource_link_id)):
        if launch[part] is not None:
            launch[part]["id"] = identity
    if launch["deep_linking"] is not None:
        launch["deep_linking"]["id"] = stored.launch_id
    launch["line_item"] = _line_item(stored.line_item)
    return {
        "id": stored.launch_id,
        "message": stored.message,
        "launched_at": timestamp(stored.launched_at),
        "tenant": {"id": stored.tenant.id, "slug": stored.tenant.slug, "name": stored.tenant.name},
        "registration": {
            "id": stored.registration_id, "name": stored.registration_name, "lms": stored.plugin,
            "plugin": stored.plugin, "issuer": stored.issuer,
        },
        "deployment_id": stored.deployment_id,
        **launch,
        "session": {"id": stored.session_id, "expires_at": timestamp(stored.session_expires)},
    }  # fmt: skip


def _line_item(item: LaunchedItem | None) -> dict[str, Any] | None:
    if item is None:
        return None
    return {"id": item.id, "label": item.label, "maximum": item.maximum and float(item.maximum)}


def _any_line_item(services: Services) -> bool:
    return services.line_item_url is not None or services.line_items_url is not None


def _person(person: Person) -> dict[str, Any]:
    return {
        "id": None, "subject": person.subject, "name": person.name, "given_name": person.given_name,
        "family_name": person.family_name, "middle_name": person.middle_name, "email": person.email,
        "picture": person.picture, "locale": person.locale, "anonymous": person.anonymous,
    }  # fmt: skip


def _reviewed(person: Person) -> dict[str, Any]:
    """Whose submission is reviewed. The id is known before the launch is stored, if the host knows the person."""
    return _person(person) | {"id": person.id}


def _deep_linking(settings: DeepLinking | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    return {
        "id": None, "accept_types": settings.accept_types, "accept_targets": settings.accept_targets,
        "accept_multiple": settings.accept_multiple, "accept_line_item": settings.accept_line_item,
        "title": settings.title, "text": settings.text,
    }  # fmt: skip


def _release(user: dict[str, Any], release: frozenset[str]) -> None:
    """Blank what the application was not given: names, email, picture."""
    hidden = (() if "names" in release else _NAMES) + tuple(
        name for name in ("email", "picture") if name not in release
    )
    for name in hidden:
        user[name] = None


def timestamp(seconds: float) -> str:
    """A moment as every answer writes it: RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
