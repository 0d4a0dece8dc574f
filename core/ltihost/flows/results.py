"""Results: what stands in the LMS's gradebook, read back, so that a teacher's own grade is seen and not fought.

    GET /api/v1/line-items/{id}/results
    1 plan      ten minutes after a score was confirmed, and daily while a line item is in use
    2 read      every row of the line item, as its LMS pages them
    3 compare   with what the LMS confirmed, exactly, whatever the maxima
    4 tell      an override is an event, once; by policy it stands, or our score goes out again

AGS 3.3.
"""

from __future__ import annotations

from collections import defaultdict

from ltihost.errors import NotFound, ServiceFailed
from ltihost.host import Host
from ltihost.plugins.abilities import SendsScores
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.service_records import LineItemGone, NeedsAttention, Result
from ltihost.store import line_items, results
from ltihost.store.jobs import Done, Job, Verdict
from ltihost.store.results import Reading

PLANNED_AT_ONCE = 200


class ResultsFlow:
    """Give `work` to the job runner, and call `plan` every half minute or so."""

    async def plan(self, host: Host) -> int:
        """Step 1: put jobs for what is due; answer how many."""
        now = host.clock()
        by_tenant: defaultdict[str, list[str]] = defaultdict(list)
        for tenant_id, line_item_id in await host.database.run_lookup(results.due, now, PLANNED_AT_ONCE):
            by_tenant[tenant_id].append(line_item_id)
        for tenant_id, ids in by_tenant.items():
            await host.database.run(tenant_id, results.plan, ids, now)
        return sum(len(ids) for ids in by_tenant.values())

    async def work(self, host: Host, job: Job) -> Verdict:
        """A job: steps 2 to 4. Raises ServiceFailed for what the LMS did not do."""
        try:
            await self.read(host, job.tenant_id, job.object_id)
        except NotFound:
            pass  # deleted meanwhile
        except ServiceFailed as failed:
            if not isinstance(failed.outcome, LineItemGone | NeedsAttention):
                raise
            # A column that is gone is looked for by a job of its own. Not to be let read results is no fault either.
        return Done()

    async def read(self, host: Host, tenant_id: str, line_item_id: str) -> None:
        """Steps 2 to 4, now. Raises NotFound, NotBound and ServiceFailed."""
        task = await host.database.run(tenant_id, results.reading, line_item_id)
        binding = await host.binding(task.registration_id, task.deployment_id)
        adapter = host.adapter(binding)
        found = await self._read(host, tenant_id, adapter, task)
        known = await host.database.run(tenant_id, results.people, line_item_id, [row.subject for row in found])
        matched = {known[row.subject]: row for row in found if row.subject in known}
        overrides = await host.database.run(
            tenant_id, results.store, line_item_id, matched, confirmed=task.confirmed, now=host.clock()
        )
        for override in overrides:
            await host.calls.grade_settled(override.delivery, binding)

    async def _read(self, host: Host, tenant_id: str, adapter: LtiAdapter, task: Reading) -> tuple[Result, ...]:
        if not isinstance(adapter, SendsScores):
            raise ServiceFailed(NeedsAttention("results_unsupported"), "This LMS shows no results.")
        try:
            return await adapter.results(task.urls, task.line_item)
        except ServiceFailed as failed:
            if isinstance(failed.outcome, LineItemGone) and task.line_item.url is not None:
                await host.database.run(
                    tenant_id, line_items.lost, task.line_item.id or "", task.line_item.url, host.clock()
                )
            raise
