"""Moodle's dialect -> claims as the spec means them: one step per quirk; no step changes what it was given.

Everything here is about custom parameters. Moodle's other habits (bare context types, empty strings, CRLF in
descriptions, null values) are within what the host tolerates from any LMS; this package's README lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

CUSTOM = "https://purl.imsglobal.org/spec/lti/claim/custom"
#: Moodle's roster service adds this parameter to every launch, beside the claim that carries the same URL.
SERVICE_PARAMETER = "context_memberships_url"

_VARIABLE = re.compile(r"\$[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+")
_NOT_IN_KEY = re.compile(rb"[^a-z0-9]")

Claims = Mapping[str, Any]
Custom = dict[str, Any]


def normalise(claims: Claims) -> Claims:
    """All steps in order. Doing it twice changes nothing more."""
    custom = claims.get(CUSTOM)
    if not isinstance(custom, dict):
        return claims
    for step in STEPS:
        custom = step(custom)
    return {**claims, CUSTOM: custom}


def without_unresolved(custom: Custom) -> Custom:
    """K5, quirk 9: Moodle sends back any variable that it does not know, even `$No.Such.Var` (mod/lti/locallib.php,
    lti_parse_custom_parameter). So a dotted name is a variable whatever it begins with; "$5" and "$5 off" are texts.
    """
    return {name: value for name, value in custom.items() if not _unresolved(value)}


def without_service_url(custom: Custom) -> Custom:
    """K5, quirk 9: a service's URL is for the host, not for the application (mod/lti/service/memberships)."""
    return {name: value for name, value in custom.items() if name != SERVICE_PARAMETER}


def single_keys(custom: Custom) -> Custom:
    """K5, quirk 9: a name with capitals or signs comes twice, as typed and as `moodle_key` has it
    (mod/lti/locallib.php, lti_split_custom_parameters). The name as typed stays; two different values both stay.
    """
    twins = {moodle_key(name): value for name, value in custom.items() if moodle_key(name) != name}
    return {name: value for name, value in custom.items() if name not in twins or twins[name] != value}


STEPS: tuple[Callable[[Custom], Custom], ...] = (without_unresolved, without_service_url, single_keys)


def moodle_key(name: str) -> str:
    """A parameter's name as Moodle makes it: lower case, each byte but letters and digits an underscore
    (mod/lti/locallib.php, lti_map_keyname).
    """
    return _NOT_IN_KEY.sub(b"_", name.strip().lower().encode("utf-8", "surrogatepass")).decode("ascii")


def _unresolved(value: object) -> bool:
    return isinstance(value, str) and _VARIABLE.fullmatch(value) is not None
