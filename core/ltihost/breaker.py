"""The breaker of one kind of service of one platform: whether to send now, and how much at once. Pure; the state is
stored and shared by all workers.

closed     everything goes, as many at once as the adapter says
open       nothing goes until `open_until`: five failures in a row, or more than half of the last twenty in a minute
half open  a few probes go: 1, then 2, then 4 at once; three successes close it, one failure opens it for twice as long

A platform that throttles is left alone for as long as it says; from then on sends are paced (`rate` a second), a little
below what it took before, and slowly faster again while it does not object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ltihost.retry import delay, spread

FAILURES_IN_A_ROW = 5
WINDOW = 20
WINDOW_SECONDS = 60.0
FIRST_OPEN_SECONDS = 30.0
LONGEST_OPEN_SECONDS = 900.0
SUCCESSES_TO_CLOSE = 3
#: After a throttle: this part of the rate that went through, and this factor for each quiet minute since.
SLOWER = 0.95
FASTER = 1.05
QUIET_SECONDS = 60.0
LOWEST_RATE = 0.2
#: Tokens that may be saved up; more would let a burst through that the platform answers with 429.
BURST = 1.5


@dataclass(frozen=True, slots=True)
class Breaker:
    """`recent` holds (time, whether it went well) since the first failure of the last minute. `in_flight` counts only
    while half open. `rate` is None until the platform throttled once; `paced_at` is when `tokens` were counted and
    `quiet_since` when the rate last changed. `code` says what opened it."""

    state: Literal["closed", "open", "half_open"] = "closed"
    failures: int = 0
    recent: tuple[tuple[float, bool], ...] = ()
    opened_at: float | None = None
    open_until: float = 0.0
    times_opened: int = 0
    successes: int = 0
    in_flight: int = 1
    rate: float | None = None
    tokens: float = 0.0
    paced_at: float = 0.0
    quiet_since: float = 0.0
    code: str | None = None


def admit(breaker: Breaker, now: float, *, busy: int, most: int) -> tuple[int, Breaker]:
    """How many more may be sent now, and the breaker as it then is. `busy` are under way, `most` may be."""
    if now < breaker.open_until:
        return 0, breaker
    if breaker.state == "open":
        breaker = replace(breaker, state="half_open", successes=0, in_flight=1)
    if breaker.state == "half_open":
        most = min(most, breaker.in_flight)
    return _paced(breaker, now, max(0, most - busy))


def spent(breaker: Breaker, sent: int) -> Breaker:
    """After `sent` of those admitted were taken."""
    return breaker if breaker.rate is None else replace(breaker, tokens=breaker.tokens - sent)


def next_token(breaker: Breaker, now: float) -> float | None:
    """Seconds until pacing lets the next one through; None when it does not hold anything back."""
    if breaker.rate is None or now < breaker.open_until:
        return None
    return max(0.0, (1.0 - breaker.tokens) / breaker.rate)


def succeeded(breaker: Breaker, now: float) -> Breaker:
    """The platform took one. Answers the very same breaker when there is nothing to remember."""
    if breaker.state == "half_open":
        successes = breaker.successes + 1
        if successes < SUCCESSES_TO_CLOSE:
            return replace(breaker, successes=successes, in_flight=2**successes)
        return replace(breaker, state="closed", failures=0, recent=(), times_opened=0, opened_at=None, code=None)
    if breaker.state == "closed" and (breaker.failures or breaker.recent):
        kept = _within_window(breaker, now)
        return replace(breaker, failures=0, recent=(*kept, (now, True))[-WINDOW:] if kept else ())
    return breaker


def failed(breaker: Breaker, now: float, code: str) -> Breaker:
    """The platform itself failed. One that answers late, after the breaker opened, changes nothing."""
    if breaker.state == "open":
        return breaker
    if breaker.state == "half_open":
        return tripped(breaker, now, code)
    recent = (*_within_window(breaker, now), (now, False))[-WINDOW:]
    bad = sum(not well for _, well in recent)
    breaker = replace(breaker, failures=breaker.failures + 1, recent=recent)
    if breaker.failures >= FAILURES_IN_A_ROW or (len(recent) == WINDOW and bad > WINDOW / 2):
        return tripped(breaker, now, code)
    return breaker


def tripped(breaker: Breaker, now: float, code: str) -> Breaker:
    """Open it now, each time for twice as long: access is refused, or too much failed."""
    if breaker.state == "open" and now < breaker.open_until:
        return breaker
    seconds = min(LONGEST_OPEN_SECONDS, FIRST_OPEN_SECONDS * 2.0 ** min(breaker.times_opened, 10))
    return replace(
        breaker, state="open", open_until=now + spread(seconds), opened_at=breaker.opened_at or now,
        times_opened=breaker.times_opened + 1, recent=(), failures=0, successes=0, code=code,
    )  # fmt: skip


def paused(breaker: Breaker, now: float, seconds: float, code: str) -> Breaker:
    """Leave it alone for so long, and begin with a probe; it is not paced afterwards."""
    return replace(breaker, state="open", open_until=max(breaker.open_until, now + seconds), code=code)


def throttled(breaker: Breaker, now: float, after: float | None, *, went_through: float) -> Breaker:
    """The platform asked for less: nothing for `after` seconds, then paced. `went_through` is how many it took in the
    second before. What was on its way when it first objected says nothing new."""
    if now < breaker.open_until:
        return replace(breaker, open_until=max(breaker.open_until, now + (after or 0.0)))
    seconds = delay(0) if after is None else after
    rate = max(LOWEST_RATE, SLOWER * min(went_through or 1.0, breaker.rate or went_through or 1.0))
    until = now + seconds
    return replace(
        breaker, open_until=until, rate=rate, tokens=0.0, paced_at=until, quiet_since=until, code="throttled"
    )


def _within_window(breaker: Breaker, now: float) -> tuple[tuple[float, bool], ...]:
    """The last minute, from its first failure on: what went well before tells nothing about this trouble."""
    kept = [entry for entry in breaker.recent if now - entry[0] < WINDOW_SECONDS]
    first = next((place for place, (_, well) in enumerate(kept) if not well), len(kept))
    return tuple(kept[first:])


def _paced(breaker: Breaker, now: float, wanted: int) -> tuple[int, Breaker]:
    if breaker.rate is None:
        return wanted, breaker
    rate, quiet_since = breaker.rate, breaker.quiet_since
    if now - quiet_since >= QUIET_SECONDS:
        rate, quiet_since = rate * FASTER, now
    tokens = min(BURST, breaker.tokens + rate * max(0.0, now - breaker.paced_at))
    breaker = replace(breaker, rate=rate, quiet_since=quiet_since, tokens=tokens, paced_at=now)
    return min(wanted, int(tokens)), breaker
