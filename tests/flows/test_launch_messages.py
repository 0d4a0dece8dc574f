"""Every message of the certification catalogue through the whole launch: refused ones leave nothing, good ones arrive."""

from __future__ import annotations

from typing import Any

import pytest

from ltihost.store import tables
from tests.flows.cases import ACCEPTED, REFUSED
from tests.flows.platform import Change
from tests.flows.rig import Rig, field_at


@pytest.mark.parametrize(("name", "change", "code"), REFUSED, ids=[case[0] for case in REFUSED])
async def test_a_launch_with_one_defect_is_refused_with_its_own_code(
    rig: Rig, name: str, change: Change, code: str
) -> None:
    response = await rig.launch(change, lti_deployment_id=None)
    assert await rig.refused(response) == code
    assert [await rig.count(table) for table in (tables.User, tables.Session, tables.OneTimeCode)] == [0, 0, 0]
    again = await rig.post(flow := await rig.login(), rig.token(flow))
    assert again.status_code == 303, "the next good launch must not suffer"


@pytest.mark.parametrize(("name", "change", "expected"), ACCEPTED, ids=[case[0] for case in ACCEPTED])
async def test_a_good_launch_arrives_as_the_spec_means_it(
    rig: Rig, name: str, change: Change, expected: dict[str, Any]
) -> None:
    launch = await rig.exchange(await rig.launch(change, lti_deployment_id=None))
    assert {path: field_at(launch, path) for path in expected} == expected
    assert launch["user"]["subject"] == "39890"
    assert launch["message"] == "resource_link"
    assert (await rig.attempts())[0].outcome == "accepted"
