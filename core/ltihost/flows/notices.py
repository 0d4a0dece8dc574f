"""Notices: what a platform tells the host by itself, from server to server. Platform Notification Service 1.0.

    POST /lti/notices/{registration}
      1 read the batch            bounded; nothing in it is trusted but the tokens, each alone
      2 verify each token         as an id_token is, but for the nonce, which no login of ours sent out
      3 bind                      its deployment must be approved and switched on
      4 receive                   one transaction per deployment; a notice that came before has no second effect
    `register_handlers` is the job that tells a platform our address. It is wished for when a launch names the service.

Answers: 204 when a notice was good, whatever the others were; 400 when none was; 503 when the platform should come
again, because the database or its own key set did not answer, or a secret of ours does not open.
"""

from __future__ import annotations

from collections import defaultdict

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ltihost.bindings import SEALED, NotBound
from ltihost.errors import Invalid, Refused, ServiceFailed
from ltihost.host import Host
from ltihost.log_cap import CappedLog
from ltihost.lti.notices import SCOPE_NOTICE_HANDLERS, Notice, handler_body, read_batch, read_notice
from ltihost.lti.token import verify_notice
from ltihost.plugins.service_client import Call
from ltihost.records import Binding, Registration
from ltihost.store import notices
from ltihost.store.jobs import Done, Job, Verdict
from ltihost.store.notices import Wish
from ltihost.trace import Trace

log = structlog.get_logger()
#: What a batch may weigh, and how many one registration may post in a minute, per process.
MAX_BODY = 1_048_576
BATCHES_PER_MINUTE = 300
PATH = "/lti/notices/"
#: Faults of which the notice is not the cause: it is good once they are mended.
_PASSING = frozenset({"keys_unavailable", SEALED})

_CALL = Call(
    "notice_handler", (SCOPE_NOTICE_HANDLERS,), limit=65_536, accept="application/json", media_type="application/json"
)


class NoticeFlow:
    """The handler of the route above. It counts posts, and keeps nothing else."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.refusals = CappedLog("notice.refused")
        self._minute = 0
        self._posts: defaultdict[str, int] = defaultdict(int)

    def routes(self) -> list[Route]:
        return [Route(PATH + "{registration}", self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        """Neither cookies nor headers count here: whoever posts, the platform's signature decides."""
        route = await self.host.routing.route(request.path_params["registration"])
        if route is None or route.registration.state != "active":
            return PlainTextResponse("There is no such registration.", 404)
        if self._too_many(route.registration):
            return PlainTextResponse("Too many notices.", 429, headers={"Retry-After": "60"})
        try:
            tokens = read_batch(await request.body())
        except Invalid as error:
            return PlainTextResponse(error.message, 400)
        good, later = await self._verified(tokens, route.registration)
        for binding, received in good:
            await self.host.database.run(binding.tenant.id, notices.receive, binding, received, self.host.clock())
        if later:
            return PlainTextResponse("Come again.", 503, headers={"Retry-After": "60"})
        return Response(status_code=204) if good else PlainTextResponse("No notice of these could be checked.", 400)

    async def _verified(
        self, tokens: list[str], registration: Registration
    ) -> tuple[list[tuple[Binding, list[Notice]]], bool]:
        """Steps 2 and 3: the good ones by deployment, and whether one failed for a reason that passes."""
        good: dict[str, tuple[Binding, list[Notice]]] = {}
        later = False
        for token in tokens:
            try:
                binding, notice = await self._verify(token, registration)
                good.setdefault(notice.deployment_id, (binding, []))[1].append(notice)
            except (Refused, NotBound) as error:
                self.refusals.info(registration=registration.id, refusal=error.code)
                later = later or error.code in _PASSING
        return list(good.values()), later

    async def _verify(self, token: str, registration: Registration) -> tuple[Binding, Notice]:
        verified = await verify_notice(
            token, registration, self.host.platform_keys, now=self.host.clock(), trace=Trace()
        )
        notice = read_notice(verified.claims)
        return await self.host.binding(registration.id, notice.deployment_id), notice

    def _too_many(self, registration: Registration) -> bool:
        minute = int(self.host.clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._posts.clear()
        self._posts[registration.id] += 1
        return self._posts[registration.id] > BATCHES_PER_MINUTE


async def register_handlers(host: Host, job: Job) -> Verdict:
    """Tell the platform every address that it was not told yet. For jobs of the kind `notice_handler`.

    Raises NotBound and ServiceFailed.
    """
    binding = await host.binding(job.registration_id, job.deployment_id)
    place = (job.registration_id, job.deployment_id)
    for wish in await host.database.run(job.tenant_id, notices.wanted, *place):
        job.lease.assert_held()
        try:
            await register_handler(host, binding, wish)
        except ServiceFailed as error:
            await host.database.run(job.tenant_id, notices.note_told, *place, wish, code=error.code, now=host.clock())
            raise
        await host.database.run(job.tenant_id, notices.note_told, *place, wish, code=None, now=host.clock())
    return Done()


async def register_handler(host: Host, binding: Binding, wish: Wish) -> None:
    """Tell the platform our address for one type of notice; telling it again changes nothing. Raises ServiceFailed."""
    client = host.adapter(binding).client
    await client.send("PUT", wish.service_url, _CALL, handler_body(wish.type, wish.handler))
    log.info("notice_handler.registered", registration=binding.registration.id, type=wish.type)
