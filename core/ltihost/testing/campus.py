"""The campus: one process that plays several LMSs, for demos, tests and plugin authors. Never put it on a network.

    /                                       choose an LMS
    /{lms}/                                 its courses; /{lms}/c/{context} one course, /embeds its page of ten embeds
    /{lms}/c/{context}/l/{link}             a link, with the tool in a frame; /{lms}/c/{context}/pick the same for content
    /{lms}/_launch                          opens a link: person, link or context, tool, deployment, fault (repeatable), storage;
                                            or what somebody handed in: person, column, for_user
    /{lms}/_person                          changes the person that is signed in
    /{lms}/_tools                           GET lists, POST registers a tool (JSON, see ToolForm)
    /{lms}/_storage                         the frame that keeps data for tools
    the profile's auth, JWKS, token paths   as in the real LMS, and those of its services
    campus_teaching lists the pages of teachers and administrators

For really cross-site frames let the campus run on 127.0.0.1 and the host on localhost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import FormData, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ltihost.testing.campus_pages import STATIC, CampusPages, Choices
from ltihost.testing.campus_teaching import Teaching
from ltihost.testing.parts import Context, Link, Page, Person, Tool
from ltihost.testing.platform import FormPost, LoginRequest, SimulatedPlatform
from ltihost.testing.profile import Profile
from ltihost.testing.services.notices import NoticeService
from ltihost.testing.services.routes import service_routes
from ltihost.testing.services.tokens import TokenDesk


class ToolForm(BaseModel, extra="forbid"):
    """A tool as it is posted to `/{lms}/_tools`. Ids that are left out are made by the LMS."""

    login_url: str
    launch_url: str
    jwks_url: str
    name: str = "Tool"
    client_id: str | None = None
    deployment_id: str | None = None
    redirect_uris: list[str] = []
    target_link_uri: str | None = None
    custom: dict[str, str] | None = None


def build_campus(
    profiles: Sequence[Profile],
    *,
    base_url: str,
    auth_base_url: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """The campus as an ASGI application; `state.platforms` maps each profile's key to its SimulatedPlatform, and
    `state.lms` to its `Lms`, where tokens, notices and returned content are.

    `base_url` is where browsers reach it (scheme, host, port). `auth_base_url` is a second origin of the same server:
    an LMS with a storage frame then has its endpoints and that frame there, as a hosted LMS has.
    """
    platforms = {profile.key: _platform(profile, base_url, auth_base_url, clock) for profile in profiles}
    pages = CampusPages(platforms, (base_url, auth_base_url or base_url))

    async def front(request: Request) -> Response:
        return pages.front()

    lms = {key: Lms(platform, pages) for key, platform in platforms.items()}
    mounts = [Mount(f"/{key}", routes=one.routes()) for key, one in lms.items()]
    app = Starlette(routes=[Route("/", front), Mount("/_static", StaticFiles(directory=STATIC)), *mounts])
    app.state.platforms = platforms
    app.state.lms = lms
    return app


def _platform(
    profile: Profile, base_url: str, auth_base_url: str | None, clock: Callable[[], float]
) -> SimulatedPlatform:
    elsewhere = f"{auth_base_url}/{profile.key}" if auth_base_url and profile.storage_frame else None
    return SimulatedPlatform(profile, f"{base_url}/{profile.key}", clock=clock, auth_base_url=elsewhere)


class Lms:
    """One LMS over HTTP: its routes, below its key."""

    def __init__(self, platform: SimulatedPlatform, pages: CampusPages) -> None:
        self.platform = platform
        self.profile = platform.profile
        self.pages = pages
        self.desk = TokenDesk(platform)
        self.notices = NoticeService(platform)
        self.teaching = Teaching(platform, pages, self.notices, self._person)
        self.cookie = f"campus-{self.profile.key}"

    def routes(self) -> list[Route]:
        return [
            Route("/", self.home),
            Route("/c/{context}", self.context),
            Route("/c/{context}/embeds", self.embeds),
            Route("/c/{context}/pick", self.pick),
            Route("/c/{context}/l/{link}", self.link),
            Route("/_look.css", self.look),
            Route("/_person", self.sign_in, methods=["POST"]),
            Route("/_launch", self.launch, methods=["GET", "POST"]),
            Route("/_tools", self.tools, methods=["GET"]),
            Route("/_tools", self.register, methods=["POST"]),
            Route("/_storage", self.storage),
            Route(self.profile.auth_path, self.authorize, methods=["GET", "POST"]),
            Route(self.profile.jwks_path, self.key_set),
            *self.teaching.routes(),
            *service_routes(self.platform, self.desk, self.notices),
        ]

    # Pages for people.

    async def home(self, request: Request) -> Response:
        return self.pages.home(self.platform, self._person(request))

    async def context(self, request: Request) -> Response:
        return self.pages.context(self.platform, self._person(request), self._context(request))

    async def embeds(self, request: Request) -> Response:
        choices = Choices.read(request.query_params)
        return self.pages.embeds(self.platform, self._person(request), self._context(request), choices)

    async def link(self, request: Request) -> Response:
        context = self._context(request)
        link = next((link for link in context.links if link.slug == request.path_params["link"]), None)
        if link is None:
            raise HTTPException(404)
        return self.pages.tool(self.platform, self._person(request), context, link, Choices.read(request.query_params))

    async def pick(self, request: Request) -> Response:
        choices = Choices.read(request.query_params)
        return self.pages.tool(self.platform, self._person(request), self._context(request), None, choices)

    async def look(self, request: Request) -> Response:
        return self.pages.look(self.profile)

    async def sign_in(self, request: Request) -> Response:
        form = await request.form()
        person = self.platform.people.get(_text(form, "person") or "")
        if person is None:
            raise HTTPException(404)
        back = _text(form, "next") or ""
        own = back.startswith(f"/{self.profile.key}/") and "\\" not in back
        response = RedirectResponse(back if own else f"/{self.profile.key}/", 303)
        self._remember(response, person)
        return response

    # A launch.

    async def launch(self, request: Request) -> Response:
        """Send the browser to the tool's login, in this LMS's way."""
        fields = await request.form() if request.method == "POST" else request.query_params
        if _text(fields, "for_user"):
            return self._review(request, fields)
        try:
            person, context, link, tool = self._wanted(request, fields)
        except KeyError as error:
            return self._problem(Page(404, "This link cannot be opened", f"There is no {error} here."))
        if not self.platform.may_enter(person, context):
            return self._problem(Page(403, "You are not enrolled in this course"))
        if link is None and not self.platform.may_pick(person, context):
            return self._problem(Page(403, "You cannot add content to this course"))
        response = self._login(person, context, link, tool, Choices.read(fields))
        self._remember(response, person)
        return response

    def _review(self, request: Request, fields: QueryParams | FormData) -> Response:
        """Somebody opens what a person handed in, from the gradebook."""
        try:
            slug, column = _text(fields, "person"), int(_text(fields, "column") or -1)
            person = self.platform.people[slug] if slug else self._person(request)
            context = self.platform.contexts[self.platform.gradebook.columns[column].context]
            login = self.platform.review(person.slug, column, _text(fields, "for_user") or "")
        except (KeyError, ValueError):
            return self._problem(Page(404, "This submission cannot be opened"))
        if not self.platform.teaches(person, context):
            return self._problem(Page(403, "You cannot review submissions in this course"))
        response = self._sent(login)
        self._remember(response, person)
        return response

    def _login(self, person: Person, context: Context, link: Link | None, tool: Tool, choices: Choices) -> Response:
        login = self.platform.start(
            person.slug,
            link.slug if link else None,
            tool,
            context=context.slug,
            faults=choices.faults,
            storage=choices.storage != "none",
        )
        return self._sent(login)

    def _sent(self, login: LoginRequest) -> Response:
        if login.method == "get":
            return RedirectResponse(login.location, 302)
        return self.pages.submit(self.platform, login.url, login.fields)

    async def authorize(self, request: Request) -> Response:
        """The LMS's authorisation endpoint."""
        form = await request.form()
        params = {name: str(value) for name, value in (*request.query_params.items(), *form.items())}
        signed_in = request.cookies.get(self.cookie)
        if self.profile.reposts and signed_in is None and "repost" not in params:
            return self.pages.submit(self.platform, request.url.path, {**params, "repost": "true"})
        answer = self.platform.authorize(params, signed_in=signed_in)
        if isinstance(answer, FormPost):
            return self.pages.submit(self.platform, answer.url, answer.fields)
        return self._problem(answer)

    async def key_set(self, request: Request) -> Response:
        return JSONResponse(self.platform.key_set(request.path_params.get("client_id", "")))

    async def storage(self, request: Request) -> Response:
        return self.pages.storage(Choices.read(request.query_params))

    # Tools.

    async def tools(self, request: Request) -> Response:
        return JSONResponse([self._tool_json(tool) for tool in self.platform.tools])

    async def register(self, request: Request) -> Response:
        try:
            form = ToolForm.model_validate_json(await request.body())
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            return JSONResponse({"errors": faults}, 400)
        return JSONResponse(self._tool_json(self.platform.register(**form.model_dump())), 201)

    def _tool_json(self, tool: Tool) -> dict[str, Any]:
        return {**asdict(tool), **self.platform.endpoints(tool.client_id)}

    # Who and where.

    def _person(self, request: Request) -> Person:
        """The person whose session this is; without one, the first of the LMS."""
        return self.platform.people.get(request.cookies.get(self.cookie, "")) or next(
            iter(self.platform.people.values())
        )

    def _remember(self, response: Response, person: Person) -> None:
        response.set_cookie(self.cookie, person.slug, path=f"/{self.profile.key}", httponly=True, samesite="lax")

    def _context(self, request: Request) -> Context:
        context = self.platform.contexts.get(request.path_params["context"])
        if context is None:
            raise HTTPException(404)
        return context

    def _wanted(self, request: Request, fields: QueryParams | FormData) -> tuple[Person, Context, Link | None, Tool]:
        """Raises KeyError for whatever is not there."""
        slug = _text(fields, "person")
        person = self.platform.people[slug] if slug else self._person(request)
        tool = self.platform.tool(_text(fields, "tool"), _text(fields, "deployment"))
        if link := _text(fields, "link"):
            return person, *self.platform.find_link(link), tool
        return person, self.platform.contexts[_text(fields, "context") or ""], None, tool

    def _problem(self, page: Page) -> Response:
        return self.pages.problem(self.platform, page)


def _text(fields: QueryParams | FormData, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
