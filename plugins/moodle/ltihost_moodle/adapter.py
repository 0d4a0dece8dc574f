"""Moodle beyond single answers: how it may be asked, and what takes a second step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlsplit

from ltihost.plugins import (
    Delivered,
    GiveUp,
    LineItem,
    LtiAdapter,
    NeedsAttention,
    Outcome,
    Score,
    ServiceAnswer,
    ServiceFailed,
    ServiceUrls,
)


class MoodleAdapter(LtiAdapter):
    """A score must be at least a whole second later than the one that stands, else 409 (gradebookservices, scores.php).

    `page_limit` and `result_limit` stay unset: without them everything comes at once; with a limit results end in a PHP
    error (results.php) and a roster loses its role filter and its order while it is paged (memberships.php).
    """

    #: A non-editing teacher is a Learner in the roster and an Instructor at launch (memberships service, 4.5).
    trusts_roster_roles = False

    enforces_timestamp = True

    async def send_score(self, urls: ServiceUrls, line_item: LineItem, subject: str, score: Score, at: int) -> Outcome:
        """K15, K14: an id that is no number ends in a database error, so it is not sent; a score above the maximum is cut
        without a word, so it is said here.
        """
        if not (subject.isascii() and subject.isdigit()):
            return GiveUp("user_id_invalid", at_once=True)
        outcome = await super().send_score(urls, line_item, subject, score, at)
        above = score.given is not None and score.maximum is not None and score.given > score.maximum
        cut = outcome == Delivered() and above
        return Delivered("Moodle keeps no more than the maximum of the column.") if cut else outcome

    async def update_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """Quirk 37: a changed maximum turns every empty cell into a zero (grade_item.php, rescale_grades). Where somebody
        has a result, the rest is brought to Moodle, the maximum stays, and a person is told (`maximum_in_use`).
        """
        current = await self.read_line_item(urls, line_item)
        if current.maximum == line_item.maximum or not await self._in_use(urls, current):
            return await super().update_line_item(urls, line_item)
        await super().update_line_item(urls, replace(line_item, maximum=current.maximum))
        text = "Moodle would turn empty cells of this column into zeros, so its maximum was left as it is."
        raise ServiceFailed(NeedsAttention("maximum_in_use"), text)

    async def _in_use(self, urls: ServiceUrls, line_item: LineItem) -> bool:
        """Whether anybody has a result; a tool that may not look assumes so."""
        try:
            return bool(await self.results(urls, line_item))
        except ServiceFailed as failed:
            if isinstance(failed.outcome, NeedsAttention):
                return True
            raise

    def next_page(self, answer: ServiceAnswer, url: str, seen: Collection[str]) -> str | None:
        """K19: the next page of a roster forgets the role that was asked for (memberships.php)."""
        following = super().next_page(answer, url, seen)
        roles = parse_qs(urlsplit(url).query).get("role")
        if following is None or roles is None or "role" in parse_qs(urlsplit(following).query):
            return following
        return f"{following}{'&' if '?' in following else '?'}role={quote(roles[0], safe='')}"
