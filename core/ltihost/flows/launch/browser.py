"""Step 4: the platform's answer comes back. Is the state ours, and is this the browser that began?"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ltihost import pages
from ltihost.attempts import OpenAttempt
from ltihost.errors import Refused
from ltihost.flows.launch.login import FRAMES
from ltihost.host import Host
from ltihost.lti.state import State, Ticket, digest, open_state, open_ticket, seal_ticket
from ltihost.records import Cookies, Registration, Rung
from ltihost.tool_urls import lti_base, storage_key, storage_origins


@dataclass(frozen=True, slots=True)
class Bound:
    """This browser was recognised: by which rung of the ladder, and how its cookies stand."""

    rung: Rung
    cookies: Cookies


class Browser:
    """The cookie ladder at the launch. A post with neither cookie nor storage proof is refused, always."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def redeem_state(
        self, request: Request, fields: Mapping[str, str], attempt: OpenAttempt
    ) -> tuple[State, Registration]:
        """Step 4: ours, fresh, of this URL, and of a registration that is still active."""
        state = open_state(self.host.sealer, fields.get("state", ""), self.host.clock())
        named = request.path_params.get("registration")
        if named != (None if state.shared else state.registration_id):
            raise Refused("state_invalid", "state", expected="the launch URL of the login", received="another one")
        attempt.trace.passed("state", received=f"{self.host.clock() - state.issued_at:.0f} s old")
        route = await self.host.routing.route(state.registration_id)
        if route is None:
            raise Refused("unknown_registration", "registration", expected=state.registration_id, received="none")
        attempt.registration, attempt.tenant_id = route.registration, route.tenant.id
        if route.registration.state != "active":
            raise Refused("registration_inactive", "registration", expected="active", received=route.registration.state)
        attempt.trace.passed("registration", received=route.registration.name)
        return state, route.registration

    def recognise(self, request: Request, state: State, *, storage_secret: str = "") -> Bound | None:
        """Whether this browser started the login: it holds the secret, in the flow's cookie or in platform storage."""
        secret, spent = pages.flow_secret(request, state.flow)
        if spent:
            raise Refused(
                "state_used",
                "replay",
                expected="a launch that was not completed before",
                received="reload or double post",
            )
        if secret is not None and hmac.compare_digest(digest(secret), state.browser_hash):
            framed = request.headers.get("sec-fetch-dest") in FRAMES or (state.framed and not state.window)
            return Bound("window" if state.window else "cookie", "partitioned" if framed else "first_party")
        if storage_secret and hmac.compare_digest(digest(storage_secret), state.browser_hash):
            return Bound("storage", "none")
        return None

    def ask_storage(
        self, fields: Mapping[str, str], state: State, registration: Registration, attempt: OpenAttempt
    ) -> Response:
        """No cookie came, and the login was in a frame: its page may have left the secret in platform storage."""
        ticket = Ticket(attempt.id, attempt.code, attempt.at, _form_hash(fields))
        return self.host.pages.storage(
            registration,
            confirm_url=f"{lti_base(self.host.settings, registration, shared=state.shared)}/launch/confirm",
            key=storage_key(state),
            origins=" ".join(storage_origins(registration)),
            target=state.storage_target,
            id_token=fields["id_token"],
            state=fields["state"],
            ticket=seal_ticket(self.host.sealer, ticket),
            code=attempt.code,
        )

    async def read_confirmation(self, request: Request, attempt: OpenAttempt) -> tuple[Mapping[str, str], float]:
        """What the storage page sends, and when its launch post had arrived (the token is judged by that moment).

        Only a page of this origin can send it: any other page, and so anybody who learnt a secret in his own browser
        and has a victim's browser repeat it, is refused here.
        """
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin" if origin == self.host.settings.origin else "absent")
        if site != "same-origin" or origin not in (None, self.host.settings.origin):
            raise unbound("a request from a page of another site")
        body = _json_texts(await request.body())
        ticket = open_ticket(self.host.sealer, body["ticket"], form_hash=_form_hash(body), now=self.host.clock())
        if ticket is None:
            raise Refused("form_invalid", "state", expected="the ticket of this launch", received="none that fits")
        attempt.id, attempt.code, attempt.was_waiting = ticket.attempt_id, ticket.code, True
        return body, ticket.received_at


def unbound(received: str = "neither") -> Refused:
    """The refusal of a browser that cannot show that it began this launch."""
    return Refused(
        "browser_binding", "browser", expected="the login's cookie or its platform storage entry", received=received
    )


def _form_hash(fields: Mapping[str, str]) -> bytes:
    return digest(fields["id_token"] + "\0" + fields["state"])


def _json_texts(raw: bytes) -> dict[str, str]:
    """The four texts of a confirmation. Raises Refused (`form_invalid`)."""
    try:
        body = orjson.loads(raw)
        texts = {name: body[name] for name in ("id_token", "state", "ticket", "secret")}
    except (ValueError, TypeError, KeyError):
        texts = {}
    if not texts or not all(isinstance(text, str) for text in texts.values()):
        raise Refused("form_invalid", "state", expected="a confirmation of the storage page", received="something else")
    return texts
