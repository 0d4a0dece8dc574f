"""A stored launch as the record that it was: what plugins are shown long after the browser went on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ltihost.records import (
    Binding,
    Context,
    DeepLinking,
    Instance,
    Launch,
    Lis,
    MessageName,
    Person,
    Presentation,
    ResourceLink,
    Role,
    Rung,
    Services,
)


@dataclass(frozen=True, slots=True)
class LaunchRow:
    """The columns of an accepted launch that it is made of; the two texts are those of `handover`."""

    id: str
    at: float
    message: MessageName
    rung: Rung
    user_id: str | None
    context_id: str | None
    resource_link_id: str | None
    launch_json: str
    services_json: str


def launch_record(row: LaunchRow, binding: Binding) -> Launch:
    """The launch, with our ids, as it was accepted."""
    told: dict[str, Any] = orjson.loads(row.launch_json)
    kept: dict[str, Any] = orjson.loads(row.services_json)
    return Launch(
        id=row.id,
        message=row.message,
        launched_at=row.at,
        target_link_uri=told["target_link_uri"],
        binding=binding,
        person=_person(told["user"], row.user_id),
        role=told["role"],
        roles=tuple(Role(**role) for role in told["roles"]),
        test_user=told["test_user"],
        context=Context(**told["context"] | {"id": row.context_id, "types": tuple(told["context"]["types"])})
        if told["context"]
        else None,
        resource_link=ResourceLink(**told["resource_link"] | {"id": row.resource_link_id})
        if told["resource_link"]
        else None,
        custom=told["custom"],
        lis=Lis(**told["lis"]),
        presentation=Presentation(**told["presentation"]),
        services=Services(**_with_tuples(kept["services"])),
        instance=Instance(**kept["instance"]),
        rung=row.rung,
        cookies=told["browser"]["cookies"],
        deep_linking=_deep_linking(told, kept, row.id),
        for_user=_person(told["for_user"], told["for_user"]["id"]) if told["for_user"] else None,
        global_role=told["application_roles"]["global"],
        group_role=told["application_roles"]["group"],
        warnings=tuple(told["warnings"]),
    )


def _person(told: Mapping[str, Any], person_id: str | None) -> Person:
    return Person(**{name: told[name] for name in Person.__dataclass_fields__ if name != "id"}, id=person_id)


def _deep_linking(told: Mapping[str, Any], kept: Mapping[str, Any], launch_id: str) -> DeepLinking | None:
    if told["deep_linking"] is None:
        return None
    return DeepLinking(**_with_tuples(told["deep_linking"] | kept["deep_linking"] | {"id": launch_id}))


def _with_tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
