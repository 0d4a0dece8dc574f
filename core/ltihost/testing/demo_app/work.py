"""What the quiz does for a launch, with the host's help."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ltihost.testing.demo_app.api import HostApi, HostError, Json
from ltihost.testing.demo_app.quiz import QUIZZES, Attempt, Attempts, Quiz, quiz_for

Launch = Mapping[str, Any]
#: Roles that run a course: they see everybody's results.
TEACHING = frozenset({"instructor", "teaching_assistant", "administrator", "content_developer"})
#: What stands between a score and the gradebook, for students and teachers alike.
STATES = {
    "idle": "in the gradebook",
    "pending": "on its way",
    "leased": "on its way",
    "blocked": "waiting",
    "waiting_enrolment": "waiting for the course's roster",
    "conflict": "a teacher set another grade",
    "dead": "could not be delivered",
}
_LOOKS = 8
_PAUSE = 0.15


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person's grade stands. `kind` is sent, set (by a teacher), waiting, failed or none; `grade` is what the LMS
    took, or has instead, `there` the same in the gradebook's own points where they are others.
    """

    kind: str
    words: str
    grade: str = ""
    there: str = ""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person in the teacher's table. `ours` and `lms` are points with their maximum, or empty."""

    name: str
    role: str
    active: bool
    attempts: int
    ours: str = ""
    lms: str = ""
    overridden: bool = False
    state: str = ""


