"""The second half of the demo's story: a teacher adds a quiz, a student makes three attempts, and what follows.

deep_linking   the teacher chooses a quiz; its link stands in the course and opens that quiz
grade          three attempts; the best one stands in the gradebook
title          the teacher renames the quiz; the column follows
roster         the roster is read, somebody leaves, and is known to have left
override       the teacher grades by hand; the application sees it
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ltihost.commands.demo_steps import (
    Step,
    UnexpectedError,
    Watched,
    enrolled,
    form_of,
    last_of,
    scene,
    timed,
    until,
)
from ltihost.testing.campus_pages import launch_url
from ltihost.testing.demo_app.quiz import QUIZZES
from ltihost.testing.driver import Driver, Walk
from ltihost.testing.platform import SimulatedPlatform

_QUIZ = QUIZZES["light"]
_POINTS = 20
#: Right answers of the three attempts; the second is the best.
_RIGHT = (2, 3, 1)
_BY_HAND = 18.5
_LABEL = "Photosynthesis, second edition"


class Lesson:
    """One LMS's lesson. Steps build on each other: what one leaves, the next one finds."""

    def __init__(self, watched: Watched, platform: SimulatedPlatform) -> None:
        self._watched = watched
        self._platform = platform
        self._link = ""

    async def play(self) -> AsyncIterator[Step]:
        """The steps as they happen; without a link of its own the lesson ends early."""
        platform = self._platform
        yield await timed(platform, "deep_linking", self._choose())
        if not self._link:
            return
        yield await timed(platform, "grade", self._attempts())
        yield await timed(platform, "title", self._rename())
        yield await timed(platform, "roster", self._leave())
        yield await timed(platform, "override", self._grade_by_hand())

    async def _choose(self) -> str:
        context, teacher, _ = scene(self._platform, "teacher")
        before = {link.slug for link in context.links}
        async with Driver() as driver:
            picker = await driver.walk(launch_url(self._platform, teacher.slug, context=context.slug))
            form = form_of(picker, "/choose")
            chosen = {**form.fields, "quiz": _QUIZ.key, "points": str(_POINTS)}
            end = await driver.walk(form.action, fields=chosen)
        new = [link for link in self._platform.contexts[context.slug].links if link.slug not in before]
        if len(new) != 1 or new[0].maximum != _POINTS:
            raise UnexpectedError(
                f"no new link of {_POINTS} points in {context.title}; the walk ended at {last_of(end)}"
            )
        self._link = new[0].slug
        await self._open("student")
        told = (self._watched.last or {}).get("custom", {}).get("quiz")
        if told != _QUIZ.key:
            raise UnexpectedError(f"the new link opened the quiz {told!r}, not {_QUIZ.key!r}")
        return f"{teacher.name} added {new[0].title!r} for {_POINTS} points, and its link opens that quiz"

    async def _attempts(self) -> str:
        student = self._person("student")
        async with Driver() as driver:
            page = await self._opened(driver, "student")
            for right in _RIGHT:
                form = form_of(page, "/answers")
                page = await driver.walk(form.action, fields={**form.fields, **_answers(right)})
        best = _POINTS * max(_RIGHT) / len(_QUIZ.questions)
        book = self._platform.gradebook
        await until(
            lambda: book.shown(self._link, student) == best,
            lambda: f"the gradebook shows {book.shown(self._link, student)}, not {best}",
        )
        await self._seen('id="grade">sent', "does not say that the grade was", kind="student")
        if book.shown(self._link, student) != best:
            raise UnexpectedError(f"the last attempt took the place of the best: {book.shown(self._link, student)}")
        sent = [line.body.get("scoreGiven") for line in book.posts(applied=True, column=self._column())]
        return f"attempts of {', '.join(map(str, _RIGHT))} right; {best:g} of {_POINTS} stands, sent {len(sent)} times"

    async def _rename(self) -> str:
        await self._press("/title", {"label": _LABEL})
        book = self._platform.gradebook
        await until(
            lambda: book.columns[self._column()].label == _LABEL,
            lambda: f"the column is still called {book.columns[self._column()].label!r}",
        )
        return f"the column is now called {_LABEL!r}"

    async def _leave(self) -> str:
        context, _ = self._platform.find_link(self._link)
        stays = self._person("student")
        names = {person.slug: person.name for place, person in enrolled(self._platform, "student") if place == context}
        gone = next(slug for slug in names if slug != stays)
        await self._press("/roster")
        await self._seen(names[gone], "was read, and does not list")
        self._platform.unenrol(gone, context.slug)
        await self._press("/roster")
        await self._seen(f"{names[gone]}<small>Student, left the course", "does not say that somebody left:")
        return f"{len(names)} students were read; {names[gone]} left, and is known to have left"

    async def _grade_by_hand(self) -> str:
        self._platform.override_grade(self._link, self._person("student"), _BY_HAND)
        page = await self._press("/results")
        shown = f"{_BY_HAND:g} / {_POINTS}"
        if shown not in page.response.text or "set by a teacher" not in page.response.text:
            raise UnexpectedError(f"the application does not show {shown} as set by a teacher")
        return f"a teacher typed {shown}, and the application shows it as the teacher's"

    # Opening and pressing.

    def _person(self, kind: str) -> str:
        """The first of this kind in the lesson's context."""
        context, _ = self._platform.find_link(self._link)
        return next(slug for slug, known in context.enrolled.items() if known == kind)

    def _column(self) -> int:
        return self._platform.gradebook.column_of(self._link).number

    async def _open(self, kind: str) -> Walk:
        async with Driver() as driver:
            return await self._opened(driver, kind)

    async def _opened(self, driver: Driver, kind: str) -> Walk:
        end = await driver.walk(launch_url(self._platform, self._person(kind), link=self._link))
        if not end.ok:
            raise UnexpectedError(f"a {kind} could not open the link: {last_of(end)}")
        return end

    async def _press(self, action: str, fields: Mapping[str, str] | None = None) -> Walk:
        """The teacher opens the link and presses a button of the application."""
        async with Driver() as driver:
            form = form_of(await self._opened(driver, "teacher"), action)
            return await driver.walk(form.action, fields={**form.fields, **(fields or {})})

    async def _seen(self, text: str, otherwise: str, *, kind: str = "teacher") -> None:
        """Wait until the page of somebody shows a text."""
        page = ""

        async def looked() -> bool:
            nonlocal page
            page = (await self._open(kind)).response.text.replace("&#39;", "'")
            return text in page

        await until(looked, lambda: f"the {kind}'s page {otherwise} {text.partition('<')[0].rpartition('>')[2]}")


def _answers(right: int) -> dict[str, str]:
    """The form of an attempt with so many right answers."""
    return {
        f"q{index}": str(question.right if index < right else (question.right + 1) % len(question.choices))
        for index, question in enumerate(_QUIZ.questions)
    }
