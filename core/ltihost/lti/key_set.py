"""A platform's key set document -> key objects, one by one: a bad member costs only itself. RFC 7517, RFC 7518 6.

Keys are made from their public numbers alone, so a private member gets no further than the warning about it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from joserfc.jwk import ECKey, RSAKey

from ltihost.lti.strict_json import StrictJsonError, read_json, shown

log = structlog.get_logger()

PublicKey = RSAKey | ECKey
Flaw = Literal["key_unusable", "key_too_small"]

MAX_KEYS = 50
MAX_KID = 256
_RSA_BITS = range(2048, 8192 + 1)
_MIN_EXPONENT = 65_537
_MAX_EXPONENT_BITS = 64
_CURVES: dict[str, type[EllipticCurve]] = {"P-256": SECP256R1, "P-384": SECP384R1, "P-521": SECP521R1}
_CURVE_OF = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeySetError(Exception):
    """The document as a whole cannot be used; the text says why."""


class _FlawError(Exception):
    def __init__(self, reason: str, flaw: Flaw = "key_unusable") -> None:
        super().__init__(reason)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class PlatformKey:
    """A usable key; `alg` is None when the platform does not tie it to one algorithm."""

    key: PublicKey
    alg: str | None

    def fits(self, alg: str) -> bool:
        """Whether the key may verify a signature made with `alg`. RFC 8725 3.1."""
        if self.alg is not None and self.alg != alg:
            return False
        if isinstance(self.key, RSAKey):
            return alg.startswith(("RS", "PS"))
        return self.key.curve_name == _CURVE_OF.get(alg)


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys by kid; `flaws` holds the kids that are in the set but cannot be used, `only` the key if there is just one."""

    keys: Mapping[str, PlatformKey]
    flaws: Mapping[str, Flaw]
    only: PlatformKey | None

    def find(self, kid: str | None) -> PlatformKey | Flaw | None:
        """The key of that name, what is wrong with it, or None; for no name the only key there is."""
        if kid is None:
            return self.only
        return self.keys.get(kid) or self.flaws.get(kid)


def read_key_set(raw: bytes, source: str) -> KeySet:
    """Read a document; `source` is its URL, for the log. Raises KeySetError."""
    named: dict[str, list[PlatformKey]] = {}
    nameless: list[PlatformKey] = []
    flaws: dict[str, Flaw] = {}
    for member in _members(raw):
        kid = member.get("kid") if isinstance(member, dict) else None
        try:
            key = _platform_key(member, source)
        except _FlawError as error:
            log.warning("platform_keys.member_skipped", source=source, kid=shown(kid), reason=str(error))
            if isinstance(kid, str):
                flaws[kid] = error.flaw
        else:
            (nameless if kid is None else named.setdefault(kid, [])).append(key)
    keys = {kid: same[0] for kid, same in named.items() if _all_equal(same)}
    for kid in named.keys() - keys.keys():
        log.warning("platform_keys.kid_of_two_keys", source=source, kid=shown(kid))
        flaws[kid] = "key_unusable"
    usable = [*keys.values(), *nameless]
    return KeySet(keys, flaws, usable[0] if usable and _all_equal(usable) else None)


def _members(raw: bytes) -> list[object]:
    try:
        document = read_json(raw)
    except StrictJsonError as error:
        raise KeySetError(f"the answer is no usable JSON: {error}") from error
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeySetError("the answer is JSON, but no object with a list named keys")
    if len(members) > MAX_KEYS:
        raise KeySetError(f"the answer holds {len(members)} keys; {MAX_KEYS} is the most")
    return members


def _all_equal(keys: list[PlatformKey]) -> bool:
    return all(key == keys[0] for key in keys)


def _platform_key(member: object, source: str) -> PlatformKey:
    if not isinstance(member, dict):
        raise _FlawError("no object")
    kid, alg = member.get("kid"), member.get("alg")
    if not _PRIVATE.isdisjoint(member):
        # Its owner has published a secret. The public part stays as good as it was.
        log.warning("platform_keys.private_member", source=source, kid=shown(kid))
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID):
        raise _FlawError("its kid is no text of 1 to 256 characters")
    if alg is not None and not isinstance(alg, str):
        raise _FlawError("its alg is no text")
    if not _for_verification(member):
        raise _FlawError("it is not meant for signatures")
    return PlatformKey(_public_key(member), alg)


def _for_verification(member: Mapping[str, Any]) -> bool:
    use, operations = member.get("use"), member.get("key_ops")
    return use in (None, "sig") and (operations is None or (isinstance(operations, list) and "verify" in operations))


def _public_key(member: Mapping[str, Any]) -> PublicKey:
    match member.get("kty"):
        case "RSA":
            return _rsa_key(_number(member, "n"), _number(member, "e"))
        case "EC":
            return _ec_key(member.get("crv"), _number(member, "x"), _number(member, "y"))
        case other:
            raise _FlawError(f"its kty is {shown(other)}, not RSA or EC")


def _rsa_key(n: int, e: int) -> RSAKey:
    # Checked before anything is computed with them: a giant modulus or exponent is a way to burn our time.
    if n.bit_length() not in _RSA_BITS:
        raise _FlawError(f"RSA with {n.bit_length()} bits", "key_too_small")
    if e < _MIN_EXPONENT or e.bit_length() > _MAX_EXPONENT_BITS or e % 2 == 0:
        raise _FlawError("RSA with a bad exponent", "key_too_small")
    try:
        return RSAKey.import_key(RSAPublicNumbers(e, n).public_key())
    except ValueError as error:
        raise _FlawError("its numbers make no RSA key") from error


def _ec_key(curve: object, x: int, y: int) -> ECKey:
    kind = _CURVES.get(curve) if isinstance(curve, str) else None
    if kind is None:
        raise _FlawError(f"its curve is {shown(curve)}")
    try:
        return ECKey.import_key(EllipticCurvePublicNumbers(x, y, kind()).public_key())
    except ValueError as error:
        raise _FlawError("its point lies not on the curve") from error


def _number(member: Mapping[str, Any], name: str) -> int:
    """A Base64urlUInt. Padding is accepted: the sample of Security Framework 6.2 has it, and so do some platforms."""
    text = member.get(name)
    if not isinstance(text, str):
        raise _FlawError(f"its {name} is no text")
    bare = text.rstrip("=")
    try:
        return int.from_bytes(b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True))
    except ValueError as error:
        raise _FlawError(f"its {name} is no base64url") from error
