"""The quiz's pages: for students, for teachers, for choosing content. Nothing on them is inline or from elsewhere."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ltihost.testing.demo_app.api import HostApi, HostError, Json
from ltihost.testing.demo_app.quiz import QUIZZES, Attempt, Attempts
from ltihost.testing.demo_app.work import TEACHING, Launch, PersonRow, Standing, Work

_STATIC = Path(str(files("ltihost.testing") / "static" / "demo"))
#: LMS pages live on school and vanity hosts, and for a demo on this machine.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors https: http://127.0.0.1:* http://localhost:*"
    ),
    "Referrer-Policy": "no-referrer",
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
_SESSIONS = 5_000
_DEFAULT_POINTS = 10


@dataclass(slots=True)
class _Turn:
    """A launch that goes on, and what the next page has to say."""

    launch: Launch
    token: str
    notice: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def build_demo_app(api: HostApi | None = None, attempts: Attempts | None = None) -> ASGIApp:
    """The application, to be mounted anywhere. Without an API it shows launches and keeps all scores to itself."""
    pages = _Pages(Work(api, attempts or Attempts()))
    return Starlette(
        routes=[
            Route("/launch", pages.arrive),
            Route("/", pages.arrive),
            *(Route(f"/{name}", pages.on(handler), methods=["POST"]) for name, handler in pages.actions.items()),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ]
    )


class _Pages:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._launches: OrderedDict[str, Launch] = OrderedDict()
        self._templates = Environment(
            loader=PackageLoader("ltihost.testing"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals.update(roles=ROLES, rungs=RUNGS, cookies=COOKIES, capability_names=CAPABILITIES)
        self.actions: dict[str, Callable[[_Turn, FormData], Awaitable[str | None]]] = {
            "view": self._look,
            "answers": self._hand_in,
            "title": self._rename,
            "graded": self._make_graded,
            "roster": self._sync_roster,
            "results": self._read_results,
            "choose": self._choose,
        }

    async def arrive(self, request: Request) -> Response:
        """A launch, or nobody."""
        launch: Launch | None = request.scope.get("ltihost.launch")
        if launch is None:
            return self._render(request, "demo_closed.html", 404)
        token = secrets.token_urlsafe(24)
        self._launches[token] = launch
        if len(self._launches) > _SESSIONS:
            self._launches.popitem(last=False)
        return await self._page(request, _Turn(launch, token))

    def on(
        self, action: Callable[[_Turn, FormData], Awaitable[str | None]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A form of a page: do it, then show the page again, or go where the action says."""

        async def answer(request: Request) -> Response:
            form = await request.form()
            token = _word(form, "session")
            if token not in self._launches:
                return self._render(request, "demo_closed.html", 404)
            turn = _Turn(self._launches[token], token)
            try:
                away = await action(turn, form)
            except HostError as error:
                away, turn.notice = None, str(error)
            return RedirectResponse(away, 303) if away else await self._page(request, turn)

        return answer

    # What can be done.

    async def _look(self, turn: _Turn, form: FormData) -> None:
        """Only look again."""

    async def _hand_in(self, turn: _Turn, form: FormData) -> None:
        answers = {int(name[1:]): int(_word(form, name)) for name in form if name[:1] == "q" and name[1:].isdecimal()}
        turn.values["attempt"] = await self._work.hand_in(turn.launch, answers)

    async def _rename(self, turn: _Turn, form: FormData) -> None:
        if _teaches(turn.launch) and (label := _word(form, "label").strip()):
            await self._work.rename(turn.launch, label)
            turn.values["renamed"] = True

    async def _make_graded(self, turn: _Turn, form: FormData) -> None:
        if _teaches(turn.launch):
            await self._work.make_graded(turn.launch)

    async def _sync_roster(self, turn: _Turn, form: FormData) -> None:
        if _teaches(turn.launch):
            await self._work.sync_roster(turn.launch)
            turn.values["synced"] = True

    async def _read_results(self, turn: _Turn, form: FormData) -> None:
        turn.values["refresh"] = _teaches(turn.launch)

    async def _choose(self, turn: _Turn, form: FormData) -> str | None:
        if turn.launch["deep_linking"] is None:
            return None
        keys = [value for value in form.getlist("quiz") if isinstance(value, str)]
        points = _word(form, "points").strip()
        maximum = float(points) if points.replace(".", "", 1).isdecimal() and float(points) > 0 else None
        return await self._work.give_back(turn.launch, keys, maximum=maximum)

    # What is shown.

    async def _page(self, request: Request, turn: _Turn) -> Response:
        launch = turn.launch
        values: dict[str, Any] = {
            "launch": launch, "session": turn.token, "initials": _initials(launch["user"]), "teaches": _teaches(launch),
            "raw": json.dumps(launch, indent=2, ensure_ascii=False), "quizzes": QUIZZES.values(),
            "default_points": _DEFAULT_POINTS, "quiz": self._work.quiz(launch), "synced": False, "renamed": False,
            "attempt": None, "connected": self._work.api is not None,
        } | turn.values  # fmt: skip
        try:
            values |= await self._news(turn)
        except HostError as error:
            values |= _NO_NEWS
            turn.notice = turn.notice or str(error)
        return self._render(request, "demo_launch.html", **values, notice=turn.notice)

    async def _news(self, turn: _Turn) -> dict[str, Any]:
        """What the host knows of this launch's grades and people."""
        launch = turn.launch
        if launch["message"] == "deep_linking":
            return _NO_NEWS
        news = {**_NO_NEWS, **self._own(launch)}
        if _teaches(launch):
            news["item"] = await self._work.shown_line_item(launch)
            return news | {"rows": await self._rows(turn, news["item"])}
        return news | {"standing": await self._work.standing(launch, patient="attempt" in turn.values)}

    async def _rows(self, turn: _Turn, item: Json | None) -> list[PersonRow]:
        """The teacher's table; people are shown even where their results cannot be had now."""
        launch, refresh = turn.launch, bool(turn.values.get("refresh"))
        try:
            return await self._work.class_rows(launch, item, refresh=refresh)
        except HostError as error:
            turn.notice = turn.notice or str(error)
            return await self._work.class_rows(launch, None)

    def _own(self, launch: Launch) -> dict[str, Any]:
        """The attempts of the person, or of the one under review."""
        place, person = self._work.place(launch), (launch["for_user"] or launch["user"])["id"] or ""
        return {"attempts": self._work.attempts.of(place, person), "best": self._work.attempts.best(place, person)}

    def _render(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        root = request.scope.get("root_path", "")
        html = self._templates.get_template(name).render(static=root + "/static", root=root, **values)
        return HTMLResponse(html, status, headers=HEADERS)


_NO_ATTEMPTS: list[Attempt] = []
_NO_NEWS: dict[str, Any] = {
    "item": None, "rows": (), "standing": Standing("none", ""), "attempts": _NO_ATTEMPTS, "best": None,
}  # fmt: skip


def _teaches(launch: Launch) -> bool:
    return launch["role"] in TEACHING


def _word(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _initials(user: Any) -> str:
    words = (user["name"] or " ".join(filter(None, (user["given_name"], user["family_name"])))).split()
    return (words[0][0] + words[-1][0]).upper() if words else "?"
