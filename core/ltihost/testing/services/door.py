"""The door of an LMS's services: faults first, then the token and its scope, then the service itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.answering import CutConnection, answered
from ltihost.testing.services.records import Answer, Call, LedgerLine, Refused, Service
from ltihost.testing.services.tokens import TokenDesk

#: A service: the request and the numbers in its path. Raises Refused.
Handler = Callable[[Call, Mapping[str, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Way:
    """What one method of a path needs: the service, one of these scopes, and who answers."""

    service: Service
    scopes: Collection[str]
    handler: Handler


@dataclass(slots=True)
class _Bucket:
    level: float = 0.0
    at: float = 0.0


@dataclass(slots=True)
class Door:
    """Lets tools in. One that is throttled by a leaking bucket has its own per client id."""

    platform: SimulatedPlatform
    desk: TokenDesk
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def route(self, path: str, **ways: Way) -> Route:
        """One path of a service; `ways` are by method, in lower case."""

        async def enter(request: Request) -> Response:
            way = ways.get(request.method.lower())
            if way is None:
                return answered(self.platform.profile.refusal(Refused(405, "Method not allowed"), None))
            return await self._enter(request, way)

        methods = ["GET", "POST", "PUT", "DELETE"]
        return Route(path.replace("{context}", "{context:int}").replace("{item}", "{item:int}"), enter, methods=methods)

    async def _enter(self, request: Request, way: Way) -> Response:
        faults, content = self.platform.faults, await request.body()
        fault = faults.meet(way.service)
        await asyncio.sleep(faults.latency if way.service == "score" else 0)
        if fault == "hang":
            await asyncio.sleep(faults.hang_seconds)
        call: Call | None = None
        reason, applied = "", True
        try:
            call = self._call(request, way, content, fault)
            answer = await way.handler(call, request.path_params)
        except Refused as refused:
            answer, reason, applied = self._refusal(refused, call), refused.text, False
        except _Faulty as faulty:
            answer, reason, applied = faulty.answer, faulty.fault, False
        lost = fault == "lost_answer"
        self._note(request, way, content, call, LedgerFacts(0 if lost else answer.status, applied, reason))
        return CutConnection() if lost else self._with_headers(answered(answer), call)

    def _call(self, request: Request, way: Way, content: bytes, fault: str | None) -> Call:
        """Raises Refused or _Faulty where the tool is not let in."""
        if fault and (answer := self._faulty(fault)):
            raise _Faulty(fault, answer)
        now = self.platform.service_time()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self.desk.holder(token, now) if scheme.lower() == "bearer" else None
        if grant is None:
            raise Refused(401, "Unauthorized", "token")
        if not grant.scopes.intersection(way.scopes):
            raise Refused(403, "The token lacks the scope for this", "scope")
        self._fill(grant.client_id)
        return Call(
            way.service,
            request.method,
            self._url(request),
            dict(reversed(request.query_params.multi_items())),
            request.headers,
            content,
            self.platform.tool(grant.client_id),
            now,
        )

    def _url(self, request: Request) -> str:
        """The request's URL as the LMS knows it, whatever the Host header said."""
        base = urlsplit(self.platform.base_url)
        return request.url.replace(scheme=base.scheme, netloc=base.netloc).__str__()

    def _faulty(self, fault: str) -> Answer | None:
        profile = self.platform.profile
        if fault == "throttled":
            return profile.throttled(self.platform.faults.retry_after)
        if fault == "error_500":
            return Answer(500, "Internal Server Error", "text/plain")
        if fault == "unavailable":
            return Answer(503, "Service Unavailable", "text/plain")
        if fault == "access_off":
            return profile.refusal(Refused(403, "Access is switched off", "access_off"), None)
        return None

    def _refusal(self, refused: Refused, call: Call | None) -> Answer:
        return self.platform.profile.refusal(refused, call)

    # Throttling.

    def _fill(self, client_id: str) -> None:
        """Pour this request into the client's bucket. Raises _Faulty when it runs over."""
        rate = self.platform.profile.rate
        if rate is None:
            return
        bucket, now = self._buckets.setdefault(client_id, _Bucket()), self.platform.clock()
        bucket.level = max(0.0, bucket.level - (now - bucket.at) * rate.outflow) + rate.cost
        bucket.at = now
        if bucket.level > rate.high_water:
            raise _Faulty("throttled", self.platform.profile.throttled(1))

    def _with_headers(self, response: Response, call: Call | None) -> Response:
        rate = self.platform.profile.rate
        if call is not None and rate is not None:
            left = rate.high_water - self._buckets[call.tool.client_id].level
            response.headers["X-Request-Cost"] = str(rate.cost)
            response.headers["X-Rate-Limit-Remaining"] = str(round(left, 3))
        return response

    # The ledger.

    def _note(self, request: Request, way: Way, content: bytes, call: Call | None, facts: LedgerFacts) -> None:
        if way.service != "score":
            return
        body = _object(content)
        self.platform.gradebook.ledger.append(
            LedgerLine(
                at=self.platform.clock(),
                client_id=call.tool.client_id if call else None,
                column=request.path_params.get("item"),
                user_id=body.get("userId"),
                body=body,
                status=facts.status,
                applied=facts.applied,
                reason=facts.reason,
            )
        )


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """How a score ended."""

    status: int
    applied: bool
    reason: str


class _Faulty(Exception):
    """A fault answers instead of the service."""

    def __init__(self, fault: str, answer: Answer) -> None:
        super().__init__(fault)
        self.fault = fault
        self.answer = answer


def read_object(call: Call) -> dict[str, Any]:
    """The body as a JSON object. Raises Refused."""
    try:
        body = json.loads(call.content)
    except ValueError:
        raise Refused(400, "The body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "The body is not a JSON object")
    return body


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
