"""Claims -> typed pieces: core's own reading of the spec, tolerant where the spec asks for tolerance.

What the spec makes a fault is refused in `messages`; here an optional claim that is absent, null, empty or of a
shape nobody can use counts as absent. Unknown claims and members are ignored. Core spec 3.5, 4.3, 5.3, 5.4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from ltihost.lti.variables import unresolved_variable
from ltihost.lti.vocabulary import (
    AGS_ENDPOINT,
    CONTEXT_TYPES,
    CUSTOM,
    GROUPS,
    LAUNCH_PRESENTATION,
    LIS,
    NAMES_AND_ROLES,
    NOTICE_SERVICE,
    TOOL_PLATFORM,
)
from ltihost.records import Instance, Lis, Person, Presentation, Services

MAX_ID = 255
MAX_NAME = 255
MAX_TITLE = 500
MAX_TEXT = 4_000
MAX_URL = 2_000
MAX_CUSTOM = 4_000

# Control characters (line ends and tabs apart) and lone surrogates: no database and no page has a use for them.
_UNCLEAN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0080-\u009f\ud800-\udfff]")
_NOT_IN_ID = re.compile("[\x00-\x1f\x7f\u0080-\u009f\ud800-\udfff]")


def usable_id(value: object) -> str | None:
    """An id as sent, or None if it is no text, empty, over 255 characters or holds control characters."""
    if not isinstance(value, str) or not value or len(value) > MAX_ID or _NOT_IN_ID.search(value):
        return None
    return value


def clean(value: object, limit: int) -> str | None:
    """Display text: control characters out, line ends as \\n, cut to `limit`; None for anything empty."""
    if not isinstance(value, str) or not value:
        return None
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return (_UNCLEAN.sub("", value) if _UNCLEAN.search(value) else value)[:limit] or None


def members(value: object) -> Mapping[str, Any]:
    """A JSON object as a mapping; anything else as an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def texts(value: object) -> tuple[str, ...]:
    """The strings of a list; a lone string counts as a list of comma-separated ones."""
    if isinstance(value, str):
        value = value.split(",")
    cleaned = (clean(item, MAX_TEXT) or "" for item in value) if isinstance(value, list) else ()
    return tuple(text.strip() for text in cleaned if text.strip())


def web_url(value: object) -> str | None:
    """An absolute http or https URL as sent, or None. Never `javascript:` or `data:`."""
    if not isinstance(value, str) or not value or len(value) > MAX_URL or _NOT_IN_ID.search(value):
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.username
    except ValueError:
        return None
    return value if usable else None


def read_person(claims: Mapping[str, Any]) -> Person:
    """Names, e-mail and picture as the platform shares them. `sub` is checked in `messages`. Core spec 5.3.6."""
    return Person(
        id=None,
        subject=claims.get("sub"),
        name=clean(claims.get("name"), MAX_NAME),
        given_name=clean(claims.get("given_name"), MAX_NAME),
        family_name=clean(claims.get("family_name"), MAX_NAME),
        middle_name=clean(claims.get("middle_name"), MAX_NAME),
        email=clean(claims.get("email"), MAX_NAME),
        picture=web_url(claims.get("picture")),
        locale=_locale(claims.get("locale")) or _locale(members(claims.get(LAUNCH_PRESENTATION)).get("locale")),
    )


def read_context_types(value: object) -> tuple[str, ...]:
    """Context types as full URIs; deprecated short names and URNs are known, unknown ones kept. Core spec A.1."""
    return tuple(CONTEXT_TYPES.get(item, item)[:MAX_ID] for item in texts(value))


def read_custom(claims: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Custom parameters as text, and the names of those that were not filled in: null, or still the variable's own
    name. Core spec 5.4.6."""
    custom: dict[str, str] = {}
    unresolved: list[str] = []
    for key, value in members(claims.get(CUSTOM)).items():
        name = clean(key, MAX_ID)
        text = value if value is None or isinstance(value, str) else _stringify(value)
        if name and (text is None or unresolved_variable(text)):
            unresolved.append(name)
        elif name and text is not None:
            custom[name] = clean(text, MAX_CUSTOM) or ""
    return custom, tuple(unresolved)


def read_lis(claims: Mapping[str, Any]) -> Lis:
    """SIS identifiers; empty strings and unresolved variables count as absent. Core spec 5.4.5."""
    lis = members(claims.get(LIS))
    return Lis(**{name: _sourcedid(lis.get(name)) for name in Lis.__dataclass_fields__})


def read_presentation(claims: Mapping[str, Any]) -> Presentation:
    """How the launch is shown. An unknown target counts as a window. Core spec 5.4.4."""
    found = members(claims.get(LAUNCH_PRESENTATION))
    target = found.get("document_target")
    return Presentation(
        target=target if target in ("frame", "iframe", "window") else ("window" if target else None),
        return_url=web_url(found.get("return_url")),
        locale=_locale(found.get("locale")) or _locale(claims.get("locale")),
        width=_pixels(found.get("width")),
        height=_pixels(found.get("height")),
    )


def read_instance(claims: Mapping[str, Any]) -> Instance:
    """The LMS installation. A platform without a guid is an unnamed instance, not a fault. Core spec 5.4.2."""
    found = members(claims.get(TOOL_PLATFORM))
    return Instance(
        guid=usable_id(found.get("guid")),
        name=clean(found.get("name"), MAX_TITLE),
        url=web_url(found.get("url")),
        family=clean(found.get("product_family_code"), MAX_NAME),
        version=clean(found.get("version"), MAX_NAME),
    )


def read_services(claims: Mapping[str, Any]) -> Services:
    """The services this launch offers. AGS 3.1, NRPS 3.6.1.1, Course Groups 3.1, Platform Notification Service 1.0."""
    ags = members(claims.get(AGS_ENDPOINT))
    nrps = members(claims.get(NAMES_AND_ROLES))
    notices = members(claims.get(NOTICE_SERVICE))
    nrps_versions = texts(nrps.get("service_versions"))
    return Services(
        line_items_url=web_url(ags.get("lineitems")),
        line_item_url=web_url(ags.get("lineitem")),
        ags_scopes=texts(ags.get("scope")),
        memberships_url=web_url(nrps.get("context_memberships_url")) if _speaks_nrps_2(nrps_versions) else None,
        nrps_versions=nrps_versions,
        groups_url=web_url(members(claims.get(GROUPS)).get("context_groups_url")),
        notices_url=web_url(notices.get("platform_notification_service_url")),
        notice_types=texts(notices.get("notice_types_supported")),
    )


def _speaks_nrps_2(versions: tuple[str, ...]) -> bool:
    """A platform may list older versions beside 2.0, and one that lists none means 2.0. NRPS 2.0, 3.6.1.1."""
    return not versions or "2.0" in versions


def _stringify(value: object) -> str:
    """Numbers, booleans and nested values as JSON text: some platforms do not keep to strings."""
    return json.dumps(value)  # unlike orjson it takes integers of any size and lone surrogates


def _sourcedid(value: object) -> str | None:
    text = clean(value, MAX_ID)
    return None if text is None or unresolved_variable(text) else text


def _locale(value: object) -> str | None:
    text = clean(value, 35)
    return text.replace("_", "-") if text else None


def _pixels(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < 100_000 else None
