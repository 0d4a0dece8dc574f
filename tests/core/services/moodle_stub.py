"""A Moodle 4.5.6 that answers as a real one was seen to: captured bytes, headers and statuses for captured requests.

The captures name one address, 127.0.0.1:8090; here it becomes the address of the stub, in requests and answers alike,
and nothing else is changed. A request that was never captured is answered with 599.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import RSAKey

from tests.core.support_loopback import Request, Server

DATA = Path(__file__).parent.parent.parent / "data" / "moodle"
HOME = "127.0.0.1:8090"
Capture = Mapping[str, Any]
_UNSEEN = {"status": 599, "headers": {}, "raw_link_header": [], "body": ""}


def captures(name: str) -> dict[str, Capture]:
    read: dict[str, Capture] = json.loads((DATA / f"{name}.json").read_bytes())
    return read


@dataclass
class Moodle:
    """`keys` are the public keys of the tool by kid, `client_id` its client id, `now` the time of its server.

    `unseen` collects requests that nobody captured.
    """

    keys: dict[str, RSAKey]
    client_id: str
    now: float
    server: Server | None = None
    unseen: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._token = captures("token-endpoint")
        self._seen: dict[Any, list[Capture]] = defaultdict(list)
        for name in ("ags-lineitems", "ags-scores-results", "nrps"):
            for capture in captures(name).values():
                self._seen[_captured_key(capture["request"])].append(capture)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        capture = self._answer(request)
        assert self.server is not None
        here = f"127.0.0.1:{self.server.port}".encode()
        writer.write(b"".join(_written(capture, lambda text: text.replace(HOME.encode(), here))))

    def _answer(self, request: Request) -> Capture:
        if request.path == "/mod/lti/token.php":
            return self._token[self._token_case(request)]
        waiting = self._seen.get(_key(request.method, request.path, request.headers, request.body.decode()))
        if waiting is None:
            self.unseen.append(request)
            return _UNSEEN
        # A request that was captured several times was answered by what had happened in between: in this order.
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def _token_case(self, request: Request) -> str:
        """Which captured token request this one is like."""
        if request.method != "POST":
            return "get"
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            return "json-body"
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials":
            return "grant-wrong"
        if not form.get("scope"):
            return "scope-empty"
        return self._assertion_case(form["client_assertion"]) or self._scope_case(form["scope"].split())

    def _assertion_case(self, assertion: str) -> str | None:
        token = jws.extract_compact(assertion.encode())
        claims = json.loads(token.payload)
        kid = token.headers().get("kid")
        if kid is None:
            return "no-kid-header"
        if kid not in self.keys:
            return "unknown-kid"
        try:
            jws.deserialize_compact(assertion, self.keys[kid], ["RS256"])
        except BadSignatureError:
            return "wrong-key"
        if claims["iat"] > self.now:
            return "iat-future-2s"
        if claims["exp"] < self.now:
            return "expired"
        return None if claims["sub"] == self.client_id else "sub-unknown"

    def _scope_case(self, scopes: list[str]) -> str:
        known = set(self._token["ok-all"]["json"]["scope"].split())
        if not known & set(scopes):
            return "scope-unknown-only"
        return "ok-all"


def _captured_key(request: Mapping[str, Any]) -> Any:
    parts = urlsplit(request["url"])
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return _key(request["method"], target, request["headers"], request["body"] or "")


def _key(method: str, target: str, headers: Mapping[str, str], body: str) -> Any:
    """What decides about Moodle's answer. The time in a score is the test's; its order is what was captured."""
    path, _, query = target.partition("?")
    accept = headers.get("accept") if method == "GET" else None
    media_type = headers.get("content-type", "").partition(";")[0] if body else None
    return (
        method, path, tuple(parse_qsl(query, keep_blank_values=True)), accept, media_type,
        headers.get("authorization"), _body_key(body),
    )  # fmt: skip


def _body_key(body: str) -> str:
    try:
        read = json.loads(body)
    except ValueError:
        return body
    if isinstance(read, dict) and "gradingProgress" in read and "timestamp" in read:
        read["timestamp"] = "at some time"
    return json.dumps(read, sort_keys=True)


def _written(capture: Capture, moved: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Status line, headers and body. Moodle's web server sends a body in chunks; here it is one."""
    body = moved(capture["body"].encode())
    yield f"HTTP/1.1 {capture['status']} X\r\n".encode()
    for name, value in capture["headers"].items():
        if name not in ("link", "content-length"):
            yield f"{name}: {value}\r\n".encode("latin-1")
    for value in capture["raw_link_header"]:
        yield moved(f"link: {value}\r\n".encode("latin-1"))
    if "transfer-encoding" not in capture["headers"] and capture["status"] != 204:
        yield f"content-length: {len(body)}\r\n".encode()
    yield b"\r\n"
    if "transfer-encoding" in capture["headers"]:
        yield (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    else:
        yield body
