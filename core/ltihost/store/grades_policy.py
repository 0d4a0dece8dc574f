"""Which of the facts about one person and line item should stand in the gradebook.

Each policy is the maximum of a total order, so neither the order of arrival nor repetition matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from ltihost.service_records import Policy

Kind = Literal["attempt", "override", "clear"]


@dataclass(frozen=True, slots=True)
class Fact:
    """What an application stated: one revision of an attempt, an override, or the end of one (`clear`)."""

    id: str
    kind: Kind
    attempt: int
    revision: int
    given: Decimal | None
    maximum: Decimal | None

    @property
    def share(self) -> Fraction:
        """The exact part of the maximum; a fact without a grade is less than any grade."""
        if self.given is None or self.maximum is None:
            return Fraction(-1)
        return Fraction(self.given) / Fraction(self.maximum)


def winner(policy: Policy, facts: Iterable[Fact]) -> Fact | None:
    """The fact that should stand; None when there is none (any more).

    An override stands until a newer override or `clear`. Of an attempt only the newest revision counts. An attempt
    without a grade reports progress only: under each policy it stands behind those that have one.
    """
    given = list(facts)
    override = max((fact for fact in given if fact.kind != "attempt"), key=_newest, default=None)
    if override is not None and override.kind == "override":
        return override
    newest: dict[int, Fact] = {}
    for fact in given:
        if fact.kind == "attempt" and fact.revision >= newest.get(fact.attempt, fact).revision:
            newest[fact.attempt] = fact
    return max(newest.values(), key=_ORDERS[policy], default=None)


def _newest(fact: Fact) -> tuple[int, int, bool]:
    """Of two with the same numbers the clearing one: it is the safer reading."""
    return (fact.revision, fact.attempt, fact.kind == "clear")


#: A tie goes to the earlier attempt, so that an equal score sends nothing new.
_ORDERS: Mapping[Policy, Callable[[Fact], Any]] = {
    "highest": lambda fact: (fact.share, -fact.attempt),
    "latest": lambda fact: (fact.given is not None, fact.attempt),
    "first": lambda fact: (fact.given is not None, -fact.attempt),
}
