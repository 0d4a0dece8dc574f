"""Rosters: who is in a context, as the LMS says. Names and Role Provisioning Services 2.0.

  sync(host, tenant, context)     by a job (daily, or asked for by the application) and by `ltihost roster sync`

1 begin          one sync of a context at a time
2 bind           tenant, registration, deployment and plugin must be on
3 read           every page, or nothing: a list that broke off says nothing about who is missing
4 normalise      each row by the LMS's plugin; who is listed twice counts once, the later row
5 brake          no member at all, or more leaving than a set share: nothing changes, a person must look
6 apply          people and memberships, in one transaction (long lists in slices), removals last
7 tell           events, plugins, scores that waited for an enrolment

  read_link(host, tenant, context, link)     who may use one link, and its custom parameters for each; nothing is stored
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

from ltihost.errors import Busy, Conflict, LtihostError, ServiceFailed
from ltihost.host import Host
from ltihost.lti.members import read_member, standing
from ltihost.plugins.abilities import ReadsRoster
from ltihost.records import Binding
from ltihost.retry import spread
from ltihost.role_rules import apply_role_rules
from ltihost.service_records import GiveUp, LeftOut, Member, RetryLater, RosterChange, RosterPage
from ltihost.store import jobs, roster_queries, rosters, tenants
from ltihost.store.jobs import Done, Job, Later, Verdict
from ltihost.store.roster_people import Listed, Sync

T = TypeVar("T")
log = structlog.get_logger()
#: People who may leave a context at once without anybody looking, and the share of its members beyond that.
ALWAYS_MAY_LEAVE = 3
SHARE_MAY_LEAVE = 0.25
#: Members stored by one transaction. After each the database is left to others for as long as it took, since on SQLite
#: whoever asks again at once gets the lock again, and launches would wait.
AT_ONCE = 500
#: Rows read before launches, which share the event loop, have their turn.
_ROWS_AT_ONCE = 100
JOB = "roster"
EVERY_SECONDS = 86_400.0
#: A context that nobody opened for so long is not read any more.
IN_USE_SECONDS = 30 * 86_400.0
RUNNING_SECONDS = 60.0
#: For how long a run that met with a busy database tries to say so.
BUSY_SECONDS = 120.0
#: How long an application waits at most while a link's members are read.
LINK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Synced:
    """How a sync ended. `state`: applied, held, failed; `code` and `note` say why it was not applied."""

    run_id: str
    state: str
    pages: int = 0
    total: int = 0
    left_out: int = 0
    change: RosterChange | None = None
    code: str | None = None
    note: str | None = None


@dataclass(slots=True)
class _Reading:
    """The rows read so far, by person; what was left out is only counted."""

    members: dict[str, Listed]
    pages: int = 0
    left_out: int = 0


class _Rows:
    """Reads rows of one registration's rosters. Raises ServiceFailed when it has none."""

    def __init__(self, host: Host, binding: Binding) -> None:
        adapter = host.adapter(binding)
        if not binding.registration.nrps or not isinstance(adapter, ReadsRoster):
            raise ServiceFailed(GiveUp("roster_off"), "Rosters are switched off for this registration.")
        self.adapter = adapter
        self._normalise = host.calls.member_normaliser(binding)
        # A roster has thousands of rows and a handful of different lists of roles.
        self._standing = lru_cache(maxsize=256)(
            lambda uris: standing(
                host.calls.map_roles(uris, binding), institution_admin=binding.registration.institution_admin
            )
        )
        self._earned = lru_cache(maxsize=256)(lambda roles: apply_role_rules(binding.role_rules, roles))

    def member(self, row: Mapping[str, Any]) -> Member | LeftOut:
        normalised = self._normalise(row)
        return normalised if isinstance(normalised, LeftOut) else read_member(normalised, self._standing)

    def listed(self, row: Mapping[str, Any]) -> Listed | None:
        """The row as the store takes it; None for who is no member (any more) or cannot be known by a key."""
        member = self.member(row)
        if isinstance(member, LeftOut) or not member.active:
            return None
        key = self.adapter.member_key(member.subject)
        if key is None:
            return None
        return Listed(key, member, *self._earned(member.roles))


