"""The roster service of a simulated LMS over HTTP. Names and Role Provisioning Services 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from ltihost.testing.parts import Context, Link
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.ags import paged
from ltihost.testing.services.door import Door, Way
from ltihost.testing.services.paging import with_query
from ltihost.testing.services.records import MEMBERS, Answer, Call, Refused, Row
from ltihost.testing.services.tokens import ROSTER_SCOPE


class RosterService:
    """Who is in the contexts of one LMS."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self._platform = platform
        self._profile = platform.profile

    def routes(self, door: Door) -> list[Route]:
        return [door.route(self._profile.memberships_path, get=Way("roster", (ROSTER_SCOPE,), self.members))]

    async def members(self, call: Call, path: Mapping[str, Any]) -> Answer:
        self._profile.check_accept(MEMBERS, call.headers.get("accept"))
        context = self._platform.context_numbered(path["context"])
        if context is None or path.get("tool", call.tool.deployment_id) != call.tool.deployment_id:
            raise Refused(404, "Context not found", "context")
        link = self._link(context, call.query)
        rows = [self._member(call, row) for row in self._rows(context, link)]
        if role := call.query.get("role"):
            rows = [row for row in rows if self._profile.has_role(row, role)]
        return self._with_differences(call, paged(self._profile, call, MEMBERS, rows, self._container(call, context)))

    def _rows(self, context: Context, link: Link | None) -> list[Row]:
        listed = [(slug, kind) for slug, kind in context.enrolled.items() if kind not in self._profile.unlisted]
        return [Row(self._platform.people[slug], kind, context, link) for slug, kind in listed]

    def _member(self, call: Call, row: Row) -> dict[str, Any]:
        profile = self._profile
        opening = self._platform.opening(row.person, row.context, row.link, call.tool)
        member = profile.member(row, profile.person_id(row.person), profile.roles(opening))
        messages = profile.messages(row, profile.custom(opening)) if row.link else None
        return {**member, **({"message": messages} if messages else {})}

    def _link(self, context: Context, query: Mapping[str, str]) -> Link | None:
        """The link whose roster is asked for. Raises Refused for an unknown one."""
        rlid = query.get("rlid")
        if rlid is None:
            return None
        for link in context.links:
            if self._profile.link_id(link) == rlid:
                return link
        raise self._profile.unknown_link(rlid)

    def _container(self, call: Call, context: Context) -> Any:
        shown = {
            "id": call.url.partition("?")[0],
            "context": {
                "id": self._profile.context_id(context), "label": context.label, "title": context.title,
            },
        }  # fmt: skip
        return lambda page: {**shown, "members": page}

    def _with_differences(self, call: Call, answer: Answer) -> Answer:
        if not self._profile.offers_differences:
            return answer
        since = f'<{with_query(call.url.partition("?")[0], {"since": int(call.now)})}>; rel="differences"'
        links = ", ".join(filter(None, (answer.headers.get("Link"), since)))
        return Answer(answer.status, answer.body, answer.media_type, {**answer.headers, "Link": links})
