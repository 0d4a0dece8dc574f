"""A plugin's registration guide, filled in for one registration."""

from __future__ import annotations

import re
from typing import Any

from ltihost.commands import output
from ltihost.plugins.contract import Guide, ToolUrls
from ltihost.plugins.loader import LoadedPlugin
from ltihost.records import Registration
from ltihost.settings import Settings

_STARS = re.compile(r"(\*{1,2})([^*]+)\1")


def tool_urls(settings: Settings, registration: Registration, name: str) -> ToolUrls:
    """The host as this registration's LMS sees it; `name` is what the LMS calls the tool."""
    from ltihost.tool_urls import launch_url, lti_base

    shared = registration.key_set == "host"
    base = lti_base(settings, registration, shared=shared)
    return ToolUrls(
        settings.origin, base + "/login", launch_url(settings, registration, shared=shared), base + "/jwks", name
    )


def guide_for(plugin: LoadedPlugin | None, urls: ToolUrls, registration: Registration) -> Guide | None:
    """The guide with this registration's id in its commands; None when the plugin has none."""
    if plugin is None or plugin.manifest.guide is None:
        return None
    guide = plugin.manifest.guide(urls)
    steps = tuple(step.replace("registration set ID ", f"registration set {registration.id} ") for step in guide.steps)
    return Guide(steps, guide.documents, guide.asks, guide.warnings)


def guide_json(guide: Guide | None) -> dict[str, Any] | None:
    """The JSON form; `steps` and `warnings` are Markdown."""
    if guide is None:
        return None
    return {
        "steps": list(guide.steps),
        "documents": [{"title": d.title, "media_type": d.media_type, "text": d.text} for d in guide.documents],
        "asks": dict(guide.asks),
        "warnings": list(guide.warnings),
    }


def print_guide(guide: Guide) -> None:
    """For people: the click path, what the LMS gives back, what to mind; the documents last, ready to copy."""
    for number, step in enumerate(guide.steps, 1):
        output.facts([(f"{number}.", _plain(step))])
    if guide.asks:
        output.say()
        output.say(("What the LMS gives back", "bold"))
        output.facts([(name, _plain(where)) for name, where in guide.asks.items()])
    for warning in guide.warnings:
        output.say()
        output.say(("Mind: ", "bold"), _plain(warning))
    for document in guide.documents:
        output.say()
        output.say((f"--- {document.title} ({document.media_type})", "bold"))
        output.verbatim(document.text)


def _plain(markdown: str) -> str:
    """Markdown without its stars, for a terminal; backticks stay, they show what to type."""
    return _STARS.sub(r"\2", markdown)
