"""Deep linking, whole: the request, the picker's answer, the signed response, once. Certification 4 and 7.5."""

from __future__ import annotations

import asyncio
import html
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.store import applications, deep_links, tables
from ltihost.store.linking_tables import ContentItem, DeepLink
from tests.flows.picker import ALL_TYPES, DL, RETURN_URL, SETTINGS, Picker, deep_linking, lti_link, token_in
from tests.flows.platform import CLIENT, DEPLOYMENT, ISSUER, LTI, V2, put
from tests.flows.rig import ACTOR, BASE, HOST, Rig

LEARNER = put(lti_roles=[f"{V2}membership#Learner"])


@pytest.fixture
async def picker(rig: Rig) -> Picker:
    return await Picker.of(rig)


async def items(rig: Rig) -> list[ContentItem]:
    return await rig.host.database.run_host(lambda session: list(session.scalars(select(ContentItem))))


async def state(rig: Rig, link: str) -> str:
    def read(session: Session) -> str:
        return session.scalars(select(DeepLink.state).where(DeepLink.id == link)).one()

    return await rig.host.database.run_host(read)


async def test_the_certification_s_request_is_answered_as_it_asks(rig: Rig, picker: Picker) -> None:
    """D-01 to D-06: a request without target and resource link; the claims of the answer."""
    link = await picker.begin(put(lti_target_link_uri=None), accept_media_types="image/*,text/html,application/json")
    response = await picker.finish(link, lti_link(line_item={"maximum": 100}))
    page = await picker.visit(response.json()["continue_url"])
    header, claims = await picker.opened(token_in(page))
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert {name: claims[name] for name in ("iss", "aud", LTI + "deployment_id", DL + "data")} == {
        "iss": CLIENT, "aud": ISSUER, LTI + "deployment_id": DEPLOYMENT, DL + "data": "909708",
    }  # fmt: skip
    assert claims[LTI + "message_type"] == "LtiDeepLinkingResponse"
    assert claims[LTI + "version"] == "1.3.0"
    assert claims["iat"] <= rig.clock() < claims["exp"] <= claims["iat"] + 300
    assert len(claims["nonce"]) >= 32
    [item] = claims[DL + "content_items"]
    [stored] = await items(rig)
    assert item == {
        "type": "ltiResourceLink", "title": "Lab 1",
        "url": f"{BASE}/r/{rig.registration.id}/lti/launch?item={stored.id}",
        "custom": {"ltihost_item": stored.id}, "lineItem": {"scoreMaximum": 100, "label": "Lab 1"},
    }  # fmt: skip
    assert stored.url == "https://app.example/tool/lab-1"


async def test_the_page_posts_one_field_to_the_verified_return_url_and_says_nothing_else(picker: Picker) -> None:
    """DL-13, DL-18, S-65, S-67, S-68: the URL keeps its query; headers; no personal data; a button without scripts."""
    link = await picker.begin()
    url = (await picker.finish(link, lti_link(title="</script><script>alert(1)</script>"))).json()["continue_url"]
    page = await picker.visit(url + "?deep_link_return_url=https://evil.example")
    assert html.unescape(page.text.split('action="')[1].split('"')[0]) == RETURN_URL
    assert "</script><script>alert" not in page.text
    assert 'method="post"' in page.text
    assert '<button type="submit"' in page.text
    assert "Ada" not in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action https: https://lms.example;" in policy
    assert policy.endswith("frame-ancestors https://lms.example")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in page.headers


async def test_pinned_origins_alone_may_frame_the_page(rig: Rig, picker: Picker) -> None:
    def pin(session: Session) -> None:
        row = session.scalars(select(tables.Registration)).one()
        row.frame_origins = ["https://school.example", "https://portal.example"]

    await rig.operator(pin)
    url = (await picker.finish(await picker.begin(), lti_link())).json()["continue_url"]
    policy = (await picker.visit(url)).headers["content-security-policy"]
    assert policy.endswith("frame-ancestors https://school.example https://portal.example")


async def test_the_page_works_once(rig: Rig, picker: Picker) -> None:
    """S-65, DL-14. Looking ahead, and another registration's path, spend nothing."""
    link = await picker.begin()
    url = (await picker.finish(link, lti_link())).json()["continue_url"]
    assert (await picker.visit(url, **{"sec-purpose": "prefetch"})).status_code == 503
    assert (await rig.http.head(url.removeprefix(BASE))).status_code == 503
    assert (await picker.visit(url.replace(rig.registration.id, "reg_" + "a" * 26))).status_code == 404
    assert await state(rig, link) == "finished"
    first = await picker.visit(url)
    again = await picker.visit(url)
    assert (first.status_code, again.status_code) == (200, 410)
    assert "choose the content again" in again.text
    assert "JWT" not in again.text
    assert await state(rig, link) == "returned"
    other = (await picker.finish(await picker.begin(), lti_link())).json()["continue_url"]
    tokens = [token_in(first), token_in(await picker.visit(other))]
    assert len({(await picker.claims(token))["nonce"] for token in tokens}) == 2


