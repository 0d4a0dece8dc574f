"""Bodies that cannot be read, and how the OpenAPI document describes what is answered then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from docs.blocks.api import each_operation, openapi
from ltihost.app import MAX_BODY
from ltihost.settings import Settings
from tests.flows.rig import Rig

PATH = "/api/v1/launches/exchange"
PROBLEM = "application/problem+json"
GOOD = b'{"code": "x"}'


async def post(rig: Rig, body: bytes, *, key: str | None, media_type: str = "application/json") -> httpx2.Response:
    headers = {"content-type": media_type} | ({"authorization": f"Bearer {key}"} if key else {})
    return await rig.http.post(PATH, content=body, headers=headers)


def told(answer: httpx2.Response) -> tuple[int, str, str]:
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"], answer.json()["detail"]


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain", "", "application/jsonp"])
async def test_a_body_that_is_not_said_to_be_json_is_not_read(rig: Rig, media_type: str) -> None:
    status, code, detail = told(await post(rig, GOOD, key=rig.api_key, media_type=media_type))
    assert (status, code) == (415, "content_type")
    assert "`Content-Type: application/json`" in detail


async def test_json_may_name_its_encoding(rig: Rig) -> None:
    answer = await post(rig, GOOD, key=rig.api_key, media_type="Application/JSON; charset=utf-8")
    assert told(answer)[:2] == (410, "code_unusable")


async def test_broken_json_is_shown_where_it_breaks(rig: Rig) -> None:
    found = told(await post(rig, b'{\n  "code": x\n}', key=rig.api_key))
    assert found == (422, "invalid_request", "The body is not JSON (line 2, column 11): Expecting value.")


@pytest.mark.parametrize("body", [b'{"code": "\xff"}', b"[" * 100_000], ids=["no UTF-8", "too deep"])
async def test_what_no_reader_takes_for_json_is_an_unusable_body(rig: Rig, body: bytes) -> None:
    found = told(await post(rig, body, key=rig.api_key))
    assert found == (422, "invalid_request", "The body is not JSON in UTF-8, or nested too deep.")


@pytest.mark.parametrize(("body", "media_type"), [(GOOD, "text/plain"), (b"{", "application/json")])
async def test_the_key_comes_before_the_body(rig: Rig, body: bytes, media_type: str) -> None:
    assert told(await post(rig, body, key=None, media_type=media_type))[:2] == (401, "key_invalid")


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [(GOOD, "application/json", 410), (b"{", "application/json", 422), (GOOD, "text/plain", 415)],
    ids=["read", "no JSON", "of another type"],
)
async def test_every_request_of_a_key_counts(settings: Settings, body: bytes, media_type: str, status: int) -> None:
    rig = Rig(settings.model_copy(update={"api_rate_per_minute": 2}))
    await rig.start()
    answers = [await post(rig, body, key=rig.api_key, media_type=media_type) for _ in range(3)]
    await rig.stop()
    assert [answer.status_code for answer in answers] == [status, status, 429]
    assert told(answers[2])[1] == "rate_exceeded"


async def test_a_body_that_is_too_large_is_a_problem(rig: Rig) -> None:
    """Also one whose length is not said before it comes."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (MAX_BODY // 4)

    body: Any
    for body in (b" " * (MAX_BODY + 1), pieces()):
        headers = {"content-type": "application/json", "authorization": f"Bearer {rig.api_key}"}
        answer = await rig.http.post(PATH, content=body, headers=headers)
        assert told(answer) == (413, "body_too_large", "A body has at most 262,144 bytes.")
    elsewhere = await rig.http.post("/lti/launch", content=b" " * (MAX_BODY + 1))
    assert (elsewhere.status_code, elsewhere.text) == (413, "The request is too large.")


def test_bounds_are_described_as_they_are_checked() -> None:
    """Of a score, nothing may be reached, but not of nothing."""
    members = openapi()["components"]["schemas"]["ScoreBody"]["properties"]
    numbers = {name: members[name]["anyOf"][0] for name in ("given", "maximum")}
    assert numbers == {
        "given": {"type": "number", "minimum": 0},
        "maximum": {"type": "number", "exclusiveMinimum": 0},
    }


def test_every_operation_describes_its_problems() -> None:
    """A client generated from the document reads errors as what they are."""
    for method, path, operation in each_operation():
        answers = operation["responses"]
        expected = {"401", "403", "422", "429", "503"}
        expected |= {"404"} if "{" in path else set()
        expected |= {"413", "415"} if "requestBody" in operation else set()
        assert expected <= answers.keys(), (method, path)
        for status, answer in answers.items():
            wanted = PROBLEM if status >= "400" else "application/json"
            assert list(answer["content"]) == [wanted], (method, path, status)
            if wanted == PROBLEM:
                assert answer["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert "HTTPValidationError" not in json.dumps(openapi())
