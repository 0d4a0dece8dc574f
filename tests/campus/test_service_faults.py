"""What goes wrong on purpose goes wrong as it says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2
import pytest

from ltihost.testing.services.faults import ServiceFaults
from ltihost.testing.serving import RunningCampus
from tests.campus.service_client import ServiceClient, registered


@pytest.fixture
def client(campus: RunningCampus) -> Iterator[ServiceClient]:
    with registered(campus, "lti") as found:
        yield found


def test_throttled(client: ServiceClient) -> None:
    client.platform.faults.switch("throttled", times=2)
    answer = client.score(7)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert client.items().status_code == 429
    assert client.score(7).is_success


@pytest.mark.parametrize(("fault", "status"), [("error_500", 500), ("unavailable", 503), ("access_off", 403)])
def test_errors_change_nothing(client: ServiceClient, fault: str, status: int) -> None:
    client.platform.faults.switch(fault, service="score")
    assert client.items().is_success
    assert client.score(7).status_code == status
    assert client.grade() is None
    (line,) = client.platform.gradebook.posts()
    assert (line.status, line.applied, line.body["scoreGiven"]) == (status, False, 7)
    client.platform.faults.clear()
    assert client.score(7).is_success


def test_a_lost_answer_was_applied(client: ServiceClient) -> None:
    client.platform.faults.switch("lost_answer", service="score", times=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        client.score(7)
    assert client.grade() == 7
    (line,) = client.platform.gradebook.posts()
    assert (line.status, line.applied) == (0, True)
    client.platform.faults.switch("lost_answer", service="line_items", times=1)
    with pytest.raises(httpx2.TransportError):
        client.make({"label": "Twin", "scoreMaximum": 5, "tag": "twin"})
    assert [item["label"] for item in client.items(tag="twin").json()] == ["Twin"]


def test_a_hang_ends_and_then_does_it(client: ServiceClient) -> None:
    client.platform.faults.hang_seconds = 0.3
    client.platform.faults.switch("hang", times=1)
    started = time.monotonic()
    assert client.score(7).is_success
    assert time.monotonic() - started >= 0.3
    assert ServiceFaults().hang_seconds == 30


@pytest.mark.parametrize(("fault", "status"), [("token_refused", 400), ("token_error", 500)])
def test_the_token_endpoint(client: ServiceClient, fault: str, status: int) -> None:
    client.platform.faults.switch(fault)
    assert client.ask_token().status_code == status
    assert client.items().is_success
    client.platform.faults.clear(fault)
    assert client.ask_token().is_success


def test_a_wrong_clock(client: ServiceClient) -> None:
    client.platform.faults.switch("late_clock")
    refused = client.ask_token()
    assert (refused.status_code, "'iat'" in refused.json()["error_description"]) == (400, True)
    client.platform.faults.clear()
    client.platform.faults.switch("fast_clock")
    assert "'exp'" in client.ask_token().json()["error_description"]


def test_scores_take_as_long_as_they_are_told(client: ServiceClient) -> None:
    client.platform.faults.latency = 0.2
    started = time.monotonic()
    client.items()
    assert time.monotonic() - started < 0.2
    client.score(7)
    assert time.monotonic() - started >= 0.2


def test_unknown_faults_are_refused(client: ServiceClient) -> None:
    with pytest.raises(ValueError, match="unknown fault 'flood'"):
        client.platform.faults.switch("flood")
