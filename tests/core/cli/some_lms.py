"""A plugin for an LMS whose endpoints follow from its issuer."""

from __future__ import annotations

from ltihost.plugins import Document, Guide, Manifest, Preset, ToolUrls


def _guide(urls: ToolUrls) -> Guide:
    return Guide(
        steps=("Open **Tools**, then `ltihost registration set ID client-id=...`",),
        documents=(Document("Sheet", "text/plain", f"name: {urls.name}"),),
        asks={"client-id": "on the card"},
        warnings=("Do not **delete** it.",),
    )


manifest = Manifest(
    key="somelms",
    name="Some LMS",
    presets=(Preset("Own", None, "{issuer}/auth", "{issuer}/token", "{issuer}/keys"),),
    guide=_guide,
    help={"sig_invalid": "Look under **Tools**, **Keys**."},
)
