"""Every message of the certification catalogue through the whole launch: refused ones leave nothing, good ones arrive.

One host serves all cases of a database: making one for each would cost more than the launches.
"""

from __future__ import annotations

from typing import Any

from ltihost.store import tables
from tests.flows.cases import ACCEPTED, REFUSED
from tests.flows.rig import Rig, field_at


async def test_each_launch_with_one_defect_is_refused_with_its_own_code(rig: Rig) -> None:
    wrong: dict[str, Any] = {}
    for name, change, code in REFUSED:
        found = await rig.refused(await rig.launch(change, lti_deployment_id=None))
        if found != code:
            wrong[name] = found
    assert wrong == {}
    assert [await rig.count(table) for table in (tables.User, tables.Session, tables.OneTimeCode)] == [0, 0, 0]
    assert len(await rig.attempts()) == len(REFUSED)
    flow = await rig.login()
    assert (await rig.post(flow, rig.token(flow))).status_code == 303, "the next good launch must not suffer"


async def test_each_good_launch_arrives_as_the_spec_means_it(rig: Rig) -> None:
    wrong: dict[str, Any] = {}
    for name, change, expected in ACCEPTED:
        launch = await rig.exchange(await rig.launch(change, lti_deployment_id=None))
        found = {path: field_at(launch, path) for path in expected}
        if found != expected:
            wrong[name] = found
        assert (launch["user"]["subject"], launch["message"]) == ("39890", "resource_link"), name
        assert (await rig.attempts())[0].outcome == "accepted", name
    assert wrong == {}
