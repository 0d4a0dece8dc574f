"""The people and courses that every simulated LMS shows, so that the same story can be told on each of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ltihost.testing.profile import (
    MEMBERSHIP,
    SYSTEM,
    TEACHING_ASSISTANT,
    TEST_USER,
    Context,
    Kind,
    Link,
    Person,
    Profile,
)

#: Names are as names are: with apostrophes, accents and more than two words.
_PEOPLE = (
    Person("tess", 3, "Tess", "Marlow", "E1001"),
    Person("amir", 4, "Amir", "Haddad", "E1002"),
    Person("greta", 5, "Greta", "Lindqvist", "E1003"),
    Person("dario", 6, "Dario", "Conti", "E1004"),
    Person("ada", 7, "Ada", "O'Brien", "S0001"),
    Person("zoe", 8, "Zoë", "Müller-Lüdecke", "S0002"),
    Person("anh", 9, "Thị Ánh", "Nguyễn", "S0003"),
    Person("kofi", 10, "Kofi", "Mensah"),
    Person("olivia", 11, "Olivia", "Park"),
    Person("sam", 2, "Sam", "Whitfield"),
    Person("preview", 12, "Test", "Student"),
)

_BIOLOGY = {
    "sam": "administrator", "tess": "teacher", "amir": "assistant", "greta": "grader", "dario": "designer",
    "ada": "student", "zoe": "student", "anh": "student", "olivia": "observer", "preview": "test_student",
}  # fmt: skip
_ROME = {"sam": "administrator", "amir": "teacher", "greta": "teacher", "kofi": "student", "ada": "student"}
# Amir assists in one course, teaches another and is a student here: roles hold in a context only.
_STATISTICS = {"sam": "administrator", "tess": "teacher", "amir": "student", "zoe": "student", "kofi": "student"}

_CONTEXTS = (
    Context("biology", 2, "BIO-101", "Biology 101: Life & Cells", "SIS-BIO-101", _BIOLOGY, (
        Link("cell-quiz", 11, "Cell structure quiz", "Organelles and what they do.", 10),
        Link("photosynthesis", 12, "Photosynthesis exercise", "Several attempts; the best one counts.", 100),
        Link("lab-safety", 13, "Lab safety film", "Watch this before the first lab."),
        Link("peer-review", 14, 'Peer review "q" & é', "Read two reports of others.\r\nThen write yours.", 12.5),
        *(Link(f"film-{n}", 20 + n, f"Film {n}", placement="embed") for n in range(1, 11)),
    ), summary="Cells, energy and inheritance. Bring a lab coat."),
    Context("rome", 3, "ART-210", "Art History: Rome & Florence", "SIS-ART-210", _ROME, (
        Link("forum", 41, "A walk through the Forum", "Twelve stops, twelve questions.", 20),
        Link("dome", 42, "Brunelleschi's dome", "An interactive model."),
    ), summary="Two cities and eight hundred years."),
    Context("statistics", 4, "STA-100", "Statistics for Everyone", "", _STATISTICS, (
        Link("averages", 51, "Mean, median, mode", "A first exercise.", 5),
    ), summary="Numbers that tell stories."),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    people: tuple[Person, ...]
    contexts: tuple[Context, ...]


def world(kinds: Collection[str], *, navigation: str | None = None) -> World:
    """People and contexts for an LMS that knows `kinds`; whoever is of another kind everywhere is left out.

    `navigation` is the title of the tool's entry in each context's menu, None where the LMS has no such place.
    """
    contexts = tuple(_context(context, kinds, navigation) for context in _CONTEXTS)
    known = {slug for context in contexts for slug in context.enrolled}
    return World(tuple(person for person in _PEOPLE if person.slug in known), contexts)


def _context(context: Context, kinds: Collection[str], navigation: str | None) -> Context:
    enrolled = {slug: kind for slug, kind in context.enrolled.items() if kind in kinds}
    entry = (
        (Link(f"{context.slug}-menu", 90 + context.number, navigation, placement="navigation"),) if navigation else ()
    )
    return replace(context, enrolled=enrolled, links=context.links + entry)


_KINDS = {
    "teacher": Kind("Teacher", (MEMBERSHIP + "Instructor",), picks=True),
    "assistant": Kind("Teaching assistant", (MEMBERSHIP + "Instructor", TEACHING_ASSISTANT), picks=True),
    "designer": Kind("Content developer", (MEMBERSHIP + "ContentDeveloper",), picks=True),
    "student": Kind("Student", (MEMBERSHIP + "Learner",)),
    "observer": Kind("Mentor", (MEMBERSHIP + "Mentor",)),
    "test_student": Kind("Test student", (MEMBERSHIP + "Learner", TEST_USER)),
    "administrator": Kind("Administrator", (MEMBERSHIP + "Administrator", SYSTEM + "Administrator"), picks=True),
}


def profile() -> Profile:
    """The LMS of the built-in plugin `lti`: it does what the specs say, and nothing else."""
    found = world(_KINDS)
    return Profile(
        key="lti",
        name="LTI 1.3",
        site="Open Campus",
        people=found.people,
        contexts=found.contexts,
        kinds=_KINDS,
        storage_frame="_parent",
    )
