"""A host whose registration leads to a gradebook on loopback; scores go the whole way, over real HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ltihost.flows.grades.deliver import ScoreRunner
from ltihost.host import Host
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.service_records import ServiceUrls
from ltihost.settings import Settings
from ltihost.store import registrations
from ltihost.store.grades import Terms
from ltihost.store.grades_store import Grades
from ltihost.store.service_tables import ContextServices, ServiceOrigin
from tests.core.grades.support import Book, make_book
from tests.core.store.support import ACTOR, DEPLOYMENT
from tests.flows.grades.gradebook import SCOPES, Gradebook


@dataclass
class Rig:
    """`runner` delivers what `book` takes in to `lms`. `book.shift` moves the host's time and the store's."""

    host: Host
    book: Book
    lms: Gradebook
    runner: ScoreRunner

    def subject(self, learner: int = 0) -> str:
        return f"learner-{learner}"

    def standing(self, learner: int = 0) -> tuple[float | None, float | None] | None:
        return self.lms.standing(self.subject(learner))

    async def deliver(self, *, after: float = 0.0) -> int:
        """Let time pass, then deliver what is due."""
        self.book.shift += after
        return await self.runner.work_once()


async def make_rig(
    settings: Settings, lms: Gradebook, *, learners: int = 2, plugins: Plugins | None = None,
    terms: Terms | None = None, **item: Any,
) -> Rig:  # fmt: skip
    """An open host; close it with `rig.host.close()`."""
    books: list[Book] = []
    host = Host.build(
        settings, plugins=plugins or load_plugins(["lti"]),
        clock=lambda: time.time() + (books[0].shift if books else 0.0),
    )  # fmt: skip
    await host.open()
    book = await make_book(host.database, learners=learners, url=lms.item_url(), **item)
    books.append(book)
    await connect(book, lms)
    host.routing.forget()
    grades = Grades(host.database, shift=lambda now: now + book.shift)
    if terms is not None:
        grades = Grades(host.database, lease=terms.lease, shift=lambda now: now + book.shift)
    return Rig(host, book, lms, ScoreRunner(host, grades, terms=terms))


async def connect(book: Book, lms: Gradebook) -> None:
    """Let the book's registration and context lead to the gradebook."""
    values = [("token-url", lms.url("/token"))]
    await book.db.run_host(registrations.update, book.world.registration.id, values, actor=ACTOR)
    await book.db.run_host(_services, book, lms)


def _services(session: Session, book: Book, lms: Gradebook) -> None:
    urls = ServiceUrls(lms.url("/items"), SCOPES)
    session.add(
        ContextServices(
            tenant_id=book.tenant_id,
            context_id=book.context_id,
            line_items_url=urls.line_items_url,
            ags_scopes=list(urls.ags_scopes),
            seen_at=0.0,
        )
    )
    session.add(
        ServiceOrigin(
            tenant_id=book.tenant_id,
            registration_id=book.world.registration.id,
            deployment_id=DEPLOYMENT,
            kind="line_items",
            origin=lms.url(""),
            state="accepted",
            first_seen_at=0.0,
        )
    )
