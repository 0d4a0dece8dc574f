"""Reads the samples of a plugin's services: what comes in and what must come out, one JSON file each.

They lie beside the launches, in `samples/scores`, `samples/members`, `samples/content_items` and `samples/errors`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any, Literal, get_args

from ltihost.service_records import LeftOut, Outcome, Score, SentScore, Unacceptable, Withheld
from tests.plugins.reading import Reader, picking

Kind = Literal["scores", "members", "content_items", "errors"]


@dataclass(frozen=True)
class ServiceSample:
    """One file. `given` goes into the hook of its kind, `expected` comes out."""

    key: str
    kind: Kind
    stem: str
    name: str
    given: Mapping[str, Any]
    expected: Any


def service_samples(key: str) -> Iterator[ServiceSample]:
    for kind in get_args(Kind):
        folder = files(f"ltihost_{key}") / "samples" / kind
        for item in sorted(folder.iterdir(), key=lambda item: item.name):
            content = json.loads(item.read_text(encoding="utf-8"))
            yield ServiceSample(key, kind, item.name.removesuffix(".json"), **content)


def came_out(reader: Reader, sample: ServiceSample) -> Any:
    """What the plugin makes of the sample, as JSON would show it."""
    answered = _ASKED[sample.kind](reader, sample.given)
    match answered:
        case Withheld(reason) | LeftOut(reason) | Unacceptable(reason):
            return {type(answered).__name__: reason}
        case Score():
            return _score_as_json(answered)
        case _ if isinstance(answered, get_args(Outcome)):
            return {type(answered).__name__: asdict(answered)}
    return answered


def _score(given: Mapping[str, Any]) -> Score:
    previous = given.get("previous")
    numbers = {name: _decimal(given[name]) for name in ("given", "maximum")}
    before = previous and SentScore(_decimal(previous["given"]), _decimal(previous["maximum"]), previous["attempt"], previous["comment"])  # fmt: skip
    return Score(**{**given, **numbers, "previous": before})


def _score_as_json(score: Score) -> dict[str, Any]:
    """Without what only the sender needs; numbers as they would stand in the body."""
    shown = {name: value for name, value in asdict(score).items() if name not in ("previous", "repeated")}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in shown.items()}


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


_ASKED: Mapping[Kind, Any] = {
    "scores": lambda reader, given: reader.scaled(_score(given)),
    "members": lambda reader, given: reader.member(given),
    "content_items": lambda reader, given: reader.item(
        given["item"], picking(reader.key, role=given["role"], custom=given["custom"])
    ),
    "errors": lambda reader, given: reader.outcome(
        given["operation"], given["status"], given["body"], given["headers"]
    ),
}
