"""The demo application: a card that shows the launch it was given. It is mounted in the host, no API key needed.

A launch arrives as GET `<mount>/launch` with `scope["ltihost.launch"]`, the dict an application would get in exchange
for its code. Nothing on its pages is inline or from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

_STATIC = Path(str(files("ltihost.testing") / "static" / "demo"))
#: LMS pages live on school and vanity hosts, and for a demo on this machine; the card has no control worth a click.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors https: http://127.0.0.1:* http://localhost:*"
    ),
    "Cache-Control": "no-store",
}
#: What a person is called here, by the role of the launch.
ROLES = {
    "administrator": "Administrator",
    "content_developer": "Content developer",
    "instructor": "Teacher",
    "teaching_assistant": "Teaching assistant",
    "learner": "Student",
    "mentor": "Mentor",
    "member": "Member",
    "none": "No role in this course",
}
#: How the browser was recognised, in a sentence.
RUNGS = {
    "cookie": "recognised by a cookie",
    "storage": "recognised by the LMS's platform storage",
    "window": "opened in a window of its own",
}
COOKIES = {"partitioned": "cookies work in this frame", "first_party": "cookies work", "none": "no cookies here"}
CAPABILITIES = {
    "grades": "Grades",
    "line_items": "Gradebook columns",
    "results": "Reading results",
    "roster": "Roster",
    "groups": "Groups",
    "names": "Names",
    "emails": "E-mail addresses",
    "pictures": "Pictures",
}


def build_demo_app() -> ASGIApp:
    """The application, to be mounted anywhere."""
    templates = Environment(
        loader=PackageLoader("ltihost.testing"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.globals.update(roles=ROLES, rungs=RUNGS, cookies=COOKIES, capability_names=CAPABILITIES)

    async def show(request: Request) -> Response:
        launch: Mapping[str, Any] | None = request.scope.get("ltihost.launch")
        name = "demo_launch.html" if launch else "demo_closed.html"
        html = templates.get_template(name).render(
            static=request.scope.get("root_path", "") + "/static",
            launch=launch,
            initials=_initials(launch["user"]) if launch else "",
            raw=json.dumps(launch, indent=2, ensure_ascii=False),
        )
        return HTMLResponse(html, 200 if launch else 404, headers=HEADERS)

    return Starlette(
        routes=[
            Route("/launch", show),
            Route("/", show),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ]
    )


def _initials(user: Mapping[str, Any]) -> str:
    words = (user["name"] or " ".join(filter(None, (user["given_name"], user["family_name"])))).split()
    return (words[0][0] + words[-1][0]).upper() if words else "?"
