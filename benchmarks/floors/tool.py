"""The smallest correct LTI 1.3 tool, without a store: what both floors have in common.

It does the whole of a launch and nothing more: registration looked up, signed state with nonce and expiry, a cookie
that binds the browser, RS256, and the checks of issuer, audience, time, nonce, deployment and message. `accept` is
the floor's own part: one transaction that spends the nonce and stores person, launch with claims, and audit row.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import time
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
STATE_SECONDS = 600
LEEWAY = 60


class RefusedError(Exception):
    """This launch is not let in."""


@dataclass(frozen=True)
class Registration:
    issuer: str
    client_id: str
    deployment_id: str
    auth_url: str
    jwks_url: str
    launch_url: str


@dataclass(frozen=True)
class Accepted:
    """What `accept` stores. `nonce` is spent by it, once."""

    registration: int
    nonce: bytes
    subject: str
    name: str | None
    email: str | None
    claims: str


Accept = Callable[[Accepted], Awaitable[None]]

_secret = secrets.token_bytes(32)
_known = [Registration(**fields) for fields in json.loads(os.environ["FLOOR_REGISTRATIONS"])]
_registrations = {(registration.issuer, registration.client_id): registration for registration in _known}
_numbers = {registration: number for number, registration in enumerate(_known)}
_keys: dict[tuple[str, str], RSAKey] = {}
_fetched: dict[str, float] = {}
_fetching = asyncio.Lock()


def build_app(open_store: Callable[[], AbstractAsyncContextManager[Accept]]) -> Starlette:
    """The tool, with its store opened for as long as it runs. `accept` raises RefusedError for a nonce that is spent."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_store() as app.state.accept:
            yield

    routes = [Route("/lti/login", login), Route("/lti/launch", launch, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


async def login(request: Request) -> Response:
    query = request.query_params
    registration = _registrations.get((query.get("iss", ""), query.get("client_id", "")))
    if registration is None:
        return PlainTextResponse("unknown platform", 400)
    nonce, browser, flow = secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(6)
    expires = int(time.time()) + STATE_SECONDS
    sent = {
        "scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none",
        "client_id": registration.client_id, "redirect_uri": registration.launch_url,
        "login_hint": query.get("login_hint", ""), "lti_message_hint": query.get("lti_message_hint", ""),
        "nonce": nonce, "state": _seal(f"{_numbers[registration]}.{flow}.{expires}.{_digest(nonce)}.{_digest(browser)}"),
    }  # fmt: skip
    answer = RedirectResponse(f"{registration.auth_url}?{urlencode(sent)}", 302)
    cookie = f"__Host-{flow}={browser}; Path=/; Max-Age={STATE_SECONDS}; Secure; HttpOnly; SameSite=None; Partitioned"
    answer.headers["set-cookie"] = cookie
    return answer


async def launch(request: Request) -> Response:
    form = dict(parse_qsl((await request.body()).decode("ascii", "replace"), max_num_fields=8))
    try:
        registration, nonce_digest = _redeem_state(form.get("state", ""), request.cookies)
        claims = await _verify(form.get("id_token", ""), registration)
        _check_message(claims, registration, nonce_digest)
        await request.app.state.accept(_accepted(claims, registration, nonce_digest))
    except RefusedError as refused:
        return PlainTextResponse(str(refused), 400)
    return HTMLResponse("<!doctype html><title>Launched</title>")


def _redeem_state(state: str, cookies: dict[str, str]) -> tuple[Registration, str]:
    number, flow, expires, nonce_digest, browser_digest = _unseal(state).split(".")
    if int(expires) < time.time():
        raise RefusedError("state expired")
    if not hmac.compare_digest(_digest(cookies.get(f"__Host-{flow}", "")), browser_digest):
        raise RefusedError("another browser")
    return _known[int(number)], nonce_digest


async def _verify(token: str, registration: Registration) -> dict[str, Any]:
    try:
        head = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
        key = await _key(registration, head["kid"])
        return jwt.decode(token, key, algorithms=["RS256"]).claims
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"token: {error}") from error


async def _key(registration: Registration, kid: str) -> RSAKey:
    """The platform's key of this name, kept as an object. An unknown name fetches the key set, once a minute at most."""
    url = registration.jwks_url
    if (url, kid) not in _keys:
        async with _fetching:
            if time.time() - _fetched.get(url, 0) > 60:
                await _fetch_keys(url)
    return _keys[url, kid]


async def _fetch_keys(url: str) -> None:
    _fetched[url] = time.time()
    key_set = json.loads(await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read()))
    _keys.update({(url, item["kid"]): RSAKey.import_key(item) for item in key_set["keys"]})


def _check_message(claims: dict[str, Any], registration: Registration, nonce_digest: str) -> None:
    now, audience = time.time(), claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    good = {
        "issuer": claims.get("iss") == registration.issuer,
        "audience": audiences == [registration.client_id],
        "azp": claims.get("azp", registration.client_id) == registration.client_id,
        "expired": claims.get("exp", 0) > now - LEEWAY,
        "iat": now - STATE_SECONDS < claims.get("iat", 0) < now + LEEWAY,
        "nonce": hmac.compare_digest(_digest(claims.get("nonce", "")), nonce_digest),
        "deployment": claims.get(LTI + "deployment_id") == registration.deployment_id,
        "version": claims.get(LTI + "version") == "1.3.0",
        "message": claims.get(LTI + "message_type") == "LtiResourceLinkRequest",
        "target": claims.get(LTI + "target_link_uri") == registration.launch_url,
        "link": isinstance(claims.get(LTI + "resource_link", {}).get("id"), str),
        "roles": isinstance(claims.get(LTI + "roles"), list),
        "subject": isinstance(claims.get("sub"), str),
    }
    if not all(good.values()):
        raise RefusedError(", ".join(name for name, passed in good.items() if not passed))


def _accepted(claims: dict[str, Any], registration: Registration, nonce_digest: str) -> Accepted:
    number, kept = _numbers[registration], json.dumps(claims, separators=(",", ":"))
    return Accepted(number, nonce_digest.encode(), claims["sub"], claims.get("name"), claims.get("email"), kept)


def _digest(value: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(value.encode()).digest()).decode()


def _seal(text: str) -> str:
    return f"{text}.{_mac(text)}"


def _unseal(sealed: str) -> str:
    text, _, mac = sealed.rpartition(".")
    if not hmac.compare_digest(_mac(text).encode(), mac.encode()):
        raise RefusedError("state not ours")
    return text


def _mac(text: str) -> str:
    return urlsafe_b64encode(hmac.digest(_secret, text.encode(), "sha256")).decode()
