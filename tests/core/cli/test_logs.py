"""What may never reach a log: personal data, tokens, secrets; by key, by shape, at any depth, in tracebacks."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ltihost.errors import ConfigurationError
from ltihost.logs import DENIED, REDACTED, configure_logs, describe, scrub
from tests.log_sink import log_sink

NAME = "Zoë Kanarienvogel"
EMAIL = "zoe.kanarienvogel@campus.example"
TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmF0dXJlc2lnbmF0dXJl"
API_KEY = "ltih_live_0123456789abcdef_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG_1a2b3c"
SECRET = "7hq2v0J2kC1nQm8x-kVbT5oY9e3ZrLwAaBbCcDdEeFf"
CANARIES = (NAME, EMAIL, TOKEN, API_KEY, SECRET)


@dataclass(frozen=True)
class Person:
    name: str
    email: str
    role: str


class Opaque:
    def __repr__(self) -> str:
        return f"<Opaque {NAME}>"


@pytest.fixture
def sink() -> Iterator[io.StringIO]:
    with log_sink() as stream:
        yield stream


def lines(sink: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def assert_no_canary(text: str) -> None:
    assert [canary for canary in CANARIES if canary in text] == []


@pytest.mark.parametrize("key", sorted(DENIED))
def test_a_denied_key_hides_its_value_at_any_depth(sink: io.StringIO, key: str) -> None:
    structlog.get_logger().info("seen", **{key: NAME}, deep=[{"more": ({key.upper().replace("_", "-"): SECRET},)}])
    assert_no_canary(sink.getvalue())
    assert lines(sink)[0]["deep"] == [{"more": [{key.upper().replace("_", "-"): REDACTED}]}]


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        API_KEY,
        EMAIL,
        TOKEN.encode(),
        f"posted {TOKEN} by {EMAIL}",
        f"https://tool.example/start?code={SECRET}&lang=en",
        f"https://tool.example/start?lang=en&state={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"{{'name': '{NAME}', 'role': 'learner'}}",
        f'{{"given_name": "{NAME}"}}',
        f"postgresql://app:{SECRET}@db.example/ltihost",
        Person(NAME, EMAIL, "learner"),
        [(b"cookie", SECRET.encode()), (b"accept", b"text/html")],
        Opaque(),
        ValueError(NAME),
        "".join([SECRET, SECRET]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_a_value_is_known_by_its_shape(sink: io.StringIO, value: object) -> None:
    structlog.get_logger().info("seen", value=value, several=[value], inside={"a": value})
    assert_no_canary(sink.getvalue())


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical", "exception"])
def test_no_level_lets_a_canary_through(sink: io.StringIO, level: str) -> None:
    try:
        try:
            raise KeyError(NAME, EMAIL)
        except KeyError as error:
            raise RuntimeError(f"{NAME} has {TOKEN} and {SECRET}") from error
    except RuntimeError:
        getattr(structlog.get_logger(), level)(f"failed for {EMAIL} with {API_KEY}", exc_info=True)
        getattr(logging.getLogger("some.library"), level)("failed for %s with %s", EMAIL, TOKEN, exc_info=True)
    assert_no_canary(sink.getvalue())


def test_a_traceback_says_where_and_what_but_not_with_which_words(sink: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(NAME)

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(sink)
    assert line["exception"].endswith("ValueError")
    assert f"{Path(__file__).name}:" in line["exception"]
    assert "in fail" in line["exception"]
    assert "raise ValueError" not in line["exception"]


def test_our_own_errors_and_the_systems_keep_their_sentence() -> None:
    assert describe(ConfigurationError("settings_invalid", "Set it.")).endswith(
        "ConfigurationError: Set it. [settings_invalid]"
    )
    assert (
        describe(FileNotFoundError(2, "No such file or directory", NAME))
        == "FileNotFoundError: No such file or directory"
    )


def test_groups_of_exceptions_are_written_out_without_their_words() -> None:
    text = describe(ExceptionGroup(NAME, [ValueError(NAME), OSError(5, "Input/output error")]))
    assert text == "  | ValueError\n  | OSError: Input/output error\nExceptionGroup"


def test_lines_of_libraries_take_the_same_form(sink: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    (line,) = lines(sink)
    assert line["event"] == "Invalid HTTP request received."
    assert (line["level"], line["logger"]) == ("warning", "uvicorn.error")


@pytest.mark.parametrize(
    "name",
    ["aiohttp.client", "httpx2", "httpcore2.connection", "sqlalchemy.engine.Engine", "uvicorn.access", "asyncio"],
)
def test_libraries_that_would_log_each_request_are_quiet(sink: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("GET https://lms.example/?code=1")
    assert sink.getvalue() == ""


def test_asyncio_does_not_write_out_tasks(sink: io.StringIO) -> None:
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task ... ValueError('%s')>", NAME)
    assert lines(sink)[0]["event"] == "Task exception was never retrieved"


def test_what_an_operator_needs_stays_readable(sink: io.StringIO) -> None:
    structlog.get_logger().info(
        "launch.refused", code="K7QM-3F9X", refusal="sig_invalid", kind="launch", tenant="tnt_abc"
    )
    (line,) = lines(sink)
    assert (line["event"], line["code"], line["refusal"], line["tenant"]) == (
        "launch.refused", "K7QM-3F9X", "sig_invalid", "tnt_abc",
    )  # fmt: skip
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "text", ["https://lms.example.edu/mod/lti/certs.php", "ltihost.plugins.loader", "10.0.0.1", "kid k1"]
)
def test_plain_facts_are_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_a_terminal_gets_text() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    former = structlog.get_config()
    root = logging.getLogger()
    handlers = root.handlers[:]
    stream = Terminal()
    configure_logs(stream=stream)
    structlog.get_logger().warning("plugin.refused", plugin="x", email=EMAIL)
    root.handlers = handlers
    structlog.configure(**former)
    assert "plugin.refused" in stream.getvalue()
    assert_no_canary(stream.getvalue())
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


@given(st.text(alphabet="ab.-_+'@=: \"", max_size=3000))
def test_scrubbing_never_fails_and_never_hangs(text: str) -> None:
    assert len(scrub(text)) <= len(text) * len(REDACTED) + len(REDACTED)
