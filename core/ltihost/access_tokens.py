"""`AccessTokens`: bearer tokens for the services of all platforms, in memory only. Security Framework 4.1.1.

A token serves every call whose scopes it holds. From 80 % of its life on a new one is fetched while the old one goes
on working, so a token endpoint that is down for a while stops nothing. Who needs the same token at the same time
waits for the same request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from ltihost.errors import LtihostError, ServiceFailed
from ltihost.lti.assertion import Grant
from ltihost.outbound import Outbound
from ltihost.own_keys import OwnKey, OwnKeys
from ltihost.service_records import NeedsAttention, RetryLater
from ltihost.token_endpoint import Client, TokenEndpoint

log = structlog.get_logger()

#: Seconds before its end from which a token is not used any more.
SKEW = 60.0
#: The part of its life after which a token is renewed, and seconds between two tries at that.
REFRESH_AT = 0.8
REFRESH_PAUSE = 30.0
#: For how long a failure is answered from memory: less than any delay between two tries of a score, but a scope that
#: was not granted comes only when a person grants it.
FAILURE_SECONDS = 2.0
MISSING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Place:
    """What a token belongs to. Any change of the registration makes it another place."""

    registration_id: str
    client_id: str | None
    token_url: str
    audience: str | None
    deployment_id: str | None


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    scopes: frozenset[str]
    kid: str
    refresh_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one caller wants: scopes that it needs, and others worth asking for, got with this key."""

    client: Client
    key: OwnKey
    needed: frozenset[str]
    also: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return self.needed | self.also


@dataclass(frozen=True, slots=True)
class _Failure:
    """A request that brought no token. Every caller that waited for it gets an exception of its own."""

    cause: ServiceFailed
    until: float

    def error(self) -> ServiceFailed:
        cause = self.cause
        return ServiceFailed(cause.outcome, cause.message, status=cause.status, excerpt=cause.excerpt)


@dataclass(slots=True)
class _Held:
    """The tokens of one place, the requests under way for it, and what failed just now, by scopes."""

    tokens: list[_Token] = field(default_factory=list)
    flights: dict[frozenset[str], asyncio.Task[_Token | _Failure]] = field(default_factory=dict)
    failures: dict[frozenset[str], _Failure] = field(default_factory=dict)
    no_refresh_before: float = 0.0

    def find(self, wish: _Wish, now: float) -> _Token | None:
        """The fitting token that lasts longest. One that was got with a key which signs no more is dropped."""
        self.tokens = [token for token in self.tokens if token.expires_at > now and token.kid == wish.key.kid]
        fitting = (token for token in self.tokens if wish.needed <= token.scopes)
        return max(fitting, key=lambda token: token.expires_at, default=None)

    def flight_for(self, wish: _Wish) -> asyncio.Task[_Token | _Failure] | None:
        return next((task for asked, task in self.flights.items() if wish.needed <= asked), None)

    def failure_for(self, wish: _Wish, now: float) -> _Failure | None:
        self.failures = {scopes: failure for scopes, failure in self.failures.items() if failure.until > now}
        return self.failures.get(wish.needed)


