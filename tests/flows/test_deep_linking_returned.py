"""What an answer leaves behind, good or bad: lines in the log, items that are known, and nothing of what was refused."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from ltihost.store.linking_tables import ContentItem, DeepLink
from tests.flows.picker import DL, Picker, lti_link
from tests.flows.platform import put
from tests.flows.rig import Rig

HTML = {"type": "html", "title": "Read this", "html": "<p>a text</p>"}


@pytest.fixture
async def picker(rig: Rig) -> Picker:
    return await Picker.of(rig)


async def stored(rig: Rig) -> list[Any]:
    def read(session: Any) -> list[Any]:
        items = sorted(session.scalars(select(ContentItem)), key=lambda row: str(row.id))
        answers = {row.id: row.answer for row in session.scalars(select(DeepLink)) if row.state != "open"}
        return [[row.values() for row in items], answers]

    return await rig.host.database.run_host(read)


async def test_the_log_says_what_went_to_the_platform(picker: Picker) -> None:
    """D-07: so that a person can compare it with what the platform shows."""
    link = await picker.begin()
    with capture_logs() as logs:
        claims = await picker.returned(link, lti_link(), HTML)
    [line] = [line for line in logs if line["event"] == "deep_link.returned"]
    assert line["deep_link"] == link
    assert line["items"] == [
        {"type": "ltiResourceLink", "title": "Lab 1", "url": claims[DL + "content_items"][0]["url"]},
        {"type": "html", "title": "Read this"},
    ]


@pytest.mark.parametrize("kind", ["link", "file", "image"])
async def test_the_log_gives_nobody_a_signed_url(picker: Picker, kind: str) -> None:
    """S-85: what follows the path may be all that a stranger needs to read it."""
    url = "https://files.example/essay.pdf"
    link = await picker.begin(accept_media_types="*/*")
    with capture_logs() as logs:
        claims = await picker.returned(link, {"type": kind, "url": f"{url}?signature=s3cret#page"})
    assert claims[DL + "content_items"][0]["url"] == f"{url}?signature=s3cret#page"
    [line] = [line for line in logs if line["event"] == "deep_link.returned"]
    assert line["items"] == [{"type": kind, "url": url}]
    assert "s3cret" not in repr(logs)


async def test_where_only_html_is_taken_html_is(picker: Picker) -> None:
    """DL-10, the other side of it."""
    link = await picker.begin(accept_types=["html"])
    assert await picker.refused(link, lti_link()) == (422, "content_item_type")
    assert [item["type"] for item in (await picker.returned(link, HTML))[DL + "content_items"]] == ["html"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"type": "link", "url": "javascript:alert(1)"}, "content_item_url"),
    ({"type": "link", "url": "JaVaScRiPt\t:alert(1)"}, "content_item_url"),
    ({"type": "file", "url": "javascript:alert(1)"}, "content_item_url"),
    ({"type": "image", "url": "vbscript:x"}, "content_item_url"),
    (lti_link(url="javascript:alert(1)"), "target_not_registered"),
    (lti_link(icon={"url": "javascript:alert(1)"}), "content_item_url"),
    (lti_link(line_item={"maximum": 1, "submission_review": {"url": "javascript:x"}}), "target_not_registered"),
    (lti_link(line_item={"maximum": 0}), "invalid_request"),
]


async def test_a_bad_item_takes_nothing_from_those_that_were_returned(rig: Rig, picker: Picker) -> None:
    """Also an answer that is finished and waits for its page goes out as it was."""
    [first] = (await picker.returned(await picker.begin(), lti_link()))[DL + "content_items"]
    waiting, open_one = await picker.begin(), await picker.begin()
    answer = await picker.finish(waiting, HTML)
    before = await stored(rig)
    for item, code in BAD:
        assert await picker.refused(open_one, lti_link(), item) == (422, code), item
        assert (await picker.refused(waiting, lti_link(), item))[0] in (409, 422), item
        assert await stored(rig) == before, item
    assert (await picker.visit(answer.json()["continue_url"])).status_code == 200
    launched = await rig.launch(
        put(lti_target_link_uri=first["url"], lti_custom=first["custom"]), target_link_uri=first["url"]
    )
    assert launched.headers["location"].startswith("https://app.example/tool/lab-1?code=")
    assert (await picker.finish(open_one, lti_link())).status_code == 200