class Work:
    """The quiz's work. Without an API (an application without a key) attempts stay here."""

    def __init__(self, api: HostApi | None, attempts: Attempts) -> None:
        self.api = api
        self.attempts = attempts

    def quiz(self, launch: Launch) -> Quiz:
        link = launch["resource_link"]
        return quiz_for(launch["custom"], link and link["title"])

    async def line_item(self, launch: Launch) -> Json | None:
        """The column of this link: the one that came with it, else the first. None for an ungraded link."""
        if self.api is None or launch["resource_link"] is None:
            return None
        if launch["line_item"]:
            return await self.api.line_item(launch["line_item"]["id"])
        return _first(await self.api.line_items(launch["resource_link"]["id"]))

    async def shown_line_item(self, launch: Launch) -> Json | None:
        """The same with title and maximum; of a new link the host knows them only when it has read them."""
        item = await self.line_item(launch)
        if item is None or item["maximum"] is not None or self.api is None:
            return item
        return _first(await self.api.line_items(launch["resource_link"]["id"], refresh=True))

    async def hand_in(self, launch: Launch, answers: Mapping[int, int]) -> Attempt:
        """Count the points, and send them if the link is graded. Raises HostError, and then nothing counts."""
        quiz, user_id = self.quiz(launch), launch["user"]["id"]
        attempt = self.attempts.make(self.place(launch), user_id, quiz.points(answers), len(quiz.questions))
        item = await self.line_item(launch)
        if item is not None and self.api is not None:
            score = {
                "user_id": user_id, "given": attempt.points, "maximum": attempt.maximum, "attempt": attempt.number,
                "comment": f"{attempt.points} of {attempt.maximum} right",
            }  # fmt: skip
            key = f"{attempt.place}-{user_id}-{attempt.number}"
            delivery = await self.api.post_score(item["id"], score, idempotency_key=key)
            attempt = replace(attempt, delivery=delivery["id"])
        self.attempts.keep(attempt)
        return attempt

    async def standing(self, launch: Launch, *, patient: bool = False) -> Standing:
        """How far the newest grade of this person is; `patient` gives it a second to arrive."""
        sent = [item.delivery for item in self.attempts.of(self.place(launch), launch["user"]["id"]) if item.delivery]
        if not sent or self.api is None:
            return Standing("none", "")
        delivery = await self.api.delivery(sent[-1])
        for _ in range(_LOOKS if patient else 0):
            if delivery["state"] not in ("pending", "leased"):
                break
            await asyncio.sleep(_PAUSE)
            delivery = await self.api.delivery(sent[-1])
        return standing_of(delivery, launch["line_item"])

    async def rename(self, launch: Launch, label: str) -> None:
        item = await self.line_item(launch)
        if item is not None and self.api is not None:
            await self.api.change_line_item(item["id"], {"label": label})

    async def make_graded(self, launch: Launch) -> None:
        quiz, link = self.quiz(launch), launch["resource_link"]
        if self.api is not None and link is not None:
            await self.api.make_line_item(link["id"], quiz.title, len(quiz.questions), f"quiz-{quiz.key}")

    async def class_rows(self, launch: Launch, item: Json | None, *, refresh: bool = False) -> list[PersonRow]:
        """Everybody of the context, with what stands for them here and in the LMS."""
        if self.api is None or launch["context"] is None:
            return []
        people = await self.api.members(launch["context"]["id"])
        results = await self.api.results(item["id"], refresh=refresh) if item else []
        by_user = {row["user_id"]: row for row in results}
        rows = [self._row(launch, person, by_user.get(person["user_id"])) for person in people]
        return sorted(rows, key=lambda row: (not row.active, row.role != "learner", row.name))

    def _row(self, launch: Launch, person: Json, result: Json | None) -> PersonRow:
        ours, lms = (result or {}).get("ours"), (result or {}).get("lms")
        return PersonRow(
            name=person["name"] or person["subject"],
            role=person["role"],
            active=person["active"],
            attempts=len(self.attempts.of(self.place(launch), person["user_id"] or "")),
            ours=points_of(ours),
            lms=points_of(lms),
            overridden=bool(lms and lms["overridden"]),
            state=STATES.get(ours["state"], "") if ours else "",
        )

    async def sync_roster(self, launch: Launch) -> None:
        if self.api is not None and launch["context"] is not None:
            await self.api.sync_roster(launch["context"]["id"])

    async def give_back(self, launch: Launch, keys: Sequence[str], *, maximum: float | None) -> str:
        """Return the chosen quizzes to the LMS; answers where the browser goes on. Raises HostError."""
        if self.api is None:
            raise HostError("This application has no key, so it cannot give anything back.")
        items = [self._item(QUIZZES[key], maximum) for key in keys if key in QUIZZES]
        return await self.api.finish(launch["deep_linking"]["id"], {"items": items})

    def _item(self, quiz: Quiz, maximum: float | None) -> Json:
        item: Json = {
            "type": "ltiResourceLink", "title": quiz.title, "text": quiz.summary, "custom": {"quiz": quiz.key},
        }  # fmt: skip
        if maximum is not None:
            item["line_item"] = {"label": quiz.title, "maximum": maximum, "resource_id": f"quiz-{quiz.key}"}
        return item

    def place(self, launch: Launch) -> str:
        """Where attempts belong: the link, or the context's own entry."""
        return str((launch["resource_link"] or launch["context"] or {"id": "nowhere"})["id"])


def _first(items: Sequence[Json]) -> Json | None:
    return next(iter(sorted(items, key=lambda item: not item["coupled"])), None)


def points_of(result: Json | None) -> str:
    if result is None or result["given"] is None:
        return ""
    return f"{result['given']:g} / {result['maximum']:g}" if result["maximum"] else f"{result['given']:g}"


def standing_of(delivery: Json, item: Json | None = None) -> Standing:
    """`item` is the launch's line item, whose maximum the gradebook shows."""
    state, standing = str(delivery["state"]), delivery["standing"]
    if state == "conflict" or (standing and standing["overridden"]):
        return Standing("set", "set by your teacher", points_of(standing))
    kind = {"idle": "sent", "dead": "failed"}.get(state, "waiting")
    confirmed = delivery["confirmed"]
    return Standing(kind, STATES.get(state, state), points_of(confirmed), _in_gradebook(confirmed, item))


def _in_gradebook(confirmed: Json | None, item: Json | None) -> str:
    maximum = item and item["maximum"]
    if not (confirmed and maximum and confirmed["maximum"]) or confirmed["maximum"] == maximum:
        return ""
    return f"{confirmed['given'] * maximum / confirmed['maximum']:.4g} of {maximum:g}"
