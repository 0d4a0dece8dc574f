"""The two that a tool talks to in a launch: a platform that signs tokens and a browser that carries them."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httptools
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
CLIENT_ID = "benchmark-client"
DEPLOYMENT_ID = "1"
PEOPLE = 500
CONTEXT = "4711-context"
RESOURCE_LINK = "8c1d5c9e-link-17"
ROLES = (
    "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student",
    "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def accepted(self) -> bool:
        """A launch that was let in is sent on with a one-time code (the host) or ends on a page that says so."""
        if self.status == 303:
            return "code=" in self.location
        return self.status == 200 and b"<title>Launched" in self.body

    @property
    def location(self) -> str:
        return next(value for name, value in self.headers if name == "location")

    @property
    def cookies(self) -> str:
        """What a browser that starts empty sends back: a Cookie header."""
        return "; ".join(value.partition(";")[0] for name, value in self.headers if name == "set-cookie")


class Browser(asyncio.Protocol):
    """One keep-alive connection at a time to one server. Holds no cookies: each launch is another person's."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    async def get(self, url: str, query: dict[str, str]) -> Answer:
        return await self._send("GET", f"{url}?{urlencode(query)}")

    async def call(self, method: str, url: str, document: Any = None, headers: Sequence[str] = ()) -> Answer:
        """A request as an application or a tool makes it; the body is JSON."""
        body = b"" if document is None else json.dumps(document).encode()
        return await self._send(method, url, body, ["Content-Type: application/json", *headers])

    async def post(self, url: str, form: dict[str, str], cookies: str, origin: str) -> Answer:
        headers = [f"Origin: {origin}", "Content-Type: application/x-www-form-urlencoded"]
        headers += [f"Cookie: {cookies}"] if cookies else []
        return await self._send("POST", url, urlencode(form).encode(), headers)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _send(self, method: str, url: str, body: bytes = b"", headers: list[str] | None = None) -> Answer:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: benchmark", "Accept: text/html"]
        lines += [*(headers or []), f"Content-Length: {len(body)}", "", ""]
        if self._transport is None or self._transport.is_closing():
            await self._connect(parts.hostname or "", parts.port or 80)
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write("\r\n".join(lines).encode() + body)
        return await self._answer

    async def _connect(self, host: str, port: int) -> None:
        self._transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed before the answer was complete"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._headers, self._body = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode().lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), tuple(self._headers), b"".join(self._body))
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)


@dataclass
class Platform:
    """An LMS on loopback: one registration, one deployment, one RSA key, a key set URL that counts its visits.

    `services` is the base URL of its token endpoint and services where something answers them (`lms.py`).
    """

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    kid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    issuer: str = ""
    services: str = ""
    key_set_fetches: int = 0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve_key_set, "127.0.0.1", 0)
        self.issuer = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def auth_url(self) -> str:
        return f"{self.issuer}/auth"

    @property
    def token_url(self) -> str:
        return f"{self.services or self.issuer}/token"

    @property
    def jwks_url(self) -> str:
        return f"{self.issuer}/jwks"

    def login_hint(self, launch_url: str, deployment_id: str = DEPLOYMENT_ID) -> dict[str, str]:
        """The parameters of a login initiation (Security Framework 5.1.1.1, LTI 4.1)."""
        return {
            "iss": self.issuer,
            "client_id": CLIENT_ID,
            "login_hint": secrets.token_urlsafe(12),
            "lti_message_hint": secrets.token_urlsafe(24),
            "lti_deployment_id": deployment_id,
            "target_link_uri": launch_url,
        }

    def claims(self, launch_url: str, nonce: str, number: int) -> dict[str, Any]:
        """About 2.0 KB of claims: who, where, in which role, and the services. `number` picks one of 500 people."""
        now, person = int(time.time()), number % PEOPLE
        course = f"{self.services or self.issuer}/api/lti/courses/4711"
        return {
            "iss": self.issuer, "aud": CLIENT_ID, "azp": CLIENT_ID, "sub": subject_of(person),
            "iat": now, "exp": now + 600, "nonce": nonce,
            "name": f"Robin Example{person:04d}", "given_name": "Robin", "family_name": f"Example{person:04d}",
            "email": f"robin.example{person:04d}@students.school.example", "locale": "en-GB",
            LTI + "message_type": "LtiResourceLinkRequest", LTI + "version": "1.3.0",
            LTI + "deployment_id": DEPLOYMENT_ID, LTI + "target_link_uri": launch_url,
            LTI + "roles": ROLES,
            LTI + "resource_link": {"id": RESOURCE_LINK, "title": "Week 7: loops", "description": "Ten exercises"},
            LTI + "context": {
                "id": CONTEXT, "label": "CS-101", "title": "Introduction to programming, autumn term",
                "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
            },
            LTI + "lis": {"person_sourcedid": f"sis-{person:06d}", "course_offering_sourcedid": "sis-course-4711"},
            LTI + "custom": {"exercise": "loops-7", "due_at": "2030-01-31T23:59:59Z", "user_login": f"robin{person:04d}", "section": "A"},
            "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": {
                "scope": [
                    "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",
                    "https://purl.imsglobal.org/spec/lti-ags/scope/score",
                ],
                "lineitems": f"{course}/line_items", "lineitem": f"{course}/line_items/17",
            },
            "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice": {
                "context_memberships_url": f"{course}/members", "service_versions": ["2.0"],
            },
        }  # fmt: skip

    def sign(self, claims: dict[str, Any], key: rsa.RSAPrivateKey | None = None) -> str:
        """An RS256 id_token of about 3.1 KB; `key` signs in place of the platform's own."""
        head = {"alg": "RS256", "typ": "JWT", "kid": self.kid}
        signed = f"{segment(head)}.{segment(claims)}"
        return f"{signed}.{base64((key or self.key).sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    async def _serve_key_set(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.key_set_fetches += 1
        public = RSAKey.import_key(self.key.public_key()).as_dict(private=False)
        body = json.dumps({"keys": [{**public, "kid": self.kid, "alg": "RS256", "use": "sig"}]}).encode()
        head = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Cache-Control: max-age=3600", "Connection: close"]
        writer.write("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
        await writer.drain()
        writer.close()


def subject_of(person: int) -> str:
    """A person's id in the LMS."""
    return f"3f0c9a4e-0000-4000-8000-{person:012d}"


def segment(value: dict[str, Any]) -> str:
    """One JSON part of a token."""
    return base64(json.dumps(value, separators=(",", ":")).encode())


def base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