async def test_a_token_that_is_not_ours_finds_nothing(picker: Picker) -> None:
    link = await picker.begin()
    url = (await picker.finish(link, lti_link())).json()["continue_url"]
    for token in ("x", "dl1.AAAA.AAAA", url.rpartition("/")[2][:-2] + "AA", "é"):
        assert (await picker.visit(f"{BASE}/lti/deep-links/{token}")).status_code == 404
    assert (await picker.visit(url)).status_code == 200


async def test_the_same_answer_again_gets_the_same_url_and_another_conflicts(rig: Rig, picker: Picker) -> None:
    link = await picker.begin()
    first = await picker.finish(link, lti_link(), message="done")
    again = await picker.finish(link, lti_link(), message="done")
    assert (again.status_code, again.json()) == (200, first.json())
    assert await picker.refused(link, lti_link(title="Other"), message="done") == (409, "deep_link_finished")
    await picker.visit(first.json()["continue_url"])
    after = await picker.finish(link, lti_link(), message="done")
    assert after.json() == first.json()
    assert (await picker.visit(after.json()["continue_url"])).status_code == 410
    assert len(await items(rig)) == 1


@pytest.mark.parametrize(("body", "said"), [({}, {}), ({"message": "See you"}, {DL + "msg": "See you"})])
async def test_who_cancels_goes_back_empty_handed(picker: Picker, body: dict[str, Any], said: dict[str, str]) -> None:
    """DL-11."""
    claims = await picker.returned(await picker.begin(), **body)
    assert claims[DL + "content_items"] == []
    assert {name: claims[name] for name in (DL + "msg", DL + "errormsg") if name in claims} == said


async def test_an_error_goes_back_as_an_error_and_never_with_items(picker: Picker) -> None:
    """DL-12."""
    link = await picker.begin()
    assert await picker.refused(link, lti_link(), error="It broke") == (422, "items_with_error")
    claims = await picker.returned(link, error="It broke")
    assert (claims[DL + "errormsg"], claims[DL + "content_items"]) == ("It broke", [])


@pytest.mark.parametrize("data", [None, "", "ünïcode 🙂 \"'<>&", "x" * 8_000])
async def test_data_goes_back_as_it_came(picker: Picker, data: str | None) -> None:
    """DL-08."""
    claims = await picker.returned(await picker.begin(data=data))
    assert claims.get(DL + "data", "absent") == ("absent" if data is None else data)


@pytest.mark.parametrize("role", ["Learner", "Mentor", "Member"])
async def test_who_teaches_nothing_may_return_nothing_but_nothing(rig: Rig, picker: Picker, role: str) -> None:
    """DL-17: refused, with a way back."""
    link = await picker.begin(put(lti_roles=[f"{V2}membership#{role}"]))
    assert await picker.refused(link, lti_link()) == (403, "role_forbidden")
    assert await items(rig) == []
    assert (await picker.returned(link))[DL + "content_items"] == []


async def test_without_roles_nothing_may_be_chosen_unless_the_registration_trusts_administrators(
    rig: Rig, picker: Picker
) -> None:
    """DL-04."""
    assert await picker.refused(await picker.begin(put(lti_roles=None)), lti_link()) == (403, "role_forbidden")
    administrator = put(lti_roles=[f"{V2}institution/person#Administrator"])
    assert await picker.refused(await picker.begin(administrator), lti_link()) == (403, "role_forbidden")

    def trust(session: Session) -> None:
        session.scalars(select(tables.Registration)).one().institution_admin = True

    await rig.operator(trust)
    assert (await picker.finish(await picker.begin(administrator), lti_link())).status_code == 200


@pytest.mark.parametrize(
    "role", ["Instructor", "ContentDeveloper", "Administrator", "Manager", "Instructor#TeachingAssistant"]
)
async def test_who_teaches_develops_or_runs_the_course_may_choose(picker: Picker, role: str) -> None:
    uri = f"{V2}membership/{role}" if "#" in role else f"{V2}membership#{role}"
    assert (await picker.finish(await picker.begin(put(lti_roles=[uri])), lti_link())).status_code == 200


