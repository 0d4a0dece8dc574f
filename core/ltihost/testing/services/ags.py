"""The gradebook service of a simulated LMS over HTTP. Assignment and Grade Services 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from starlette.routing import Route

from ltihost.testing.parts import Cell, Column, Context, Link, Person
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import AGS_SCOPES
from ltihost.testing.services.door import Door, Way, read_object
from ltihost.testing.services.paging import with_query
from ltihost.testing.services.records import LINE_ITEM, LINE_ITEMS, RESULTS, SCORE, Answer, Call, Refused, ScorePost

_LINE_ITEM, _LINE_ITEM_READ, _RESULT_READ, _SCORE = AGS_SCOPES
_READ = (_LINE_ITEM, _LINE_ITEM_READ)
Path = Mapping[str, Any]


class GradeService:
    """Line items, scores and results of one LMS."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self._platform = platform
        self._profile = platform.profile
        self._book = platform.gradebook

    def routes(self, door: Door) -> list[Route]:
        items, item = self._profile.line_items_path, self._profile.line_item_path
        return [
            door.route(
                items, get=Way("line_items", _READ, self.listed), post=Way("line_items", (_LINE_ITEM,), self.create)
            ),
            door.route(
                item,
                get=Way("line_item", _READ, self.show),
                put=Way("line_item", (_LINE_ITEM,), self.update),
                delete=Way("line_item", (_LINE_ITEM,), self.delete),
            ),
            door.route(item + "/scores", post=Way("score", (_SCORE,), self.score)),
            door.route(item + "/results", get=Way("results", (_RESULT_READ,), self.results)),
        ]

    # Line items.

    async def listed(self, call: Call, path: Path) -> Answer:
        self._profile.check_accept(LINE_ITEMS, call.headers.get("accept"))
        context = self._context(path)
        columns = [item for item in self._book.of_context(context.slug) if self._profile.sees_column(call.tool, item)]
        shown = [self._shown(call, context, column) for column in columns]
        filters = {"resourceId": "resource_id", "tag": "tag", "resourceLinkId": "resource_link_id"}
        for member, name in filters.items():
            if name in call.query:
                shown = [item for item in shown if item.get(member) == call.query[name]]
        return self._page(call, LINE_ITEMS, shown)

    async def create(self, call: Call, path: Path) -> Answer:
        self._profile.check_content_type(LINE_ITEM, call.headers.get("content-type"))
        context, body = self._context(path), read_object(call)
        self._profile.check_line_item(body, None)
        link = self._profile.link_of(body, self._links(context))
        column = self._book.make(
            context.slug,
            call.tool.client_id,
            link=link.slug if link else None,
            **self._profile.column_values(body),
        )
        created = self._profile.created(body, self._shown(call, context, column))
        return Answer(201, created, LINE_ITEM)

    async def show(self, call: Call, path: Path) -> Answer:
        self._profile.check_accept(LINE_ITEM, call.headers.get("accept"))
        return Answer(200, self._shown(call, *self._found(call, path)), LINE_ITEM)

    async def update(self, call: Call, path: Path) -> Answer:
        self._profile.check_content_type(LINE_ITEM, call.headers.get("content-type"))
        (context, before), body = self._found(call, path), read_object(call)
        self._profile.check_line_item(body, before)
        link = self._profile.link_of(body, self._links(context))
        column = self._book.put(self._profile.updated(before, body, link))
        if column.maximum != before.maximum:
            for person, cell in self._book.graded(column.number).items():
                self._book.store(column.number, person, self._profile.rescaled(cell, before.maximum, column.maximum))
        if self._profile.renames_links and column.link:
            self._platform.rename_link(column.link, column.label, column.maximum)
        return Answer(200, self._profile.created(body, self._shown(call, context, column)), LINE_ITEM)

    async def delete(self, call: Call, path: Path) -> Answer:
        _, column = self._found(call, path)
        self._profile.check_delete(column)
        self._book.remove(column.number)
        return Answer(204)

    # Scores and results.

    async def score(self, call: Call, path: Path) -> Answer:
        self._profile.check_content_type(SCORE, call.headers.get("content-type"))
        (context, column), body = self._found(call, path), read_object(call)
        at = self._profile.check_score_body(body)
        person = self._platform.person_of(str(body["userId"]))
        kind = context.enrolled.get(person.slug) if person else None
        cell = self._book.cell(column.number, person.slug) if person else Cell()
        post = ScorePost(body, column, cell, person, kind, at, call.now)
        self._profile.check_score(post)
        if person is None:
            raise AssertionError(f"the profile {self._profile.key!r} takes grades for nobody")
        self._book.store(column.number, person.slug, self._profile.stored(post))
        return self._profile.score_answer(self._result_url(call, context, column, person))

    async def results(self, call: Call, path: Path) -> Answer:
        self._profile.check_accept(RESULTS, call.headers.get("accept"))
        context, column = self._found(call, path)
        item_url = self._profile.line_item_url(self._platform.base_url, call.tool, context, column.number)
        rows = []
        for slug, cell in self._book.graded(column.number).items():
            person, enrolled = self._platform.people[slug], slug in context.enrolled
            user_id = self._profile.person_id(person)
            if enrolled and call.query.get("user_id") in (None, user_id):
                url = self._result_url(call, context, column, person)
                rows.append(self._profile.result(url, item_url, user_id, column, cell))
        return self._page(call, RESULTS, self._profile.shown_results(rows, call))

    # What is where.

    def _context(self, path: Path) -> Context:
        found = self._platform.context_numbered(path["context"])
        if found is None:
            raise Refused(404, "Context not found", "context")
        return found

    def _found(self, call: Call, path: Path) -> tuple[Context, Column]:
        """The column of the path and its context. Raises Refused."""
        context, column = self._context(path), self._book.columns.get(path["item"])
        if column is None or column.context != context.slug:
            raise Refused(404, "Line item not found", "line_item")
        if not self._profile.sees_column(call.tool, column):
            raise Refused(403, "This line item belongs to another tool", "foreign")
        return context, column

    def _links(self, context: Context) -> dict[str, Link]:
        """The links of a context by the LMS's ids."""
        return {self._profile.link_id(link): link for link in context.links}

    def _shown(self, call: Call, context: Context, column: Column) -> dict[str, Any]:
        url = self._profile.line_item_url(self._platform.base_url, call.tool, context, column.number)
        link = next((link for link in context.links if link.slug == column.link), None)
        return self._profile.line_item(url, column, self._profile.link_id(link) if link else None)

    def _result_url(self, call: Call, context: Context, column: Column, person: Person) -> str:
        item = urlsplit(self._profile.line_item_url(self._platform.base_url, call.tool, context, column.number))
        results = urlunsplit(item._replace(path=item.path + "/results"))
        return with_query(results, {"user_id": self._profile.person_id(person)})

    def _page(self, call: Call, media_type: str, rows: list[dict[str, Any]]) -> Answer:
        return paged(self._profile, call, media_type, rows, lambda page: page)


def paged(profile: Any, call: Call, media_type: str, rows: list[dict[str, Any]], wrap: Any) -> Answer:
    """One page of `rows`, with a Link header where there are more."""
    size = profile.page_size(call.service, call.query)
    if size is None:
        return Answer(200, wrap(rows), media_type)
    start = profile.page_start(call.query, size)
    links = profile.page_links(call.service, call.url, start, size, len(rows))
    return Answer(200, wrap(rows[start : start + size]), media_type, {"Link": links} if links else {})
