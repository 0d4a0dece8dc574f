"""The HTML answers of the LTI routes, their headers, and every cookie the host writes.

Pages shown inside an LMS hold no data and no control but "open in a new window", since they may be framed by it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ltihost.errors import Reason
from ltihost.records import Registration
from ltihost.settings import Network
from ltihost.targets import origin_of

STATIC = Path(str(files("ltihost") / "static"))
FLOW_COOKIE = "__Host-lti-"
SEEN_COOKIE = "__Host-lti-seen"
CODE_COOKIE = "__Host-lticode-"
FLOW_SECONDS = 600
SEEN_SECONDS = 30 * 86400
CODE_SECONDS = 60
#: Chromium keeps 60 partitioned cookies per site and LMS; beyond that the oldest login would be lost in silence.
MAX_FLOWS = 40
_SPENT = "spent"

#: What a person reads, per page: title and advice. No word of it depends on what failed inside.
WORDS: Mapping[str, tuple[str, str]] = {
    "relaunch": ("Please open this link again", "Go back to your course and open the link once more. A page that was reloaded or kept open for a while cannot be used twice."),
    "unknown": ("This learning platform is not connected", "The link leads to a tool that does not know your learning platform. Please tell the people who look after it; the code below helps them."),
    "browser": ("Your browser kept us from recognising you", "Cookies of this site are blocked. Open the link in a window of its own; if you did that already, allow cookies for this site or use another browser."),
    "waiting": ("This place is waiting for approval", "The tool was opened from here for the first time. Once an administrator has approved it, the link will work."),
    "off": ("This tool is switched off here", "An administrator has switched the tool off for your organisation, or has not switched it on yet."),
    "no_picker": ("There is nothing to choose from here", "This tool has no page where content could be chosen. Add it to your course as a link instead; opening the link works as always."),
    "rejected": ("This link could not be checked", "The message from your learning platform did not pass our checks, so we stopped here. Please tell the people who look after it; the code below helps them."),
    "late": ("This link took too long", "The message from your learning platform was too old when it came. Please open the link again. If it happens each time, a clock is wrong: tell the people who look after it; the code below helps them."),
    "later": ("Please try again in a moment", "Something that is needed to open this link did not answer. Nothing was lost; opening the link again usually helps."),
    "account": ("Please sign in to your learning platform again", "Your learning platform did not confirm who you are. Sign in there, with one account only, and open the link again; a new window can help."),
}  # fmt: skip


class Pages:
    """Renders pages for one host. `allow_networks` decides which http origins may frame them."""

    def __init__(self, allow_networks: Sequence[Network]) -> None:
        self._allow_networks = allow_networks
        self._templates = page_templates()

    def refusal(
        self, reason: Reason, code: str, registration: Registration | None, *, retry_after: int | None = None
    ) -> Response:
        """The kind page: what happened in one sentence, what to do, a short code. No internals."""
        title, advice = WORDS[reason.page]
        home = registration.home_url if registration and reason.page in ("relaunch", "late", "account") else None
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        return self._page(
            "refusal.html", registration, reason.status, headers, title=title, advice=advice, code=code, home=home
        )

    def rung(self, registration: Registration, **data: str) -> Response:
        """The page that finds out, before the launch, how this browser can be recognised afterwards."""
        return self._page("rung.html", registration, 200, {}, **data)

    def storage(self, registration: Registration, **data: str) -> Response:
        """The page that asks platform storage for this browser's secret and confirms the launch."""
        return self._page("storage.html", registration, 200, {}, **data)

    def deep_link_return(self, *, action: str, jwt: str, frame_ancestors: str) -> Response:
        """The page that posts a deep linking answer to the platform at once; without scripts it takes a click.

        Its form may go on to wherever the platform redirects it, so any https page is permitted.
        """
        nonce = secrets.token_urlsafe(16)
        html = self._templates.get_template("deep_link_return.html").render(action=action, jwt=jwt, nonce=nonce)
        headers = lti_headers(frame_ancestors)
        headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; form-action https: {origin_of(action)}; "
            f"base-uri 'none'; frame-ancestors {frame_ancestors}"
        )
        return HTMLResponse(html, headers=headers)

    def message(
        self,
        registration: Registration | None,
        title: str,
        advice: str,
        *,
        status: int = 200,
        frame_ancestors: str | None = None,
    ) -> Response:
        """A page that only says something. `frame_ancestors` takes the place of the registration's."""
        response = self._page(
            "refusal.html", registration, status, {}, title=title, advice=advice, code=None, home=None
        )
        if frame_ancestors is not None:
            response.headers.update(lti_headers(frame_ancestors))
        return response

    def _page(
        self, name: str, registration: Registration | None, status: int, headers: dict[str, str], **values: Any
    ) -> Response:
        html = self._templates.get_template(name).render(**values)
        return HTMLResponse(html, status, headers=headers | lti_headers(self.frame_ancestors(registration)))

    def frame_ancestors(self, registration: Registration | None) -> str:
        """The administrator's list; without one any https page (LMS pages live on school and vanity hosts) and this
        registration's http origins inside the permitted networks."""
        if registration is None:
            return "https:" + "".join(f" {origin}" for origin in self._local_origins())
        if registration.frame_origins:
            return " ".join(registration.frame_origins)
        urls = (registration.issuer, registration.auth_url)
        plain = sorted({origin for url in urls if (origin := origin_of(url)) and self._permitted_http(origin)})
        return " ".join(["https:", *plain])

    def _local_origins(self) -> tuple[str, ...]:
        """For a page that belongs to no registration: machines of one's own, when they are permitted at all."""
        loopback = any(network.overlaps(_LOOPBACK) for network in self._allow_networks if network.version == 4)
        return ("http://127.0.0.1:*", "http://localhost:*") if loopback else ()

    def _permitted_http(self, origin: str) -> bool:
        if not origin.startswith("http://"):
            return False
        host = (
            origin.removeprefix("http://").rpartition(":")[0]
            if origin.count(":") > 1
            else origin.removeprefix("http://")
        )
        if host == "localhost":
            return bool(self._local_origins())
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return bool(self._allow_networks)
        return any(address in network for network in self._allow_networks if network.version == address.version)


