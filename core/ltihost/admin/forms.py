"""Whether a form that arrives was sent by a page of ours, from this browser, for this purpose."""

from __future__ import annotations

import hmac
from hashlib import sha256

from starlette.datastructures import FormData
from starlette.requests import Request

MAX_FIELDS = 20


def is_from_here(request: Request, origin: str) -> bool:
    """Whether the browser says that a page of this host sent the request. Silence is a no.

    Every browser that knows `Sec-Fetch-Site` sends it to https and to this machine; older ones send `Origin` with a
    form post.
    """
    site, sender = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and sender is None:
        return False
    return site in (None, "same-origin") and sender in (None, origin)


class FormTokens:
    """Tokens in forms, each good for one purpose only. The keys are those of the host, newest first."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    def make(self, purpose: bytes) -> str:
        """The token for a form of this purpose."""
        return hmac.new(self._keys[0], purpose, sha256).hexdigest()

    def is_good(self, token: str, purpose: bytes) -> bool:
        """Whether the token was made for this purpose."""
        return any(
            hmac.compare_digest(hmac.new(key, purpose, sha256).hexdigest().encode(), token.encode())
            for key in self._keys
        )


async def text_fields(request: Request) -> dict[str, str]:
    """The fields of a form, those that are text."""
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
        return _texts(form)


def _texts(form: FormData) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}
