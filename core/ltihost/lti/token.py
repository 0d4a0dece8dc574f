"""The one function that turns an id_token into claims. Security Framework 5.1.3, RFC 7515, RFC 8725.

`verify_id_token` checks, in this order and before anything has an effect
  token       three parts, bounded, one meaning; an algorithm that this registration allows
  key         of this registration's platform, named by kid, meant for this algorithm
  signature   over the parts as they came; only then is the content read
  issuer      the registration's, exactly
  audience    this client, and nobody who is not trusted
  time        issued a short while ago, not expired, not valid for ages
  nonce       the one that this login sent out
Absence is failure everywhere. A notice (`verify_notice`) has no login and so no nonce; all else holds for it too. All later code takes a `VerifiedToken`, which nothing else makes.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import DecodeError, JoseError
from joserfc.jws import JWSRegistry, deserialize_compact

from ltihost.errors import Refused
from ltihost.lti.key_set import PublicKey
from ltihost.lti.keys import PlatformKeys
from ltihost.lti.state import digest
from ltihost.lti.strict_json import DuplicateMemberError, StrictJsonError, read_json, shown
from ltihost.records import Registration
from ltihost.trace import Trace

#: What a registration may allow at all: never "none", never a shared secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
MAX_HEADER_BYTES = 4_096
MAX_AGE = 600
MAX_LEEWAY = 300
MAX_VALIDITY = 86_400
_THREE_PARTS = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: Header members that change how a token is read. `jku`, `jwk`, `x5u`, `x5c` only offer keys and are ignored.
_UNSUPPORTED = ("crit", "b64", "zip", "enc")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Claims that the registration's platform signed for this login. `kid` is None only where that is allowed."""

    claims: Mapping[str, Any]
    kid: str | None
    alg: str


async def verify_id_token(
    raw: str, registration: Registration, keys: PlatformKeys, *, nonce_hash: bytes, asked_at: float, now: float,
    trace: Trace,
) -> VerifiedToken:  # fmt: skip
    """Verify `raw` for a login of `registration`, noting each check that holds on `trace`.

    `nonce_hash` is the SHA-256 of the nonce that the login sent at `asked_at`; this and `now` are seconds since the
    epoch. Raises Refused with a code of `errors.REASONS`.
    """
    verified = await _verified(raw, registration, keys, now, trace, asked_at)
    _check_nonce(verified.claims, nonce_hash, trace)
    return verified


async def verify_notice(
    raw: str, registration: Registration, keys: PlatformKeys, *, now: float, trace: Trace
) -> VerifiedToken:
    """Verify a notice, which the platform sends by itself: everything but the nonce, which no login of ours sent out.

    Nothing that a person does may rest on it. Raises Refused as `verify_id_token` does.
    """
    return await _verified(raw, registration, keys, now, trace)


async def _verified(
    raw: str, registration: Registration, keys: PlatformKeys, now: float, trace: Trace, asked_at: float | None = None
) -> VerifiedToken:
    header = _header(raw, registration)
    kid, alg = header.get("kid"), _algorithm(header, registration)
    trace.passed("token", received=f"{alg}, {len(raw)} bytes")
    key = await keys.key(registration, kid, alg)
    trace.passed("key", received=f"kid {shown(kid)}")
    claims = _signed_claims(raw, key, alg)
    trace.passed("signature")
    _check_issuer(claims, registration, trace)
    _check_audience(claims, registration, trace)
    _compare_clocks(claims, registration, now, trace, asked_at)
    _check_time(claims, registration, now, trace)
    return VerifiedToken(claims, kid, alg)


class _Registry(JWSRegistry):
    """joserfc's limits raised to ours: its 512 bytes of header and 1,024 of signature are less than real tokens have,
    and 128,000 of payload less than a registration may allow. Of the header it reads `alg` alone; we read the rest."""

    default_header_registry = {"alg": JWSRegistry.default_header_registry["alg"]}  # noqa: RUF012 - as in the base
    max_header_length = 8_192
    max_payload_length = 262_144
    max_signature_length = 2_048


_REGISTRIES = {alg: _Registry(algorithms=[alg], strict_check_header=False) for alg in ALGORITHMS}


def _header(raw: str, registration: Registration) -> Mapping[str, Any]:
    if len(raw) > registration.max_token_bytes:
        expected = f"at most {registration.max_token_bytes} bytes"
        raise Refused("token_too_large", "token", expected=expected, received=f"{len(raw)} bytes")
    parts = _THREE_PARTS.fullmatch(raw)
    if parts is None:
        received = f"{raw.count('.') + 1} parts, {len(raw)} bytes"
        raise Refused("token_malformed", "token", expected="three parts of base64url text", received=received)
    if len(parts[1]) * 3 > MAX_HEADER_BYTES * 4:
        raise Refused("token_too_large", "token", expected=f"a header of at most {MAX_HEADER_BYTES} bytes")
    try:
        content = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        raise Refused("token_malformed", "token", expected="a header in base64url") from None
    header = _object(content, "token_malformed", "header")
    for name in _UNSUPPORTED:
        if name in header:
            raise Refused(
                "header_unsupported", "token", expected=f"no {name} in the header", received=shown(header[name])
            )
    return header


