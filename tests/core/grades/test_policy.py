"""Which fact stands: the maximum of a total order, so that order and repetition of what arrives cannot matter. R-11."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.store.grades_policy import Fact, winner

POLICIES: Any = ["highest", "latest", "first"]


def fact(
    name: str, attempt: int, given: str | None, maximum: str | None = "10", revision: int = 1, kind: Any = "attempt"
) -> Fact:
    return Fact(name, kind, attempt, revision, given and Decimal(given), maximum and Decimal(maximum))  # type: ignore[arg-type]


@pytest.mark.parametrize(("policy", "wins"), [("highest", "b"), ("latest", "c"), ("first", "a")])
def test_each_policy_has_its_winner(policy: Any, wins: str) -> None:
    facts = [fact("a", 1, "4"), fact("b", 2, "9"), fact("c", 3, "7")]
    found = winner(policy, facts)
    assert found is not None
    assert found.id == wins


def test_shares_are_compared_exactly() -> None:
    third, less = fact("third", 1, "1", "3"), fact("less", 2, "0.333333", "1")
    assert winner("highest", [less, third]) == third


def test_a_tie_goes_to_the_earlier_attempt() -> None:
    assert winner("highest", [fact("b", 2, "5"), fact("a", 1, "50", "100")]) == fact("a", 1, "50", "100")


@pytest.mark.parametrize("policy", POLICIES)
def test_progress_without_a_grade_never_beats_one(policy: Any) -> None:
    """Also not the newest attempt under `latest`, nor the first one under `first`."""
    zero = fact("zero", 2, "0")
    assert winner(policy, [fact("begun", 3, None, None), zero, fact("left", 1, None, None)]) == zero


@pytest.mark.parametrize("policy", POLICIES)
def test_a_grade_is_taken_back_by_a_revision_without_one(policy: Any) -> None:
    first, second = fact("a", 1, "5"), fact("b", 2, "9")
    taken_back = fact("b2", 2, None, None, revision=2)
    assert winner(policy, [first, second, taken_back]) == first
    assert winner(policy, [second, taken_back]) == taken_back


@pytest.mark.parametrize(("policy", "told"), [("latest", "b"), ("first", "a"), ("highest", "a")])
def test_progress_is_told_while_there_is_no_grade(policy: Any, told: str) -> None:
    found = winner(policy, [fact("a", 1, None, None), fact("b", 2, None, None)])
    assert found is not None
    assert found.id == told


def test_a_correction_may_lower_its_attempt() -> None:
    best = winner("highest", [fact("a", 1, "5"), fact("b", 2, "9"), fact("b2", 2, "3", revision=2)])
    assert best is not None
    assert best.id == "a"


def test_an_override_stands_until_it_is_cleared_or_replaced() -> None:
    attempt, override = fact("a", 1, "9"), fact("o", 1, "2", kind="override")
    assert winner("highest", [attempt, override]) == override
    newer = fact("p", 1, "3", revision=2, kind="override")
    assert winner("highest", [newer, attempt, override]) == newer
    clear = fact("c", 1, None, None, revision=3, kind="clear")
    assert winner("highest", [newer, clear, attempt, override]) == attempt
    assert winner("highest", [clear]) is None


FACTS = st.lists(
    st.builds(
        lambda kind, attempt, revision, given, maximum: Fact(
            f"{kind} {attempt} {revision}", kind, attempt, revision,
            None if kind == "clear" else given, None if kind == "clear" else maximum,
        ),
        st.sampled_from(["attempt"] * 6 + ["override", "clear"]),
        st.integers(1, 5),
        st.integers(1, 3),
        st.none() | st.decimals(0, 20, places=3),
        st.decimals("0.5", 20, places=2),
    ),
    unique_by=lambda item: item.id,
    max_size=10,
)  # fmt: skip


@given(facts=FACTS, policy=st.sampled_from(POLICIES), data=st.data())
def test_any_order_and_any_repetition_have_one_winner(facts: list[Fact], policy: Any, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(facts + facts[: len(facts) // 2]))
    assert winner(policy, shuffled) == winner(policy, facts)
