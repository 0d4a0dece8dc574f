"""What an LMS can do, as small abstract classes. Core asks with `isinstance`; the verbs speak the domain, not the wire."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from ltihost.service_records import LineItem, Operation, Outcome, Result, RosterPage, Score, ServiceAnswer, ServiceUrls


class AdapterServices(Protocol):
    """What core lends an adapter for one piece of work: guarded HTTP, tokens and the time. A plugin brings none of these."""

    clock: Callable[[], float]

    async def request(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> ServiceAnswer:
        """One request to one of the registration's service origins, whatever status it answers.

        A GET is repeated after connection errors and 502 to 504; nothing else ever is. Raises OutboundRefused (a foreign
        origin: `service_origin`) and OutboundFailed.
        """

    async def token(self, scopes: Sequence[str], *, also: Sequence[str] = (), refused: str | None = None) -> str:
        """A bearer token that holds every one of these scopes.

        `also` are scopes worth asking for in the same request. `refused` is a token that the platform just refused: it
        is dropped, and another one comes. Raises ServiceFailed: `scope_missing` when the platform grants less, and
        what the token endpoint's answer means.
        """

    def classify(self, answer: ServiceAnswer, operation: Operation) -> Outcome | None:
        """What the LMS's plugin makes of an error answer (hook `classify_error`)."""


class SpeaksLti(ABC):
    """The ability to read LTI messages."""

    @abstractmethod
    def user_key(self, claims: Mapping[str, Any]) -> str | None:
        """The key under which this person is known within the registration; None for an anonymous launch."""


class KeepsGradebook(ABC):
    """The ability to keep columns in the LMS's gradebook. All raise ServiceFailed."""

    @abstractmethod
    async def line_items(
        self,
        urls: ServiceUrls,
        *,
        resource_id: str | None = None,
        tag: str | None = None,
        resource_link: str | None = None,
    ) -> tuple[LineItem, ...]:
        """Every line item of the context that fits all that is given, from all pages. AGS 3.2.4."""

    @abstractmethod
    async def read_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """The line item as it stands in the LMS now."""

    @abstractmethod
    async def create_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """Create it; one try. The caller has looked for it before. Answers what the LMS made of it."""

    @abstractmethod
    async def update_line_item(self, urls: ServiceUrls, line_item: LineItem) -> LineItem:
        """Bring label, maximum and dates to the LMS: the whole object is read, changed and written back. AGS 3.2.6."""

    @abstractmethod
    async def delete_line_item(self, urls: ServiceUrls, line_item: LineItem) -> None:
        """Delete it. Deleting what is gone already succeeds."""


class SendsScores(ABC):
    """The ability to send scores and to read what stands in the gradebook."""

    @abstractmethod
    async def send_score(self, urls: ServiceUrls, line_item: LineItem, subject: str, score: Score, at: int) -> Outcome:
        """Send once. `at` is the timestamp to state, whole Unix seconds. Never raises for what an LMS may answer."""

    @abstractmethod
    async def results(
        self, urls: ServiceUrls, line_item: LineItem, *, subject: str | None = None
    ) -> tuple[Result, ...]:
        """What stands in the gradebook, of one user or of all. Raises ServiceFailed."""


class ReadsRoster(ABC):
    """The ability to read who is in a context. See `LtiAdapter.trusts_roster_roles`."""

    trusts_roster_roles: ClassVar[bool] = True

    @abstractmethod
    def roster(
        self, urls: ServiceUrls, *, resource_link: str | None = None, role: str | None = None
    ) -> AsyncIterator[RosterPage]:
        """Every page in order, as sent. NRPS 2.0. Raises ServiceFailed; what was yielded before is then worth nothing."""

    def member_key(self, subject: str) -> str | None:
        """The `user_key` of this member's launches; None for who cannot be known."""
        return subject


class PicksContent(ABC):
    """The ability to take content items back."""

    @abstractmethod
    def deep_linking_claims(
        self, items: Sequence[Mapping[str, Any]], *, data: str | None, message: str | None, error: str | None
    ) -> dict[str, Any]:
        """The claims of the answer, but for iss, aud, iat, exp and nonce, which are core's. Deep Linking 2.0 section 4.5."""
