"""The keys of platforms: fetched, kept as key objects, found by kid. Security Framework 6.3 and 6.4.

A key set is kept as long as the platform says, between ten minutes and a day. A kid that it does not hold leads to
one forced fetch a minute at most, so a rotation is seen at once and random kids cost the platform nothing. While the
platform cannot be reached, the last good set serves the kids that it holds for a day more.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ltihost.errors import OutboundError, Refused
from ltihost.lti.key_set import MAX_KID, KeySet, KeySetError, PublicKey, read_key_set
from ltihost.lti.strict_json import shown
from ltihost.outbound import Answer, Outbound, approved_ports
from ltihost.records import Registration

log = structlog.get_logger()

MAX_KEY_SET_BYTES = 262_144
MIN_LIFETIME = 600
MAX_LIFETIME = 86_400
STALE_SECONDS = 86_400
#: Between two fetches that unknown kids asked for.
FORCED_SECONDS = 60
#: From a fetch that failed to the next.
RETRY_SECONDS = 10
#: How long a launch waits for a fetch when an expired set could serve it.
PATIENCE = 5.0
_MAX_AGE = re.compile(r'(?<![\w-])max-age\s*=\s*"?(\d{1,10})', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeySetSummary:
    """What is held for a registration, in seconds since the epoch; `failure` says why the last fetch failed."""

    url: str
    fetched_at: float | None
    expires_at: float | None
    kids: tuple[str, ...]
    failure: str | None


@dataclass(slots=True)
class _Held:
    """The key set of one registration at one URL, and the state of its fetching."""

    url: str
    keys: KeySet | None = None
    fetched_at: float = -math.inf
    expires_at: float = -math.inf
    retry_at: float = -math.inf
    forced_at: float = -math.inf
    failure: str | None = None
    flight: asyncio.Task[None] | None = None

    def may_fetch(self, now: float) -> bool:
        """An expired set may be fetched unless that failed just now; a fresh one only once in a while."""
        if now < self.expires_at:
            return now >= self.forced_at + FORCED_SECONDS
        return now >= self.retry_at

    def keys_at(self, now: float) -> KeySet | None:
        """The set that may still be used, expired or not."""
        return self.keys if now < self.expires_at + STALE_SECONDS else None


class PlatformKeys:
    """The key sets of all registrations, in memory; one per process, used from one event loop.

    Sets are held by registration and URL and never shared, so one platform's kids mean nothing to another, and a slow
    platform holds up only its own launches.
    """

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.time) -> None:
        self._outbound = outbound
        self._clock = clock
        self._sets: dict[str, _Held] = {}

    async def key(self, registration: Registration, kid: object, alg: str) -> PublicKey:
        """The key named `kid` in the token's header (None: no name), for a signature made with `alg`.

        Raises Refused: `kid_missing`, `kid_invalid`, `key_not_found`, `key_unusable`, `key_too_small`,
        `keys_unavailable`.
        """
        name = _checked_kid(registration, kid)
        held = self._held(registration)
        await self._refresh(held, name)
        keys = held.keys_at(self._clock())
        found = keys.find(name) if keys else None
        if found is None:
            raise _not_found(held, keys, name)
        if isinstance(found, str):
            raise _refused(found, held, name)
        if not found.fits(alg):
            raise _refused("key_unusable", held, name, f"a signature made with {alg}")
        return found.key

    def forget(self, registration_id: str) -> None:
        """Drop what is held, so that the next launch fetches anew."""
        self._sets.pop(registration_id, None)

    def describe(self, registration_id: str) -> KeySetSummary | None:
        """What this process holds for a registration; None if it has not asked for its keys yet."""
        held = self._sets.get(registration_id)
        if held is None:
            return None
        if held.keys is None:
            return KeySetSummary(held.url, None, None, (), held.failure)
        return KeySetSummary(held.url, held.fetched_at, held.expires_at, tuple(held.keys.keys), held.failure)

    def _held(self, registration: Registration) -> _Held:
        url = registration.jwks_url
        if url is None:
            raise Refused("keys_unavailable", "key", expected="a key set URL", received="the registration has none")
        held = self._sets.get(registration.id)
        if held is None or held.url != url:
            held = self._sets[registration.id] = _Held(url)
        return held

    async def _refresh(self, held: _Held, kid: str | None) -> None:
        """Fetch if the set does not hold the kid or has expired. Callers at the same time share one fetch."""
        now = self._clock()
        keys = held.keys_at(now)
        known = keys is not None and keys.find(kid) is not None
        if known and now < held.expires_at:
            return
        if held.flight is None and held.may_fetch(now):
            held.forced_at = now if now < held.expires_at else held.forced_at
            held.flight = asyncio.create_task(self._fetch(held))
        if held.flight is not None:
            # asyncio.wait leaves the fetch alone when a caller is cancelled: others may wait for it.
            done, _ = await asyncio.wait({held.flight}, timeout=PATIENCE if known else None)
            for flight in done:
                flight.result()

    async def _fetch(self, held: _Held) -> None:
        try:
            answer = await self._outbound.get(
                held.url,
                limit=MAX_KEY_SET_BYTES,
                accept="application/json, application/jwk-set+json",
                ports=approved_ports(held.url),
            )
            self._keep(held, answer)
        except (OutboundError, KeySetError) as error:
            held.failure = str(error)
            held.retry_at = self._clock() + RETRY_SECONDS
            log.warning("platform_keys.unavailable", source=held.url, reason=held.failure)
        finally:
            held.flight = None

    def _keep(self, held: _Held, answer: Answer) -> None:
        if answer.status != 200:
            raise KeySetError(f"the answer has status {answer.status}")
        held.keys = read_key_set(answer.body, held.url)
        held.fetched_at = self._clock()
        held.expires_at = held.fetched_at + _lifetime(answer)
        held.failure = None
        log.info("platform_keys.fetched", source=held.url, kids=len(held.keys.keys))


def _checked_kid(registration: Registration, kid: object) -> str | None:
    if kid is None:
        if not registration.allow_missing_kid:
            raise Refused("kid_missing", "key", expected="a kid in the header", received="none")
        return None
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise Refused("kid_invalid", "key", expected=f"a text of 1 to {MAX_KID} characters", received=shown(kid))
    return kid


def _not_found(held: _Held, keys: KeySet | None, kid: str | None) -> Refused:
    if held.failure is not None:
        # With the last fetch failed nobody can say that the platform has no such key.
        return Refused("keys_unavailable", "key", expected=f"the key set at {held.url}", received=held.failure)
    if kid is None:
        return Refused("kid_missing", "key", expected="a kid, or a key set with exactly one key", received="neither")
    kids = shown(list(keys.keys)) if keys else "nothing"
    return Refused("key_not_found", "key", expected=f"a kid of {held.url}, which holds {kids}", received=shown(kid))


def _refused(code: str, held: _Held, kid: str | None, purpose: str = "signatures") -> Refused:
    return Refused(code, "key", expected=f"a key for {purpose} in {held.url}", received=f"kid {shown(kid)}")


def _lifetime(answer: Answer) -> int:
    """Seconds to keep a set: what the platform says, within bounds."""
    found = _MAX_AGE.search(answer.headers.get("cache-control", ""))
    return min(max(int(found[1]), MIN_LIFETIME), MAX_LIFETIME) if found else MIN_LIFETIME
