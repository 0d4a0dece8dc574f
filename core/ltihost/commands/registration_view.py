"""A registration with what surrounds it, as the commands show it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.deployment import Placement, placement_json, placements
from ltihost.commands.guide import tool_urls
from ltihost.commands.operator import slugs
from ltihost.plugins.loader import LoadedPlugin
from ltihost.records import HOST, Application, Registration
from ltihost.settings import Settings
from ltihost.store import applications, registrations, tenants
from ltihost.store.registrations import missing

PLATFORM = ("issuer", "client_id", "auth_url", "token_url", "jwks_url", "audience", "home_url")
_ELSEWHERE = frozenset({"id", "tenant_id", "name", "plugin", "state", "application_id", *PLATFORM})


@dataclass(frozen=True, slots=True)
class View:
    """`tenant` is a slug, None for a shared registration; for such a one `plugin_enabled` is None too."""

    registration: Registration
    tenant: str | None
    application: Application | None
    plugin_enabled: bool | None
    placements: tuple[Placement, ...]

    @property
    def tool_name(self) -> str:
        """What an LMS calls the tool: the application's name."""
        return self.application.name if self.application else self.registration.name


def read_view(session: Session, registration_id: str) -> View:
    """Raises NotFound."""
    return _view(session, registrations.get(session, registration_id))


def read_views(session: Session, tenant_id: str | None) -> list[View]:
    """The registrations of a tenant, or all."""
    return [_view(session, registration) for registration in registrations.listed(session, tenant_id)]


def view_json(view: View, settings: Settings) -> dict[str, Any]:
    """The JSON form: the tool's URLs at the top (what the LMS wants), the platform's under `platform`."""
    registration = view.registration
    urls = tool_urls(settings, registration, view.tool_name)
    values = {name: value for name, value in asdict(registration).items() if name not in _ELSEWHERE}
    return {
        "id": registration.id,
        "name": registration.name,
        "state": registration.state,
        "tenant": view.tenant,
        "application": view.application and view.application.slug,
        "plugin": registration.plugin,
        "login_url": urls.login,
        "launch_url": urls.launch,
        "jwks_url": urls.key_set,
        "platform": {name: getattr(registration, name) for name in PLATFORM},
        "values": values,
        "missing": list(missing(registration)),
        "plugin_enabled": view.plugin_enabled,
        "deployments": [placement_json(placement) for placement in view.placements],
    }


def print_view(view: View, settings: Settings, plugin: LoadedPlugin | None) -> None:
    """For people: whose it is, what the LMS wants to know, what is known of the LMS, what differs from the usual."""
    registration = view.registration
    urls = tool_urls(settings, registration, view.tool_name)
    application = view.application and view.application.slug
    owner = view.tenant or "every tenant (shared)"
    output.say((f"Registration {registration.id}", "bold"), f" {registration.name}, {registration.state}")
    output.facts([("Tenant", owner), ("Application", application), ("Plugin", registration.plugin)])
    output.say()
    output.say(("What the LMS wants to know", "bold"))
    output.facts([("Login URL", urls.login), ("Launch and redirect URL", urls.launch), ("Key set URL", urls.key_set)])
    output.say()
    output.say(("What is known of the LMS", "bold"))
    known: list[tuple[str, object]] = [
        (name.replace("_", "-"), getattr(registration, name) or "-") for name in PLATFORM
    ]
    output.facts([*known, *_unusual(registration), *(("deployment", _told(item)) for item in view.placements)])
    _print_next(view, plugin)


def _print_next(view: View, plugin: LoadedPlugin | None) -> None:
    """What still stands between this registration and its first launch."""
    registration = view.registration
    if lacking := missing(registration):
        if plugin is not None and plugin.manifest.presets:
            lacking = [name for name in lacking if name in ("issuer", "client-id")] or lacking
        output.hint(f"next: ltihost registration set {registration.id} " + " ".join(f"{name}=..." for name in lacking))
    elif registration.state != "active":
        output.hint(f"next: ltihost registration check {registration.id}")
        output.hint(f"then: ltihost registration approve {registration.id}")
    if view.plugin_enabled is False:
        output.hint(f"next: ltihost plugin enable {registration.plugin} --tenant {view.tenant}")


def _told(placement: Placement) -> str:
    whose = ", ".join(filter(None, (placement.state, placement.tenant, placement.application)))
    return f"{placement.deployment_id} ({whose})"


def _unusual(registration: Registration) -> list[tuple[str, object]]:
    """The values that are not as a new registration has them."""
    usual = Registration(id="", tenant_id="", name="", plugin="", state="draft")
    return [
        (name.replace("_", "-"), value)
        for name, value in asdict(registration).items()
        if name not in _ELSEWHERE and value != getattr(usual, name)
    ]


def _view(session: Session, registration: Registration) -> View:
    shared = registration.tenant_id == HOST
    application = applications.get(session, registration.application_id) if registration.application_id else None
    enabled = {switch.key for switch in tenants.plugins(session, registration.tenant_id) if switch.enabled}
    return View(
        registration,
        slugs(session)[registration.tenant_id],
        application,
        None if shared else registration.plugin in enabled,
        tuple(placements(session, registration_id=registration.id)),
    )
