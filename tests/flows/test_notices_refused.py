"""Why a notice was refused stands in the log, and a good one beside it counts. Certification 7.7, PN-02 and PN-05."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from ltihost.store.linking_tables import Notice as Row
from tests.flows.platform import Change
from tests.flows.rig import OTHER_KEY, Rig
from tests.flows.test_notices import DEFECTS, hello, post, rows

CODES = {
    "aud": "audience_mismatch", "iss": "issuer_mismatch", "azp": "azp_mismatch", "expired": "expired",
    "no exp": "time_invalid", "no version": "version_unsupported", "unknown deployment": "deployment_disabled",
    "no deployment": "deployment_missing", "no notice": "notice_invalid", "notice without id": "notice_invalid",
    "notice without type": "notice_invalid", "a message": "notice_invalid",
}  # fmt: skip


async def refusals(rig: Rig, *tokens: str) -> list[str]:
    """The reasons of those that were refused; the others counted."""
    with capture_logs() as logs:
        assert (await post(rig, *tokens)).status_code == 204
    return [line["refusal"] for line in logs if line["event"] == "notice.refused"]


@pytest.mark.parametrize(("name", "change"), DEFECTS, ids=[name for name, _ in DEFECTS])
async def test_the_reason_of_each_defect_is_logged(rig: Rig, name: str, change: Change) -> None:
    """PN-05, beside a good one."""
    assert await refusals(rig, hello(rig, "n-1", change), hello(rig, "n-2")) == [CODES[name]]
    assert [row.notice_id for row in await rows(rig, Row)] == ["n-2"]


async def test_a_forged_signature_is_logged_and_the_good_notice_counts(rig: Rig) -> None:
    """PN-02."""
    assert await refusals(rig, hello(rig, "n-1", key=OTHER_KEY), hello(rig, "n-2")) == ["sig_invalid"]
    assert [row.notice_id for row in await rows(rig, Row)] == ["n-2"]