def _object(content: bytes, code: str, name: str) -> dict[str, Any]:
    try:
        value = read_json(content)
    except DuplicateMemberError:
        raise Refused("dup_member", "token", expected=f"each member of the {name} once") from None
    except StrictJsonError as error:
        raise Refused(code, "token", expected=f"a {name} in JSON", received=str(error)) from None
    if not isinstance(value, dict):
        raise Refused(code, "token", expected=f"a {name} that is an object", received=shown(value))
    return value


def _algorithm(header: Mapping[str, Any], registration: Registration) -> str:
    alg = header.get("alg")
    if isinstance(alg, str) and alg in ALGORITHMS and alg in registration.algorithms:
        return alg
    allowed = ", ".join(registration.algorithms)
    raise Refused("alg_not_allowed", "token", expected=allowed, received=shown(alg))


def _signed_claims(raw: str, key: PublicKey, alg: str) -> dict[str, Any]:
    try:
        content = deserialize_compact(raw, key, registry=_REGISTRIES[alg]).payload
    except DecodeError:
        raise Refused("token_malformed", "token", expected="a header and content in base64url") from None
    except JoseError:
        raise Refused("sig_invalid", "signature", expected=f"an {alg} signature by this key") from None
    return _object(content, "claims_malformed", "content")


def _check_issuer(claims: Mapping[str, Any], registration: Registration, trace: Trace) -> None:
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer != registration.issuer:
        raise Refused("issuer_mismatch", "issuer", expected=registration.issuer, received=_received(claims, "iss"))
    trace.passed("issuer", expected=registration.issuer, received=issuer)


def _check_audience(claims: Mapping[str, Any], registration: Registration, trace: Trace) -> None:
    client = registration.client_id
    received = _received(claims, "aud")
    audiences = _audiences(claims.get("aud"))
    if client is None or client not in audiences:
        raise Refused("audience_mismatch", "audience", expected=client, received=received)
    strangers = audiences - {client, *registration.trusted_audiences}
    if strangers:
        raise Refused("audience_untrusted", "audience", expected=f"nobody but {client}", received=received)
    party = claims.get("azp")
    if party != client and (party is not None or len(audiences) > 1):
        raise Refused("azp_mismatch", "audience", expected=client, received=f"azp {_received(claims, 'azp')}")
    trace.passed("audience", expected=client, received=received)


def _audiences(aud: object) -> frozenset[str]:
    """The audiences; none for anything that is no text and no list of texts."""
    texts = [aud] if isinstance(aud, str) else aud
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return frozenset()
    return frozenset(texts)


def _compare_clocks(
    claims: Mapping[str, Any], registration: Registration, now: float, trace: Trace, asked_at: float | None
) -> None:
    """Warn when the clocks differ. A token answers its login: one that was issued before it comes from a late clock."""
    issued, leeway = _time(claims, "iat"), _leeway(registration)
    ahead, behind = issued - now, asked_at - issued if asked_at is not None else 0.0
    for seconds, where in ((ahead, "ahead of"), (behind, "behind")):
        if seconds > leeway:
            trace.warn(f"the clock of the LMS seems to be about {_about(seconds)} {where} this host's")


def _check_time(claims: Mapping[str, Any], registration: Registration, now: float, trace: Trace) -> None:
    leeway = _leeway(registration)
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    not_before = _time(claims, "nbf") if claims.get("nbf") is not None else issued
    faults = (
        ("time_invalid", issued >= expires),
        ("lifetime_too_long", expires - issued > MAX_VALIDITY),
        ("issued_in_future", issued > now + leeway),
        ("not_yet_valid", not_before > now + leeway),
        ("expired", now >= expires + leeway),
        ("issued_too_long_ago", now - issued >= MAX_AGE + leeway),
    )
    age = now - issued
    when = f"{age:.0f} s ago" if age >= 0 else f"{-age:.0f} s in the future"
    received = f"issued {when}, valid for {expires - issued:.0f} s"
    for code, found in faults:
        if found:
            expected = f"issued at most {MAX_AGE} s ago and not expired, give or take {leeway} s"
            raise Refused(code, "time", expected=expected, received=received)
    trace.passed("time", received=received)


def _leeway(registration: Registration) -> int:
    return min(max(registration.leeway, 0), MAX_LEEWAY)


def _about(seconds: float) -> str:
    units = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
    size, unit = next((pair for pair in units if seconds >= 2 * pair[0]), (1, "seconds"))
    return f"{seconds / size:.0f} {unit}"


def _time(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate in seconds since the epoch. RFC 7519 2: a JSON number, so no text and no boolean."""
    value = claims.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise Refused("time_invalid", "time", expected=f"{name} as a number", received=_received(claims, name))


def _check_nonce(claims: Mapping[str, Any], nonce_hash: bytes, trace: Trace) -> None:
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not nonce or not hmac.compare_digest(digest(nonce), nonce_hash):
        # What came is not noted: it may be the live nonce of another login.
        received = "another one" if nonce else "none"
        raise Refused("nonce_mismatch", "nonce", expected="the nonce of this login", received=received)
    trace.passed("nonce")


def _received(claims: Mapping[str, Any], name: str) -> str:
    return shown(claims[name]) if name in claims else "absent"
