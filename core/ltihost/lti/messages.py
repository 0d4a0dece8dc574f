"""The message rules: normalised claims of a known message type -> one `Message`, or a refusal. Core spec 5.3, 5.4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltihost.errors import Refused
from ltihost.lti.claims import (
    MAX_ID,
    MAX_TEXT,
    MAX_TITLE,
    MAX_URL,
    clean,
    members,
    read_context_types,
    read_custom,
    read_instance,
    read_lis,
    read_person,
    read_presentation,
    read_services,
    texts,
    usable_id,
    web_url,
)
from ltihost.lti.vocabulary import (
    CONTEXT,
    DEEP_LINKING_SETTINGS,
    FOR_USER,
    MESSAGE_TYPE,
    RESOURCE_LINK,
    ROLES,
    TARGET_LINK_URI,
    VERSION,
)
from ltihost.records import (
    Context,
    DeepLinking,
    Instance,
    Lis,
    MessageName,
    Person,
    Presentation,
    ResourceLink,
    Services,
)
from ltihost.trace import Trace


@dataclass(frozen=True, slots=True)
class Message:
    """What a launch says, before the store gives its parts their ids. `roles` are strings still."""

    name: MessageName
    target_link_uri: str | None
    roles: tuple[str, ...]
    person: Person
    context: Context | None
    resource_link: ResourceLink | None
    custom: Mapping[str, str]
    lis: Lis
    presentation: Presentation
    services: Services
    instance: Instance
    deep_linking: DeepLinking | None
    for_user: Person | None = None


def read_message(claims: Mapping[str, Any], *, allow_anonymous: bool, trace: Trace) -> Message:
    """Check the rules of this message type in order and read its parts. Raises Refused with one code per rule."""
    _check_version(claims, trace)
    name = _message_name(claims, trace)
    target = _target(claims, name, trace)
    roles = _roles(claims, name, trace)
    link = _resource_link(claims, trace) if _has_link(claims, name) else None
    person = _person(claims, allow_anonymous, trace)
    context = _context(claims, trace)
    deep_linking = _deep_linking(claims) if name == "deep_linking" else None
    for_user = _for_user(claims) if name == "submission_review" else None
    custom, unresolved = read_custom(claims)
    if unresolved:
        trace.warn(f"custom parameters that the LMS did not fill in: {', '.join(unresolved)}")
    return Message(
        name, target, roles, person, context, link, custom, read_lis(claims), read_presentation(claims),
        read_services(claims), read_instance(claims), deep_linking, for_user,
    )  # fmt: skip


def _check_version(claims: Mapping[str, Any], trace: Trace) -> None:
    version = claims.get(VERSION)
    if version != "1.3.0":
        raise Refused("version_unsupported", "version", expected="1.3.0", received=_shown(version))
    trace.passed("version", received="1.3.0")


_MESSAGES: dict[str, MessageName] = {
    "LtiResourceLinkRequest": "resource_link",
    "LtiDeepLinkingRequest": "deep_linking",
    "LtiSubmissionReviewRequest": "submission_review",
}


def _message_name(claims: Mapping[str, Any], trace: Trace) -> MessageName:
    sent = claims.get(MESSAGE_TYPE)
    name = _MESSAGES.get(sent) if isinstance(sent, str) else None
    if name is None:
        raise Refused(
            "message_type_unsupported", "message_type", expected=" or ".join(_MESSAGES), received=_shown(sent)
        )
    trace.passed("message_type", received=sent)
    return name


def _target(claims: Mapping[str, Any], name: MessageName, trace: Trace) -> str | None:
    """A deep linking request may lack a target (the certification suite's does)."""
    sent = claims.get(TARGET_LINK_URI)
    if name == "deep_linking" and (sent is None or sent == ""):
        return None
    if not isinstance(sent, str) or not sent or clean(sent, MAX_URL) != sent:
        raise Refused("target_missing", "target", expected="a target_link_uri", received=_shown(sent))
    trace.passed("target", received=sent)
    return sent


def _roles(claims: Mapping[str, Any], name: MessageName, trace: Trace) -> tuple[str, ...]:
    """Only a deep linking request may lack them; an empty list, unknown and empty roles are no fault. Core spec 5.3.7."""
    sent = claims.get(ROLES)
    if sent is None and name == "deep_linking":
        sent = []
    if not isinstance(sent, list) or not all(isinstance(role, str) for role in sent):
        raise Refused("roles_invalid", "roles", expected="a list of role names", received=_shown(sent))
    roles = tuple(text for role in sent if (text := clean(role, MAX_ID)))
    trace.passed("roles", received=", ".join(roles)[:500] or "none")
    return roles


def _has_link(claims: Mapping[str, Any], name: MessageName) -> bool:
    """A deep linking request has none that counts, a submission review may have one."""
    return name == "resource_link" or (name == "submission_review" and claims.get(RESOURCE_LINK) is not None)


def _resource_link(claims: Mapping[str, Any], trace: Trace) -> ResourceLink | None:
    """None where a plugin said that the LMS has no real link there (`synthetic`). Core spec 5.3.5."""
    sent = members(claims.get(RESOURCE_LINK))
    if sent.get("synthetic") is True:
        trace.passed("resource_link", received="none: opened from a menu of the LMS")
        return None
    lms_id = usable_id(sent.get("id"))
    if lms_id is None:
        raise Refused(
            "resource_link_invalid", "resource_link", expected="resource_link.id", received=_shown(sent.get("id"))
        )
    trace.passed("resource_link", received=lms_id)
    return ResourceLink(None, lms_id, clean(sent.get("title"), MAX_TITLE), clean(sent.get("description"), MAX_TEXT))


def _person(claims: Mapping[str, Any], allow_anonymous: bool, trace: Trace) -> Person:
    """An absent `sub` is an anonymous person, admitted only where the registration says so; an empty one is a fault."""
    subject = claims.get("sub")
    if subject is None and not allow_anonymous:
        raise Refused("subject_missing", "subject", expected="sub", received="none")
    if subject is not None and usable_id(subject) is None:
        raise Refused("subject_invalid", "subject", expected="text of 1 to 255 characters", received=_shown(subject))
    trace.passed("subject", received="present" if subject else "anonymous")
    return read_person(claims)


def _context(claims: Mapping[str, Any], trace: Trace) -> Context | None:
    sent = claims.get(CONTEXT)
    if sent is None:
        trace.passed("context", received="none")
        return None
    found = members(sent)
    lms_id = usable_id(found.get("id"))
    if lms_id is None:
        raise Refused("context_invalid", "context", expected="context.id", received=_shown(found.get("id")))
    trace.passed("context", received=lms_id)
    return Context(
        None, lms_id, clean(found.get("title"), MAX_TITLE), clean(found.get("label"), MAX_TITLE),
        read_context_types(found.get("type")),
    )  # fmt: skip


def _deep_linking(claims: Mapping[str, Any]) -> DeepLinking:
    """Deep Linking 4.4.1: the return URL and the accepted types are required."""
    sent = members(claims.get(DEEP_LINKING_SETTINGS))
    return_url, accept_types = web_url(sent.get("deep_link_return_url")), texts(sent.get("accept_types"))
    if return_url is None or not accept_types:
        raise Refused(
            "deep_linking_invalid", "message_type",
            expected="deep_link_return_url and accept_types", received=", ".join(sorted(map(str, sent)))[:200] or "none",
        )  # fmt: skip
    data = sent.get("data")
    if isinstance(data, str) and not data.isascii() and "\ufffd" in data.encode("utf-8", "replace").decode():
        raise Refused(
            "deep_linking_invalid", "message_type", expected="data that can be sent back", received="lone surrogates"
        )
    return DeepLinking(
        id=None,
        return_url=return_url,
        data=data if isinstance(data, str) else None,
        accept_types=accept_types,
        accept_targets=texts(sent.get("accept_presentation_document_targets")),
        accept_multiple=_flag(sent.get("accept_multiple")) is True,
        accept_line_item=_flag(sent.get("accept_lineitem")),
        title=clean(sent.get("title"), MAX_TITLE),
        text=clean(sent.get("text"), MAX_TEXT),
        accept_media_types=texts(sent.get("accept_media_types")),
    )


def _flag(value: object) -> bool | None:
    """A switch, which older platforms write as text; None says nothing."""
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))


def _for_user(claims: Mapping[str, Any]) -> Person:
    """Whose submission is reviewed, and in which column: both are required. Submission Review 1.0."""
    found = members(claims.get(FOR_USER))
    subject = usable_id(found.get("user_id"))
    if subject is None or read_services(claims).line_item_url is None:
        raise Refused(
            "submission_review_invalid", "message_type", expected="for_user.user_id and a line item",
            received="no usable for_user" if subject is None else "no line item",
        )  # fmt: skip
    return read_person({**found, "sub": subject})


def _shown(value: object) -> str:
    """A value for an administrator's eyes: short, and never a whole object."""
    if value is None:
        return "none"
    return (
        (clean(repr(value), 200) or "").replace("\n", " ")
        if isinstance(value, str | int | float | bool)
        else type(value).__name__
    )
