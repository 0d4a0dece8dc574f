"""Asks a plugin as the host does: its hooks by the host's caller, its adapter, and for launches the message rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from importlib.metadata import EntryPoint
from importlib.resources import files
from typing import Any

from ltihost.lti.members import read_member, standing
from ltihost.lti.messages import Message, read_message
from ltihost.lti.roles import is_test_user, strongest_role
from ltihost.plugins.abilities import AdapterServices
from ltihost.plugins.calls import Calls
from ltihost.plugins.contract import ENTRY_POINT_GROUP, Manifest
from ltihost.plugins.loader import load_plugins
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.records import (
    Application,
    Binding,
    DeepLinking,
    EnabledPlugin,
    Instance,
    Launch,
    Lis,
    Person,
    Presentation,
    Registration,
    Role,
    RoleName,
    Services,
    Tenant,
)
from ltihost.service_records import (
    LeftOut,
    LineItem,
    Member,
    Operation,
    Outcome,
    Score,
    ServiceAnswer,
    Unacceptable,
    Withheld,
)
from ltihost.trace import Trace
from tests.plugins.scripted import ScriptedLms

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

LTI_LINK = "ltiResourceLink"

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
        if item.is_file()
    ]


def binding(key: str, settings: Mapping[str, Any] | None = None) -> Binding:
    return Binding(
        tenant=Tenant("t1", "uni", "Uni"),
        registration=Registration("r1", "t1", "Uni's LMS", key, "active", client_id="client-7"),
        deployment_id="1",
        application=Application("a1", "t1", "app", "App", "https://app.example.org/launch"),
        plugins=(EnabledPlugin(key, settings or {}),),
    )


def picking(
    key: str,
    *,
    role: RoleName = "instructor",
    custom: Mapping[str, str] | None = None,
    accept_line_item: bool | None = None,
) -> Launch:
    """A deep linking launch that asks for LTI links."""
    settings = DeepLinking(
        "dl1", "https://lms.example.edu/return", None, (LTI_LINK,), ("iframe",), True, accept_line_item
    )
    return Launch(
        id="l1", message="deep_linking", launched_at=1790000000.0, target_link_uri=None, binding=binding(key),
        person=Person("u1", "7"), role=role, roles=(), test_user=False, context=None, resource_link=None,
        custom=custom or {}, lis=Lis(), presentation=Presentation(), services=Services(), instance=Instance(),
        rung="cookie", cookies="partitioned", deep_linking=settings,
    )  # fmt: skip


class Reader:
    """One plugin, loaded as the host loads it."""

    def __init__(self, key: str) -> None:
        self.key = key
        plugins = load_plugins([key], installed=[EntryPoint(key, f"ltihost_{key}.plugin", ENTRY_POINT_GROUP)])
        assert plugins.refused == ()
        self.manifest: Manifest = plugins.loaded[key].manifest
        self._adapter = plugins.loaded[key].adapter
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

    def scaled(self, score: Score, line_item: LineItem | None = None) -> Score | Withheld:
        column = line_item or LineItem("lin_1", "Lab 1", Decimal(10))
        return self._calls.scale_score(score, column, binding(self.key))

    def member(self, row: Mapping[str, Any]) -> Mapping[str, Any] | LeftOut:
        return self._calls.member_normaliser(binding(self.key))(row)

    def listed(self, row: Mapping[str, Any]) -> Member | LeftOut:
        """The row as core reads it."""
        member = self.member(row)
        if isinstance(member, LeftOut):
            return member
        return read_member(member, lambda uris: standing(self._calls.map_roles(uris, binding(self.key))))

    def item(self, item: Mapping[str, Any], launch: Launch | None = None) -> Mapping[str, Any] | Unacceptable:
        return self._calls.lint_content_item(item, launch or picking(self.key), binding(self.key))

    def outcome(
        self,
        operation: Operation,
        status: int,
        body: str | Mapping[str, Any] = "",
        headers: Mapping[str, str] | None = None,
    ) -> Outcome | None:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.classify(ServiceAnswer(status, headers or {}, text.encode()), operation)

    def classify(self, answer: ServiceAnswer, operation: Operation) -> Outcome | None:
        return self._calls.classify_error(answer, operation, binding(self.key))

    def adapter(self, lms: ScriptedLms) -> LtiAdapter:
        """The plugin's adapter, talking to `lms`, whose errors this plugin classifies."""
        lms.reads_errors(self.classify)
        return self.adapter_over(lms)

    def adapter_over(self, services: AdapterServices) -> LtiAdapter:
        return self._adapter(binding(self.key), services)

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
