"""The key sets of platforms: fetched, checked key by key, kept as key objects. Security Framework 6.3, RFC 7517.

A key set is kept as long as the platform says, between ten minutes and a day. A kid that it does not hold leads to
one forced fetch a minute at most, so rotation is seen at once and random kids cost the platform nothing. When the
platform cannot be reached, the last good set serves the kids that it holds for a day more.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ltihost.errors import OutboundError, Refused
from ltihost.lti.key_set import KeySet, PublicKey, UnusableKeySet, fits, read_key_set
from ltihost.lti.strict_json import shown
from ltihost.outbound import Outbound, approved_ports
from ltihost.records import Registration

log = structlog.get_logger()

MAX_KEY_SET_BYTES = 262_144
MAX_KID = 256
MIN_LIFETIME = 600
MAX_LIFETIME = 86_400
STALE_SECONDS = 86_400
#: Between two fetches that unknown kids asked for.
FORCED_SECONDS = 60
#: After a fetch that failed, before the next.
RETRY_SECONDS = 10
#: How long a launch waits for a fetch while an older set could serve it.
PATIENCE = 5.0
_MAX_AGE = re.compile(r"(?<![\w-])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)