class AccessTokens:
    """The tokens of all registrations; one per process, used from one event loop."""

    def __init__(self, outbound: Outbound, own_keys: OwnKeys, clock: Callable[[], float]) -> None:
        self._endpoint = TokenEndpoint(outbound, clock)
        self._own_keys = own_keys
        self._clock = clock
        self._places: dict[_Place, _Held] = {}
        self._flights: set[asyncio.Task[_Token | _Failure]] = set()

    async def token(
        self, client: Client, scopes: Sequence[str], *, also: Sequence[str] = (), refused: str | None = None
    ) -> str:
        """A token that holds all of `scopes`.

        `also` are scopes to ask for in the same request if one is made; `refused` is a token that the platform just
        refused, which is forgotten. Raises ServiceFailed: `scope_missing` when the platform grants less, else as
        `TokenEndpoint.grant` does, or with a code of the store's when our own key cannot be had.
        """
        held = self._held(client)
        if refused is not None:
            held.tokens = [token for token in held.tokens if token.value != refused]
        wish = _Wish(client, await self._key(client), frozenset(scopes), frozenset(also))
        now = self._clock()
        token = held.find(wish, now)
        if token is None:
            return await self._waited_for(held, wish)
        if now >= max(token.refresh_at, held.no_refresh_before) and held.flight_for(wish) is None:
            self._fly(held, wish)
        return token.value

    def drop(self, registration_id: str) -> None:
        """Forget every token of a registration, and what failed for it."""
        for place in [place for place in self._places if place.registration_id == registration_id]:
            del self._places[place]

    async def aclose(self) -> None:
        """End the requests under way."""
        flights = list(self._flights)
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _held(self, client: Client) -> _Held:
        registration = client.registration
        place = _Place(
            registration.id, registration.client_id, client.token_url, registration.audience, client.deployment_id
        )
        return self._places.setdefault(place, _Held())

    async def _key(self, client: Client) -> OwnKey:
        try:
            return await self._own_keys.current(client.registration)
        except LtihostError as error:
            raise ServiceFailed(RetryLater(error.code, applied="no"), error.message) from error

    async def _waited_for(self, held: _Held, wish: _Wish) -> str:
        got = await self._shared(held, wish) or held.failure_for(wish, self._clock())
        if got is None:
            got = await asyncio.shield(held.flights.get(wish.all) or self._fly(held, wish))
        if isinstance(got, _Token) and not wish.needed <= got.scopes:
            missing = ", ".join(sorted(wish.needed - got.scopes))
            error = ServiceFailed(NeedsAttention("scope_missing"), f"The LMS did not grant {missing}.")
            got = self._note(held, wish, error)
        if isinstance(got, _Failure):
            raise got.error()
        return got.value

    async def _shared(self, held: _Held, wish: _Wish) -> _Token | _Failure | None:
        """What a request brings that somebody else made; None if there is none, or if it tells nothing about our scopes."""
        flight = held.flight_for(wish)
        if flight is None:
            return None
        got = await asyncio.shield(flight)  # one caller who gives up takes nothing from the others
        if isinstance(got, _Failure):
            return None if got.cause.code == "scope_missing" else got
        return got if wish.needed <= got.scopes else None

    def _fly(self, held: _Held, wish: _Wish) -> asyncio.Task[_Token | _Failure]:
        held.flights[wish.all] = task = asyncio.create_task(self._fetch(held, wish))
        self._flights.add(task)
        task.add_done_callback(self._flights.discard)
        return task

    async def _fetch(self, held: _Held, wish: _Wish) -> _Token | _Failure:
        try:
            grant = await self._grant(wish)
        except ServiceFailed as error:
            return self._note(held, wish, error)
        finally:
            held.flights.pop(wish.all, None)
        now = self._clock()
        token = _Token(
            grant.token, grant.scopes, wish.key.kid,
            refresh_at=now + REFRESH_AT * grant.seconds, expires_at=now + grant.seconds - SKEW,
        )  # fmt: skip
        # The older ones of which it holds everything have served.
        held.tokens = [token, *(old for old in held.tokens if not old.scopes <= token.scopes)]
        return token

    async def _grant(self, wish: _Wish) -> Grant:
        """Where the platform refuses to talk about so many scopes, those that are needed now are asked for alone."""
        try:
            return await self._endpoint.grant(wish.client, wish.key, wish.all)
        except ServiceFailed as error:
            if error.code != "scope_missing" or wish.all == wish.needed:
                raise
        return await self._endpoint.grant(wish.client, wish.key, wish.needed)

    def _note(self, held: _Held, wish: _Wish, error: ServiceFailed) -> _Failure:
        now = self._clock()
        seconds = MISSING_SECONDS if error.code == "scope_missing" else FAILURE_SECONDS
        failure = held.failures[wish.needed] = _Failure(error, now + seconds)
        held.no_refresh_before = now + REFRESH_PAUSE
        log.warning(
            "access_tokens.not_granted",
            registration=wish.client.registration.id, code=error.code, status=error.status, reason=error.message,
        )  # fmt: skip
        return failure
