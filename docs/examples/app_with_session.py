"""An application that remembers who launched it, on every rung of the cookie ladder.

In a frame an ordinary cookie is lost. `launch.browser.cookies` says what works, so this application
sends a partitioned cookie where cookies work at all, and also writes its session token into the page, which sends it
back as a header. Either will do; neither depends on the browser.
"""

import html
import os
import secrets
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

HOST = os.environ["HOST_URL"]
KEY = os.environ["API_KEY"]
COOKIE = "__Host-session"
HOURS = 12

#: session token -> launch. A real application keeps this in its database, with the token hashed.
sessions: dict[str, dict[str, Any]] = {}


async def launch(request: Request) -> Response:
    """The launch URL: exchange the code, open a session of our own."""
    async with httpx2.AsyncClient(base_url=HOST, headers={"Authorization": f"Bearer {KEY}"}) as host:
        answer = await host.post("/api/v1/launches/exchange", json={"code": request.query_params.get("code", "")})
    if answer.status_code != 200:
        return HTMLResponse("<p>Please open this page from your course.</p>", 403)
    launched = answer.json()
    token = secrets.token_urlsafe(32)
    sessions[token] = launched
    name = html.escape(launched["user"]["name"] or "whoever you are")
    page = HTMLResponse(f'<body data-session="{token}"><p>Hello {name}.</p></body>')
    cookies = launched["browser"]["cookies"]
    if cookies != "none":
        # Written by hand: http.cookies refuses `Partitioned` before Python 3.14.
        kind = "; Partitioned" if cookies == "partitioned" else ""
        attributes = f"Max-Age={HOURS * 3600}; Path=/; Secure; HttpOnly; SameSite=None{kind}"
        page.headers.append("Set-Cookie", f"{COOKIE}={token}; {attributes}")
    return page


async def me(request: Request) -> Response:
    """Any later request: the session by header (from the page) or by cookie."""
    token = request.headers.get("X-Session") or request.cookies.get(COOKIE, "")
    known = sessions.get(token)
    if known is None:
        return JSONResponse({"error": "open the application from your course"}, 401)
    return JSONResponse({"user": known["user"]["id"], "context": known["context"], "role": known["role"]})


app = Starlette(routes=[Route("/launch", launch), Route("/me", me)])