_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


def page_templates() -> Environment:
    """The templates of the host's own pages. Jinja2 takes what `_("...")` answers for HTML, so it is escaped there."""
    templates = Environment(
        loader=PackageLoader("ltihost"), autoescape=True, undefined=StrictUndefined, extensions=["jinja2.ext.i18n"]
    )
    templates.install_gettext_callables(  # type: ignore[attr-defined]
        escape, lambda one, several, count: escape(one if count == 1 else several), newstyle=True
    )
    templates.globals["asset"] = asset_url
    return templates


@cache
def asset_url(name: str) -> str:
    """The URL of a file in `static/`, with its content's hash, so that it may be cached for ever."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def lti_headers(frame_ancestors: str) -> dict[str, str]:
    """Headers of a page of ours inside an LMS. No X-Frame-Options: it knows no list of origins."""
    return {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            f"form-action 'none'; base-uri 'none'; frame-ancestors {frame_ancestors}"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    }


def redirect(url: str, status: int = 302) -> Response:
    """Go elsewhere; nothing is kept and no referrer is sent."""
    return RedirectResponse(url, status, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def set_flow_cookie(response: Response, flow: str, secret: str, now: float, *, partitioned: bool = True) -> None:
    """Give this browser the secret of one login, apart from every other login's."""
    _write_cookie(response, FLOW_COOKIE + flow, f"{int(now)}.{secret}", FLOW_SECONDS, partitioned=partitioned)


def spend_flow_cookie(response: Response, flow: str) -> None:
    """Take the secret away. The name stays until it expires, so that a reload is told from a blocked cookie."""
    _write_cookie(response, FLOW_COOKIE + flow, _SPENT, FLOW_SECONDS)


def set_seen_cookie(response: Response) -> None:
    """Remember, without any data, that cookies of ours come back in this place."""
    _write_cookie(response, SEEN_COOKIE, "1", SEEN_SECONDS)


def set_code_cookie(response: Response, code: str) -> None:
    """Let only this browser bring the code to an application mounted here."""
    _write_cookie(response, _code_cookie(code), "1", CODE_SECONDS)


def has_code_cookie(cookies: Mapping[str, str], code: str) -> bool:
    """Whether the code was given to this browser."""
    return _code_cookie(code) in cookies


def _code_cookie(code: str) -> str:
    return CODE_COOKIE + hashlib.sha256(code.encode()).hexdigest()[:16]


def drop_oldest_flows(request: Request, response: Response) -> None:
    """Keep at most MAX_FLOWS logins per browser, the newest ones."""
    flows = [(_age(value), name) for name, value in request.cookies.items() if _is_flow(name)]
    for _, name in sorted(flows)[: max(0, len(flows) - MAX_FLOWS + 1)]:
        _write_cookie(response, name, "", 0)


def flow_secret(request: Request, flow: str) -> tuple[str | None, bool]:
    """This browser's secret for one login, and whether that login was spent already."""
    value = request.cookies.get(FLOW_COOKIE + flow)
    if value is None or value == _SPENT:
        return None, value == _SPENT
    return value.partition(".")[2], False


def has_our_cookie(request: Request) -> bool:
    """Whether any cookie of the host came back."""
    return any(name.startswith("__Host-lti") for name in request.cookies)


def _is_flow(name: str) -> bool:
    return name.startswith(FLOW_COOKIE) and name != SEEN_COOKIE


def _age(value: str) -> int:
    issued = value.partition(".")[0]
    return int(issued) if len(issued) <= 12 and issued.isascii() and issued.isdigit() else 0


def _write_cookie(response: Response, name: str, value: str, seconds: int, *, partitioned: bool = True) -> None:
    """Written by hand: http.cookies refuses Partitioned before Python 3.14."""
    expires = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(0)) if seconds == 0 else ""
    gone = f"; Expires={expires}" if expires else ""
    kind = "; Partitioned" if partitioned else ""
    response.headers.append(
        "set-cookie", f"{name}={value}; Max-Age={seconds}{gone}; Path=/; Secure; HttpOnly; SameSite=None{kind}"
    )
