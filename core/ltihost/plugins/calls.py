"""Calls hooks. The only module that touches pluggy's callers.

pluggy pipes nothing and would mix all tenants' plugins, so the implementations are looked up here, filtered by
binding, called one by one in the documented order, each in its own `try`, and logged with plugin, hook and tenant.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from ltihost.errors import Refused
from ltihost.lti.roles import known_role, read_roles
from ltihost.lti.vocabulary import SECURITY_CLAIMS
from ltihost.plugins.loader import Plugins
from ltihost.records import Binding, Launch, Role

log = structlog.get_logger()
SLOW_SECONDS = 2.0
EVENT_SECONDS = 2.0


class Calls:
    """One typed method per hook."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._implementations = {
            hook: {impl.plugin_name: impl for impl in getattr(plugins.manager.hook, hook).get_hookimpls()}
            for hook in ("normalise_claims", "map_roles", "launch_accepted", "register_routes")
        }

    def normalise_claims(self, claims: Mapping[str, Any], binding: Binding) -> Mapping[str, Any]:
        """The claims as the spec means them. Raises Refused (`plugin_error`) if a plugin fails."""
        current = claims
        for key, function in self._for_binding("normalise_claims", binding):
            arguments = {"claims": _copy(current), "binding": binding}
            answer = self._call(key, "normalise_claims", binding, function, arguments)
            if answer is None:
                continue
            if not isinstance(answer, Mapping):
                raise _failed(key, "normalise_claims answered no mapping")
            current = answer
        return current if current is claims else _restore(current, claims)

    def map_roles(self, roles: Sequence[str], binding: Binding) -> tuple[Role, ...]:
        """The roles in the host's closed set. What a plugin invents (a role that was not sent) is left out."""
        current = read_roles(roles)
        for key, function in self._for_binding("map_roles", binding):
            arguments = {"roles": list(roles), "binding": binding}
            answer = self._call(key, "map_roles", binding, function, arguments)
            if answer is not None:
                current = _permitted(key, answer, roles)
        return current

    async def launch_accepted(self, launch: Launch) -> None:
        """Tell every plugin of the binding. Nothing that a plugin does here can undo or delay the launch for long."""
        for key, function in self._for_binding("launch_accepted", launch.binding):
            try:
                answer = self._call(key, "launch_accepted", launch.binding, function, {"launch": launch})
                if inspect.isawaitable(answer):
                    await asyncio.wait_for(answer, EVENT_SECONDS)
            except Refused:
                continue  # logged where it happened
            except Exception as error:
                log.error("plugin.event_failed", plugin=key, hook="launch_accepted", error=type(error).__name__)

    def routes(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Every plugin's own routes, by plugin key."""
        for key, implementation in self._implementations["register_routes"].items():
            try:
                answer = implementation.function()
            except Exception as error:
                log.error("plugin.hook_failed", plugin=key, hook="register_routes", error=type(error).__name__)
                continue
            if answer:
                yield key, answer

    def _for_binding(self, hook: str, binding: Binding) -> Iterator[tuple[str, Callable[..., Any]]]:
        """The LMS plugin of the registration, then the tenant's other plugins in the tenant's order."""
        implementations = self._implementations[hook]
        if not implementations:
            return
        others = (plugin.key for plugin in binding.plugins if not self._is_lms(plugin.key))
        for key in (binding.registration.plugin, *others):
            if (implementation := implementations.get(key)) is not None:
                yield key, _with_names(implementation)

    def _is_lms(self, key: str) -> bool:
        plugin = self._plugins.get(key)
        return plugin is None or plugin.manifest.kind == "lms"

    @staticmethod
    def _call(key: str, hook: str, binding: Binding, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        started = time.monotonic()
        try:
            return function(arguments)
        except Exception as error:
            log.exception("plugin.hook_failed", plugin=key, hook=hook, tenant=binding.tenant.id)
            raise _failed(key, f"{hook} raised {type(error).__name__}") from error
        finally:
            took = time.monotonic() - started
            if took > SLOW_SECONDS:
                log.warning("plugin.hook_slow", plugin=key, hook=hook, tenant=binding.tenant.id, seconds=round(took, 3))


def _with_names(implementation: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Pass the parameters that the implementation names, as pluggy does."""
    function, names = implementation.function, implementation.argnames
    return lambda arguments: function(*(arguments[name] for name in names))


def _failed(key: str, what: str) -> Refused:
    return Refused("plugin_error", "plugin", expected="an answer", received=f"{key}: {what}")


def _restore(answer: Mapping[str, Any], verified: Mapping[str, Any]) -> Mapping[str, Any]:
    """No plugin can forge what the token proved."""
    kept = {name: value for name, value in answer.items() if name not in SECURITY_CLAIMS}
    return kept | {name: verified[name] for name in SECURITY_CLAIMS if name in verified}


def _permitted(key: str, answer: Any, sent: Sequence[str]) -> tuple[Role, ...]:
    roles = tuple(role for role in answer if isinstance(role, Role)) if isinstance(answer, Sequence) else ()
    kept = tuple(role for role in roles if role.uri in sent and known_role(role))
    if len(kept) != len(roles):
        log.warning("plugin.roles_ignored", plugin=key, ignored=len(roles) - len(kept))
    return kept


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
