"""The closed role set."""

from __future__ import annotations

from typing import get_args

from docs.blocks.markdown import code, table
from ltihost.lti.roles import NAMES, read_role, strongest_role
from ltihost.lti.vocabulary import CONTEXT_ROLES, MEMBERSHIP, TEST_USER
from ltihost.records import Role, RoleName, Scope
from ltihost.role_rules import GLOBAL_ROLES, GROUP_ROLES

#: Strongest first, one context role for each line; what they come out as is asked of the code.
_EXAMPLES = (
    "/Instructor#TeachingAssistant", "#Instructor", "#TeachingAssistant", "#ContentDeveloper", "#Administrator",
    "#Manager", "#Learner", "#Mentor", "#Member", "#Officer",
)  # fmt: skip


def strongest() -> str:
    """`role` of a launch, by the context role that decides; each line wins over those below it."""
    words = [strongest_role([_read(ending)]) for ending in _EXAMPLES]
    assert set(words) == set(get_args(RoleName))
    for (upper, word), lower in zip(zip(_EXAMPLES, words, strict=True), (*_EXAMPLES[1:], ""), strict=True):
        assert strongest_role([_read(lower), _read(upper)]) == word
    rows = ((code("membership" + ending), code(word)) for ending, word in zip(_EXAMPLES, words, strict=True))
    return table(("context role", "`role`"), rows)


def vocabulary() -> str:
    """Every word that `roles[].role` can be, per scope."""
    words = table(
        ("scope", "`role`"), ((code(scope), ", ".join(map(code, sorted(NAMES[scope])))) for scope in _scopes())
    )
    subs = table(
        ("context role", "`sub_role`"),
        (
            (
                code(_read("#" + role).role),
                ", ".join(code(_read(f"/{role}#{sub}").sub_role) for sub in sorted(names)) or "none",
            )
            for role, names in sorted(CONTEXT_ROLES.items())
        ),
    )
    return f"{words}\n\n{subs}\n\nA test user is {code(TEST_USER)}."


def rules() -> str:
    rows = (("global role", " < ".join(map(code, GLOBAL_ROLES))), ("group role", " < ".join(map(code, GROUP_ROLES))))
    return table(("", "weakest first"), rows)


def _scopes() -> tuple[Scope, ...]:
    scopes: tuple[Scope, ...] = get_args(Scope)
    return scopes


def _read(ending: str) -> Role:
    return read_role(MEMBERSHIP + ending)
