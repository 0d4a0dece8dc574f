"""What deep linking returned is recognised when it is launched, and so are its copies. Certification D-08; DL 2.0 2.2."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store import content_items, tables
from ltihost.store.linking_tables import ContentItem, ContextOrigin, LinkedItem
from ltihost.store.service_tables import Event
from tests.flows.picker import DL, Picker, lti_link
from tests.flows.platform import V2, Change, put
from tests.flows.rig import BASE, Rig

LAB = "https://app.example/tool/lab-1"


@pytest.fixture
async def picker(rig: Rig) -> Picker:
    return await Picker.of(rig)


async def returned(picker: Picker, **changes: Any) -> dict[str, Any]:
    """One item, as the platform got it."""
    [item] = (await picker.returned(await picker.begin(), lti_link(**changes)))[DL + "content_items"]
    return dict(item)


def opened(item: dict[str, Any], link: str = "link-9", **more: Any) -> Change:
    """The platform launches the link that it made of the item."""
    custom = item.get("custom", {}) | more.pop("custom", {})
    return put(
        lti_target_link_uri=item.get("url", f"{BASE}/lti/launch"), lti_resource_link={"id": link}, lti_custom=custom,
        **more,
    )  # fmt: skip


async def rows(rig: Rig, model: type[Any]) -> list[Any]:
    return await rig.host.database.run_host(lambda session: list(session.scalars(select(model))))


async def link_events(rig: Rig) -> list[tuple[str, dict[str, Any]]]:
    events = sorted(await rows(rig, Event), key=lambda row: row.at)
    return [(row.type, row.data) for row in events if row.type.startswith("link.")]


async def ids_of(rig: Rig) -> dict[str, str]:
    """Our ids of links and contexts, by the platform's."""
    found = [*await rows(rig, tables.ResourceLink), *await rows(rig, tables.Context)]
    return {row.lms_id: row.id for row in found}


async def test_a_returned_link_leads_a_student_to_its_own_url(rig: Rig, picker: Picker) -> None:
    """D-08: target_link_uri is the URL that was returned."""
    item = await returned(picker)
    student = [f"{V2}membership#Learner", f"{V2}institution/person#Student"]
    response = await rig.launch(opened(item, lti_roles=student), target_link_uri=item["url"])
    assert response.headers["location"].startswith(f"{LAB}?code=")
    launch = await rig.exchange(response)
    assert launch["target_link_uri"] == LAB
    ids, [stored] = await ids_of(rig), await rows(rig, ContentItem)
    assert await link_events(rig) == [
        ("link.created", {"resource_link_id": ids["link-9"], "context_id": ids["ctx-1"], "content_item_id": stored.id})
    ]
    assert stored.linked_at == pytest.approx(rig.clock(), abs=1)


async def test_it_is_bound_once_and_not_written_at_every_launch(rig: Rig, picker: Picker) -> None:
    item = await returned(picker)
    for _ in range(3):
        await rig.launch(opened(item))
    [row] = await rows(rig, LinkedItem)
    assert len(await link_events(rig)) == 1
    seen = content_items.Sighting(row.resource_link_id, rig.tenant.id, rig.application.id, row.content_item_id)
    assert await rig.host.database.run(rig.tenant.id, content_items.note_link, seen, 1.0) is None


@pytest.mark.parametrize("lost", ["custom", "url"])
async def test_one_of_both_places_is_enough(rig: Rig, picker: Picker, lost: str) -> None:
    """Platforms lose the custom parameters, or put the tool's own URL in place of the item's."""
    item = await returned(picker)
    del item[lost]
    response = await rig.launch(opened(item))
    assert response.headers["location"].startswith(f"{LAB}?code=")


async def test_the_custom_parameter_wins_over_the_url(rig: Rig, picker: Picker) -> None:
    first, second = await returned(picker), await returned(picker, url="https://app.example/tool/lab-2")
    mixed = {"url": first["url"], "custom": second["custom"]}
    assert (await rig.launch(opened(mixed))).headers["location"].startswith("https://app.example/tool/lab-2?code=")


