"""What core lends an adapter, with the answers of an LMS written down beforehand, in the order in which they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ltihost.service_records import LineItem, Operation, Outcome, Score, SentScore, ServiceAnswer, ServiceUrls

SCOPES = "https://purl.imsglobal.org/spec/lti-ags/scope/"
ALL_SCOPES = tuple(SCOPES + name for name in ("lineitem", "lineitem.readonly", "result.readonly", "score"))
SERVICES = "https://lms.example.edu/services/2"
ITEMS = f"{SERVICES}/lineitems?type_id=1"
ITEM = f"{SERVICES}/lineitems/14/lineitem?type_id=1"
ROSTER = f"{SERVICES}/members"
URLS = ServiceUrls(line_items_url=ITEMS, ags_scopes=ALL_SCOPES, memberships_url=ROSTER)
COLUMN = LineItem("lin_1", "Lab 1", Decimal(10), url=ITEM, resource_id="lab-1", tag="points")
AT = 1_790_000_000
AT_TEXT = "2026-09-21T14:13:20.000Z"


@dataclass(frozen=True)
class Sent:
    """One request as it left. Numbers of the body are exact."""

    method: str
    url: str
    body: Any


class ScriptedLms:
    """Stands for core's side of the seam (`AdapterServices`); asserts nothing, remembers everything."""

    def __init__(self, *answers: ServiceAnswer) -> None:
        self._answers = list(answers)
        self._classify: Callable[[ServiceAnswer, Operation], Outcome | None] = lambda answer, operation: None
        self.requests: list[Sent] = []
        self.renewals = 0
        self.clock: Callable[[], float] = lambda: float(AT)

    def reads_errors(self, classify: Callable[[ServiceAnswer, Operation], Outcome | None]) -> None:
        self._classify = classify

    async def request(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> ServiceAnswer:
        self.requests.append(Sent(method, url, json.loads(content, parse_float=Decimal) if content else None))
        return self._answers.pop(0)

    async def token(self, scopes: Sequence[str], *, also: Sequence[str] = (), refused: str | None = None) -> str:
        self.renewals += refused is not None
        return "token"

    def classify(self, answer: ServiceAnswer, operation: Operation) -> Outcome | None:
        return self._classify(answer, operation)

    @property
    def spent(self) -> bool:
        """Whether every answer was asked for."""
        return not self._answers


def answer(body: Any = None, status: int = 200, **headers: str) -> ServiceAnswer:
    content = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    return ServiceAnswer(status, headers, content)


def page(*rows: Mapping[str, Any], next_url: str | None = None) -> ServiceAnswer:
    """A page of a roster."""
    container = {"id": ROSTER, "context": {"id": "2"}, "members": rows}
    return answer(container, link=f'<{next_url}>; rel="next"') if next_url else answer(container)


def graded(given: str | None = "8", maximum: str = "10", **more: Any) -> Score:
    """A final score, unless `more` says otherwise."""
    value = None if given is None else Decimal(given)
    stated = {"activity_progress": "Completed", "grading_progress": "FullyGraded", **more}
    return Score(value, None if value is None else Decimal(maximum), **stated)


def confirmed(given: str | None = "8", attempt: int = 1, comment: str | None = None, maximum: str = "10") -> SentScore:
    value = None if given is None else Decimal(given)
    return SentScore(value, None if value is None else Decimal(maximum), attempt, comment)


CLEARED = graded(None, activity_progress="Initialized", grading_progress="NotReady")
