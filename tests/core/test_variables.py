"""Variables that the platform sent back unfilled, told from texts that merely hold a dollar sign."""

from __future__ import annotations

import pytest

from ltihost.lti.variables import STANDARD_PREFIXES, unresolved_variable


@pytest.mark.parametrize("prefix", STANDARD_PREFIXES)
def test_standard_variables_are_known(prefix: str) -> None:
    assert unresolved_variable(prefix + "id")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "$",
        "$5",
        "$5 off",
        "$HOME",
        "User.id",
        " $User.id",
        "$User.id ",
        "$User.id and more",
        "$User.id\n",
        "$Users.id",
    ],
)
def test_other_texts_are_texts(value: str) -> None:
    assert not unresolved_variable(value)


def test_a_platforms_own_variables_are_known_by_their_prefix_only() -> None:
    assert not unresolved_variable("$Acme.course.id")
    assert unresolved_variable("$Acme.course.id", ("$Acme.",))


@pytest.mark.parametrize("value", ["$Acme.may<>", "$Acme.may<read>", "$Acme.may<read,write_all>"])
def test_a_variable_may_take_arguments(value: str) -> None:
    assert unresolved_variable(value, ("$Acme.",))


@pytest.mark.parametrize("value", ["$Acme.may<read", "$Acme.may<read> too", "$Acme.may<a b>"])
def test_broken_arguments_make_a_text(value: str) -> None:
    assert not unresolved_variable(value, ("$Acme.",))