async def test_an_item_without_a_url_leads_to_the_application_s_start(rig: Rig, picker: Picker) -> None:
    [item] = (await picker.returned(await picker.begin(), {"type": "ltiResourceLink"}))[DL + "content_items"]
    assert (await rig.launch(opened(item))).headers["location"].startswith("https://app.example/tool?code=")


@pytest.mark.parametrize("named", ["itm_" + "a" * 26, "x", "' OR 1=1", "itm_" + "a" * 300])
async def test_an_unknown_item_leads_to_the_start_with_a_warning(rig: Rig, named: str) -> None:
    launch = await rig.exchange(await rig.launch(put(lti_custom={"ltihost_item": named})))
    assert launch["target_link_uri"] == "https://app.example/tool"
    assert any("content item that is not known here" in warning for warning in launch["warnings"])
    assert await rows(rig, LinkedItem) == []


@pytest.mark.parametrize("target", ["https://evil.example/", "https://app.example/other"])
async def test_a_foreign_target_is_refused_whatever_item_it_names(rig: Rig, picker: Picker, target: str) -> None:
    item = await returned(picker) | {"url": target}
    assert await rig.refused(await rig.launch(opened(item))) == "target_not_registered"


async def test_an_application_s_own_item_parameter_is_its_own(rig: Rig, picker: Picker) -> None:
    item = await returned(picker)
    target = f"https://app.example/tool/other?item={item['custom']['ltihost_item']}"
    response = await rig.launch(put(lti_target_link_uri=target))
    assert response.headers["location"].startswith(target)


async def test_an_item_of_another_registration_counts_for_nothing(rig: Rig, picker: Picker) -> None:
    item = await returned(picker)
    await rig.register(("other-deployment",), issuer="https://second.example")
    changes = put(iss="https://second.example", lti_deployment_id="other-deployment")
    response = await rig.launch(
        opened(item | {"url": f"{BASE}/lti/launch"}), changes,
        iss="https://second.example", lti_deployment_id="other-deployment",
    )  # fmt: skip
    launch = await rig.exchange(response)
    assert launch["target_link_uri"] == "https://app.example/tool"
    assert "content item" in str(launch["warnings"])
    assert await rows(rig, LinkedItem) == []


async def test_an_item_whose_url_was_taken_away_is_refused(rig: Rig, picker: Picker) -> None:
    item = await returned(picker)

    def move(session: Session) -> None:
        session.scalars(select(tables.Application)).one().launch_url = "https://app.example/new"

    await rig.operator(move)
    assert await rig.refused(await rig.launch(opened(item))) == "target_not_registered"


async def test_another_item_behind_the_same_link_is_told(rig: Rig, picker: Picker) -> None:
    first, second = await returned(picker), await returned(picker, url="https://app.example/tool/lab-2")
    await rig.launch(opened(first))
    await rig.launch(opened(second))
    ids = [item["custom"]["ltihost_item"] for item in (first, second)]
    [_, (kind, told)] = await link_events(rig)
    assert (kind, told["content_item_id"], told["former_content_item_id"]) == ("link.changed", ids[1], ids[0])
    [row] = await rows(rig, LinkedItem)
    assert row.content_item_id == ids[1]


async def test_the_copy_of_a_course_is_traced_by_our_own_id(rig: Rig, picker: Picker) -> None:
    """A platform without any history: a second link with the same item is a copy of the first."""
    item = await returned(picker)
    await rig.launch(opened(item, "old"))
    response = await rig.launch(opened(item, "new", lti_context={"id": "ctx-copy"}))
    assert response.headers["location"].startswith(f"{LAB}?code=")
    ids = await ids_of(rig)
    assert (await link_events(rig))[1] == (
        "link.copied",
        {
            "resource_link_id": ids["new"], "context_id": ids["ctx-copy"],
            "content_item_id": item["custom"]["ltihost_item"], "origin_link_id": ids["old"],
            "origin_context_id": ids["ctx-1"],
        },
    )  # fmt: skip
    origins = {row.resource_link_id: row.origin_link_id for row in await rows(rig, LinkedItem)}
    assert origins == {ids["old"]: None, ids["new"]: ids["old"]}


