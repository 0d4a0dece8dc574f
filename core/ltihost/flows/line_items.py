"""Line items: an application's columns, brought into the LMS's gradebook and kept like the application wants them.

    GET|POST /api/v1/resource-links/{id}/line-items, GET|PATCH|DELETE /api/v1/line-items/{id}
    1 reserve      a wish becomes a row, equal wishes one row; its id takes scores at once, and a job is put
    the job, one at a time for each line item:
    2 find         by resource id and tag, or on the link: what the LMS made with the link comes before anything new
    3 create       only after having looked: an answer that got lost is healed by step 2
    4 tell         a changed title, maximum or date: the whole object is read, changed and written back
    5 look again   a column that is not there any more may have moved; else it is gone, and scores wait
    6 delete       when the application wants so

AGS 3.2, 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ltihost.errors import NotFound, ServiceFailed
from ltihost.host import Host
from ltihost.lti.vocabulary import SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ
from ltihost.plugins.abilities import KeepsGradebook
from ltihost.service_records import LineItem, LineItemGone, NeedsAttention, RetryLater, ServiceUrls
from ltihost.store import directory, line_item_sync, line_items, services
from ltihost.store.jobs import Done, Job, Verdict
from ltihost.store.line_item_sync import Task
from ltihost.store.line_items import Wish
from ltihost.store.service_tables import LineItem as Row

#: After a lost answer: an LMS that was slow to create it must have it in its list by then.
UNCLEAR_SECONDS = 60.0
MOST_STEPS = 5

T = TypeVar("T")


class LineItemFlow:
    """Steps 1 to 6, and reading the columns of a link at once. Give `work` and `bury` to the job runner."""

    async def want(self, host: Host, tenant_id: str, resource_link_id: str, wish: Wish) -> tuple[Row, bool]:
        """Step 1: the line item, and whether it is new. Raises NotFound and Conflict."""
        answer = await host.database.run(tenant_id, line_items.want, resource_link_id, wish, host.clock())
        host.database.work.give("jobs")
        return answer

    async def change(self, host: Host, tenant_id: str, line_item_id: str, changes: Mapping[str, Any]) -> Row:
        """See `line_items.change`."""
        row = await host.database.run(tenant_id, line_items.change, line_item_id, changes, host.clock())
        host.database.work.give("jobs")
        return row

    async def delete(self, host: Host, tenant_id: str, line_item_id: str, *, force: bool, actor: str) -> Row:
        """See `line_items.delete`."""
        row = await host.database.run(
            tenant_id, line_items.delete, line_item_id, force=force, actor=actor, now=host.clock()
        )
        host.database.work.give("jobs")
        return row

    async def work(self, host: Host, job: Job) -> Verdict:
        """Make the LMS agree with the row. Raises ServiceFailed for what the LMS did not do."""
        try:
            await _Work(host, job).run()
        except NotFound:
            pass  # deleted meanwhile: nothing is wanted of it
        except ServiceFailed as failed:
            await host.database.run(job.tenant_id, line_item_sync.waits, job.object_id, failed.code, host.clock())
            raise
        host.database.work.give("scores")  # those that waited for the column
        return Done()

    async def bury(self, host: Host, job: Job, code: str) -> None:
        """Tell the application that a person is needed."""
        await host.database.run(job.tenant_id, line_item_sync.troubled, job.object_id, code, host.clock())

    async def refresh(self, host: Host, tenant_id: str, resource_link_id: str, application_id: str) -> None:
        """Read the link's columns now. Raises NotBound, and ServiceFailed."""
        link = await host.database.run(tenant_id, directory.resource_link, resource_link_id)
        rows = await host.database.run(tenant_id, line_items.of_link, resource_link_id, application_id)
        known = [row for row in rows if row.url is not None and row.state in ("ready", "gone")]
        urls = await host.database.run(tenant_id, services.urls_of, link.context_id) if link.context_id else None
        if not known or urls is None:
            return
        adapter = await _gradebook(host, link.registration_id, link.deployment_id)
        listed = {item.url: item for item in await adapter.line_items(urls)} if urls.line_items_url else {}
        for row in known:
            await _refresh(host, adapter, urls, row, listed.get(row.url))


async def _refresh(host: Host, adapter: KeepsGradebook, urls: ServiceUrls, row: Row, listed: LineItem | None) -> None:
    """Not every LMS lists what it made with a link, so what is missing from the list is asked for itself."""
    try:
        found = listed or await adapter.read_line_item(urls, line_items.record(row))
    except ServiceFailed as failed:
        if not isinstance(failed.outcome, LineItemGone):
            raise
        await host.database.run(row.tenant_id, line_items.lost, row.id, row.url or "", host.clock())
    else:
        await host.database.run(row.tenant_id, line_item_sync.seen, row.id, found, host.clock())


