"""`walk`: goes through a launch as a browser without scripts and frames does, over plain HTTP.

It follows redirects, sends forms that would send themselves, and keeps cookies by a browser's rules where they matter
to LTI: `Secure` counts as fulfilled on loopback (RFC 6265bis; httpx's own jar would not send such a cookie over http),
`__Host-` and `SameSite` are obeyed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx2

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "127.0.0.2", "::1"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_STEPS = 25


class WalkError(Exception):
    """The walk went in a circle or came to no end."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the walk and its answer's status."""

    method: str
    url: str
    status: int


@dataclass(frozen=True, slots=True)
class Walk:
    """The way of a launch and where it ended. `response.text` is the last page."""

    steps: tuple[Step, ...]
    response: httpx2.Response

    @property
    def ok(self) -> bool:
        return self.response.is_success


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a page: where it goes and the fields it carries."""

    action: str
    method: str
    fields: Mapping[str, str]
    sends_itself: bool


@dataclass(slots=True)
class _Cookie:
    value: str
    same_site: str
    secure: bool
    path: str
    expires: float | None


@dataclass(slots=True)
class CookieJar:
    """Cookies per host; ports do not matter, as in browsers. `clock` answers Unix seconds."""

    clock: Callable[[], float] = time.time
    _cookies: dict[tuple[str, str], _Cookie] = field(default_factory=dict)

    def store(self, url: str, header: str) -> None:
        """Take one Set-Cookie header. One that a browser would refuse is dropped."""
        pair, *attributes = (part.strip() for part in header.split(";"))
        name, _, value = pair.partition("=")
        given = {key.strip().lower(): text.strip() for key, _, text in (item.partition("=") for item in attributes)}
        parts = urlsplit(url)
        trusted = parts.scheme == "https" or parts.hostname in _LOOPBACK
        if ("secure" in given and not trusted) or not _allowed(name, given):
            return
        self._cookies[parts.hostname or "", name] = _Cookie(
            value=value,
            same_site=given.get("samesite", "lax").lower(),
            secure="secure" in given,
            path=given.get("path") or "/",
            expires=self.clock() + float(given["max-age"]) if "max-age" in given else None,
        )

    def header(self, url: str, *, cross_site: bool, method: str) -> str | None:
        """The Cookie header for a top-level navigation to `url`."""
        parts = urlsplit(url)
        found = [
            f"{name}={cookie.value}"
            for (host, name), cookie in self._cookies.items()
            if host == parts.hostname and self._goes(cookie, parts.path or "/", cross_site, method)
        ]
        return "; ".join(found) or None

    def names(self, host: str) -> set[str]:
        """The names of the cookies kept for a host."""
        return {name for known, name in self._cookies if known == host}

    def _goes(self, cookie: _Cookie, path: str, cross_site: bool, method: str) -> bool:
        if cookie.expires is not None and cookie.expires <= self.clock():
            return False
        base = cookie.path.rstrip("/")
        if path != base and not path.startswith(base + "/"):
            return False
        lax = cookie.same_site == "lax" and method == "GET"
        return not cross_site or cookie.same_site == "none" or lax


class Driver:
    """A browser window: a client and its cookies. Use it as `async with Driver() as driver`."""

    def __init__(self, *, clock: Callable[[], float] = time.time, verify: bool = True) -> None:
        self.cookies = CookieJar(clock)
        self._client = httpx2.AsyncClient(follow_redirects=False, timeout=30, trust_env=False, verify=verify)

    async def __aenter__(self) -> Driver:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.aclose()

    async def walk(self, url: str, *, fields: Mapping[str, str] | None = None) -> Walk:
        """Open `url` (post `fields` to it, if given) and go on until a page stands still. Raises WalkError."""
        steps: list[Step] = []
        origin: str | None = None
        while len(steps) < MAX_STEPS:
            response = await self.request(url, fields, initiator=origin)
            steps.append(Step(response.request.method, url, response.status_code))
            following = _next(response, url, fields)
            if following is None:
                return Walk(tuple(steps), response)
            if response.status_code not in _REDIRECTS:
                origin = url  # a redirect keeps the page that started the navigation, a form is that page
            url, fields = following
        raise WalkError(f"no end after {MAX_STEPS} steps, last at {url}")

    async def request(
        self, url: str, fields: Mapping[str, str] | None = None, *, initiator: str | None = None
    ) -> httpx2.Response:
        """One top-level navigation, started by the page `initiator`; redirects are not followed."""
        method = "GET" if fields is None else "POST"
        cross_site = initiator is not None and urlsplit(initiator).hostname != urlsplit(url).hostname
        headers = {
            "Accept": "text/html,application/xhtml+xml",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "none" if initiator is None else "cross-site" if cross_site else "same-origin",
        }
        if cookie := self.cookies.header(url, cross_site=cross_site, method=method):
            headers["Cookie"] = cookie
        response = await self._client.request(method, url, data=fields, headers=headers)
        for header in response.headers.get_list("set-cookie"):
            self.cookies.store(url, header)
        self._client.cookies.clear()
        return response


async def walk(url: str) -> Walk:
    """Open `url` in a new window and go on until a page stands still."""
    async with Driver() as driver:
        return await driver.walk(url)


def forms(html: str, base_url: str) -> list[Form]:
    """The forms of a page with their hidden fields."""
    reader = _FormReader(base_url)
    reader.feed(html)
    return reader.forms


def _next(
    response: httpx2.Response, url: str, fields: Mapping[str, str] | None
) -> tuple[str, Mapping[str, str] | None] | None:
    """Where the browser goes by itself after this answer; None when it stays."""
    if response.status_code in _REDIRECTS:
        kept = fields if response.status_code in (307, 308) else None
        return urljoin(url, response.headers["location"]), kept
    if "html" not in response.headers.get("content-type", ""):
        return None
    found = forms(response.text, url)
    if len(found) != 1 or not found[0].sends_itself or not response.is_success:
        return None
    form = found[0]
    return form.action, dict(form.fields)


def _allowed(name: str, given: Mapping[str, str]) -> bool:
    """The rules of `__Host-` and of SameSite=None."""
    if given.get("samesite", "").lower() == "none" and "secure" not in given:
        return False
    return not name.startswith("__Host-") or ("secure" in given and "domain" not in given and given.get("path") == "/")


class _FormReader(HTMLParser):
    """Collects forms. One sends itself when it is a post whose fields are all hidden (a button may stand by)."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._base_url = base_url
        self._open: dict[str, str] | None = None
        self._action = ""
        self._method = "get"
        self._visible = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open, self._visible = {}, False
            self._action = urljoin(self._base_url, given.get("action", ""))
            self._method = given.get("method", "get").lower()
        elif self._open is not None and tag in ("input", "select", "textarea"):
            if given.get("type", "text").lower() == "hidden":
                self._open[given.get("name", "")] = given.get("value", "")
            elif given.get("type", "text").lower() not in ("submit", "button"):
                self._visible = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._open is not None:
            sends_itself = self._method == "post" and bool(self._open) and not self._visible
            self.forms.append(Form(self._action, self._method, self._open, sends_itself))
            self._open = None
