"""Content items: each type as it goes out, and every item that does not. Certification 7.5; the wire of DL 2.0 section 3."""

from __future__ import annotations

import math
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from sqlalchemy import select

from ltihost.plugins.contract import ENTRY_POINT_GROUP
from ltihost.plugins.loader import load_plugins
from ltihost.settings import Settings
from ltihost.store import applications, tenants
from ltihost.store.linking_tables import ContentItem, DeepLink
from tests.flows.picker import DL, Picker, deep_linking, lti_link, token_in
from tests.flows.platform import put
from tests.flows.rig import ACTOR, Rig


@pytest.fixture
async def picker(rig: Rig) -> Picker:
    return await Picker.of(rig)


async def written(picker: Picker, item: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The item as the platform gets it."""
    claims = await picker.returned(await picker.begin(**settings), item)
    [found] = claims[DL + "content_items"]
    return dict(found)


async def test_an_lti_link_goes_out_whole(rig: Rig, picker: Picker) -> None:
    found = await written(
        picker,
        lti_link(
            text="Read & <b>do</b>",
            icon={"url": "https://app.example/i.png", "width": 32, "height": 32},
            thumbnail={"url": "https://app.example/t.png"},
            custom={"chapter": "3", "due": "$ResourceLink.submission.endDateTime", "empty": ""},
            line_item={
                "maximum": 12.5, "label": "Lab", "resource_id": "lab-1", "tag": "quiz", "grades_released": False,
                "submission_review": {"label": "See", "url": "https://app.example/tool/review", "custom": {"a": "b"}},
            },
            available={"starts_at": "2026-11-21T08:00:00+01:00", "ends_at": "2026-12-21T08:00:00Z"},
            submission={"ends_at": "2026-12-20T23:59:59.5Z"},
            window={"target_name": "_blank", "width": 800, "height": 600, "features": "menubar=no"},
            iframe={"width": 640, "height": 480},
        ),
    )  # fmt: skip
    [row] = await rig.host.database.run_host(lambda session: list(session.scalars(select(ContentItem))))
    target = found.pop("url")
    assert target.endswith(f"/lti/launch?item={row.id}")
    assert found == {
        "type": "ltiResourceLink", "title": "Lab 1", "text": "Read & <b>do</b>",
        "icon": {"url": "https://app.example/i.png", "width": 32, "height": 32},
        "thumbnail": {"url": "https://app.example/t.png"},
        "custom": {
            "chapter": "3", "due": "$ResourceLink.submission.endDateTime", "empty": "", "ltihost_item": row.id,
        },
        "lineItem": {
            "scoreMaximum": 12.5, "label": "Lab", "resourceId": "lab-1", "tag": "quiz", "gradesReleased": False,
            "submissionReview": {"label": "See", "url": target, "custom": {"a": "b", "ltihost_item": row.id}},
        },
        "available": {"startDateTime": "2026-11-21T07:00:00.000Z", "endDateTime": "2026-12-21T08:00:00.000Z"},
        "submission": {"endDateTime": "2026-12-20T23:59:59.500Z"},
        "window": {"targetName": "_blank", "width": 800, "height": 600, "windowFeatures": "menubar=no"},
        "iframe": {"width": 640, "height": 480},
    }  # fmt: skip
    assert row.line_item["submission_review"]["url"] == "https://app.example/tool/review"


WIRE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "link", "url": "https://news.example/a?b=c#d", "iframe": {"src": "https://news.example/a", "width": 1}},
        {"type": "link", "url": "https://news.example/a?b=c#d", "iframe": {"src": "https://news.example/a", "width": 1}},
    ),
    (
        {"type": "link", "url": "https://v.example/", "embed": {"html": '<iframe src="https://v.example/1" onload="x()"></iframe>'}},
        {"type": "link", "url": "https://v.example/", "embed": {"html": '<iframe src="https://v.example/1"></iframe>'}},
    ),
    (
        {"type": "file", "url": "https://f.example/x.png", "media_type": "image/png", "expires_at": "2026-11-21T09:00:00Z"},
        {"type": "file", "url": "https://f.example/x.png", "mediaType": "image/png", "expiresAt": "2026-11-21T09:00:00.000Z"},
    ),
    (
        {"type": "html", "html": '<h1>Hi</h1><script>alert(1)</script><a href="javascript:x()">y</a><img src="data:x,y">'},
        {"type": "html", "html": '<h1>Hi</h1><a rel="noopener noreferrer">y</a><img>'},
    ),
    (
        {"type": "image", "url": "https://i.example/x.png", "width": 10, "height": 20, "title": "A\x00 cat"},
        {"type": "image", "url": "https://i.example/x.png", "width": 10, "height": 20, "title": "A cat"},
    ),
    ({"type": "image", "url": "http://127.0.0.1:9/x.png"}, {"type": "image", "url": "http://127.0.0.1:9/x.png"}),
]  # fmt: skip


@pytest.mark.parametrize(("item", "expected"), WIRE, ids=[item["type"] for item, _ in WIRE])
async def test_each_other_type_goes_out_as_the_wire_has_it(
    picker: Picker, item: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert await written(picker, item) == expected


async def test_custom_values_become_texts_and_null_ones_go(picker: Picker) -> None:
    """DL-16."""
    found = await written(picker, lti_link(custom={"n": 7, "f": 1.5, "t": True, "no": None, "big": 10**30}))
    del found["custom"]["ltihost_item"]
    assert found["custom"] == {"n": "7", "f": "1.5", "t": "true", "big": "1" + "0" * 30}


async def test_a_refused_line_item_is_left_out(picker: Picker) -> None:
    """DL-15."""
    item = lti_link(line_item={"maximum": 10})
    assert "lineItem" not in await written(picker, item, accept_lineitem=False)
    assert (await written(picker, item, accept_lineitem=True))["lineItem"] == {"scoreMaximum": 10, "label": "Lab 1"}


@pytest.mark.parametrize(
    ("targets", "kept"),
    [(["window"], {"window"}), (["iframe"], {"iframe"}), (["frame"], {"iframe"}), (["embed"], set()), (None, {"window", "iframe"})],
)  # fmt: skip
async def test_only_what_the_platform_can_show_goes_out(
    picker: Picker, targets: list[str] | None, kept: set[str]
) -> None:
    item = lti_link(window={"target_name": "_blank"}, iframe={"width": 100})
    found = await written(picker, item, accept_presentation_document_targets=targets)
    assert set(found) & {"window", "iframe", "embed"} == kept


async def test_hosts_that_stay_unnamed_lead_to_the_application_s_start(picker: Picker, rig: Rig) -> None:
    item = lti_link()
    del item["url"]
    found = await written(picker, item)
    assert found["url"].startswith(f"http://localhost:8700/r/{rig.registration.id}/lti/launch?item=itm_")


URL_REFUSED = ["javascript:alert(1)", "data:text/html,x", "http://203.0.113.9/x", "//news.example/", "/x", "x", "https://", "https://u:p@x.example/", "https://x.example\\@y.example/", "https://x.example/\n"]  # fmt: skip
#: (name, item, settings of the request, status, code)
BAD: list[tuple[str, Any, dict[str, Any], int, str]] = [
    *((f"link {url!a}", {"type": "link", "url": url}, {}, 422, "content_item_url") for url in URL_REFUSED),
    ("icon", lti_link(icon={"url": "javascript:x"}), {}, 422, "content_item_url"),
    ("thumbnail", lti_link(thumbnail={"url": "data:x"}), {}, 422, "content_item_url"),
    ("image", {"type": "image", "url": "javascript:x"}, {}, 422, "content_item_url"),
    ("file", {"type": "file", "url": "data:x"}, {}, 422, "content_item_url"),
    ("iframe src", {"type": "link", "url": "https://x.example/", "iframe": {"src": "javascript:x"}}, {}, 422, "content_item_url"),
    ("DL-20 no src", {"type": "link", "url": "https://x.example/", "iframe": {"width": 1}}, {}, 422, "invalid_request"),
    ("empty html", {"type": "html", "html": "<script>alert(1)</script>"}, {}, 422, "content_item_html"),
    ("empty embed", {"type": "link", "url": "https://x.example/", "embed": {"html": "<style>x</style>"}}, {}, 422, "content_item_html"),
    ("a stranger's launch", lti_link(url="https://evil.example/"), {}, 422, "target_not_registered"),
    ("a script's launch", lti_link(url="javascript:alert(1)"), {}, 422, "target_not_registered"),
    ("a planted code", lti_link(url="https://app.example/tool?code=x"), {}, 422, "target_not_registered"),
    ("a stranger's review", lti_link(line_item={"maximum": 1, "submission_review": {"url": "https://evil.example/"}}), {}, 422, "target_not_registered"),
    ("unknown type", {"type": "ltiAssetProcessor"}, {}, 422, "invalid_request"),
    ("no type", {"url": "https://x.example/"}, {}, 422, "invalid_request"),
    ("unknown member", lti_link(colour="red"), {}, 422, "invalid_request"),
    ("DL-10 only html", lti_link(), {"accept_types": ["html"]}, 422, "content_item_type"),
    ("media type", {"type": "file", "url": "https://x.example/", "media_type": "video/mp4"}, {"accept_media_types": "image/*,text/html"}, 422, "content_item_media_type"),
    ("no media type", {"type": "file", "url": "https://x.example/"}, {"accept_media_types": "image/*"}, 422, "content_item_media_type"),
    ("our own parameter", lti_link(custom={"ltihost_item": "itm_x"}), {}, 422, "content_item_custom"),
    ("a name with a line end", lti_link(custom={"a\0b": "x"}), {}, 422, "content_item_custom"),
    ("nested custom", lti_link(custom={"a": {"b": 1}}), {}, 422, "invalid_request"),
    ("custom a list", lti_link(custom=["a"]), {}, 422, "invalid_request"),
    ("DL-19 no maximum", lti_link(line_item={"label": "x"}), {}, 422, "invalid_request"),
    ("DL-19 maximum 0", lti_link(line_item={"maximum": 0}), {}, 422, "invalid_request"),
    ("maximum below 0", lti_link(line_item={"maximum": -1}), {}, 422, "invalid_request"),
    ("maximum NaN", lti_link(line_item={"maximum": "NaN"}), {}, 422, "invalid_request"),
    ("a date without a zone", lti_link(available={"starts_at": "2026-11-21T08:00:00"}), {}, 422, "invalid_request"),
    ("ends before it starts", lti_link(available={"starts_at": "2026-11-21T08:00:00Z", "ends_at": "2026-11-21T07:00:00Z"}), {}, 422, "content_item_dates"),
    ("a width of 0", lti_link(iframe={"width": 0}), {}, 422, "invalid_request"),
    ("a title too long", lti_link(title="x" * 501), {}, 422, "invalid_request"),
    ("custom NaN", lti_link(custom={"a": math.nan}), {}, 422, "invalid_request"),
    ("a label with NUL", lti_link(line_item={"maximum": 1, "label": "a\0"}), {}, 422, "invalid_request"),
    ("a tag with a line end", lti_link(line_item={"maximum": 1, "tag": "a\n"}), {}, 422, "invalid_request"),
    ("a custom surrogate", lti_link(custom={"a": "\udfff"}), {}, 422, "invalid_request"),
    ("a lone surrogate", lti_link(title="\ud800"), {}, 422, "invalid_request"),
]  # fmt: skip


async def test_items_that_cannot_be_used_are_refused_and_nothing_is_lost(rig: Rig, picker: Picker) -> None:
    """S-66 and the bad input of content items: each beside a good one, and the conversation stays open for a better."""
    wrong: dict[str, Any] = {}
    for name, item, settings, status, code in BAD:
        link = await picker.begin(**settings)
        good = [] if "accept_types" in settings else [lti_link()]
        found = await picker.refused(link, *good, item)
        if found != (status, code):
            wrong[name] = found
        assert (await picker.show(link)).json()["state"] == "open", name
    assert wrong == {}
    assert await rig.host.database.run_host(lambda session: list(session.scalars(select(ContentItem)))) == []
    answers = await rig.host.database.run_host(lambda session: list(session.scalars(select(DeepLink.answer))))
    assert all(answer == {} for answer in answers)
    assert (await picker.finish(link, lti_link())).status_code == 200


@pytest.mark.parametrize("accept", [False, None])
async def test_a_platform_that_does_not_say_it_takes_several_gets_one(picker: Picker, accept: bool | None) -> None:
    """DL-09."""
    link = await picker.begin(accept_multiple=accept)
    assert await picker.refused(link, lti_link(), lti_link()) == (422, "content_items_too_many")
    assert (await picker.finish(link, lti_link())).status_code == 200


async def test_a_thousand_items_are_too_many_and_two_hundred_are_not(rig: Rig, picker: Picker) -> None:
    link = await picker.begin()
    assert await picker.refused(link, *[{"type": "ltiResourceLink"}] * 1_000) == (422, "invalid_request")
    claims = await picker.returned(link, *[lti_link()] * 200)
    ids = {item["custom"]["ltihost_item"] for item in claims[DL + "content_items"]}
    assert len(ids) == 200


async def test_a_target_that_is_allowed_besides_is_taken(rig: Rig, picker: Picker) -> None:
    made = await rig.operator(
        applications.create, rig.tenant.id, "wide", name="Wide", launch_url="https://wide.example/",
        picker_url="https://app.example/pick", allowed_targets=["https://cdn.example/labs"], actor=ACTOR,
    )  # fmt: skip
    rig.application = made
    await rig.approve(rig.registration.id, "deployment-1", tenant=rig.tenant, application=made)
    rig.api_key = await rig.key(made)
    picker = await Picker.of(rig)
    link = await picker.begin()
    assert await picker.refused(link, lti_link(url="https://cdn.example/other")) == (422, "target_not_registered")
    assert (await picker.finish(link, lti_link(url="https://cdn.example/labs/1"))).status_code == 200


async def test_the_wire_leaves_out_what_was_not_given(picker: Picker) -> None:
    link = await picker.begin()
    [item] = (await picker.returned(link, {"type": "ltiResourceLink"}))[DL + "content_items"]
    assert set(item) == {"type", "url", "custom"}


async def test_the_plugin_of_the_lms_has_the_last_word_about_an_item(settings: Settings) -> None:
    """Refused with its reason; a plugin that fails loses nothing; none can lose the item's id or change its type."""
    rig, link = await begun_at_linting(settings)
    picker = await Picker.of(rig)
    refused = await picker.finish(link, lti_link(), lti_link(title="refuse"))
    assert (refused.status_code, refused.json()["code"]) == (422, "content_item_unacceptable")
    assert refused.json()["detail"] == "items.1: in Biology 101 only short titles are taken"
    assert await picker.refused(link, lti_link(title="fail")) == (502, "plugin_error")
    answer = await picker.finish(link, lti_link(title="forge"), lti_link(title="shorten"))
    page = await picker.visit(answer.json()["continue_url"])
    assert page.headers["content-security-policy"].endswith("https://*.linting.example")
    forged, short = (await picker.claims(token_in(page)))[DL + "content_items"]
    assert forged["type"] == "ltiResourceLink"
    assert forged["custom"]["ltihost_item"].startswith("itm_")
    assert (short["title"], short["url"]) == ("s", "https://kept.example/")
    await rig.stop()


async def test_what_the_lms_cannot_keep_is_told(settings: Settings) -> None:
    """And told again when the same request comes again."""
    rig, link = await begun_at_linting(settings)
    picker = await Picker.of(rig)
    points = {"line_item": {"maximum": 7.5}}
    chosen = [lti_link(title=title, **points) for title in ("Lab 1", "shorten", "round", "ungraded")]
    answers = [(await picker.finish(link, *chosen)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["warnings"] == [
        "items.1: this LMS takes the title as 's'.",
        "items.2: this LMS makes a column of 8 points, not of 7.5; scores are scaled to it.",
        "items.3: this LMS makes no column in the gradebook.",
    ]
    await rig.stop()


async def begun_at_linting(settings: Settings) -> tuple[Rig, str]:
    """A deep linking conversation with the LMS of `linting.py`."""
    plugins = load_plugins(installed=[EntryPoint("linting", "tests.flows.linting", ENTRY_POINT_GROUP)])
    rig = Rig(settings, plugins=plugins)
    await rig.start()
    await rig.operator(tenants.enable_plugin, rig.tenant.id, "linting", actor=ACTOR)
    await rig.set(rig.registration.id, jwks_url="https://elsewhere.example/jwks")
    rig.registration = await rig.register(("deployment-2",), plugin="linting", issuer="https://linting.example")
    request = put(iss="https://linting.example", lti_deployment_id="deployment-2")
    response = await rig.launch(
        deep_linking(), request, iss="https://linting.example", lti_deployment_id="deployment-2"
    )
    return rig, str((await rig.exchange(response))["deep_linking"]["id"])
