"""What a plugin is made of, and the plugins that come with the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Any

from docs.blocks.markdown import code, document, joined, table
from docs.blocks.source import calls
from ltihost.plugins import loader
from ltihost.plugins.contract import API, Document, Guide, Manifest, Preset, ToolUrls
from ltihost.plugins.loader import LoadedPlugin, load_plugins

#: Those that live in this repository; others may be installed where the pages are made.
KEYS = ("lti", "canvas", "moodle", "blackboard", "classroom")


@cache
def loaded(key: str) -> LoadedPlugin:
    plugin = load_plugins(KEYS).get(key)
    assert plugin is not None, f"the plugin {key} is not loaded"
    return plugin


def contract() -> str:
    """The records of the contract, field by field."""
    version = f"The version of this contract is {'.'.join(map(str, API))}."
    return joined(version, *(_record(record) for record in (Manifest, Preset, Guide, Document, ToolUrls)))


def first_party() -> str:
    """The plugins of this repository, each with what its manifest says."""
    return joined(*(_plugin(loaded(key)) for key in KEYS))


def refusals() -> str:
    """Why a plugin can be left out at the start."""
    rows = dict(_refusals())
    return table(("code", "reason"), ((code(name), text) for name, text in sorted(rows.items())))


def _record(record: type[Any]) -> str:
    rows = ((code(field.name), code(field.type), _default(field)) for field in dataclasses.fields(record))
    return joined(f"## {record.__name__}", document(record), table(("field", "type", "default"), rows))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return code(repr(field.default_factory()))
    return "required" if field.default is dataclasses.MISSING else code(repr(field.default))


def _plugin(plugin: LoadedPlugin) -> str:
    manifest = plugin.manifest
    facts = [
        ("Name", manifest.name),
        ("Kind", "an LMS" if manifest.kind == "lms" else manifest.kind),
        ("Comes with", "the host" if manifest.key == "lti" else f"the package {code(plugin.distribution)}"),
        ("Families", ", ".join(map(code, manifest.families)) or "any"),
        ("Holds launches from another installation", "yes" if manifest.pins_instance else "no"),
        ("Simulated LMS", "yes" if manifest.profile else "no"),
    ]
    presets = [
        (item.name, code(item.issuer) or "yours", code(item.auth_url), code(item.jwks_url)) for item in manifest.presets
    ]
    return joined(
        f"### {manifest.key}",
        manifest.note,
        table(("", ""), facts),
        table(("preset", "issuer", "auth-url", "jwks-url"), presets) if presets else None,
        table(("setting", "meaning"), _settings(manifest)) if manifest.settings else None,
    )


def _settings(manifest: Manifest) -> Iterator[tuple[str, str | None]]:
    assert manifest.settings is not None
    for name, field in manifest.settings.model_fields.items():
        yield code(name), field.description


def _refusals() -> Iterator[tuple[str, str]]:
    for arguments in calls(loader, "PluginRefused"):
        yield str(arguments[0]), str(arguments[1])
    for arguments in calls(loader, "RefusedPlugin"):
        if not str(arguments[1]).startswith("ERROR."):
            yield str(arguments[1]), str(arguments[2])
