"""The environment variables of the host, and the values of a registration."""

from __future__ import annotations

import dataclasses
from typing import Any

from docs.blocks.markdown import code, table
from ltihost.records import Registration
from ltihost.settings import Settings
from ltihost.store.registrations import FIELDS, NEEDED

_PREFIX = Settings.model_config.get("env_prefix", "")


def reference() -> str:
    rows = (
        (code(_PREFIX + name.upper()), "yes" if field.is_required() else _default(field.default), field.description)
        for name, field in Settings.model_fields.items()
    )
    return table(("variable", "required, or default", "meaning"), rows)


def registration_values() -> str:
    """NAME=VALUE as `registration set` takes it."""
    known = {field.name.replace("_", "-"): field for field in dataclasses.fields(Registration)}
    return table(
        ("name", "at first", "meaning"), ((code(name), _first(known[name]), MEANINGS[name]) for name in FIELDS)
    )


def _first(field: dataclasses.Field[Any]) -> str:
    if field.name in NEEDED:
        return "none; needed for a launch"
    return "the plugin's name" if field.name == "name" else _default(field.default)


def _default(value: Any) -> str:
    secret = getattr(value, "get_secret_value", None)
    value = secret() if secret else value
    if isinstance(value, bool):
        return code("yes" if value else "no")
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return code(value) or "none"


#: What each value of a registration does.
MEANINGS = {
    "name": "What pages and lists call this registration.",
    "issuer": "The platform's issuer, character by character as it stands in its tokens.",
    "client-id": "The id under which the platform knows this host.",
    "auth-url": "The platform's OIDC authorisation endpoint: where a login is sent.",
    "token-url": "The platform's token endpoint.",
    "jwks-url": "The platform's key set: the public keys that its tokens are checked with.",
    "audience": "The audience for the token endpoint, where it is not the token URL itself.",
    "home-url": "Where a page offers to go back to.",
    "key-set": "`own`: the registration has login, launch and key set URLs of its own. `host`: it uses the URLs that all such registrations share.",
    "auto-deployments": "`never`: each new deployment waits for approval. `same_instance`: one that comes from the installation (`tool_platform.guid`) of an approved deployment is approved at its first launch. Registrations of the host itself cannot use it.",
    "nrps": "Whether the application is told that the roster can be read.",
    "deep-linking": "Whether deep linking requests are taken.",
    "create-users": "Whether a person is created at the first launch. `no`: people who are not known are refused.",
    "create-contexts": "Whether a context is created at its first launch. `no`: contexts that are not known are refused.",
    "sync-roles": "Whether a known membership follows the roles of each launch.",
    "remove-on-unenrol": "Whether people who left the roster lose their membership, and with it their role in the group. `no`: only `left_at` is set.",
    "allow-missing-kid": "Accept tokens that do not name their key, while the key set holds exactly one.",
    "allow-anonymous": "Accept launches that do not say who the person is.",
    "institution-admin": "Let an administrator of the institution count as `administrator` in a context where the person has no role.",
    "frame-origins": "Comma list of the origins that may frame the host's pages, like `https://lms.example.edu` or `https://*.example.edu`. None: any https page.",
    "storage-origins": "Comma list of further origins that keep a login's secret for browsers without cookies. The origin of `auth-url` is always one.",
    "trusted-audiences": "Comma list of audiences that a token may name beside the client id.",
    "leeway": "Seconds by which the two clocks may differ, 0 to 300.",
    "max-token-bytes": "The largest token, in bytes, 4096 to 131072.",
    "algorithms": "Comma list of the signature algorithms that are allowed.",
}  # fmt: skip
