"""Answers of a gradebook with texts that a database or a page cannot hold: what is usable in them is used."""

from __future__ import annotations

import pytest

from ltihost.lti.service_json import read_body
from ltihost.lti.strict_json import StrictJsonError
from tests.flows.gradebook import Desk, desk

__all__ = ["desk"]  # a fixture

ODD = "half \ud83d and nul \x00"


async def test_a_column_whose_texts_cannot_be_stored_is_still_found(desk: Desk) -> None:
    desk.gradebook.add(label=ODD, scoreMaximum=20, resourceId="quiz-1", **{"https://lms.example/x": {"a": [ODD]}})
    desk.gradebook.add(label="Another", scoreMaximum=20, resourceId=ODD, tag=ODD)
    item = await desk.want("Quiz", 10, resource_id="quiz-1")
    await desk.work()
    shown = await desk.show(item["id"])
    assert (shown["state"], shown["maximum"], shown["code"]) == ("ready", 20.0, None)
    assert shown["label"].startswith("half \ufffd and nul")
    assert desk.gradebook.creations() == 0


async def test_a_changed_title_reaches_a_column_with_odd_texts(desk: Desk) -> None:
    desk.gradebook.add(label="Old", scoreMaximum=20, resourceId="quiz-1", **{"https://lms.example/x": ODD})
    item = await desk.want("Quiz", 10, resource_id="quiz-1")
    await desk.work()
    await desk.call("PATCH", f"/line-items/{item['id']}", {"label": "New"})
    await desk.work()
    assert desk.gradebook.items[1]["label"] == "New"
    assert (await desk.show(item["id"]))["synced"] is True


async def test_a_comment_that_cannot_be_stored_hides_no_result(desk: Desk) -> None:
    item = await desk.want(resource_id="quiz-1")
    await desk.work()
    subject = (await desk.launch())["user"]["subject"]
    odd = {"id": "x", "userId": ODD, "resultScore": 1, "comment": ODD}
    good = {"id": "y", "userId": subject, "resultScore": 5, "resultMaximum": 10, "comment": ODD}
    desk.gradebook.results[1] = [odd, good]
    answer = await desk.call("GET", f"/line-items/{item['id']}/results", refresh=True)
    assert answer.status_code == 200, answer.text
    assert [(row["user_id"], row["lms"]["given"]) for row in answer.json()["data"]] == [(desk.user_id, 5.0)]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb'"a\ud83d\ude00b"', "a\U0001f600b"), (rb'"\uD83D"', "\ufffd"), (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"), (rb'"\\ud83d"', r"\ud83d"), (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'"a\u0000b"', "a\ufffdb"), (rb'"a\\u0000b"', r"a\u0000b"), (rb'"\u0000\n\""', '\ufffd\n"'),
        (rb'{"\ud83d": [1]}', {"\ufffd": [1]}),
    ],
)  # fmt: skip
def test_only_what_no_database_holds_is_replaced(sent: bytes, read: object) -> None:
    assert read_body(sent) == read


@pytest.mark.parametrize("sent", [rb'"\ud83d', rb'"\u00"', b'"\x00"', b'"\xed\xa0\xbd"', rb'["\ud83d", NaN]'])
def test_what_is_no_json_stays_so(sent: bytes) -> None:
    with pytest.raises(StrictJsonError):
        read_body(sent)
