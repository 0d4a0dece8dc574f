"""A platform's gradebook on a real socket: tokens, scores and results, with a ledger of everything that it applied.

`strict` platforms refuse a score that is not newer than the one they have (whole seconds, as Moodle does); the others
let whatever comes last stand. `rule` may answer a score in its own way.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.core.support_loopback import Request, Server, answer, loopback


@dataclass(frozen=True)
class Entry:
    """One score that was applied."""

    item: str
    user: str
    second: int
    given: float | None
    maximum: float | None
    body: dict[str, Any]


#: Answers a score itself (True), or leaves it to the platform.
Rule = Callable[[Entry, asyncio.StreamWriter], Awaitable[bool]]


@dataclass
class Gradebook:
    strict: bool = True
    latency: float = 0.0
    ahead: int = 0
    server: Server = field(init=False)
    ledger: list[Entry] = field(default_factory=list)
    grades: dict[tuple[str, str], Entry] = field(default_factory=dict)
    posts: list[Entry] = field(default_factory=list)
    rule: Rule | None = None
    token_rule: Callable[[int], tuple[int, dict[str, Any]]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    token_headers: dict[str, str] = field(default_factory=dict)
    tokens_flow: asyncio.Event = field(default_factory=asyncio.Event)
    refused_tokens: set[str] = field(default_factory=set)
    tokens: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def url(self, path: str) -> str:
        return self.server.url(path)

    def item_url(self, name: str = "1") -> str:
        return self.url(f"/items/{name}")

    def standing(self, user: str, item: str = "1") -> tuple[float | None, float | None] | None:
        found = self.grades.get((f"/items/{item}", user))
        return (found.given, found.maximum) if found else None

    def applied(self) -> Counter[str]:
        """How often something was applied, by person."""
        return Counter(entry.user for entry in self.ledger)

    def __post_init__(self) -> None:
        self.tokens_flow.set()

    async def serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(request.path)
        if parts.path == "/token":
            await self._token(writer)
        elif request.headers.get("authorization", "").removeprefix("Bearer ") in self.refused_tokens:
            writer.write(answer(401, b"{}", {}))
        elif parts.path.endswith("/scores"):
            await self._score(parts.path.removesuffix("/scores"), json.loads(request.body), writer)
        else:
            wanted = parse_qs(parts.query).get("user_id")
            writer.write(answer(200, json.dumps(self._results(parts.path, wanted)).encode(), {}))

    async def _token(self, writer: asyncio.StreamWriter) -> None:
        self.tokens += 1
        await self.tokens_flow.wait()
        status, body = self.token_rule(self.tokens) if self.token_rule else (200, {})
        granted = {"access_token": f"token-{self.tokens}", "token_type": "bearer", "expires_in": 3600}
        granted["scope"] = " ".join(SCOPES)
        said = json.dumps(granted | body if status == 200 else body).encode()
        writer.write(answer(status, said, self.token_headers))

    async def _score(self, item: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        second = int(datetime.fromisoformat(body["timestamp"]).timestamp())
        entry = Entry(item, body["userId"], second, body.get("scoreGiven"), body.get("scoreMaximum"), body)
        self.posts.append(entry)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            if self.rule is not None and await self.rule(entry, writer):
                return
            status, said, headers = self.apply(entry)
            writer.write(answer(status, said, headers | self.headers))
        finally:
            self.at_once -= 1

    def apply(self, entry: Entry) -> tuple[int, bytes, dict[str, str]]:
        """Store it, or refuse it as too old; what to answer."""
        known = self.grades.get((entry.item, entry.user))
        if self.strict and known is not None and entry.second <= known.second:
            return 409, b'{"error": "earlier timestamp"}', {}
        self.grades[entry.item, entry.user] = entry
        self.ledger.append(entry)
        return 200, b"", {}

    def _results(self, path: str, wanted: list[str] | None) -> list[dict[str, Any]]:
        item = path.removesuffix("/results")
        return [
            {
                "id": f"{self.url(path)}/{user}", "userId": user, "resultScore": entry.given,
                "resultMaximum": entry.maximum or 1,
            }
            for (of, user), entry in self.grades.items()
            if of == item and (wanted is None or user in wanted) and entry.given is not None
        ]  # fmt: skip


SCOPES = (
    "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",
    "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly",
    "https://purl.imsglobal.org/spec/lti-ags/scope/score",
)


@asynccontextmanager
async def gradebook(**values: Any) -> AsyncIterator[Gradebook]:
    """A running gradebook."""
    made = Gradebook(**values)
    async with loopback(made.serve) as server:
        made.server = server
        yield made


def says(status: int, body: bytes = b"{}", **headers: str) -> Rule:
    """Answer every score with this and apply nothing. `retry_after` means Retry-After."""

    async def rule(entry: Entry, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()}))
        return True

    return rule