class _Work:
    """One line item: read what is wanted, do a step, write down what became of it, until nothing is left."""

    def __init__(self, host: Host, job: Job) -> None:
        self._host = host
        self._job = job

    async def run(self) -> None:
        """Raises ServiceFailed, NotFound and NotBound."""
        self._adapter = await _gradebook(self._host, self._job.registration_id, self._job.deployment_id)
        for _ in range(MOST_STEPS):
            task: Task = await self._read(line_item_sync.task)
            if not await self._step(task):
                return
        # It is listed, and yet not there when it is asked for.
        raise ServiceFailed(RetryLater("line_item_unsettled"), "The LMS contradicts itself about the line item.")

    async def _step(self, task: Task) -> bool:
        """Do one step; answer whether something is left to do."""
        if task.state == "deleting":
            return await self._delete(task)
        if task.state == "gone":
            return await self._look_again(task)
        if task.line_item.url is None:
            return await self._find_or_create(task)
        return await self._tell(task)

    async def _find_or_create(self, task: Task) -> bool:
        """Steps 2 and 3."""
        found = await self._find(task)
        return await (self._create(task) if found is None else self._bind(*found))

    async def _find(self, task: Task) -> tuple[LineItem, bool] | None:
        """The column in the LMS, and whether the LMS made it with the link."""
        wanted, lists = task.line_item, self._adapter.line_items
        if task.own:
            listed = await lists(task.urls, resource_id=wanted.resource_id, tag=wanted.tag)
            return next(((item, False) for item in listed if _same_names(item, wanted)), None)
        on_link = await lists(task.urls, resource_link=task.link_lms_id) if task.link_lms_id else ()
        unnamed = [item for item in on_link if not (item.resource_id or item.tag)]
        if chosen := next(iter(unnamed or on_link), None):
            return chosen, True
        listed = await lists(task.urls, resource_id=wanted.resource_id)
        return next(((item, False) for item in listed if _same_names(item, wanted)), None)

    async def _create(self, task: Task) -> bool:
        """Without a resource link: some LMSs hide a link's own column as soon as a second hangs on it. AGS 3.1."""
        self._job.lease.assert_held()
        try:
            made = await self._adapter.create_line_item(task.urls, replace(task.line_item, url=None, raw={}))
        except ServiceFailed as failed:
            if isinstance(failed.outcome, RetryLater) and failed.outcome.applied == "perhaps":
                wait = max(UNCLEAR_SECONDS, failed.outcome.after or 0.0)
                raise ServiceFailed(
                    replace(failed.outcome, after=wait), failed.message, status=failed.status, excerpt=failed.excerpt
                ) from failed
            raise
        if made.url is None:
            raise ServiceFailed(RetryLater("line_item_without_id"), "The LMS did not say what it made.")
        await self._write(line_item_sync.told, made, task.version)
        return False

    async def _bind(self, found: LineItem, coupled: bool) -> bool:
        """It is there; what the application changed since its wish is told in the next step."""
        return bool(await self._write(line_item_sync.bound, found, coupled))

    async def _tell(self, task: Task) -> bool:
        """Step 4; with nothing to tell, look what the LMS shows."""
        changed = task.version > task.synced_version
        if not changed and not {SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ} & set(task.urls.ags_scopes):
            return False  # scores may be all that the LMS lets us send
        try:
            if changed:
                self._job.lease.assert_held()
                answered = await self._adapter.update_line_item(task.urls, task.line_item)
            else:
                answered = await self._adapter.read_line_item(task.urls, task.line_item)
        except ServiceFailed as failed:
            if not isinstance(failed.outcome, LineItemGone):
                raise
            await self._write(partial(line_items.lost, look=False), task.line_item.url)
            return True
        await self._write(line_item_sync.told, answered, task.version)
        return False

    async def _look_again(self, task: Task) -> bool:
        """Step 5. Only a list that was read says that it is gone: a 404 on everything is another trouble."""
        listed = await self._adapter.line_items(task.urls)
        found = _again(task, listed)
        if found is not None:
            return await self._bind(found, task.line_item.coupled)
        may_create = (
            getattr(self._adapter, "may_recreate_line_items", False) and SCOPE_LINE_ITEM in task.urls.ags_scopes
        )
        if may_create and not task.line_item.coupled:
            return await self._create(task)
        await self._write(line_item_sync.gone)
        return False

    async def _delete(self, task: Task) -> bool:
        """Step 6. What was perhaps made without our hearing of it goes too."""
        wanted = task.line_item
        if wanted.url is None:
            found = await self._find(task)
            wanted = wanted if found is None or found[1] else found[0]
        if wanted.url is not None:
            self._job.lease.assert_held()
            await self._adapter.delete_line_item(task.urls, wanted)
        await self._write(line_item_sync.removed)
        return False

    async def _read(self, read: Callable[..., T]) -> T:
        return await self._host.database.run(self._job.tenant_id, read, self._job.object_id)

    async def _write(self, write: Callable[..., T], *facts: object) -> T:
        job = self._job
        return await self._host.database.run(job.tenant_id, write, job.object_id, *facts, self._host.clock())


def _same_names(item: LineItem, wanted: LineItem) -> bool:
    return (item.resource_id, item.tag) == (wanted.resource_id, wanted.tag)


def _again(task: Task, listed: Sequence[LineItem]) -> LineItem | None:
    """Where a column is now: still there, or, after its context was copied or restored, known by its names or link."""
    wanted = task.line_item
    still = (item for item in listed if item.url == wanted.url)
    on_link = [item for item in listed if task.link_lms_id and item.resource_link == task.link_lms_id]
    if wanted.coupled:
        moved = iter([item for item in on_link if not (item.resource_id or item.tag)] or on_link)
    else:
        moved = (item for item in listed if (wanted.resource_id or wanted.tag) and _same_names(item, wanted))
    return next(still, None) or next(moved, None)


async def _gradebook(host: Host, registration_id: str, deployment_id: str) -> KeepsGradebook:
    """Raises NotBound, and ServiceFailed when this LMS keeps no columns for us."""
    adapter: object = host.adapter(await host.binding(registration_id, deployment_id))
    if not isinstance(adapter, KeepsGradebook):
        raise ServiceFailed(NeedsAttention("line_items_unsupported"), "This LMS offers no line items.")
    return adapter
