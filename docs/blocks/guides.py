"""How the host is registered in an LMS: the plugin's own guide, filled in with placeholders."""

from __future__ import annotations

from collections.abc import Mapping

from docs.blocks.markdown import code, fence, joined, table
from docs.blocks.plugins import loaded
from ltihost.errors import REASONS
from ltihost.plugins.contract import Document, Guide, ToolUrls

KEYS = ("lti", "canvas", "moodle", "blackboard")
#: A host at lti.example.org and a registration called ID.
URLS = ToolUrls(
    origin="https://lti.example.org",
    login="https://lti.example.org/r/ID/lti/login",
    launch="https://lti.example.org/r/ID/lti/launch",
    key_set="https://lti.example.org/r/ID/lti/jwks",
    name="Exercises",
)
_FENCES = {"application/json": "json", "text/markdown": "markdown"}


def block(key: str) -> str:
    """Steps, what to paste, what to bring back, warnings."""
    guide = _guide(key)
    return joined(
        "### Click path",
        "\n".join(f"{number}. {step}" for number, step in enumerate(guide.steps, 1)),
        "### What to paste",
        *(_document(document) for document in guide.documents),
        "### What to bring back",
        table(("value", "where it stands"), ((code(name), where) for name, where in guide.asks.items())),
        *(("### Mind", "\n".join(f"- {warning}" for warning in guide.warnings)) if guide.warnings else ()),
    )


def help_block(key: str) -> str:
    """Where to click in this LMS, per refusal code, in the order in which the codes are listed."""
    texts: Mapping[str, str] = loaded(key).manifest.help
    codes = (name for name in REASONS if name in texts)
    rows = (
        (f"[{code(name)}](../reference/refusal-codes.md#{name})", REASONS[name].cause, texts[name]) for name in codes
    )
    return table(("code", "cause", "where to look in this LMS"), rows)


def _guide(key: str) -> Guide:
    guide = loaded(key).manifest.guide
    assert guide is not None, f"the plugin {key} has no guide"
    return guide(URLS)


def _document(document: Document) -> str:
    return joined(f"**{document.title}**", fence(_FENCES.get(document.media_type, "text"), document.text))
