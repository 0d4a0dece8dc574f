"""Whether to send now. R-12, R-13."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltihost.breaker import (
    Breaker,
    admit,
    failed,
    next_token,
    spent,
    succeeded,
    throttled,
    tripped,
)

NOW = 1_000.0


def admitted(breaker: Breaker, now: float, *, busy: int = 0, most: int = 8) -> int:
    return admit(breaker, now, busy=busy, most=most)[0]


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        breaker = failed(breaker, NOW, "down")
    return breaker


def test_a_closed_one_admits_what_is_free() -> None:
    assert admitted(Breaker(), NOW) == 8
    assert admitted(Breaker(), NOW, busy=6) == 2
    assert admitted(Breaker(), NOW, busy=9) == 0


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker = failed(breaker, NOW, "down")
    assert breaker.state == "closed"
    assert failed(succeeded(breaker, NOW), NOW, "down").state == "closed"
    breaker = failed(breaker, NOW, "down")
    assert (breaker.state, breaker.code) == ("open", "down")
    assert admitted(breaker, NOW) == 0


def test_more_than_half_of_the_last_twenty_open_it() -> None:
    breaker = Breaker()
    for number in range(200):
        breaker = succeeded(breaker, NOW) if number % 3 == 2 else failed(breaker, NOW, "down")
        if breaker.state == "open":
            break
    assert (breaker.state, number) == ("open", 19)


def test_failures_of_an_hour_do_not_add_up() -> None:
    breaker = Breaker()
    for number in range(60):
        step = succeeded if number % 3 == 2 else lambda state, now: failed(state, now, "down")
        breaker = step(breaker, NOW + number * 60)
    assert breaker.state == "closed"


def test_success_without_trouble_is_nothing_to_store() -> None:
    breaker = Breaker()
    assert succeeded(breaker, NOW) is breaker


def test_half_open_lets_one_two_four_through_and_closes() -> None:
    breaker = opened()
    now = breaker.open_until
    sizes = []
    while breaker.state != "closed":
        number, breaker = admit(breaker, now, busy=0, most=8)
        assert admit(breaker, now, busy=number, most=8)[0] == 0
        sizes.append(number)
        breaker = succeeded(breaker, now)
    assert sizes == [1, 2, 4]
    assert breaker == Breaker(open_until=breaker.open_until, successes=2, in_flight=4)


def test_each_time_it_stays_open_for_longer_up_to_a_quarter_of_an_hour() -> None:
    breaker, now, waits = opened(), NOW, []
    for _ in range(12):
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        breaker = failed(admit(breaker, now, busy=0, most=8)[1], now, "down")
    for place, wait in enumerate(waits):
        whole = min(900.0, 30.0 * 2**place)
        assert whole / 2 <= wait <= whole


def test_answers_to_what_was_sent_before_it_opened_change_nothing() -> None:
    breaker = opened()
    assert failed(breaker, NOW, "down") is breaker
    assert succeeded(breaker, NOW) is breaker
    assert tripped(breaker, NOW, "down") is breaker


def test_access_that_is_refused_opens_it_at_once() -> None:
    assert tripped(Breaker(), NOW, "invalid_client").state == "open"


def test_a_throttle_is_one_however_many_hear_of_it() -> None:
    once = throttled(Breaker(), NOW, 10.0, went_through=20.0)
    again = throttled(once, NOW + 1, 10.0, went_through=20.0)
    assert again.rate == once.rate == 19.0
    assert again.open_until == NOW + 11
    assert admitted(again, NOW + 10) == 0


@pytest.mark.parametrize("limit", [2, 10, 50])
def test_a_platform_that_throttles_is_used_as_far_as_it_goes(limit: int) -> None:
    """R-13, simulated: a platform that takes `limit` in any second, four workers' worth of room, an hour."""
    breaker, now, sent, refused = Breaker(), NOW, 0, 0
    window: list[float] = []
    late_sent = late_refused = 0
    while now < NOW + 3_600:
        number, breaker = admit(breaker, now, busy=0, most=4)
        for _ in range(number):
            window = [moment for moment in window if moment > now - 1.0]
            sent += 1
            late_sent += now > NOW + 60
            if len(window) >= limit:
                refused += 1
                late_refused += now > NOW + 60
                breaker = throttled(breaker, now, 1.0, went_through=float(len(window)))
            else:
                window.append(now)
        breaker = spent(breaker, number)
        now += 0.01 if breaker.rate is None else max(0.01, next_token(breaker, now) or 0.05)
    assert (sent - refused) / 3_600 >= 0.9 * limit
    assert late_refused <= 0.01 * late_sent


def test_pacing_says_when_the_next_may_go() -> None:
    breaker = replace(Breaker(), rate=2.0, tokens=0.0, paced_at=NOW, quiet_since=NOW)
    assert next_token(breaker, NOW) == 0.5
    assert admitted(breaker, NOW + 0.4) == 0
    assert admitted(breaker, NOW + 0.51) == 1
    assert next_token(Breaker(), NOW) is None
