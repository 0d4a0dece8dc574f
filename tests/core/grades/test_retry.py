"""When to try again. R-14."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from ltihost.retry import asked_delay, delay, read_retry_after

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 1.0),
        ("9999999", 86_400.0),
        ("9" * 400, None),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 1.0),
        ("-5", None),
        ("1.5", None),
        ("abc", None),
        ("١٢", None),
        ("Wed, 99 Foo 2026 00:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_what_the_platform_asks_for(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, NOW) == seconds


def test_a_delay_doubles_to_six_hours_and_half_of_it_is_chance() -> None:
    for tried in range(40):
        whole = min(6 * 3_600, 5 * 2**tried)
        found = [delay(tried) for _ in range(20)]
        assert all(whole / 2 <= seconds <= whole for seconds in found)
        assert len(set(found)) > 1


def test_nobody_comes_back_before_the_time_or_all_at_once() -> None:
    found = [asked_delay(100.0) for _ in range(50)]
    assert all(100.0 <= seconds <= 110.0 for seconds in found)
    assert len(set(found)) > 1
    assert asked_delay(0.01) >= 1.0
    assert asked_delay(1e9) == 86_400.0
