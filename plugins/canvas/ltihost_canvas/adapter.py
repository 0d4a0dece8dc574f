"""Canvas beyond single answers: how it may be asked, and what takes a second step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ltihost.plugins import (
    GiveUp,
    LineItem,
    LtiAdapter,
    Outcome,
    Result,
    Score,
    ServiceFailed,
    ServiceUrls,
)
from ltihost_canvas.claims import MEMBERSHIP
from ltihost_canvas.errors import ATTEMPTS_EXHAUSTED, LINE_ITEM_COUPLED
from ltihost_canvas.scores import SUBMISSION, new_comment, without_attempt

#: What a roster may be asked for, by full names only (canvas-lms, memberships_provider.rb).
ROLES_LISTED = frozenset(
    f"{MEMBERSHIP}{role}"
    for role in (
        "#Instructor", "/Instructor#TeachingAssistant", "#Learner", "#ContentDeveloper", "#Mentor", "#Member", "#Manager",
    )
)  # fmt: skip


class CanvasAdapter(LtiAdapter):
    """Calls run one after the other, since parallel ones pay a penalty in advance (doc/api/throttling.md). A score older
    than the last one is refused with 400 (canvas-lms, scores_controller.rb).
    """

    in_flight = 1
    page_limit = 50
    enforces_timestamp = True

    def score_body(self, line_item: LineItem, subject: str, score: Score, at: int) -> dict[str, Any]:
        """G3: Canvas refuses work that was handed in more than a minute from now; such a moment becomes `at`. G8: a comment
        that Canvas has is left out.
        """
        body = super().score_body(line_item, subject, score, at)
        if not new_comment(score):
            body.pop("comment", None)
        for part, member in (("submission", "submittedAt"), (SUBMISSION, "submitted_at")):
            if isinstance(body.get(part), Mapping) and _later(body[part].get(member), at):
                body[part] = {**body[part], member: body["timestamp"]}
        return body

    async def send_score(self, urls: ServiceUrls, line_item: LineItem, subject: str, score: Score, at: int) -> Outcome:
        """G9: without attempts left Canvas refuses a new submission before it stores anything; the grade then goes alone."""
        outcome = await super().send_score(urls, line_item, subject, score, at)
        if isinstance(outcome, GiveUp) and outcome.code == ATTEMPTS_EXHAUSTED:
            return await super().send_score(urls, line_item, subject, without_attempt(score), at)
        return outcome

    async def delete_line_item(self, urls: ServiceUrls, line_item: LineItem) -> None:
        """C5: the column of an assignment that opens the tool is never deleted through this service. Canvas answers 401,
        which would cost a good token.
        """
        if line_item.coupled:
            raise ServiceFailed(LINE_ITEM_COUPLED, "Canvas deletes this column only together with its assignment.")
        await super().delete_line_item(urls, line_item)

    def match_result(self, result: Result, subject: str) -> bool:
        """See `results`: Canvas has filtered already."""
        return True

    async def results(
        self, urls: ServiceUrls, line_item: LineItem, *, subject: str | None = None
    ) -> tuple[Result, ...]:
        """G10: the row of a person whose accounts were merged carries another id than was asked for. Canvas looked it
        up, so that a single row is that person's; of several only the one with the very id.
        """
        found = await super().results(urls, line_item, subject=subject)
        if subject is None:
            return found
        if len(found) == 1:
            return (replace(found[0], subject=subject),)
        return tuple(result for result in found if result.subject == subject)

    def members_url(self, url: str, *, resource_link: str | None, role: str | None) -> str:
        """N2: any other role gives an empty list instead of an error, so it is left to the reader to choose."""
        return super().members_url(url, resource_link=resource_link, role=role if role in ROLES_LISTED else None)


def _later(moment: object, at: int) -> bool:
    if not isinstance(moment, str):
        return False
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return False
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() > at
