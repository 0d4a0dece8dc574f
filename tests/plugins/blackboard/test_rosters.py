"""Learn's rosters, quirk by quirk. N and T numbers are those of the plugin's README."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ltihost.plugins import LtiAdapter
from ltihost.service_records import LeftOut
from tests.plugins.reading import CONTEXT_ROLE, TEST_USER, Reader
from tests.plugins.scripted import ROSTER, URLS, ScriptedLms, page

LEARNER = f"{CONTEXT_ROLE}#Learner"
TWO, THREE, FOUR = (f"{ROSTER}?page={number}" for number in (2, 3, 4))


def row(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"status": "Active", "user_id": f"u{number}", "roles": [LEARNER], "name": "Ada Byron", **more}


async def test_t22_n2_the_last_page_that_names_an_earlier_one_is_the_last(blackboard: Reader) -> None:
    rows = [row(number) for number in range(2002)]
    lms = ScriptedLms(
        page(*rows[:1000], next_url=TWO), page(*rows[1000:2000], next_url=THREE), page(*rows[2000:], next_url=TWO)
    )
    found = [item async for part in blackboard.adapter(lms).roster(URLS) for item in part.rows]
    assert len({item["user_id"] for item in found}) == len(found) == 2002
    assert [request.url for request in lms.requests] == [ROSTER, TWO, THREE]


async def test_n2_a_page_with_nobody_new_is_the_last(blackboard: Reader) -> None:
    """Page 3 is under way while page 2 is looked at; nothing becomes of it."""
    lms = ScriptedLms(page(row(1), next_url=TWO), page(row(1), next_url=THREE), page(row(9), next_url=FOUR), page())
    found = [item["user_id"] async for part in blackboard.adapter(lms).roster(URLS) for item in part.rows]
    assert (found, lms.spent) == (["u1"], False)


async def test_n2_an_empty_first_page_is_read(blackboard: Reader) -> None:
    lms = ScriptedLms(page(next_url=TWO), page(row(1)))
    found = [len(part.rows) async for part in blackboard.adapter(lms).roster(URLS)]
    assert found == [0, 1]


@pytest.mark.parametrize(
    ("url", "link", "sent"),
    [
        (f"{ROSTER}?placement_id=_553_1", None, f"{ROSTER}?placement_id=_553_1"),
        (f"{ROSTER}?placement_id=_553_1", "_47_1", f"{ROSTER}?placement_id=_553_1&rlid=_47_1"),
        (f"{ROSTER}?rlid=_47_1", "_47_1", f"{ROSTER}?rlid=_47_1"),
    ],
)
async def test_t22_n1_a_query_is_kept_and_no_link_named_twice(
    blackboard: Reader, url: str, link: str | None, sent: str
) -> None:
    lms = ScriptedLms(page(row()))
    urls = replace(URLS, memberships_url=url)
    assert len([part async for part in blackboard.adapter(lms).roster(urls, resource_link=link)]) == 1
    assert lms.requests[0].url == sent


@pytest.mark.parametrize("roles", [[TEST_USER], [LEARNER, TEST_USER]])
def test_t13_n4_the_preview_user_is_left_out(blackboard: Reader, roles: list[str]) -> None:
    assert isinstance(blackboard.member(row(roles=roles)), LeftOut)


def test_n3_missing_names_and_empty_texts_stay(blackboard: Reader) -> None:
    member = {"user_id": "u1", "roles": [LEARNER], "middle_name": "", "email": ""}
    assert blackboard.member(member) == member


def test_n9_a_role_known_from_a_launch_outlives_the_roster(blackboard: Reader) -> None:
    """What the host does then is tested with its store: a role from a launch stays, one from a roster follows."""
    assert blackboard.adapter(ScriptedLms()).trusts_roster_roles is False
    assert LtiAdapter.trusts_roster_roles is True
