"""Logs: one JSON line per event on standard error, readable text on a terminal, and nothing personal or secret in it.

Every line, ours and that of libraries which log through `logging`, passes `Redaction` last. It works by key (a deny
list), by shape (signed tokens, API keys, e-mail addresses, secret parameters of URLs) and at any depth. Of an object
nothing but its class is written, of an exception its class and where it arose; its words only where they are ours,
since those of others quote what they were given.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, TextIO, cast
from uuid import UUID

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ltihost.errors import LtihostError

REDACTED = "[redacted]"
DENIED = frozenset({
    "access_token", "api_key", "assertion", "authorization", "birthdate", "client_assertion", "client_secret",
    "cookie", "credentials", "email", "family_name", "given_name", "id_token", "login_hint", "lti_message_hint",
    "middle_name", "name", "nickname", "nonce", "password", "person_sourcedid", "phone_number", "picture",
    "preferred_username", "proxy_authorization", "refresh_token", "secret", "secret_key", "secrets", "set_cookie",
    "state", "sub", "subject", "token", "user_name", "username",
})  # fmt: skip
#: Libraries that would log each request or statement.
QUIET = ("aiohttp", "httpx2", "httpcore2", "sqlalchemy", "uvicorn", "asyncio", "alembic", "python_multipart")
_MAX_DEPTH = 8
_MAX_TEXT = 4000
_PLAIN = (bool, int, float, type(None))
_WRITTEN = (PurePath, date, UUID, IPv4Address, IPv6Address, IPv4Network, IPv6Network)

_NAMES = "|".join(sorted((name.replace("_", "[_-]") for name in DENIED), key=len, reverse=True))
_SHAPES: tuple[tuple[str, str], ...] = (
    # three parts in base64url, of any length when the first can be a JOSE header (an opening brace gives e, then w to _)
    (r"(?<![\w-])(?a:e[w-z0-9_-][\w-]{6,}\.[\w-]+\.[\w-]*|[\w-]{12,}\.[\w-]{12,}\.[\w-]{12,})(?:\.[\w-]*)*", REDACTED),
    (r"ltih_\w+", REDACTED),
    (r"(?<![\w.+'-])[\w.+'-]+@[\w-]+(?:\.[\w-]+)+", REDACTED),
    (r"(?i:\b(Bearer|Basic)\s+)[\w.~+/=-]+", rf"\1 {REDACTED}"),
    (r"(\w+://[^\s/:@]*:)[^\s/@]+@", rf"\1{REDACTED}@"),
    (rf"(?i:([?&;](?:code|invite|{_NAMES})=))[^&;\s\"'<>]+", rf"\1{REDACTED}"),
    (rf"(?i:(?<![\w-])([\"']?)({_NAMES})\1(\s*[:=]\s*))(?:\"[^\"]*\"|'[^']*'|[^\s,;&}}\])]+)", rf"\1\2\1\3{REDACTED}"),
    (r"(?a:[\w-]{80,})", REDACTED),
)
_PATTERNS = tuple((re.compile(shape), replacement) for shape, replacement in _SHAPES)


def configure_logs(*, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send every log of this process to `stream` (standard error); text on a terminal, else JSON lines."""
    target = stream or sys.stderr
    terminal = target.isatty()
    renderer: Processor = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(_dumps)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(max(level, logging.WARNING))
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last processor before the renderer. It also writes out exceptions, so that their words pass it too."""
    exception = _exception(event.pop("exc_info", None))
    event.pop("stack_info", None)
    ordered = {key: event[key] for key in ("timestamp", "level", "event") if key in event} | dict(event)
    cleaned = {key: _value(key, value, 0) for key, value in ordered.items()}
    if exception is not None:
        cleaned["exception"] = describe(exception)
    return cleaned


def scrub(text: str) -> str:
    """`text`, its first 4,000 characters, without anything that looks like a secret or an e-mail address."""
    text = text[:_MAX_TEXT]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def describe(error: BaseException) -> str:
    """Where `error` and what led to it arose, in Python's order; never values, source lines or foreign words."""
    return "\n".join(line for part in _chain(error) for line in _frames(part))


def _chain(error: BaseException) -> list[BaseException]:
    """`error` after its causes, the first of them first."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found[::-1]


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__, limit=-30)
    inner = [line for part in getattr(error, "exceptions", ()) for line in describe(part).splitlines()]
    lines = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return [*lines, *(f"  | {line}" for line in inner), _headline(error)]


def _headline(error: BaseException) -> str:
    """The class, and what may be quoted: our own sentence, the system's, the database's code."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, LtihostError):
        return f"{kind}: {scrub(str(error))}"
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {scrub(error.strerror)}"
    state = getattr(error, "sqlstate", None)
    return f"{kind}: SQLSTATE {state}" if isinstance(state, str) else kind


def _exception(info: Any) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return cast("BaseException | None", info[1])
    return sys.exc_info()[1] if info else None


def _value(key: str, value: Any, depth: int) -> Any:
    if _denied(key) and value is not None:
        return REDACTED
    if isinstance(value, _PLAIN) and not isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, bytes):
        return scrub(value.decode("utf-8", "replace"))
    if isinstance(value, BaseException):
        return _headline(value)
    return "..." if depth == _MAX_DEPTH else _composed(value, depth + 1)


def _composed(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {scrub(_text(key)): _value(_text(key), item, depth) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _value(field.name, getattr(value, field.name), depth) for field in fields(value)}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str | bytes):
        return [_value("", value[0], depth), _value(_text(value[0]), value[1], depth)]  # a header
    if isinstance(value, list | tuple | set | frozenset):
        return [_value("", item, depth) for item in value]
    if isinstance(value, Enum):
        return _value("", value.value, depth)
    return scrub(str(value)) if isinstance(value, _WRITTEN) else f"<{type(value).__qualname__}>"


def _denied(key: str) -> bool:
    bare = key.lower().replace("-", "_")
    return bare in DENIED or bare.endswith(("_token", "_secret", "_password", "_email", "_hint"))


def _text(key: Any) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


class _Forward(logging.Handler):
    """Hands the records of libraries to structlog, so that they take the same way out."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.name == "asyncio":  # the lines after the first hold the repr of tasks and their exceptions
            message = message.partition("\n")[0]
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        structlog.get_logger().log(level, message.strip(), logger=record.name, exc_info=record.exc_info)
