"""What a launch says of services, one oddity each, and where nothing of ours may go. S-52; certification 7.6."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ltihost.flows import roster
from tests.core.support_loopback import Server, answers, loopback
from tests.flows.gradebook import AGS, Desk, Gradebook, desk, desk_of
from tests.flows.picker import deep_linking
from tests.flows.platform import Change, put
from tests.flows.rig import Rig

__all__ = ["desk"]  # a fixture

NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"


# Versions of the roster service


def offers(**members: Any) -> Change:
    """A roster's claim; None leaves a member out."""
    made = {"context_memberships_url": "https://lms.example/members", "service_versions": ["2.0"]} | members
    return put(**{NRPS: {name: value for name, value in made.items() if value is not None}})


@pytest.mark.parametrize(
    ("used", "lists"), [(True, [["2.0"], ["1.0", "2.0"], None, []]), (False, [["1.0"], ["3.0"], ["2.01"]])]
)
async def test_a_roster_of_version_2_is_used_whatever_else_is_spoken(
    rig: Rig, used: bool, lists: list[list[str] | None]
) -> None:
    """N-12. Who lists no version means 2.0, and a roster without it is none."""
    for versions in lists:
        launch = await rig.exchange(await rig.launch(offers(service_versions=versions)))
        assert launch["capabilities"]["roster"] is used, versions


# The link's line item


async def test_a_line_item_without_a_url_is_absent(desk: Desk) -> None:
    """A-18: the launch is as good as without, and a wish makes a column of its own."""
    named: object

    def change(payload: dict[str, Any]) -> None:
        desk.ags()(payload)
        payload[AGS]["lineitem"] = named

    for named in (None, " ", [], 7, ""):
        launch = await desk.rig.exchange(await desk.rig.launch(change, put(lti_resource_link={"id": "link-2"})))
        assert launch["line_item"] is None, named
    desk.link_id = launch["resource_link"]["id"]
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    assert (await desk.show(item["id"]))["state"] == "ready"
    assert desk.gradebook.creations() == 1


# Origins


@pytest.fixture
async def evil() -> AsyncIterator[Server]:
    """A server that would take any token."""
    async with loopback(answers([])) as server:
        yield server


def moved(desk: Desk, url: str, kind: str) -> Change:
    """The launch names this URL for one service, and the rest where it was."""

    def change(payload: dict[str, Any]) -> None:
        desk.ags()(payload)
        payload[NRPS] = {"context_memberships_url": desk.gradebook.server.url("/members"), "service_versions": ["2.0"]}
        payload[NRPS if kind == "context_memberships_url" else AGS][kind] = url

    return change


@pytest.mark.parametrize(
    ("kind", "off"), [("lineitems", "grades"), ("context_memberships_url", "roster"), ("lineitem", None)]
)
async def test_a_service_at_a_new_origin_sees_no_request_and_so_no_token(
    rig: Rig, evil: Server, kind: str, off: str | None
) -> None:
    """S-52: the launch is fine, that service is off in it, and the known one goes on being used.

    A line item elsewhere than the line items is no service of its own: it is passed over.
    """
    async with desk_of(rig) as desk:
        desk.runner.register(roster.JOB, roster.do)
        await desk.launch(moved(desk, desk.gradebook.url, "lineitems"))
        desk.rig.clock.now += 60
        launch = await desk.launch(moved(desk, evil.url("/x"), kind))
        assert [name for name in ("grades", "roster") if not launch["capabilities"][name]] == ([off] if off else [])
        assert launch["line_item"] is None
        item = await desk.want(resource_id="quiz-1")
        assert (await desk.call("POST", f"/contexts/{desk.context_id}/roster-sync")).status_code == 202
        await desk.work()
        assert evil.accepts == 0
        assert (await desk.show(item["id"]))["state"] == "ready"
        assert "/members" in [request.path for request in desk.gradebook.server.requests]
        assert [alert.get("origin") for alert in await desk.alerts()][:1] == ([evil.url("")] if off else [])


async def test_an_answer_of_deep_linking_goes_to_no_new_origin(rig: Rig, evil: Server) -> None:
    """S-52, S-65."""
    assert (await rig.launch(deep_linking())).status_code == 303
    assert (
        await rig.refused(await rig.launch(deep_linking(deep_link_return_url=evil.url("/return")))) == "return_url_held"
    )
    assert evil.accepts == 0


# Copies of a course


class Copied(Gradebook):
    """The gradebook of the course's copy, on the same server."""

    @property
    def url(self) -> str:
        return self.server.url("/ctx/2/lineitems?type_id=1")

    def item_url(self, number: int) -> str:
        return self.server.url(f"/ctx/2/lineitems/{number}/lineitem?type_id=1")


async def test_a_copied_course_has_its_own_columns_under_the_names_of_the_first(desk: Desk) -> None:
    """A-16: columns are copied with resource id and tag; each context's wish finds its own, and none is made twice."""
    first = await desk.want("Quiz", 10, resource_id="quiz-1", tag="final")
    await desk.work()
    original, link = desk.gradebook, desk.link_id
    copy = Copied(original.server)
    copy.add(label="Quiz", scoreMaximum=10, resourceId="quiz-1", tag="final")

    async def serve(request: Any, writer: Any) -> None:
        await (copy if request.path.startswith("/ctx/2/") else original).serve(request, writer)

    original.server.handler, desk.gradebook = serve, copy
    await desk.launch(put(lti_context={"id": "ctx-2"}, lti_resource_link={"id": "link-2"}))
    found = await desk.want("Quiz", 10, resource_id="quiz-1", tag="final")
    assert found["id"] != first["id"]
    await desk.work()
    assert (await desk.show(found["id"]))["state"] == "ready"
    assert (original.creations(), copy.creations(), len(copy.items)) == (1, 0, 1)
    await desk.call("PATCH", f"/line-items/{found['id']}", {"label": "Quiz of the copy"})
    await desk.work()
    assert (original.items[1]["label"], copy.items[1]["label"]) == ("Quiz", "Quiz of the copy")
    desk.link_id = link
    assert (await desk.want("Quiz", 10, resource_id="quiz-1", tag="final"))["id"] == first["id"]
