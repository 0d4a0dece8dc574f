"""The driver keeps cookies and reads forms as a browser does where it matters to LTI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ltihost.testing.driver import CookieJar, Driver, WalkError, forms, walk
from ltihost.testing.serving import listen, port_of, serving
from tests.campus.conftest import Clock

LOCAL = "http://localhost:8000/lti/login"


@pytest.fixture
def jar(clock: Clock) -> CookieJar:
    return CookieJar(clock)


@pytest.mark.parametrize(
    ("url", "header", "kept"),
    [
        (LOCAL, "__Host-a=1; Path=/; Secure; HttpOnly; SameSite=None; Partitioned", True),
        ("https://tool.example.org/", "__Host-a=1; Path=/; Secure", True),
        ("http://tool.example.org/", "a=1; Secure", False),
        (LOCAL, "__Host-a=1; Path=/", False),
        (LOCAL, "__Host-a=1; Path=/lti; Secure", False),
        (LOCAL, "__Host-a=1; Path=/; Secure; Domain=localhost", False),
        (LOCAL, "a=1; SameSite=None", False),
        (LOCAL, "a=1", True),
    ],
)
def test_which_cookies_are_kept(jar: CookieJar, url: str, header: str, kept: bool) -> None:
    jar.store(url, header)
    assert (jar.header(url, cross_site=False, method="GET") is not None) is kept


@pytest.mark.parametrize(
    ("same_site", "cross_site", "method", "goes"),
    [
        ("None; Secure", True, "POST", True),
        ("Lax", True, "POST", False),
        ("Lax", True, "GET", True),
        ("Strict", True, "GET", False),
        ("Strict", False, "POST", True),
    ],
)
def test_which_cookies_go(jar: CookieJar, same_site: str, cross_site: bool, method: str, goes: bool) -> None:
    jar.store(LOCAL, f"a=1; Path=/; SameSite={same_site}")
    assert (jar.header(LOCAL, cross_site=cross_site, method=method) == "a=1") is goes


def test_cookies_are_a_hosts_own_whatever_the_port(jar: CookieJar) -> None:
    jar.store("http://localhost:1/", "a=1")
    assert jar.header("http://localhost:2/", cross_site=False, method="GET") == "a=1"
    assert jar.header("http://127.0.0.1:1/", cross_site=False, method="GET") is None


def test_cookies_expire_and_have_paths(jar: CookieJar, clock: Clock) -> None:
    jar.store(LOCAL, "a=1; Path=/lti; Max-Age=60")
    assert jar.header("http://localhost/lti/launch", cross_site=False, method="GET") == "a=1"
    assert jar.header("http://localhost/ltihost", cross_site=False, method="GET") is None
    clock.now += 60
    assert jar.header("http://localhost/lti/launch", cross_site=False, method="GET") is None


@pytest.mark.parametrize(
    ("html", "sends_itself"),
    [
        ('<form method="post"><input type="hidden" name="a" value="1"></form>', True),
        ('<form method="post"><input type=hidden name=a><button>Go</button><input type=submit></form>', True),
        ('<form method="post"><input type="hidden" name="a"><input name="b"></form>', False),
        ('<form method="post"><input type="hidden" name="a"><textarea name="b"></textarea></form>', False),
        ('<form><input type="hidden" name="a"></form>', False),
        ('<form method="post"><button>Go</button></form>', False),
    ],
)
def test_which_forms_send_themselves(html: str, sends_itself: bool) -> None:
    assert [form.sends_itself for form in forms(html, "http://localhost/a/b")] == [sends_itself]


def test_forms_are_read_with_their_entities_and_relative_actions() -> None:
    html = '<form method="POST" action="c?x=1&amp;y=2"><input type="hidden" name="h" value="{&quot;a&quot;:1}"/></form>'
    (form,) = forms(html, "http://localhost/a/b")
    assert (form.action, form.method, form.fields) == ("http://localhost/a/c?x=1&y=2", "post", {"h": '{"a":1}'})


async def _start(request: Request) -> Response:
    response = RedirectResponse("/form", 302)
    response.headers.append("set-cookie", "__Host-flow=secret; Path=/; Secure; SameSite=None; Partitioned")
    return response


async def _form(request: Request) -> Response:
    return HTMLResponse('<form method="post" action="/end"><input type="hidden" name="a" value="ä &amp; b"></form>')


async def _end(request: Request) -> Response:
    told = request.headers
    fields = await request.form()
    return PlainTextResponse(f"{told.get('cookie')} {fields['a']} {told['sec-fetch-dest']} {told['sec-fetch-site']}")


async def _circle(request: Request) -> Response:
    return RedirectResponse("/circle", 307)


async def _broken(request: Request) -> Response:
    return HTMLResponse('<form method="post"><input type="hidden" name="a" value="1"></form>', 400)


@pytest.fixture
def site() -> Iterator[str]:
    sockets = listen("localhost")
    app = Starlette(
        routes=[
            Route("/start", _start),
            Route("/form", _form),
            Route("/end", _end, methods=["POST"]),
            Route("/circle", _circle),
            Route("/broken", _broken),
        ]
    )
    with serving(app, sockets):
        yield f"http://localhost:{port_of(sockets)}"


async def test_walk_follows_redirects_and_forms_with_its_cookies(site: str) -> None:
    way = await walk(f"{site}/start")
    assert [(step.method, step.url.removeprefix(site), step.status) for step in way.steps] == [
        ("GET", "/start", 302),
        ("GET", "/form", 200),
        ("POST", "/end", 200),
    ]
    assert way.response.text == "__Host-flow=secret ä & b document same-origin"


async def test_walk_does_not_go_in_circles(site: str) -> None:
    with pytest.raises(WalkError):
        await walk(f"{site}/circle")


async def test_walk_ends_at_an_error_page_even_if_it_holds_a_form(site: str) -> None:
    async with Driver() as driver:
        way = await driver.walk(f"{site}/broken")
    assert not way.ok
    assert [step.status for step in way.steps] == [400]