@pytest.mark.parametrize("by", ["history", "notice"])
async def test_of_several_links_the_one_in_the_context_of_origin_is_the_origin(
    rig: Rig, picker: Picker, by: str
) -> None:
    item = await returned(picker)
    await rig.launch(opened(item, "first", lti_context={"id": "a"}))
    await rig.launch(opened(item, "second", lti_context={"id": "b"}))
    custom = {"context_history": "gone,b"} if by == "history" else {}
    if by == "notice":
        await rig.launch(put(lti_context={"id": "c"}))
        ids = await ids_of(rig)

        def noticed(session: Session) -> None:
            session.add(
                ContextOrigin(tenant_id=rig.tenant.id, context_id=ids["c"], origin_context_id=ids["b"], noticed_at=1.0)
            )

        await rig.operator(noticed)
    await rig.launch(opened(item, "third", lti_context={"id": "c"}, custom=custom))
    ids = await ids_of(rig)
    kind, told = (await link_events(rig))[-1]
    assert (kind, told["origin_link_id"], told["origin_context_id"]) == ("link.copied", ids["second"], ids["b"])


async def test_what_the_platform_says_of_a_copy_comes_first(rig: Rig, picker: Picker) -> None:
    """The newest link of the history that the host knows."""
    item = await returned(picker)
    for link in ("first", "second"):
        await rig.launch(opened(item, link))
    await rig.launch(opened(item, "third", custom={"link_history": "unseen,second,first"}))
    assert (await link_events(rig))[-1][1]["origin_link_id"] == (await ids_of(rig))["second"]


async def test_a_copy_that_lost_both_is_found_by_the_link_s_history(rig: Rig, picker: Picker) -> None:
    item = await returned(picker)
    await rig.launch(opened(item, "old"))
    lost = put(lti_resource_link={"id": "new"}, lti_custom={"link_history": "old"})
    for _ in range(2):
        assert (await rig.launch(lost)).headers["location"].startswith(f"{LAB}?code=")
    kind, told = (await link_events(rig))[-1]
    assert (kind, told["content_item_id"]) == ("link.copied", item["custom"]["ltihost_item"])


@pytest.mark.parametrize(
    "history", ["$ResourceLink.id.history", "", " , ,", "link-1", "x" * 5_000, ",".join("abc" * 99)]
)
async def test_a_history_that_says_nothing_traces_nothing(rig: Rig, history: str) -> None:
    for _ in range(2):
        assert (await rig.launch(put(lti_custom={"link_history": history}))).status_code == 303
    assert await rows(rig, LinkedItem) == []


async def test_a_link_whose_origin_is_known_without_an_item_is_a_copy(rig: Rig) -> None:
    await rig.launch(put(lti_resource_link={"id": "old"}))
    await rig.launch(put(lti_resource_link={"id": "new"}, lti_custom={"link_history": "old"}))
    ids = await ids_of(rig)
    [(kind, told)] = await link_events(rig)
    assert (kind, told["origin_link_id"], told["content_item_id"]) == ("link.copied", ids["old"], None)


async def test_launches_without_items_ask_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hot path stays as it was."""
    calls: list[Any] = []
    monkeypatch.setattr(content_items, "known", lambda *_: calls.append("known"))
    monkeypatch.setattr(content_items, "note_link", lambda *_, **__: calls.append("note"))
    await rig.launch(put(lti_custom={"context_history": "ctx-0"}))
    assert calls == []
