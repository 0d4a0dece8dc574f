"""Calls hooks. The only module that touches pluggy's callers.

pluggy pipes nothing and would mix all tenants' plugins, so the implementations are looked up here, filtered by
binding, called one by one in the documented order, each in its own `try`, and logged with plugin, hook and tenant.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import structlog

from ltihost.errors import PluginFailed, Refused
from ltihost.lti.roles import known_role, read_roles
from ltihost.lti.vocabulary import SECURITY_CLAIMS
from ltihost.plugins.loader import Plugins
from ltihost.plugins.watchdog import SLOW_SECONDS, Running
from ltihost.records import Binding, Launch, Role
from ltihost.service_records import (
    Delivery,
    LeftOut,
    LineItem,
    Operation,
    Outcome,
    RosterChange,
    Score,
    ServiceAnswer,
    Unacceptable,
    Withheld,
)

log = structlog.get_logger()
EVENT_SECONDS = 2.0
_HOOKS = (
    "normalise_claims", "map_roles", "scale_score", "normalise_member", "lint_content_item", "classify_error",
    "register_routes", "launch_accepted", "grade_settled", "roster_changed",
)  # fmt: skip


class Calls:
    """One typed method per hook. `running` is the call under way, for the watchdog."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self.running: Running | None = None
        self._implementations = {
            hook: {impl.plugin_name: impl for impl in getattr(plugins.manager.hook, hook).get_hookimpls()}
            for hook in _HOOKS
        }

    def normalise_claims(self, claims: Mapping[str, Any], binding: Binding) -> Mapping[str, Any]:
        """The claims as the spec means them. Raises Refused (`plugin_error`) if a plugin fails."""
        current = claims
        for key, function in self._for_binding("normalise_claims", binding):
            arguments = {"claims": _copy(current), "binding": binding}
            with _refusing():
                answer = self._checked(key, "normalise_claims", binding, function, arguments, (Mapping,))
            current = current if answer is None else answer
        return current if current is claims else _restore(current, claims)

    def map_roles(self, roles: Sequence[str], binding: Binding) -> tuple[Role, ...]:
        """The roles in the host's closed set. What a plugin invents (a role that was not sent) is left out."""
        current = read_roles(roles)
        for key, function in self._for_binding("map_roles", binding):
            arguments = {"roles": list(roles), "binding": binding}
            with _refusing():
                answer = self._call(key, "map_roles", binding, function, arguments)
            if answer is not None:
                current = _permitted(key, answer, roles)
        return current

    def scale_score(self, score: Score, line_item: LineItem, binding: Binding) -> Score | Withheld:
        """The score as this gradebook takes it: the tenant's plugins first, then the LMS's own.

        Raises PluginFailed when a plugin fails: better late than wrong.
        """
        current = score
        for key, function in self._dialect_last("scale_score", binding):
            arguments = {"score": current, "line_item": line_item, "binding": binding}
            answer = self._checked(key, "scale_score", binding, function, arguments, (Score, Withheld))
            if isinstance(answer, Withheld):
                return answer
            current = answer or current
        return current

    def member_normaliser(self, binding: Binding) -> Callable[[Mapping[str, Any]], Mapping[str, Any] | LeftOut]:
        """What makes a roster's row what NRPS means; it raises PluginFailed when a plugin fails.

        For many rows: who is to be asked is found out once.
        """
        asked = list(self._for_binding("normalise_member", binding))

        def normalise(member: Mapping[str, Any]) -> Mapping[str, Any] | LeftOut:
            current = member
            for key, function in asked:
                arguments = {"member": _copy(current), "binding": binding}
                answer = self._checked(key, "normalise_member", binding, function, arguments, (dict, LeftOut, Mapping))
                if isinstance(answer, LeftOut):
                    return answer
                if answer is not None:
                    current = {**answer, "user_id": member.get("user_id")}
            return current

        return normalise

    def lint_content_item(
        self, item: Mapping[str, Any], launch: Launch, binding: Binding
    ) -> Mapping[str, Any] | Unacceptable:
        """The content item as this LMS accepts it. Raises PluginFailed when a plugin fails."""
        current = item
        for key, function in self._for_binding("lint_content_item", binding):
            arguments = {"item": _copy(current), "launch": launch, "binding": binding}
            answer = self._checked(key, "lint_content_item", binding, function, arguments, (Mapping, Unacceptable))
            if isinstance(answer, Unacceptable):
                return answer
            current = current if answer is None else answer
        return current

    def classify_error(self, response: ServiceAnswer, operation: Operation, binding: Binding) -> Outcome | None:
        """What the LMS's plugin makes of an error answer; None when it has no opinion, or fails at forming one."""
        implementation = self._implementations["classify_error"].get(binding.registration.plugin)
        if implementation is None:
            return None
        arguments = {"response": response, "operation": operation, "binding": binding}
        try:
            answer: Outcome | None = self._checked(
                binding.registration.plugin, "classify_error", binding, _with_names(implementation), arguments,
                get_args(Outcome),
            )  # fmt: skip
        except PluginFailed:
            return None  # logged where it happened; the specs' reading serves
        return answer

    @property
    def tells_of_launches(self) -> bool:
        """Whether any plugin that is loaded wants to hear of launches."""
        return bool(self._implementations["launch_accepted"])

    async def launch_accepted(self, launch: Launch) -> None:
        """Tell every plugin of the binding. Nothing that a plugin does here can undo or delay the launch for long."""
        await self._tell("launch_accepted", launch.binding, {"launch": launch})

    async def grade_settled(self, delivery: Delivery, binding: Binding) -> None:
        """Tell every plugin of the binding what became of a score."""
        await self._tell("grade_settled", binding, {"delivery": delivery, "binding": binding})

    async def roster_changed(self, change: RosterChange, binding: Binding) -> None:
        """Tell every plugin of the binding what a roster sync changed."""
        await self._tell("roster_changed", binding, {"change": change, "binding": binding})

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

    async def _tell(self, hook: str, binding: Binding, arguments: Mapping[str, Any]) -> None:
        for key, function in self._for_binding(hook, binding):
            try:
                answer = self._call(key, hook, binding, function, arguments)
                if inspect.isawaitable(answer):
                    await asyncio.wait_for(answer, EVENT_SECONDS)
            except PluginFailed:
                continue  # logged where it happened
            except Exception as error:
                log.error("plugin.event_failed", plugin=key, hook=hook, error=type(error).__name__)

    def _for_binding(self, hook: str, binding: Binding) -> Iterator[tuple[str, Callable[..., Any]]]:
        """The LMS plugin of the registration, then the tenant's other plugins in the tenant's order."""
        implementations = self._implementations[hook]
        if not implementations:
            return
        others = (plugin.key for plugin in binding.plugins if not self._is_lms(plugin.key))
        for key in (binding.registration.plugin, *others):
            if (implementation := implementations.get(key)) is not None:
                yield key, _with_names(implementation)

    def _dialect_last(self, hook: str, binding: Binding) -> Iterator[tuple[str, Callable[..., Any]]]:
        """The tenant's other plugins in the tenant's order, then the LMS plugin."""
        found = list(self._for_binding(hook, binding))
        yield from (entry for entry in found if not self._is_lms(entry[0]))
        yield from (entry for entry in found if self._is_lms(entry[0]))

    def _is_lms(self, key: str) -> bool:
        plugin = self._plugins.get(key)
        return plugin is None or plugin.manifest.kind == "lms"

    def _checked(
        self, key: str, hook: str, binding: Binding, function: Callable[..., Any], arguments: Mapping[str, Any],
        kinds: tuple[type, ...],
    ) -> Any:  # fmt: skip
        """The answer, which must be None or of these kinds. Raises PluginFailed."""
        answer = self._call(key, hook, binding, function, arguments)
        if answer is None or isinstance(answer, kinds):
            return answer
        log.error("plugin.answer_unusable", plugin=key, hook=hook, tenant=binding.tenant.id, got=type(answer).__name__)
        raise PluginFailed(key, f"{hook} answered {type(answer).__name__}")

    def _call(
        self, key: str, hook: str, binding: Binding, function: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Any:
        started = time.monotonic()
        self.running = Running(key, hook, binding.tenant.id, started)
        try:
            return function(arguments)
        except Exception as error:
            log.exception("plugin.hook_failed", plugin=key, hook=hook, tenant=binding.tenant.id)
            raise PluginFailed(key, f"{hook} raised {type(error).__name__}") from error
        finally:
            self.running = None
            took = time.monotonic() - started
            if took > SLOW_SECONDS:
                log.warning("plugin.hook_slow", plugin=key, hook=hook, tenant=binding.tenant.id, seconds=round(took, 3))


def _with_names(implementation: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Pass the parameters that the implementation names, as pluggy does."""
    function, names = implementation.function, implementation.argnames
    return lambda arguments: function(*(arguments[name] for name in names))


@contextmanager
def _refusing() -> Iterator[None]:
    """At a launch, a plugin's failure refuses the launch."""
    try:
        yield
    except PluginFailed as error:
        raise Refused("plugin_error", "plugin", expected="an answer", received=error.received) from error


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
    if isinstance(value, dict):  # most of what it holds are texts, and a row of a roster is copied at every reading
        return {key: item if item.__class__ is str else _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
