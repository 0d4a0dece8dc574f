"""What the services of a simulated LMS pass around: answers, refusals, a score on its way, and the ledger's lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ltihost.testing.parts import Cell, Column, Context, Link, Person, Tool

#: What a request to a service is about; faults can be meant for one of them.
Service = Literal["token", "line_items", "line_item", "score", "results", "roster", "notices"]

LINE_ITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"
LINE_ITEM = "application/vnd.ims.lis.v2.lineitem+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
RESULTS = "application/vnd.ims.lis.v2.resultcontainer+json"
MEMBERS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an LMS answers: `body` is a JSON value, a text that goes out as it is, or None for an empty answer."""

    status: int
    body: Any = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The LMS does not do what was asked. `text` is its reason in its own words; the profile shapes the answer."""

    def __init__(self, status: int, text: str, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a service lets in. `url` is its full URL, `query` the parameters (the first of each name)."""

    service: Service
    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes
    tool: Tool
    now: float


@dataclass(frozen=True, slots=True)
class ScorePost:
    """A score that reached a column. `person` and `kind` are None for a user the context does not know.

    `at` is the body's timestamp, `now` the LMS's time (Unix seconds).
    """

    body: Mapping[str, Any]
    column: Column
    cell: Cell
    person: Person | None
    kind: str | None
    at: float
    now: float


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One score that reached the LMS: what was asked, what was answered, and whether it was stored.

    `status` is 0 where the connection was closed without an answer.
    """

    at: float
    client_id: str | None
    column: int | None
    user_id: str | None
    body: Mapping[str, Any]
    status: int
    applied: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A person of a context as the roster service is asked for them; `link` is set in a link's own roster."""

    person: Person
    kind: str
    context: Context
    link: Link | None = None
