"""The values of a registration as people give them, before they are stored: checked by name, endpoints filled in.

A value is a pair (NAME, VALUE), both text, NAME as the command's options spell it. How each is read, the store knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ltihost.errors import Invalid, OutboundRefused
from ltihost.outbound import approved_ports
from ltihost.plugins.contract import Manifest, fill_preset
from ltihost.records import Registration
from ltihost.store import registrations

#: URLs that we or a browser will visit.
URLS = ("issuer", "auth-url", "token-url", "jwks-url", "home-url")
Values = Sequence[tuple[str, str]]

#: Checks the form of a URL: `Outbound.check_url`.
CheckUrl = Callable[..., None]


def split_values(assignments: Sequence[str]) -> list[tuple[str, str]]:
    """`NAME=VALUE` texts as pairs. Raises Invalid."""
    pairs = [(name.strip(), value.strip()) for name, _, value in (text.partition("=") for text in assignments)]
    for (name, _), text in zip(pairs, assignments, strict=True):
        if not name or "=" not in text:
            raise Invalid("assignment_invalid", f"{text!r} is not NAME=VALUE.")
    return pairs


def check_values(values: Values, check_url: CheckUrl) -> None:
    """Raise Invalid, with the NAME, for a value that the store or the guard of outbound calls would not take."""
    for name, value in values:
        read = registrations.FIELDS.get(name)
        try:
            if read is not None:
                read(value)
            if name in URLS:
                check_url(value, ports=approved_ports(value))
        except (Invalid, OutboundRefused) as error:
            raise Invalid(error.code, f"{name}: {error.message}") from None


def fill_endpoints(values: Values, known: Registration | None, manifest: Manifest) -> list[tuple[str, str]]:
    """`values` and the endpoints that follow from issuer and client id in this LMS, where none were given.

    When issuer or client id change, endpoints that followed from the former ones follow again.
    """
    given = dict(values)
    issuer = given.get("issuer") or (known.issuer if known else None)
    client_id = given.get("client-id") or (known.client_id if known else None)
    former = _endpoints(known.issuer, known.client_id, manifest) if known else {}
    filled = {
        name: url
        for name, url in _endpoints(issuer, client_id, manifest).items()
        if name not in given and (known is None or _value(known, name) in (None, former.get(name)))
    }
    return [*values, *filled.items()]


def _endpoints(issuer: str | None, client_id: str | None, manifest: Manifest) -> dict[str, str]:
    """The endpoints by the first preset that fits the issuer; none while issuer or client id is unknown."""
    fitting = (preset for preset in manifest.presets if preset.issuer in (None, issuer))
    if not issuer or not client_id or (preset := next(fitting, None)) is None:
        return {}
    return {name.replace("_", "-"): url for name, url in fill_preset(preset, issuer, client_id).items()}


def _value(registration: Registration, name: str) -> str | None:
    found: str | None = getattr(registration, name.replace("-", "_"))
    return found
