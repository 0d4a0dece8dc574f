"""Finds installed plugins and loads each one alone: a bad one is refused with a reason, the host starts.

Three stages, three owners: installed (pip), loaded (the operator, LTIHOST_PLUGINS), enabled (each tenant).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy
import structlog

from ltihost.errors import PluginRefused
from ltihost.plugins import hookspecs, lti
from ltihost.plugins.contract import API, ENTRY_POINT_GROUP, Manifest
from ltihost.plugins.lti_adapter import LtiAdapter

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin that works. `version` is its distribution's; `adapter` serves its registrations."""

    manifest: Manifest
    adapter: type[LtiAdapter]
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class RefusedPlugin:
    """An installed plugin that was not loaded, with a stable code and one sentence."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plugins:
    """What is loaded and what was refused. `manager` is for `calls.py` alone."""

    loaded: Mapping[str, LoadedPlugin]
    refused: tuple[RefusedPlugin, ...]
    manager: pluggy.PluginManager

    def get(self, key: str) -> LoadedPlugin | None:
        return self.loaded.get(key)


def load_plugins(
    keys: Sequence[str] | None = None,
    *,
    installed: Sequence[EntryPoint] | None = None,
    at_fault: Mapping[str, str] | None = None,
) -> Plugins:
    """Load `keys` (all installed ones when None) and the built-in plugin `lti`. Never raises for a bad plugin.

    `at_fault` are plugins that blocked a process, each with the hook that did.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaded = {"lti": _register(manager, "lti", lti, "ltihost", "built in")}
    refused: list[RefusedPlugin] = []
    found = installed if installed is not None else tuple(entry_points(group=ENTRY_POINT_GROUP))
    for point in sorted(found, key=lambda item: item.name):
        if keys is not None and point.name not in keys:
            continue
        try:
            if point.name in loaded:
                raise PluginRefused("key_taken", f"another plugin already has the key {point.name!r}")
            if hook := (at_fault or {}).get(point.name):
                raise PluginRefused("hook_blocked", f"{hook} blocked a process for too long; mend it and start again")
            distribution = point.dist.name if point.dist else "unknown"
            version = point.dist.version if point.dist else "unknown"
            loaded[point.name] = _register(manager, point.name, _import(point), distribution, version)
        except PluginRefused as error:
            refused.append(RefusedPlugin(point.name, error.code, error.message))
            log.warning("plugin.refused", plugin=point.name, code=error.code, reason=error.message)
    names = {point.name for point in found} | {"lti"}
    refused += [
        RefusedPlugin(key, "not_installed", f"no installed package brings {key!r}")
        for key in keys or ()
        if key not in names
    ]
    return Plugins(loaded, tuple(refused), manager)


def _import(point: EntryPoint) -> ModuleType:
    try:
        module = point.load()
    except Exception as error:
        raise PluginRefused(
            "import_failed", f"{point.value} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(module, ModuleType):
        raise PluginRefused("not_a_module", f"{point.value} is not a module")
    return module


def _register(
    manager: pluggy.PluginManager, key: str, module: ModuleType, distribution: str, version: str
) -> LoadedPlugin:
    manifest = _manifest(module, key)
    _check_hooks(manager, module)
    try:
        manager.register(module, name=key)
    except pluggy.PluginValidationError as error:
        raise PluginRefused("hook_signature", str(error).splitlines()[-1].strip()) from error
    return LoadedPlugin(manifest, _adapter(module), distribution, version)


def _manifest(module: ModuleType, key: str) -> Manifest:
    manifest = getattr(module, "manifest", None)
    if not isinstance(manifest, Manifest):
        raise PluginRefused("no_manifest", "the module has no `manifest` of type ltihost.plugins.Manifest")
    if manifest.key != key:
        raise PluginRefused("key_differs", f"the entry point is called {key!r}, the manifest {manifest.key!r}")
    major, minor = manifest.api
    if major != API[0] or minor > API[1]:
        raise PluginRefused("api_version", f"made for plugin API {major}.{minor}; this host speaks {API[0]}.{API[1]}")
    return manifest


def _check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Refuse what pluggy would let pass in silence: misspelt hooks, wrappers, coroutines."""
    for name, function in _hook_functions(manager, module).items():
        if not hasattr(hookspecs, name):
            raise PluginRefused("unknown_hook", f"{name} is no hook of this host")
        if inspect.iscoroutinefunction(function):
            raise PluginRefused("hook_async", f"{name} must be a plain function")
        options: Mapping[str, Any] = manager.parse_hookimpl_opts(module, name) or {}
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginRefused("hook_wrapper", f"{name} is a wrapper; hooks may not wrap others")


def _hook_functions(manager: pluggy.PluginManager, module: ModuleType) -> dict[str, Callable[..., Any]]:
    names = (name for name in dir(module) if manager.parse_hookimpl_opts(module, name) is not None)
    return {name: getattr(module, name) for name in names}


def _adapter(module: ModuleType) -> type[LtiAdapter]:
    register = getattr(module, "register_adapter", None)
    if register is None:
        return LtiAdapter
    try:
        adapter = register()
    except Exception as error:
        raise PluginRefused("adapter_failed", f"register_adapter failed: {type(error).__name__}: {error}") from error
    if adapter is None:
        return LtiAdapter
    if not (isinstance(adapter, type) and issubclass(adapter, LtiAdapter)):
        raise PluginRefused("adapter_type", "register_adapter must answer a subclass of ltihost.plugins.LtiAdapter")
    return adapter
