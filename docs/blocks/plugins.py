"""What a plugin is made of, and the plugins that come with the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Any

from docs.blocks.markdown import code, document, facts, joined, table
from docs.blocks.source import COMPUTED, calls
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
    """Why a plugin can be left out at the start. Raises ValueError when the loader knows another code than this page."""
    known = {str(code_) for code_, *_ in calls(loader, "PluginRefused")}
    known |= {str(code_) for _, code_, *_ in calls(loader, "RefusedPlugin")}
    if differing := sorted((known - {COMPUTED}) ^ REFUSALS.keys()):
        raise ValueError(f"docs/blocks/plugins.py and the loader differ in: {', '.join(differing)}")
    return table(("code", "reason"), ((code(name), text) for name, text in REFUSALS.items()))


def _record(record: type[Any]) -> str:
    rows = ((code(field.name), code(field.type), _default(field)) for field in dataclasses.fields(record))
    return joined(f"## {record.__name__}", document(record), table(("field", "type", "default"), rows))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return code(repr(field.default_factory()))
    return "required" if field.default is dataclasses.MISSING else code(repr(field.default))


def _plugin(plugin: LoadedPlugin) -> str:
    manifest = plugin.manifest
    lines = [
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
        facts(lines),
        table(("preset", "issuer", "auth-url", "jwks-url"), presets) if presets else None,
        table(("setting", "meaning"), _settings(manifest)) if manifest.settings else None,
    )


def _settings(manifest: Manifest) -> Iterator[tuple[str, str | None]]:
    assert manifest.settings is not None
    for name, field in manifest.settings.model_fields.items():
        yield code(name), field.description


REFUSALS = {
    "not_installed": "`LTIHOST_PLUGINS` names a key that no installed package has.",
    "import_failed": "The module cannot be imported; the reason names the error.",
    "not_a_module": "The entry point leads to something inside a module. It must name the module itself.",
    "no_manifest": "The module has no `manifest` of type `ltihost.plugins.Manifest`.",
    "key_differs": "The entry point and the manifest have different keys.",
    "key_taken": "Two packages bring the same key. The first by name is loaded.",
    "api_version": "The plugin was made for another major version of the contract, or for a later minor one.",
    "unknown_hook": "A function is marked `@hookimpl`, but this host has no hook of that name.",
    "hook_signature": "A hook asks for a parameter that it is not given.",
    "hook_async": "A hook is a coroutine. Hooks are plain functions; those that tell of an event may answer an awaitable.",
    "hook_wrapper": "A hook is a wrapper. Hooks may not wrap others.",
    "hook_blocked": "A hook held a process for ten seconds. A process that starts in its place leaves the plugin out.",
    "adapter_failed": "`register_adapter` raised an error.",
    "adapter_type": "`register_adapter` answered no subclass of `ltihost.plugins.LtiAdapter`.",
}
