"""Reads a launch as the host does: the plugin's hooks by the host's caller, then the message rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from importlib.resources import files
from typing import Any

from ltihost.lti.messages import Message, read_message
from ltihost.lti.roles import is_test_user, strongest_role
from ltihost.plugins.calls import Calls
from ltihost.plugins.contract import ENTRY_POINT_GROUP, Manifest
from ltihost.plugins.loader import load_plugins
from ltihost.records import Application, Binding, EnabledPlugin, Registration, Role, Tenant
from ltihost.trace import Trace

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
CONTEXT = LTI + "context"
CUSTOM = LTI + "custom"
LIS = LTI + "lis"
RESOURCE_LINK = LTI + "resource_link"
ROLES = LTI + "roles"

CONTEXT_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/membership"
INSTITUTION_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
SYSTEM_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/system/person#"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

Claims = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """One file of a plugin's `samples`: the claims as the LMS sends them and the part of the launch that must come out."""

    key: str
    file: str
    name: str
    claims: Claims
    launch: dict[str, Any]


def samples(key: str) -> list[Sample]:
    folder = files(f"ltihost_{key}") / "samples"
    return [
        Sample(key, item.name, **json.loads(item.read_text(encoding="utf-8")))
        for item in sorted(folder.iterdir(), key=lambda item: item.name)
    ]


def binding(key: str, settings: Mapping[str, Any] | None = None) -> Binding:
    return Binding(
        tenant=Tenant("t1", "uni", "Uni"),
        registration=Registration("r1", "t1", "Uni's LMS", key, "active"),
        deployment_id="1",
        application=Application("a1", "t1", "app", "App", "https://app.example.org/launch"),
        plugins=(EnabledPlugin(key, settings or {}),),
    )


class Reader:
    """One plugin, loaded as the host loads it."""

    def __init__(self, key: str) -> None:
        self.key = key
        plugins = load_plugins([key], installed=[EntryPoint(key, f"ltihost_{key}.plugin", ENTRY_POINT_GROUP)])
        assert plugins.refused == ()
        self.manifest: Manifest = plugins.loaded[key].manifest
        self._calls = Calls(plugins)

    def sample(self, stem: str) -> Claims:
        """The claims of one sample, for a test to change."""
        return next(sample.claims for sample in samples(self.key) if sample.file == f"{stem}.json")

    def normalised(self, claims: Claims, settings: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        return self._calls.normalise_claims(claims, binding(self.key, settings))

    def message(self, claims: Claims, settings: Mapping[str, Any] | None = None, *, anonymous: bool = True) -> Message:
        return read_message(self.normalised(claims, settings), allow_anonymous=anonymous, trace=Trace())

    def roles(self, claims: Claims, settings: Mapping[str, Any] | None = None) -> tuple[Role, ...]:
        return self._calls.map_roles(self.message(claims, settings).roles, binding(self.key, settings))

    def role(
        self, claims: Claims, settings: Mapping[str, Any] | None = None, *, institution_admin: bool = False
    ) -> str:
        return strongest_role(self.roles(claims, settings), institution_admin=institution_admin)

    def launch(self, claims: Claims) -> dict[str, Any]:
        """The launch as an application sees it, as far as claims alone decide it."""
        message = self.message(claims)
        return {
            "message": message.name,
            "role": self.role(claims),
            "test_user": is_test_user(self.roles(claims)),
            "user": {**asdict(message.person), "anonymous": message.person.anonymous},
            "context": _members(message.context),
            "resource_link": _members(message.resource_link),
            "custom": dict(message.custom),
            "lis": asdict(message.lis),
            "presentation": asdict(message.presentation),
            "deep_linking": _members(message.deep_linking),
        }


def part_of(expected: Any, found: Any) -> Any:
    """`found`, cut down to the members that `expected` names, for comparing. Custom parameters are compared whole."""
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return found
    return {name: found[name] if name == "custom" else part_of(value, found[name]) for name, value in expected.items()}


def _members(record: Any) -> dict[str, Any] | None:
    """A record as JSON would show it: tuples as lists."""
    loaded: dict[str, Any] | None = json.loads(json.dumps(asdict(record))) if record is not None else None
    return loaded
