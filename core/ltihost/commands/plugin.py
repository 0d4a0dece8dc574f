"""`ltihost plugin`: what is installed and loaded here, and what each tenant switched on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantNeeded, TenantOption, actor, operate
from ltihost.commands.output import AsJson
from ltihost.errors import Invalid, NotFound
from ltihost.plugins.loader import LoadedPlugin, Plugins, load_plugins
from ltihost.plugins.watchdog import plugins_at_fault
from ltihost.registration_values import split_values
from ltihost.settings import load_settings
from ltihost.store import tenants
from ltihost.store.tenants import PluginSwitch

Key = Annotated[str, typer.Argument(metavar="KEY", help="As `plugin list` shows it.")]
_MASK = "********"


def list_(tenant: TenantOption = None, as_json: AsJson = False) -> None:
    """List the plugins of this host; with --tenant also what the tenant switched on."""
    settings = load_settings()
    plugins = load_plugins(settings.plugins, at_fault=plugins_at_fault(settings.plugin_faults_file))
    switches = {switch.key: switch for switch in operate(_switches, tenant)} if tenant else None
    if as_json:
        output.document([*_loaded_json(plugins, switches), *_refused_json(plugins, switches)])
        return
    rows: list[tuple[object, ...]] = [
        (key, plugin.manifest.name, plugin.version, "loaded", plugin.manifest.note)
        for key, plugin in plugins.loaded.items()
    ]
    rows += [(item.name, None, None, f"refused: {item.code}", item.reason) for item in plugins.refused]
    columns: tuple[str, ...] = ("Key", "Name", "Version", "State", "Note")
    if switches is not None:
        columns = (*columns, tenant or "")
        rows = [(*row, _enabled(switches, str(row[0])) or False) for row in rows]
    output.table(columns, rows, empty="none")


def enable(
    key: Key,
    tenant: TenantNeeded,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting. All those given replace the former ones."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Switch a plugin on for a tenant."""
    plugin = loaded(load_plugins(load_settings().plugins), key)
    settings = read_settings(plugin, assignments) if assignments else None
    switch = operate(_enable, tenant, key, settings)
    if as_json:
        output.document(_switch_json(switch, tenant))
        return
    output.say(f"{plugin.manifest.name} is enabled for {tenant}.")


def disable(key: Key, tenant: TenantNeeded, as_json: AsJson = False) -> None:
    """Switch a plugin off for a tenant. Its settings stay; launches get a plain page."""
    switch = operate(_disable, tenant, key)
    if as_json:
        output.document(_switch_json(switch, tenant))
        return
    output.say(f"{key} is disabled for {tenant}.")


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """A plugin's settings for one tenant, the secret ones apart."""

    plain: dict[str, Any]
    secret: dict[str, Any]


def read_settings(plugin: LoadedPlugin, assignments: list[str]) -> PluginSettings:
    """NAME=VALUE texts by the plugin's own model. Raises Invalid, never with a value in it."""
    model = plugin.manifest.settings
    if model is None:
        raise Invalid("no_settings", f"{plugin.manifest.name} has no settings.")
    given = dict(split_values(assignments))
    if unknown := sorted(given.keys() - model.model_fields.keys()):
        raise Invalid(
            "setting_unknown",
            f"{plugin.manifest.name} has no setting {unknown[0]!r}; it has {', '.join(model.model_fields)}.",
        )
    try:
        settings = model.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Invalid("setting_invalid", faults) from None
    return _parted(settings)


def loaded(plugins: Plugins, key: str) -> LoadedPlugin:
    """The loaded plugin of this key. Raises NotFound with the reason or with the keys there are."""
    if (plugin := plugins.get(key)) is not None:
        return plugin
    for refused in plugins.refused:
        if refused.name == key:
            raise NotFound("plugin_refused", f"The plugin {key} was not loaded: {refused.reason}.")
    raise NotFound("plugin_unknown", f"There is no plugin {key!r} here; there is {', '.join(sorted(plugins.loaded))}.")


def _parted(settings: BaseModel) -> PluginSettings:
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    secret = {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}
    return PluginSettings(settings.model_dump(mode="json", exclude=set(secret)), secret)


def _switches(session: Session, tenant: str | None) -> list[PluginSwitch]:
    return tenants.plugins(session, tenants.by_slug(session, tenant or "").id)


def _enable(session: Session, tenant: str, key: str, settings: PluginSettings | None) -> PluginSwitch:
    owner = tenants.by_slug(session, tenant).id
    plain, secret = (settings.plain, settings.secret) if settings else (None, None)
    return tenants.enable_plugin(session, owner, key, settings=plain, secrets=secret, actor=actor())


def _disable(session: Session, tenant: str, key: str) -> PluginSwitch:
    return tenants.disable_plugin(session, tenants.by_slug(session, tenant).id, key, actor=actor())


def _enabled(switches: dict[str, PluginSwitch] | None, key: str) -> bool | None:
    """Whether the tenant enabled it; None when no tenant was asked about."""
    if switches is None:
        return None
    return key in switches and switches[key].enabled


def _loaded_json(plugins: Plugins, switches: dict[str, PluginSwitch] | None) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "name": plugin.manifest.name,
            "kind": plugin.manifest.kind,
            "status": "loaded",
            "reason": None,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "note": plugin.manifest.note,
            "settings": list(plugin.manifest.settings.model_fields) if plugin.manifest.settings else [],
            "enabled": _enabled(switches, key),
        }
        for key, plugin in plugins.loaded.items()
    ]


def _refused_json(plugins: Plugins, switches: dict[str, PluginSwitch] | None) -> list[dict[str, Any]]:
    unknown = dict.fromkeys(("name", "kind", "distribution", "version", "note"))
    return [
        {
            **unknown,
            "key": item.name,
            "status": "refused",
            "reason": f"{item.code}: {item.reason}",
            "settings": [],
            "enabled": _enabled(switches, item.name),
        }
        for item in plugins.refused
    ]


def _switch_json(switch: PluginSwitch, tenant: str) -> dict[str, Any]:
    masked = dict.fromkeys(switch.secret_names, _MASK)
    return {"key": switch.key, "tenant": tenant, "enabled": switch.enabled, "settings": {**switch.settings, **masked}}
