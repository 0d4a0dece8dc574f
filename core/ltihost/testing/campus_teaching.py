"""What teachers and administrators do on the campus: gradebook, roster, content that tools give back, copies, faults.

/{lms}/c/{context}/grades    the gradebook; POST: do=override|lock|unlock|delete, column, person, points
/{lms}/c/{context}/people    the roster; POST: do=enrol|unenrol, person, kind
/{lms}/c/{context}/_copy     POST copies the context and tells the tools that want to know
/{lms}/_services             what goes wrong on purpose, and the last scores; POST: fault, on=yes|no, service, times
/{lms}/_ledger               GET every score that reached this LMS (JSON)
the profile's return path    POST takes a tool's content; /{lms}/_add puts it into the context
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, get_args

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ltihost.testing.campus_pages import CampusPages
from ltihost.testing.campus_views import faults_view, gradebook_view, roster_view
from ltihost.testing.parts import Context, Page, Person
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.answering import answered
from ltihost.testing.services.deep_linking import ContentDesk
from ltihost.testing.services.faults import SERVICE_FAULTS
from ltihost.testing.services.notices import NoticeService
from ltihost.testing.services.records import Refused, Service
from ltihost.testing.services.rules_content import Choice

_NO_NUMBER = Page(400, "That is no number", "Go back to the gradebook and type the points with digits, like 7.5.")
SERVICES: tuple[Service, ...] = get_args(Service)


class Teaching:
    """The routes of one LMS for those who run its courses. `who` answers whose session a request belongs to."""

    def __init__(self, platform: SimulatedPlatform, pages: CampusPages, notices: NoticeService, who: Any) -> None:
        self.content = ContentDesk(platform)
        self._platform = platform
        self._pages = pages
        self._notices = notices
        self._who = who

    def routes(self) -> list[Route]:
        path = self._platform.profile.deep_link_path.replace("{context}", "{context:int}")
        return [
            Route("/c/{context}/grades", self.grades),
            Route("/c/{context}/grades", self.change_grades, methods=["POST"]),
            Route("/c/{context}/people", self.people),
            Route("/c/{context}/people", self.change_people, methods=["POST"]),
            Route("/c/{context}/_copy", self.copy, methods=["POST"]),
            Route("/_services", self.services),
            Route("/_services", self.change_services, methods=["POST"]),
            Route("/_ledger", self.ledger),
            Route("/_add", self.add, methods=["POST"]),
            Route(path, self.returned, methods=["POST"]),
        ]

    # The gradebook.

    async def grades(self, request: Request) -> Response:
        person, context = self._who(request), self._context(request)
        values = gradebook_view(self._platform, context, person, teaches=self._teaches(person, context))
        return self._pages.teaching("gradebook.html", self._platform, person, context, here="grades", **values)

    async def change_grades(self, request: Request) -> Response:
        context, form = self._taught(request), await request.form()
        column = self._platform.gradebook.columns.get(_number(form, "column") or -1)
        if column is None or column.context != context.slug:
            raise HTTPException(404)
        what, book = _word(form, "do"), self._platform.gradebook
        if what in ("lock", "unlock"):
            book.lock(column.number, what == "lock")
        elif what == "delete":
            book.remove(column.number)
        elif what == "override" and _word(form, "person") in self._platform.people:
            try:
                points = _points(form)
            except ValueError:
                return self._pages.problem(self._platform, _NO_NUMBER)
            self._platform.override_cell(column.number, _word(form, "person"), points)
        else:
            raise HTTPException(400)
        return self._back(context, "grades")

    # The roster.

    async def people(self, request: Request) -> Response:
        person, context = self._who(request), self._context(request)
        values = roster_view(self._platform, context)
        teaches = self._teaches(person, context)
        return self._pages.teaching(
            "people.html", self._platform, person, context, here="people", teaches=teaches, **values
        )

    async def change_people(self, request: Request) -> Response:
        context, form = self._taught(request), await request.form()
        person, kind = _word(form, "person"), _word(form, "kind")
        if person not in self._platform.people:
            raise HTTPException(404)
        if _word(form, "do") == "unenrol":
            self._platform.unenrol(person, context.slug)
        elif kind in self._platform.profile.kinds:
            self._platform.enrol(person, context.slug, kind)
        else:
            raise HTTPException(400)
        return self._back(context, "people")

    async def copy(self, request: Request) -> Response:
        old = self._taught(request)
        new = self._platform.copy_context(old.slug)
        await self._notices.copied(old, new)
        return self._back(new, "")

    # Content from tools.

    async def returned(self, request: Request) -> Response:
        """A tool gives content back. Some LMSs add it now, others ask the teacher once more."""
        token = str((await request.form()).get("JWT") or "")
        try:
            choice = await self.content.take(request.query_params, token)
        except Refused as refused:
            shown = self._platform.profile.choice_refused(refused)
            return self._pages.problem(self._platform, shown) if isinstance(shown, Page) else answered(shown)
        if self._platform.profile.adds_at_once or not choice.chosen:
            return self._added(choice)
        key = self.content.keep(choice)
        return self._pages.chosen(self._platform, choice, key)

    async def add(self, request: Request) -> Response:
        choice = self.content.choices.pop(_word(await request.form(), "choice"), None)
        if choice is None:
            return self._pages.problem(self._platform, Page(404, "This was added already"))
        return self._added(choice)

    def _added(self, choice: Choice) -> Response:
        return self._pages.chosen(self._platform, choice, None, self.content.add(choice))

    # Faults and the ledger.

    async def services(self, request: Request) -> Response:
        values = faults_view(self._platform, self._notices)
        return self._pages.teaching(
            "services.html", self._platform, self._who(request), None, here="services", **values
        )

    async def change_services(self, request: Request) -> Response:
        form, faults = await request.form(), self._platform.faults
        fault, wanted = _word(form, "fault"), _word(form, "service")
        service = next((name for name in SERVICES if name == wanted), None)
        if fault not in SERVICE_FAULTS or (wanted and service is None):
            raise HTTPException(400, f"known faults: {', '.join(SERVICE_FAULTS)}; services: {', '.join(SERVICES)}")
        if _word(form, "on") == "no":
            faults.clear(fault)
        else:
            faults.switch(fault, service=service, times=_number(form, "times"))
        return RedirectResponse(f"/{self._platform.profile.key}/_services", 303)

    async def ledger(self, request: Request) -> Response:
        return JSONResponse([asdict(line) for line in self._platform.gradebook.ledger])

    # Who and where.

    def _context(self, request: Request) -> Context:
        context = self._platform.contexts.get(request.path_params["context"])
        if context is None:
            raise HTTPException(404)
        return context

    def _taught(self, request: Request) -> Context:
        """The context, for somebody who may change it."""
        context = self._context(request)
        if not self._teaches(self._who(request), context):
            raise HTTPException(403)
        return context

    def _teaches(self, person: Person, context: Context) -> bool:
        return self._platform.teaches(person, context)

    def _back(self, context: Context, page: str) -> Response:
        return RedirectResponse(f"/{self._platform.profile.key}/c/{context.slug}/{page}".rstrip("/"), 303)


def _word(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _number(form: FormData, name: str) -> int | None:
    text = _word(form, name)
    return int(text) if text.isdecimal() else None


def _points(form: FormData) -> float | None:
    """The points typed in; None for an empty field, which takes the teacher's grade back. Raises ValueError."""
    text = _word(form, "points").replace(",", ".").strip()
    points = float(text) if text else None
    if points is not None and not math.isfinite(points):
        raise ValueError(text)
    return points
