"""A platform's key set document -> key objects, one by one: a bad member costs itself only. RFC 7517, 7518 6.

Keys are made of their public numbers alone, so a private member never gets further than the warning about it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from ltihost.lti.strict_json import NotStrict, read_json, shown

log = structlog.get_logger()

PublicKey = RSAKey | ECKey
Flaw = Literal["key_unusable", "key_too_small"]

MAX_KEYS = 50
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MIN_EXPONENT = 65_537
MAX_EXPONENT_BITS = 64
