"""`TokenEndpoint`: one request for a token, and what the answer means. Security Framework 4.1.1, Core spec 6."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ltihost.errors import OutboundFailed, OutboundRefused, ServiceFailed
from ltihost.lti.assertion import Grant, GrantError, assertion_claims, read_grant, read_token_error, token_form
from ltihost.lti.outcomes import outcome_of
from ltihost.outbound import Answer, Outbound, approved_ports
from ltihost.own_keys import OwnKey
from ltihost.records import Binding, Registration
from ltihost.service_records import (
    NeedsAttention,
    Operation,
    Outcome,
    PausePlatform,
    RetryLater,
    ServiceAnswer,
)

MAX_BYTES = 65_536
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_OURS = frozenset({"invalid_request", "unsupported_grant_type"})


class Dialect(Protocol):
    """What the adapter of an LMS says about tokens."""

    @property
    def sends_deployment_claim(self) -> bool: ...

    def assertion_claims(self, claims: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Client:
    """For whom a token is asked: the binding, its LMS's dialect, and what that LMS's plugin makes of an error."""

    binding: Binding
    dialect: Dialect
    classify: Callable[[ServiceAnswer, Operation], Outcome | None]

    @property
    def registration(self) -> Registration:
        return self.binding.registration

    @property
    def token_url(self) -> str:
        """Raises ServiceFailed (`registration_incomplete`)."""
        if self.registration.token_url is None or self.registration.client_id is None:
            raise ServiceFailed(PausePlatform("registration_incomplete"), "The registration has no token URL.")
        return self.registration.token_url

    @property
    def deployment_id(self) -> str | None:
        """The deployment that the token is for, if this LMS wants to be told. Core spec 6.2.1."""
        return self.binding.deployment_id if self.dialect.sends_deployment_claim else None


class TokenEndpoint:
    """Asks token endpoints. It keeps nothing."""

    def __init__(self, outbound: Outbound, clock: Callable[[], float]) -> None:
        self._outbound = outbound
        self._clock = clock

    async def grant(self, client: Client, key: OwnKey, scopes: frozenset[str]) -> Grant:
        """One request. Raises ServiceFailed: `scope_missing`, `invalid_client` (the LMS does not accept our key or
        client id), `token_refused`, `token_throttled`, `token_unavailable`, or what the LMS's plugin says."""
        form = token_form(key.sign(self._claims(client)), scopes)
        try:
            answer = await self._outbound.request(
                "POST", client.token_url,
                limit=MAX_BYTES, ports=approved_ports(client.token_url), headers=_FORM, content=form,
            )  # fmt: skip
        except OutboundRefused as error:
            raise ServiceFailed(PausePlatform(error.code), error.message) from error
        except OutboundFailed as error:
            raise ServiceFailed(_unavailable(), error.message, status=error.status) from error
        if answer.status >= 300:
            raise self._failed(client, answer)
        try:
            return read_grant(answer.body, scopes)
        except GrantError as error:
            message = f"The token endpoint answered, but {error}."
            raise ServiceFailed(_unavailable(), message, status=answer.status) from error

    def _claims(self, client: Client) -> dict[str, Any]:
        client_id = client.registration.client_id or ""
        audience = client.registration.audience or client.token_url
        claims = assertion_claims(client_id, audience, self._clock(), deployment_id=client.deployment_id)
        return client.dialect.assertion_claims(claims)

    def _failed(self, client: Client, answer: Answer) -> ServiceFailed:
        known = ServiceAnswer(answer.status, answer.headers, answer.body)
        error = read_token_error(answer.body)
        return ServiceFailed(
            client.classify(known, "token") or _meaning(known, error, self._clock()),
            f"The token endpoint answered {answer.status} {ascii(error)[:200]}.",
            status=answer.status, excerpt=known.text,
        )  # fmt: skip


def _meaning(answer: ServiceAnswer, error: str, now: float) -> Outcome:
    """As the specs say. Nothing that a token endpoint answers is the fault of one score: the platform waits."""
    outcome = outcome_of(answer, "token", now)
    if isinstance(outcome, RetryLater):
        return _unavailable(outcome.after)
    if answer.status in (429, 503):
        return PausePlatform("token_throttled", getattr(outcome, "after", None))
    if error == "invalid_scope":
        return NeedsAttention("scope_missing")
    # Unknown words are about the client too: LMSs write "Expired token" or "Signature verification failed".
    about_client = answer.status in (400, 401) and error not in _OURS and error != ""
    return PausePlatform("invalid_client" if about_client else "token_refused")


def _unavailable(after: float | None = None) -> RetryLater:
    return RetryLater("token_unavailable", after, applied="no")