class RosterFlow:
    """Reads rosters. One per host process."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def sync(self, tenant_id: str, context_id: str, *, lift_brake: bool = False) -> Synced:
        """Sync one context. A run that the brake holds, or that finds nobody, changes nothing and says so.

        Raises NotFound, Conflict (`roster_unavailable`, `roster_sync_running`, `roster_superseded`), NotBound, PluginFailed
        and ServiceFailed; nothing is changed then either, and the roster counts as stale.
        """
        sync = await self.host.database.run(tenant_id, rosters.begin, context_id, self.host.clock())
        try:
            binding = await self.host.binding(sync.registration_id, sync.deployment_id)
            reading = await self._read(sync, binding)
            return await self._settle(sync, binding, reading, lift_brake=lift_brake)
        except asyncio.CancelledError:
            with suppress(LtihostError):
                await self._stop(sync, "failed", "cut_off", "It took too long, or the process was told to stop.")
            raise
        except LtihostError as error:
            await self._fail(sync, error)
            raise

    async def read_link(
        self, tenant_id: str, context_id: str, link_lms_id: str, role: str | None = None
    ) -> list[Member]:
        """The members of one resource link as the LMS lists them now. NRPS 2.0, resource link membership service.

        Raises Conflict (`roster_unavailable`), NotFound, NotBound, PluginFailed and ServiceFailed.
        """
        place, urls = await self.host.database.run(tenant_id, rosters.place, context_id)
        rows = _Rows(self.host, await self.host.binding(place.registration_id, place.deployment_id))
        found: dict[str, Member] = {}
        try:
            pages = rows.adapter.roster(urls, resource_link=link_lms_id, role=role)
            async with asyncio.timeout(LINK_SECONDS), _closing(pages):
                async for page in pages:
                    for part in _parts(page.rows, _ROWS_AT_ONCE):
                        members = [member for row in part if isinstance(member := rows.member(row), Member)]
                        found |= {member.subject: member for member in members if member.active}
                        await asyncio.sleep(0)
        except TimeoutError:
            raise ServiceFailed(RetryLater("timeout"), "The LMS took too long to list the link's members.") from None
        return list(found.values())

    async def _read(self, sync: Sync, binding: Binding) -> _Reading:
        """Steps 3 and 4. Raises ServiceFailed and PluginFailed."""
        rows = _Rows(self.host, binding)
        reading = _Reading({})
        pages = rows.adapter.roster(sync.urls)
        async with _closing(pages):
            async for page in pages:
                _check_context(page, sync)
                reading.pages += 1
                for part in _parts(page.rows, _ROWS_AT_ONCE):
                    listed = [found for row in part if (found := rows.listed(row)) is not None]
                    reading.left_out += len(part) - len(listed)
                    reading.members |= {member.key: member for member in listed}
                    await asyncio.sleep(0)
        return reading

    async def _settle(self, sync: Sync, binding: Binding, reading: _Reading, *, lift_brake: bool) -> Synced:
        """Steps 5 to 7."""
        leaving, listed = await self.host.database.run(
            sync.tenant_id, rosters.would_leave, sync, reading.members.keys()
        )
        if listed and not reading.members:
            note = f"The LMS listed nobody, and {listed} the time before; nothing was changed."
            await self._stop(sync, "failed", "roster_empty", note, pages=reading.pages)
            return Synced(sync.run_id, "failed", reading.pages, 0, reading.left_out, code="roster_empty", note=note)
        if not lift_brake and len(leaving) > max(ALWAYS_MAY_LEAVE, SHARE_MAY_LEAVE * listed):
            note = f"{len(leaving)} of {listed} members would leave; approve run {sync.run_id} if that is right."
            await self._stop(
                sync, "held", "roster_brake", note,
                pages=reading.pages, total=len(reading.members), removed=len(leaving),
            )  # fmt: skip
            log.warning("roster.held", tenant=sync.tenant_id, context=sync.context_id, leaving=len(leaving), of=listed)
            return Synced(
                sync.run_id, "held", reading.pages, len(reading.members), reading.left_out,
                code="roster_brake", note=note,
            )  # fmt: skip
        change = await self._apply(sync, binding, reading, leaving)
        if change.added or change.changed or change.removed:
            await self.host.calls.roster_changed(change, binding)
        return Synced(sync.run_id, "applied", reading.pages, len(reading.members), reading.left_out, change)

    async def _apply(self, sync: Sync, binding: Binding, reading: _Reading, leaving: Sequence[str]) -> RosterChange:
        """Step 6. The last slice and the removals are one transaction, so that a short list is one altogether."""
        members = tuple(reading.members.values())
        slices = list(_parts(members, AT_ONCE))
        change = RosterChange(sync.context_id, sync.generation)
        run, sync_roles = self.host.database.run, binding.registration.sync_roles
        keep_launched = not self.host.adapter(binding).trusts_roster_roles
        for part in slices[:-1]:
            began = time.monotonic()
            done = await run(
                sync.tenant_id, rosters.apply, sync, part, sync_roles=sync_roles, keep_launched=keep_launched,
                now=self.host.clock(),
            )  # fmt: skip
            change = _joined(change, done)
            await asyncio.sleep(time.monotonic() - began)
        totals = rosters.Totals(reading.pages, len(members), reading.left_out)
        return await run(
            sync.tenant_id, rosters.finish, sync, slices[-1] if slices else (), change, totals,
            leaving=leaving, sync_roles=sync_roles, keep_launched=keep_launched, remove=binding.registration.remove_on_unenrol,
            now=self.host.clock(),
        )  # fmt: skip

    async def _fail(self, sync: Sync, error: LtihostError) -> None:
        """Nobody can read this roster before the run has ended, so it ends as soon as the database takes it."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._stop(sync, "failed", error.code, error.message)
            except Busy:
                if time.monotonic() > until:
                    return None
            await asyncio.sleep(spread(1.0))

    async def _stop(
        self, sync: Sync, state: str, code: str, note: str, *, pages: int = 0, total: int = 0, removed: int = 0
    ) -> None:
        await self.host.database.run(
            sync.tenant_id, rosters.stop, sync, state, code, note, self.host.clock(),
            pages=pages, total=total, removed=removed,
        )  # fmt: skip


