"""An adapter on real sockets: a server that is token endpoint and services in one, and a clock that stands still.

Only the database is left out: our key and the deployment's service origins are given.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc.jws import extract_compact

from ltihost.access_tokens import AccessTokens
from ltihost.errors import ServiceFailed
from ltihost.lti.signing import generate_key_pair, load_private_key
from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ, SCOPE_RESULT_READ, SCOPE_SCORE
from ltihost.outbound import Outbound, Timeouts
from ltihost.own_keys import OwnKey
from ltihost.platform_services import PlatformServices
from ltihost.plugins import Binding, LineItem, LtiAdapter, Outcome, Score, ServiceAnswer, ServiceUrls
from ltihost.records import Application, Registration, Tenant
from ltihost.service_records import Operation
from ltihost.targets import origin_of
from ltihost.token_endpoint import Client
from tests.core.support_loopback import LOOPBACK, Handler, Request, Server, answer, loopback

ALL_SCOPES = (SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ, SCOPE_RESULT_READ, SCOPE_SCORE)
NOW = 1_800_000_000.0
SCORE = Score(Decimal(8), Decimal(10), "Completed", "FullyGraded")
Classify = Callable[[ServiceAnswer, Operation], Outcome | None]


@cache
def our_key(number: int = 0) -> OwnKey:
    """One of our keys; `number` tells them apart."""
    pair = generate_key_pair()
    return OwnKey(f"key-{number}", load_private_key(pair.private_pem))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Keys:
    """What `OwnKeys` answers."""

    key: OwnKey = field(default_factory=our_key)

    async def current(self, registration: Registration) -> OwnKey:
        return self.key


@dataclass
class Origins:
    """What `ServiceOrigins` answers."""

    accepted: set[str]

    async def includes(self, tenant_id: str, registration_id: str, deployment_id: str, origin: str) -> bool:
        return origin in self.accepted


@dataclass
class Lms:
    """A platform. `services` answers whatever is not the token endpoint; each may be replaced at any time.

    By default every token that is asked for is granted with all scopes: token-1, token-2 and so on.
    """

    server: Server
    services: Handler
    token: Handler
    tokens_given: int = 0
    wait: float = 0.0

    @property
    def token_requests(self) -> list[Request]:
        return [request for request in self.server.requests if request.path == "/token"]

    @property
    def calls(self) -> list[Request]:
        return [request for request in self.server.requests if request.path != "/token"]

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.calls]

    def url(self, path: str) -> str:
        return self.server.url(path)


@dataclass
class Rig:
    lms: Lms
    clock: Clock
    keys: Keys
    tokens: AccessTokens
    outbound: Outbound
    origins: Origins
    registration: Registration
    classify: Classify

    @property
    def urls(self) -> ServiceUrls:
        return ServiceUrls(self.lms.url("/items?type_id=1"), ALL_SCOPES, self.lms.url("/members?m=1879"))

    @property
    def line_item(self) -> LineItem:
        return LineItem("lin_1", "Quiz", Decimal(10), url=self.lms.url("/items/7?type_id=1"))

    def binding(self, deployment_id: str = "dep-1") -> Binding:
        tenant = Tenant("ten_1", "north", "North")
        application = Application("app_1", "ten_1", "quiz", "Quiz", "https://quiz.example/launch")
        return Binding(tenant, self.registration, deployment_id, application)

    def client(self, kind: type[LtiAdapter] = LtiAdapter, deployment_id: str = "dep-1") -> Client:
        binding = self.binding(deployment_id)

        def classify(answer: ServiceAnswer, operation: Operation) -> Outcome | None:
            return self.classify(answer, operation)  # a test may replace it later

        return Client(binding, kind(binding), classify)

    def adapter(self, kind: type[LtiAdapter] = LtiAdapter, deployment_id: str = "dep-1") -> LtiAdapter:
        client = self.client(kind, deployment_id)
        services = PlatformServices(client, self.outbound, self.tokens, self.origins, self.clock)  # type: ignore[arg-type]
        return kind(client.binding, services)

    async def send(self, score: Score = SCORE, subject: str = "u1", at: int = 1_800_000_000) -> Outcome:
        return await self.adapter().send_score(self.urls, self.line_item, subject, score, at)

    async def landed(self) -> None:
        """Wait for the token requests under way."""
        await asyncio.gather(*self.tokens._flights)

    def change(self, **fields: Any) -> None:
        self.registration = replace(self.registration, **fields)


@asynccontextmanager
async def rig(services: Handler | None = None, *, timeouts: Timeouts | None = None) -> AsyncIterator[Rig]:
    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        if lms.wait:
            await asyncio.sleep(lms.wait)
        await (lms.token if request.path == "/token" else lms.services)(request, writer)

    async def grant(request: Request, writer: asyncio.StreamWriter) -> None:
        lms.tokens_given += 1
        body = {"access_token": f"token-{lms.tokens_given}", "token_type": "Bearer", "expires_in": 3600}
        writer.write(answer(200, json.dumps(body).encode(), {}))

    async with loopback(serve) as server:
        lms = Lms(server, services or replies(b"", 200), grant)
        clock, keys, outbound = Clock(), Keys(), Outbound(LOOPBACK, timeouts=timeouts)
        tokens = AccessTokens(outbound, keys, clock)  # type: ignore[arg-type]
        registration = Registration(
            "reg_1", "ten_1", "LMS", "lti", "active",
            issuer=server.url(""), client_id="client-1", auth_url=server.url("/auth"), token_url=server.url("/token"),
            jwks_url=server.url("/jwks"),
        )  # fmt: skip
        made = Rig(lms, clock, keys, tokens, outbound, Origins({origin_of(server.url("/")) or ""}), registration,
                   lambda answer, operation: None)  # fmt: skip
        try:
            yield made
        finally:
            await tokens.aclose()
            await outbound.aclose()


def replies(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Handler:
    """Answer everything with this: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(status, raw, headers or {}))

    return handler


def routes(**answers: Any) -> Handler:
    """Answer by method: a handler, or a JSON body."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        chosen = answers[request.method]
        await (chosen if callable(chosen) else replies(chosen))(request, writer)

    return handler


def paged(pages: Mapping[str, tuple[Any, str | None]]) -> Handler:
    """Answer by path and query: a JSON body, and a `Link` header if there is one (sent as UTF-8)."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        body, link = pages[request.path]
        writer.write(answer(200, json.dumps(body).encode(), {"link": link} if link else {}))

    return handler


def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


def assertion(request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the client assertion in a token request."""
    token = extract_compact(form(request)["client_assertion"].encode())
    return dict(token.headers()), json.loads(token.payload)


def query(request: Request) -> Sequence[tuple[str, str]]:
    return parse_qsl(urlsplit(request.path).query)


async def token(at: Rig, *scopes: str, **more: Any) -> str:
    """A token for these scopes."""
    return await at.tokens.token(at.client(), scopes or (SCOPE_SCORE,), **more)


async def refusal(at: Rig, *scopes: str, **more: Any) -> ServiceFailed:
    """How a token is refused."""
    with pytest.raises(ServiceFailed) as failed:
        await token(at, *scopes, **more)
    return failed.value


def granted(**members: Any) -> dict[str, Any]:
    """A token endpoint's good answer."""
    return {"access_token": "t", "token_type": "Bearer", "expires_in": 3600} | members
