"""A flood of one event fills no log."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from ltihost.log_cap import CappedLog


async def minute_over(seconds: float) -> None:
    """Until what was to be called after so many seconds was called."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over


async def test_the_first_lines_of_a_minute_are_written_then_the_rest_is_counted() -> None:
    capped = CappedLog("launch.refused", lines=3, seconds=0.01)
    with capture_logs() as lines:
        for number in range(10):
            capped.info(code=f"K7QM-{number:04}", refusal="sig_invalid")
        await minute_over(0.01)
    assert [line["event"] for line in lines] == ["launch.refused"] * 3 + ["log.capped"]
    assert lines[0] == {"event": "launch.refused", "code": "K7QM-0000", "refusal": "sig_invalid", "log_level": "info"}
    assert (lines[-1]["line"], lines[-1]["count"]) == ("launch.refused", 7)


async def test_the_next_minute_has_room_again() -> None:
    capped = CappedLog("launch.refused", lines=2, seconds=0.01)
    with capture_logs() as lines:
        for _ in range(2):
            for _ in range(3):
                capped.info()
            await minute_over(0.01)
    assert [line["event"] for line in lines] == ["launch.refused", "launch.refused", "log.capped"] * 2


async def test_a_minute_within_its_share_has_no_summary() -> None:
    capped = CappedLog("launch.refused", lines=2, seconds=0.01)
    with capture_logs() as lines:
        capped.info()
        capped.info()
        await minute_over(0.01)
    assert len(lines) == 2