async def test_requests_that_lack_what_may_lack_are_let_in(picker: Picker) -> None:
    """DL-05 without a context, DL-07 with a resource link nobody asked for."""
    assert (await picker.returned(await picker.begin(put(lti_context=None)), lti_link()))[DL + "content_items"]
    link = await picker.begin(put(lti_resource_link={"id": "folder"}))
    assert (await picker.returned(link, lti_link()))[DL + "content_items"]


async def test_switches_written_as_text_are_read(picker: Picker) -> None:
    link = await picker.begin(accept_multiple="true", accept_lineitem="false")
    shown = (await picker.show(link)).json()
    assert (shown["accept_multiple"], shown["accept_line_item"]) == (True, False)


@pytest.mark.parametrize("url", ["http://203.0.113.9/r", "javascript:alert(1)", "data:text/html,x", "/r", "", None])
async def test_a_return_url_that_cannot_be_trusted_stops_the_launch(rig: Rig, url: str | None) -> None:
    """DL-02, S-65, S-66."""
    assert await rig.refused(await rig.launch(deep_linking(deep_link_return_url=url))) == "deep_linking_invalid"


async def test_plain_http_goes_into_the_operator_s_own_networks_only(picker: Picker) -> None:
    link = await picker.begin(deep_link_return_url="http://127.0.0.1:9/r")
    url = (await picker.finish(link, lti_link())).json()["continue_url"]
    policy = (await picker.visit(url)).headers["content-security-policy"]
    assert "form-action https: http://127.0.0.1:9;" in policy
    assert policy.endswith("frame-ancestors http://127.0.0.1:9 https://lms.example")


async def test_a_conversation_ends_after_two_hours(rig: Rig, picker: Picker) -> None:
    link, late = await picker.begin(), await picker.begin()
    rig.clock.now += deep_links.OPEN_SECONDS - 5
    url = (await picker.finish(late, lti_link())).json()["continue_url"]
    rig.clock.now += 10
    assert await picker.refused(link, lti_link()) == (410, "deep_link_expired")
    assert (await picker.show(link)).json()["state"] == "expired"
    rig.clock.now += deep_links.RETURN_SECONDS
    page = await picker.visit(url)
    assert (page.status_code, "too old" in page.text) == (410, True)
    assert await state(rig, late) == "finished"


async def test_what_was_finished_late_still_has_ten_minutes(rig: Rig, picker: Picker) -> None:
    link = await picker.begin()
    rig.clock.now += deep_links.OPEN_SECONDS - 5
    url = (await picker.finish(link, lti_link())).json()["continue_url"]
    rig.clock.now += deep_links.RETURN_SECONDS - 60
    assert (await picker.visit(url)).status_code == 200


async def test_the_conversation_is_shown_without_what_stays_here(picker: Picker, rig: Rig) -> None:
    link = await picker.begin(accept_media_types="image/*, text/html")
    shown = (await picker.show(link)).json()
    assert RETURN_URL not in str(shown)
    assert "909708" not in str(shown)
    assert shown.pop("expires_at").endswith("Z")
    assert shown.pop("context_id").startswith("ctx_")
    assert shown == {
        "id": link, "state": "open", "accept_types": ALL_TYPES, "accept_targets": ["iframe", "window", "embed"],
        "accept_multiple": True, "accept_line_item": None, "title": "A title", "text": "A text",
        "accept_media_types": ["image/*", "text/html"],
    }  # fmt: skip


async def test_a_conversation_is_its_own_application_s(rig: Rig, picker: Picker) -> None:
    link = await picker.begin()
    other = await rig.operator(
        applications.create, rig.tenant.id, "other", name="Other", launch_url="https://other.example/", actor=ACTOR
    )
    stranger = await rig.key(other, "deeplink:write")
    assert (await picker.show(link, stranger)).status_code == 404
    assert (await picker.finish(link, lti_link(), key=stranger)).json()["code"] == "deep_link_unknown"
    assert (await picker.finish(link, lti_link(), key=rig.api_key)).json()["code"] == "scope_missing"
    assert (await picker.finish("lch_" + "a" * 36, lti_link())).status_code == 404
    plain = await rig.exchange(await rig.launch())
    assert (await picker.finish(plain["id"], lti_link())).json()["code"] == "deep_link_unknown"
    assert (await picker.finish(link, lti_link())).status_code == 200


async def test_what_was_switched_off_takes_no_answer(rig: Rig, picker: Picker) -> None:
    from ltihost.store import registrations

    link, waiting = await picker.begin(), await picker.begin()
    url = (await picker.finish(waiting, lti_link())).json()["continue_url"]
    await rig.operator(registrations.disable, rig.registration.id, actor=ACTOR)
    assert await picker.refused(link, lti_link()) == (409, "registration_inactive")
    assert (await picker.visit(url)).status_code == 403
    await rig.operator(registrations.approve, rig.registration.id, actor=ACTOR)
    assert (await picker.visit(url)).status_code == 200
    assert (await picker.finish(link, lti_link())).status_code == 200


