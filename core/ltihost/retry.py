"""When to try again: the delays between tries, and what an LMS asks for with `Retry-After`. Arithmetic only."""

from __future__ import annotations

import re
import secrets
from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 5.0
MOST_SECONDS = 6 * 3_600.0
#: No LMS can put us off for longer, and none is asked again at once.
LONGEST_ASKED = 24 * 3_600.0
SHORTEST_ASKED = 1.0

_SECONDS = re.compile(r"[0-9]{1,18}")
_FINENESS = 1_000_000


def spread(seconds: float, least: float = 0.5, most: float = 1.0) -> float:
    """Between `least` and `most` times `seconds`, by chance, so that those who wait do not come back together."""
    return seconds * (least + (most - least) * secrets.randbelow(_FINENESS + 1) / _FINENESS)


def delay(tried: int) -> float:
    """Seconds until the next try after `tried` failures beyond the first: doubling from 5 s to 6 h, half of it by chance."""
    return spread(min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(tried, 32)))


def asked_delay(seconds: float) -> float:
    """What an LMS asked for, within reason, and up to a tenth longer so that not everybody comes back together."""
    return min(LONGEST_ASKED, spread(max(SHORTEST_ASKED, seconds), 1.0, 1.1))


def read_retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a `Retry-After` header asks for (a number or an HTTP date), between 1 s and 24 h.

    None without one, and for one that says nothing readable. RFC 9110 section 10.2.3.
    """
    seconds = _seconds(value.strip(), now) if value else None
    return None if seconds is None else min(LONGEST_ASKED, max(SHORTEST_ASKED, seconds))


def _seconds(text: str, now: float) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None
