"""Submission review: somebody's work is opened from the gradebook. Certification 7.7, SR."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.store import applications
from tests.flows.picker import DL, Picker, lti_link
from tests.flows.platform import V2, Change, put
from tests.flows.rig import ACTOR, BASE, Rig, field_at

AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
ENDPOINT = {
    "scope": ["https://purl.imsglobal.org/spec/lti-ags/scope/score"],
    "lineitems": "https://lms.example/lineitems", "lineitem": "https://lms.example/lineitems/7/lineitem",
}  # fmt: skip
BEN: dict[str, Any] = {"user_id": "ben-7", "name": "Ben Two", "given_name": "Ben", "email": "ben@example.edu"}


def review(for_user: Any = BEN, endpoint: Any = ENDPOINT, role: str = "Instructor", **more: Any) -> Change:
    """A review with nothing wrong: no resource link, a line item, and whose work it is."""
    made = {
        "lti_message_type": "LtiSubmissionReviewRequest", "lti_for_user": for_user, "lti_resource_link": None,
        "lti_roles": [f"{V2}membership#{role}"], AGS: endpoint,
    }  # fmt: skip
    return put(**made | more)


async def test_a_teacher_opens_a_submission(rig: Rig) -> None:
    """SR-01. The host does not know Ben yet, so he has no id of ours."""
    response = await rig.launch(review())
    assert response.headers["location"].startswith("https://app.example/tool?code=")
    launch = await rig.exchange(response)
    assert (launch["message"], launch["resource_link"], launch["role"]) == ("submission_review", None, "instructor")
    assert launch["for_user"] == {
        "id": None, "subject": "ben-7", "name": "Ben Two", "given_name": "Ben", "family_name": None,
        "middle_name": None, "email": "ben@example.edu", "picture": None, "locale": None, "anonymous": False,
    }  # fmt: skip


async def test_who_launched_before_has_our_id(rig: Rig) -> None:
    ben = await rig.exchange(await rig.launch(put(sub="ben-7")))
    launch = await rig.exchange(await rig.launch(review({"user_id": "ben-7"})))
    assert launch["for_user"]["id"] == ben["user"]["id"]
    assert launch["for_user"]["name"] is None


async def test_names_that_are_not_released_stay_here(rig: Rig) -> None:
    quiet = await rig.operator(
        applications.create, rig.tenant.id, "quiet", name="Quiet", launch_url="https://app.example/tool", release=(),
        actor=ACTOR,
    )  # fmt: skip
    await rig.approve(rig.registration.id, "deployment-1", tenant=rig.tenant, application=quiet)
    rig.api_key = await rig.key(quiet)
    launch = await rig.exchange(await rig.launch(review()))
    assert "Ben" not in str(launch["for_user"])
    assert "example.edu" not in str(launch["for_user"])
    assert launch["for_user"]["subject"] == "ben-7"


@pytest.mark.parametrize(
    "change",
    [
        review(None), review({}), review({"user_id": ""}), review({"user_id": 7}), review("ben-7"),
        review(endpoint=None), review(endpoint={"lineitems": "https://lms.example/lineitems"}),
        review(endpoint=ENDPOINT | {"lineitem": "javascript:x"}),
    ],
    ids=["no for_user", "empty", "empty id", "number", "text", "no service", "no line item", "script"],
)  # fmt: skip
async def test_a_review_of_nobody_or_nothing_is_refused(rig: Rig, change: Change) -> None:
    """SR-02."""
    assert await rig.refused(await rig.launch(change)) == "submission_review_invalid"


@pytest.mark.parametrize("role", ["Learner", "Mentor", "ContentDeveloper", "Member"])
async def test_who_grades_nobody_sees_only_his_own_work(rig: Rig, role: str) -> None:
    """SR-03."""
    refused = await rig.launch(review(role=role))
    assert refused.status_code == 403
    assert await rig.refused(refused) == "submission_not_own"
    own = await rig.exchange(await rig.launch(review({"user_id": "39890"}, role=role)))
    assert own["for_user"]["id"] == own["user"]["id"]


@pytest.mark.parametrize("role", ["Instructor", "Administrator", "TeachingAssistant"])
async def test_who_grades_sees_everybody_s(rig: Rig, role: str) -> None:
    assert (await rig.launch(review(role=role))).status_code == 303


async def test_an_institution_s_instructor_is_no_teacher_here(rig: Rig) -> None:
    change = review(lti_roles=[f"{V2}institution/person#Instructor"])
    assert await rig.refused(await rig.launch(change)) == "submission_not_own"


async def test_roles_are_required_as_for_any_launch(rig: Rig) -> None:
    assert await rig.refused(await rig.launch(review(lti_roles=None))) == "roles_invalid"


async def test_a_resource_link_is_read_when_it_is_there(rig: Rig) -> None:
    launch = await rig.exchange(await rig.launch(review(lti_resource_link={"id": "link-1"})))
    assert field_at(launch, "resource_link.lms_id") == "link-1"
    broken = review(lti_resource_link={"title": "no id"})
    assert await rig.refused(await rig.launch(broken)) == "resource_link_invalid"


async def test_it_leads_where_the_line_item_says(rig: Rig) -> None:
    """Without an item of ours: the signed target, if it is the application's."""
    target = "https://app.example/tool/review/7"
    assert (await rig.launch(review(lti_target_link_uri=target))).headers["location"].startswith(f"{target}?code=")
    stranger = review(lti_target_link_uri="https://evil.example/")
    assert await rig.refused(await rig.launch(stranger)) == "target_not_registered"


@pytest.mark.parametrize(
    ("declared", "leads_to"),
    [({"url": "https://app.example/tool/see"}, "https://app.example/tool/see"), ({}, "https://app.example/tool/lab-1")],
)
async def test_a_content_item_s_review_leads_where_the_application_declared_it(
    rig: Rig, declared: dict[str, str], leads_to: str
) -> None:
    picker = await Picker.of(rig)
    item = lti_link(line_item={"maximum": 10, "submission_review": {"label": "See"} | declared})
    [sent] = (await picker.returned(await picker.begin(), item))[DL + "content_items"]
    told = sent["lineItem"]["submissionReview"]
    assert told["url"].startswith(f"{BASE}/r/")
    launched = await rig.launch(review(lti_target_link_uri=told["url"], lti_custom=told["custom"]))
    assert launched.headers["location"].startswith(f"{leads_to}?code=")
