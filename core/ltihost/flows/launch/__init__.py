"""Launch: a person comes from a learning platform to an application.

    GET|POST /lti/login, /r/{registration}/lti/login                                   login.py
      1 find the registration
      2 issue state and nonce
      3 redirect to the platform (in a frame without a cookie of ours first the rung page)
    POST /lti/launch, /r/{registration}/lti/launch
      4 redeem the state in this browser                                               browser.py
      5 verify the id_token                                                            accept.py
      6 bind the deployment
      7 normalise
      8 accept
      9 hand over
    POST /lti/launch/confirm, /r/{registration}/lti/launch/confirm
      4 for a browser that keeps its secret in platform storage, then 5 to 9
    GET /lti/login/probe, /r/{registration}/lti/login/probe
      whether the cookie of a login comes back (asked by the rung page)

Every post ends as a stored attempt whatever happened. LTI Core 1.3 §4 and §5, Security Framework 5.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ltihost import pages
from ltihost.attempts import AttemptLog, OpenAttempt
from ltihost.bindings import SEALED
from ltihost.errors import Busy, DecryptionError, Refused
from ltihost.fields import read_fields
from ltihost.flows.launch.accept import Acceptance
from ltihost.flows.launch.browser import Bound, Browser, unbound
from ltihost.flows.launch.login import Login
from ltihost.host import Host
from ltihost.log_cap import CappedLog
from ltihost.lti.claims import clean
from ltihost.lti.state import STATE_SECONDS, State

log = structlog.get_logger()


#: Errors of the platform that have a page and an advice of their own.
_KNOWN_ERRORS = frozenset({"access_denied", "login_required", "launch_no_longer_valid"})


class LaunchFlow:
    """The handlers of the routes above. One instance serves the whole process; it keeps nothing of a launch."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.attempts = AttemptLog(host.database.hot, host.clock)
        self.refusals = CappedLog("launch.refused")
        self.steps_1_to_3 = Login(host)
        self.step_4 = Browser(host)
        self.steps_5_to_9 = Acceptance(host)

    def routes(self) -> list[Route]:
        """The busiest come first: those that a registration with a key set of its own, as most have, is told."""
        handlers = (
            ("/lti/login", self.login, ["GET", "POST"]),
            ("/lti/launch", self.launch, ["GET", "POST"]),
            ("/lti/launch/confirm", self.confirm, ["POST"]),
            ("/lti/login/probe", self.steps_1_to_3.probe, ["GET"]),
        )
        return [
            Route(prefix + path, handler, methods=methods)
            for path, handler, methods in handlers
            for prefix in ("/r/{registration}", "")
        ]

    async def login(self, request: Request) -> Response:
        """Login initiation. Nothing is stored unless it is refused."""
        attempt = self.attempts.begin("login", request)
        try:
            return await self.steps_1_to_3.answer(request, attempt)
        except Exception as error:
            return await self._refuse(attempt, error)

    async def launch(self, request: Request) -> Response:
        """The platform's answer: an id_token, or an error."""
        attempt = self.attempts.begin("launch", request)
        try:
            fields = await _launch_form(request)
            state, registration = await self.step_4.redeem_state(request, fields, attempt)
            bound = self.step_4.recognise(request, state)
            if fields.get("error"):
                raise await self._platform_error(fields, state, bound)
            if bound is None and state.framed and not state.window:
                await self.attempts.store(attempt, "waiting", unbound())
                return self.step_4.ask_storage(fields, state, registration, attempt)
            if bound is None:
                raise unbound()
            done = await self.steps_5_to_9.run(fields["id_token"], state, registration, bound, attempt, attempt.at)
        except Exception as error:
            return await self._refuse(attempt, error)
        response = pages.redirect(done.location, 303)
        response.background = done.then
        pages.spend_flow_cookie(response, state.flow)
        if done.location.startswith(f"{self.host.settings.base_url}/apps/"):
            pages.set_code_cookie(response, done.code)
        return response

    async def confirm(self, request: Request) -> Response:
        """The storage page hands in the secret; the answer says where it goes, or what to tell the person."""
        attempt = self.attempts.begin("launch", request)
        try:
            fields, received_at = await self.step_4.read_confirmation(request, attempt)
            state, registration = await self.step_4.redeem_state(request, fields, attempt)
            bound = self.step_4.recognise(request, state, storage_secret=fields["secret"])
            if bound is None:
                raise unbound()
            done = await self.steps_5_to_9.run(fields["id_token"], state, registration, bound, attempt, received_at)
        except Exception as error:
            return await self._refuse(attempt, error, as_json=True)
        headers = {"Cache-Control": "no-store"}
        return JSONResponse({"location": done.location}, headers=headers, background=done.then)

    async def _platform_error(self, fields: Mapping[str, str], state: State, bound: Bound | None) -> Refused:
        """The platform said no. The state is spent, but only by the browser that began: nobody can burn another's."""
        if bound is not None:
            spent_until = state.issued_at + STATE_SECONDS + 120
            await self.host.database.hot.consume_nonce(state.registration_id, state.nonce_hash, spent_until)
        error = fields["error"]
        code = error if error in _KNOWN_ERRORS else "platform_error"
        said = clean(f"{error}: {fields.get('error_description', '')}", 300)
        return Refused(code, "token", expected="an id_token", received=said)

    async def _refuse(self, attempt: OpenAttempt, error: Exception, *, as_json: bool = False) -> Response:
        """Store why, and show the person a kind page with a short code. A browser that went away is no attempt."""
        if isinstance(error, ClientDisconnect):
            raise error
        if isinstance(error, DecryptionError):
            await self.host.database.alarm.ring(error)
        refused = _as_refused(attempt, error)
        if as_json and refused.code == "state_used":
            attempt.renew()  # its id belongs to the launch that was completed before
        await self.attempts.store(attempt, "refused", refused)
        self.refusals.info(code=attempt.code, refusal=refused.code, kind=attempt.kind)
        reason = refused.reason
        if as_json:
            title, advice = pages.WORDS[reason.page]
            refusal = {"title": title, "advice": advice, "code": attempt.code}
            return JSONResponse({"refusal": refusal}, reason.status, headers={"Cache-Control": "no-store"})
        retry_after = 5 if reason.status == 503 else None
        # A page about an unknown registration looks the same, headers too, where there is one that is switched off.
        registration = attempt.registration if reason.page != "unknown" else None
        return self.host.pages.refusal(reason, attempt.code, registration, retry_after=retry_after)


async def _launch_form(request: Request) -> Mapping[str, str]:
    """id_token and state by form post, or an error (which some platforms send by GET). Security Framework 5.1.1.3, 5.1.1.5."""
    fields = await read_fields(request, "state")
    if not fields.get("error") and (request.method != "POST" or not fields.get("id_token")):
        raise Refused("form_invalid", "state", expected="a form post with id_token and state", received=request.method)
    if not fields.get("id_token", "").isascii():
        raise Refused("token_malformed", "token", expected="a signed token", received="text that is not ASCII")
    return fields


def _as_refused(attempt: OpenAttempt, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, Busy):
        return Refused("busy", "replay", received=error.code)
    if isinstance(error, DecryptionError):
        return Refused(SEALED, "plugin", expected="a secret that opens", received=error.where)
    log.error("launch.failed", code=attempt.code, exc_info=error)
    return Refused("unexpected", "replay", received=type(error).__name__)
