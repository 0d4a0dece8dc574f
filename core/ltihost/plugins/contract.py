"""What a plugin is: a module with a `manifest` and, beside it, functions marked `@hookimpl`.

The module is named in the package's entry points, group `ltihost.plugins`:

    [project.entry-points."ltihost.plugins"]
    mylms = "ltihost_mylms.plugin"

A plugin imports from `ltihost.plugins` and, for its simulated LMS, from `ltihost.testing`; nothing else of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile

#: (major, minor) of this contract, apart from the release. A plugin made for another major is refused, and so is
#: one that asks for a higher minor than the host has.
API = (1, 1)
ENTRY_POINT_GROUP = "ltihost.plugins"


@dataclass(frozen=True, slots=True)
class ToolUrls:
    """The host as an LMS sees it. `key_set` is the JWKS URL, `origin` the host's scheme, name and port."""

    origin: str
    login: str
    launch: str
    key_set: str
    name: str


@dataclass(frozen=True, slots=True)
class Document:
    """Something to paste into the LMS or to hand to its administrator. `media_type` as in HTTP."""

    title: str
    media_type: str
    text: str


@dataclass(frozen=True, slots=True)
class Preset:
    """Endpoints of a well-known installation kind. `{issuer}` and `{client_id}` in a URL are filled in.

    `issuer` is None where every installation has its own.
    """

    name: str
    issuer: str | None
    auth_url: str
    token_url: str
    jwks_url: str


@dataclass(frozen=True, slots=True)
class Guide:
    """How an administrator registers the host in this LMS.

    `steps` are the click path, in order, in Markdown. `asks` are the values the LMS gives back, as
    `registration set` names them, each with where to find it.
    """

    steps: tuple[str, ...]
    documents: tuple[Document, ...] = ()
    asks: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Who a plugin is and what it knows without code.

    `families` are the `tool_platform.product_family_code` values of this LMS. `pins_instance` holds a known
    deployment whose launches come from another installation than before. `help` says, per refusal code of
    `ltihost.errors.REASONS`, where to click in this LMS. `presets` fill in endpoints at registration; the first
    that fits the issuer serves. `profile` answers the simulated LMS; it is called only by demo and tests.
    `frame_patterns` are sources, as `frame-ancestors` writes them (`https://*.example.com`), of the pages in which this
    LMS shows tools wherever it is installed.
    `note` is one sentence that the console and `plugin list` show beside the name.
    """

    key: str
    name: str
    kind: Literal["lms", "policy"] = "lms"
    api: tuple[int, int] = API
    families: tuple[str, ...] = ()
    pins_instance: bool = False
    settings: type[BaseModel] | None = None
    help: Mapping[str, str] = field(default_factory=dict)
    presets: tuple[Preset, ...] = ()
    guide: Callable[[ToolUrls], Guide] | None = None
    profile: Callable[[], Profile] | None = None
    frame_patterns: tuple[str, ...] = ()
    note: str | None = None


def fill_preset(preset: Preset, issuer: str, client_id: str) -> dict[str, str]:
    """The endpoint URLs of `preset` for this issuer and client: keys auth_url, token_url, jwks_url."""
    return {
        name: getattr(preset, name).replace("{issuer}", issuer).replace("{client_id}", client_id)
        for name in ("auth_url", "token_url", "jwks_url")
    }
