"""`ClockCheck`: whether this machine's clock is right, by the `Date` header of what other servers answer anyway.

A clock that is wrong refuses launches and stamps scores with times that an LMS does not take. Any one server may be the
one that is wrong, so most of those heard in the last hour have to agree; a single one is believed as long as it is the
only one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

#: A difference of so many seconds is worth a word: a slow answer makes less, and launches bear twice as much.
SKEW_SECONDS = 30.0
#: What a server said counts for so long, and it is listened to again after a minute.
HOUR = 3_600.0
AGAIN_SECONDS = 60.0
_MOST_SERVERS = 100


@dataclass(frozen=True, slots=True)
class Skew:
    """This clock is ahead of the one of `server` by so many seconds; less than 0 is behind. `at` is monotonic."""

    server: str
    seconds: float
    at: float

    @property
    def is_wide(self) -> bool:
        return abs(self.seconds) > SKEW_SECONDS

    def agrees(self, other: Skew) -> bool:
        """Whether both find this clock wrong, in the same direction."""
        return self.is_wide and other.is_wide and (self.seconds > 0) == (other.seconds > 0)


class ClockCheck:
    """What servers said about the time. One per process; `clock` is the one in question."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[str, Skew] = {}

    def heard(self, server: str, headers: Mapping[str, str]) -> None:
        """Note the `Date` of an answer that just came. One from a cache, with an `Age`, says nothing."""
        now, known = time.monotonic(), self._said.get(server)
        if known is not None and now - known.at < AGAIN_SECONDS:
            return
        said = _date(headers.get("date"))
        if said is None or "age" in headers:
            return
        self._said.pop(server, None)
        self._said[server] = Skew(server, self._clock() - said, now)
        if len(self._said) > _MOST_SERVERS:
            del self._said[next(iter(self._said))]

    def found(self) -> Skew | None:
        """How wrong this clock is by what most servers said in the last hour; None when it is right, or nobody knows."""
        since = time.monotonic() - HOUR
        recent = [skew for skew in self._said.values() if skew.at > since]
        return next((skew for skew in reversed(recent) if 2 * sum(map(skew.agrees, recent)) > len(recent)), None)


def _date(value: str | None) -> float | None:
    """Unix seconds. RFC 9110 section 6.6.1."""
    try:
        moment = parsedate_to_datetime(value) if value else None
        return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
