"""Notices of a platform: batches of signed tokens, and how the host asks for them. Platform Notification Service 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ltihost.errors import Invalid, Refused
from ltihost.lti.claims import MAX_TITLE, clean, members, read_context_types, usable_id
from ltihost.lti.strict_json import StrictJsonError, read_json, shown
from ltihost.lti.vocabulary import CONTEXT, DEPLOYMENT_ID, MESSAGE_TYPE, NOTICE, ORIGIN_CONTEXTS, VERSION
from ltihost.records import Context

SCOPE_NOTICE_HANDLERS = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
HELLO_WORLD = "LtiHelloWorldNotice"
CONTEXT_COPY = "LtiContextCopyNotice"
#: What the host wants to be told of; the first proves that its address is reached.
WANTED = (HELLO_WORLD, CONTEXT_COPY)
MAX_BATCH = 100
MAX_ORIGINS = 50


@dataclass(frozen=True, slots=True)
class Notice:
    """One verified notice. `stated_at` is the platform's timestamp as text; `context` and `origins` are of a copy:
    the new context, and the platform's ids of those that it was copied from."""

    id: str
    type: str
    stated_at: str | None
    deployment_id: str
    context: Context | None = None
    origins: tuple[str, ...] = ()


def read_batch(raw: bytes) -> list[str]:
    """The tokens of a posted batch; what is no text is an empty one. Raises Invalid."""
    try:
        sent = members(read_json(raw)).get("notices")
    except StrictJsonError:
        sent = None
    if not isinstance(sent, list) or not sent:
        raise Invalid("notices_invalid", 'A batch is {"notices": [{"jwt": ...}]}.')
    if len(sent) > MAX_BATCH:
        raise Invalid("notices_invalid", f"A batch holds {MAX_BATCH} notices at most.")
    tokens = (members(notice).get("jwt") for notice in sent)
    return [token if isinstance(token, str) and token.isascii() else "" for token in tokens]


def read_notice(claims: Mapping[str, Any]) -> Notice:
    """Verified claims as a notice. Raises Refused; a message, which has a message type, is none."""
    if claims.get(VERSION) != "1.3.0":
        raise Refused("version_unsupported", "version", expected="1.3.0", received=shown(claims.get(VERSION)))
    told = members(claims.get(NOTICE))
    notice_id, kind = usable_id(told.get("id")), usable_id(told.get("type"))
    if notice_id is None or kind is None or MESSAGE_TYPE in claims:
        raise _unusable("a notice with id and type", told)
    deployment_id = usable_id(claims.get(DEPLOYMENT_ID))
    if deployment_id is None:
        raise Refused("deployment_missing", "deployment", expected="a deployment_id", received="none that can be used")
    stated_at = clean(told.get("timestamp"), 64)
    if kind != CONTEXT_COPY:
        return Notice(notice_id, kind, stated_at, deployment_id)
    return Notice(notice_id, kind, stated_at, deployment_id, _context(claims), _origins(claims))


def handler_body(notice_type: str, handler: str) -> bytes:
    """What tells the platform our address for one type of notice."""
    return orjson.dumps({"notice_type": notice_type, "handler": handler})


def _context(claims: Mapping[str, Any]) -> Context:
    found = members(claims.get(CONTEXT))
    lms_id = usable_id(found.get("id"))
    if lms_id is None:
        raise _unusable("a context with an id", found)
    return Context(
        None, lms_id, clean(found.get("title"), MAX_TITLE), clean(found.get("label"), MAX_TITLE),
        read_context_types(found.get("type")),
    )  # fmt: skip


def _origins(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """A list of ids; objects with an id are read too."""
    sent = claims.get(ORIGIN_CONTEXTS)
    entries = sent[:MAX_ORIGINS] if isinstance(sent, list) else []
    ids = (usable_id(entry.get("id") if isinstance(entry, dict) else entry) for entry in entries)
    return tuple(dict.fromkeys(found for found in ids if found))


def _unusable(expected: str, received: object) -> Refused:
    return Refused("notice_invalid", "message_type", expected=expected, received=shown(received))
