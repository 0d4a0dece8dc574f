"""`ServiceClient`: how an adapter talks to an LMS's services.

One request is: a token, the request, one token renewal if it is refused with 401, and an outcome if the LMS answers
with an error. Lists come in pages, which end, stay at one origin and never come round again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ltihost.errors import OutboundFailed, OutboundRefused, ServiceFailed
from ltihost.lti.outcomes import outcome_of
from ltihost.plugins.abilities import AdapterServices
from ltihost.service_records import (
    Delivered,
    GiveUp,
    NeedsAttention,
    Operation,
    RetryLater,
    ServiceAnswer,
)
from ltihost.targets import origin_of

MAX_PAGES = 1_000
#: Of the event loop, until a request has left: in the first it is written, and uvloop sends at the end of a turn.
_TURNS = 2

NextPage = Callable[[ServiceAnswer, str, Collection[str]], str | None]


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request: why it is made, with which scopes, in which media types.

    `also` are scopes that may be asked for with the same token, `limit` the most bytes of an answer that are read.
    """

    operation: Operation
    scopes: Sequence[str]
    limit: int
    also: Sequence[str] = ()
    accept: str = "*/*"
    media_type: str | None = None


class ServiceClient:
    """Requests of one adapter. `answered` is what the LMS answered last, for the history of a delivery; `lacks_token` says
    that the last request was not made because there was no token for it."""

    def __init__(self, services: AdapterServices) -> None:
        self._services = services
        self.answered: ServiceAnswer | None = None
        self.lacks_token = False

    async def send(self, method: str, url: str, call: Call, content: bytes | None = None) -> ServiceAnswer:
        """One request; the answer to it is below 400, or a plugin says that it is as good as that (its body is gone then).

        Raises ServiceFailed.
        """
        token = await self._token(call)
        answer = await self._request(method, url, call, content, token)
        if _refuses_token(answer):
            token = await self._token(call, refused=token)
            answer = await self._request(method, url, call, content, token)
        return answer if answer.status < 400 else self._read_error(answer, url, call.operation)

    async def pages(self, url: str, call: Call, next_page: NextPage) -> AsyncGenerator[tuple[str, ServiceAnswer], None]:
        """Each page of a list with its URL. `next_page(answer, url, seen)` finds the next one.

        While the caller works on a page, the next one is asked for already. Whoever does not read to the end must
        close the generator, or a request stays under way. Raises ServiceFailed: `paging_loop`,
        `paging_foreign_origin`, `paging_too_long`, and as `send` does.
        """
        seen = [url]
        answer = await self.send("GET", url, call)
        while (following := next_page(answer, seen[-1], seen)) is not None:
            ahead = asyncio.create_task(self._next(following, seen, call))
            try:
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                yield seen[-1], answer
                answer = await ahead
            finally:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
            seen.append(following)
        yield seen[-1], answer

    async def _next(self, url: str, seen: Sequence[str], call: Call) -> ServiceAnswer:
        if url in seen:
            raise _paging("paging_loop", url, "names a page as the next one that was read already")
        if len(seen) == MAX_PAGES:
            raise _paging("paging_too_long", url, f"has more than {MAX_PAGES} pages")
        # The token goes with it: it must not reach another server because a link says so.
        if origin_of(url) != origin_of(seen[0]):
            raise _paging("paging_foreign_origin", seen[0], "names a next page at another origin")
        return await self.send("GET", url, call)

    async def _token(self, call: Call, *, refused: str | None = None) -> str:
        self.lacks_token = True
        token = await self._services.token(call.scopes, also=call.also, refused=refused)
        self.lacks_token = False
        return token

    async def _request(self, method: str, url: str, call: Call, content: bytes | None, token: str) -> ServiceAnswer:
        headers = {"authorization": f"Bearer {token}", "accept": call.accept}
        if call.media_type is not None:
            headers["content-type"] = call.media_type
        try:
            self.answered = await self._services.request(
                method, url, limit=call.limit, headers=headers, content=content
            )
        except OutboundRefused as error:
            raise ServiceFailed(GiveUp(error.code, at_once=True), error.message) from error
        except OutboundFailed as error:
            outcome = RetryLater(error.code, applied="perhaps" if error.sent else "no")
            raise ServiceFailed(outcome, error.message, status=error.status) from error
        return self.answered

    def _read_error(self, answer: ServiceAnswer, url: str, operation: Operation) -> ServiceAnswer:
        outcome = self._services.classify(answer, operation)
        if isinstance(outcome, Delivered):
            return replace(answer, body=b"")
        raise ServiceFailed(
            outcome or outcome_of(answer, operation, self._services.clock()),
            f"{urlsplit(url).hostname} answered {answer.status} to {operation}.",
            status=answer.status, excerpt=answer.text,
        )  # fmt: skip


def _refuses_token(answer: ServiceAnswer) -> bool:
    """401; or 403 where the platform says that it is about the token. RFC 6750 3.1."""
    about_token = "invalid_token" in answer.headers.get("www-authenticate", "")
    return answer.status == 401 or (answer.status == 403 and about_token)


def _paging(code: str, url: str, what: str) -> ServiceFailed:
    return ServiceFailed(NeedsAttention(code), f"A list at {urlsplit(url).hostname} {what}.")