def _check_context(page: RosterPage, sync: Sync) -> None:
    """A list of another context's people must not become this one's. NRPS 2.0, `context`."""
    if page.context_lms_id is not None and page.context_lms_id != sync.context_lms_id:
        raise ServiceFailed(
            GiveUp("roster_context", at_once=True),
            f"The LMS answered with the roster of context {page.context_lms_id[:100]!r}, not {sync.context_lms_id!r}.",
        )


@asynccontextmanager
async def _closing(pages: AsyncIterator[RosterPage]) -> AsyncIterator[None]:
    """However the reading ends, no request of it stays under way."""
    try:
        yield
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()


def _parts(items: tuple[T, ...], size: int) -> Iterator[tuple[T, ...]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _joined(one: RosterChange, other: RosterChange) -> RosterChange:
    return replace(one, added=one.added + other.added, changed=one.changed + other.changed)


# Jobs: by whom and when a roster is synced.


async def wish(host: Host, tenant_id: str, context_id: str) -> str:
    """Have the context synced soon; answer the job's id. Raises NotFound, and Conflict (`roster_unavailable`)."""
    return await host.database.run(tenant_id, _put, context_id, host.clock())


async def do(host: Host, job: Job) -> Verdict:
    """The job of one context."""
    try:
        await RosterFlow(host).sync(job.tenant_id, job.object_id)
    except Conflict as error:
        if error.code == "roster_sync_running":
            return Later(host.clock() + RUNNING_SECONDS, error.code, counted=False)
        return Done()  # another sync did it; or the LMS offers no roster any more, and a launch says so once it does
    except ServiceFailed as error:
        if error.code != "roster_off":
            raise
    return Done()


async def schedule(host: Host) -> int:
    """Wish for every roster that is due: those of contexts in use, once a day. Answers how many."""
    now, wished = host.clock(), 0
    for tenant_id in await host.database.run_lookup(tenants.active_ids):
        wished += await host.database.run(tenant_id, _put_due, now)
    return wished


def _put(session: Session, context_id: str, now: float) -> str:
    where, _ = rosters.place(session, context_id)
    return jobs.put(
        session, kind=JOB, registration_id=where.registration_id, deployment_id=where.deployment_id,
        object_id=context_id, now=now,
    )  # fmt: skip


def _put_due(session: Session, now: float) -> int:
    found = roster_queries.due(session, synced_before=now - EVERY_SECONDS, seen_after=now - IN_USE_SECONDS)
    for row in found:
        _put(session, row.id, now)
    return len(found)