async def test_answers_that_would_suddenly_go_elsewhere_are_not_begun(rig: Rig, picker: Picker) -> None:
    """S-52, D15: the first origin is remembered, another one is held."""
    assert (await picker.finish(await picker.begin(), lti_link())).status_code == 200
    moved = await rig.launch(deep_linking(deep_link_return_url="https://evil.example/r"))
    assert await rig.refused(moved) == "return_url_held"
    again = await picker.begin(deep_link_return_url="https://lms.example/other?x=1")
    assert (await picker.finish(again, lti_link())).status_code == 200


async def test_where_nothing_can_be_chosen_the_reason_is_told_apart(rig: Rig) -> None:
    """Switched off by an administrator, or no picker to go to; links go on working."""
    await rig.set(rig.registration.id, deep_linking="no")
    assert await rig.refused(await rig.launch(deep_linking())) == "deep_linking_off"
    await rig.set(rig.registration.id, deep_linking="yes")
    await rig.operator(applications.update, rig.application.id, [("picker-url", "")], actor=ACTOR)
    page = await rig.launch(deep_linking())
    assert await rig.refused(page) == "picker_missing"
    assert "There is nothing to choose from here" in page.text
    assert (await rig.launch()).status_code == 303


async def test_settings_are_required(rig: Rig) -> None:
    """DL-01, DL-03."""
    for settings in (None, {"deep_link_return_url": RETURN_URL}):
        change = put(**{"lti_message_type": "LtiDeepLinkingRequest", SETTINGS: settings})
        assert await rig.refused(await rig.launch(change)) == "deep_linking_invalid"


async def test_of_many_browsers_at_once_one_gets_the_page(picker: Picker) -> None:
    url = (await picker.finish(await picker.begin(), lti_link())).json()["continue_url"]
    answers = await asyncio.gather(*(picker.visit(url) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410, 410, 410]


async def test_of_many_answers_at_once_one_counts(rig: Rig, picker: Picker) -> None:
    link = await picker.begin()
    same = [picker.finish(link, lti_link(), lti_link()) for _ in range(4)]
    other = [picker.finish(link, lti_link(title=f"Lab {number}")) for number in range(2)]
    answers = await asyncio.gather(*same, *other)
    taken = {answer.json()["continue_url"] for answer in answers if answer.status_code == 200}
    assert len(taken) == 1
    assert {answer.status_code for answer in answers} == {200, 409}
    assert len(await items(rig)) in (1, 2)


async def test_a_key_for_every_tenant_finds_the_conversation_of_one(rig: Rig) -> None:
    shared = await rig.operator(
        applications.create, HOST, "shared", name="Shared", launch_url="https://app.example/tool",
        picker_url="https://app.example/pick", actor=ACTOR,
    )  # fmt: skip
    await rig.approve(rig.registration.id, DEPLOYMENT, tenant=rig.tenant, application=shared)
    rig.application = shared
    rig.api_key = await rig.key(shared)
    picker = await Picker.of(rig)
    link = await picker.begin()
    assert (await picker.show(link)).json()["state"] == "open"
    assert (await picker.returned(link, lti_link()))[DL + "content_items"]
    [stored] = await items(rig)
    assert (stored.tenant_id, stored.application_owner) == (rig.tenant.id, HOST)


async def test_registrations_on_the_shared_urls_stay_on_them(rig: Rig, picker: Picker) -> None:
    """D12: who uses the host's key set knows the host's URLs, and its signature."""

    def share(session: Session) -> None:
        session.scalars(select(tables.Registration)).one().key_set = "host"

    await rig.operator(share)
    url = (await picker.finish(await picker.begin(), lti_link())).json()["continue_url"]
    assert url.startswith(f"{BASE}/lti/deep-links/")
    page = await picker.visit(url)
    keys = KeySet.import_key_set((await rig.http.get("/lti/jwks")).json())
    claims = json.loads(jws.deserialize_compact(token_in(page), keys, ["RS256"]).payload)
    [item] = claims[DL + "content_items"]
    assert item["url"].startswith(f"{BASE}/lti/launch?item=itm_")
    launched = await rig.launch(
        put(lti_target_link_uri=item["url"], lti_custom=item["custom"]), target_link_uri=item["url"]
    )
    assert launched.headers["location"].startswith("https://app.example/tool/lab-1?code=")
