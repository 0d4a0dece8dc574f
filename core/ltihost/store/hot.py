"""The hot path of the store: what a login, a launch and an exchange need, and nothing else.

One interface, two implementations (`hot_sqlite`, `hot_postgres`), one test suite. Neither uses an ORM: measured, an
ORM alone costs more than a whole launch. Everything here is durable when the call returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ltihost.records import (
    Application,
    Attempt,
    DeploymentState,
    EnabledPlugin,
    MessageName,
    Registration,
    RoleRule,
    Tenant,
)


@dataclass(frozen=True, slots=True)
class Route:
    """A registration and the tenant that owns it (HOST for one that is shared)."""

    registration: Registration
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Deployment:
    """One placement under a registration. `tenant` and `application` are None until it is approved.

    `instance_guid` and `instance_url` were seen when it was approved or first launched. `plugins` are what the
    tenant enabled, in its order; `role_rules` those of the tenant that apply to the registration.
    """

    registration_id: str
    deployment_id: str
    state: DeploymentState
    tenant: Tenant | None = None
    application: Application | None = None
    instance_guid: str | None = None
    instance_url: str | None = None
    plugins: tuple[EnabledPlugin, ...] = ()
    role_rules: tuple[RoleRule, ...] = ()


@dataclass(frozen=True, slots=True)
class PersonSeen:
    """The person of a launch: the key under which they are known, and what the LMS says about them now."""

    key: str
    subject: str
    name: str | None
    given_name: str | None
    family_name: str | None
    middle_name: str | None
    email: str | None
    picture: str | None
    locale: str | None
    test_user: bool


@dataclass(frozen=True, slots=True)
class ContextSeen:
    lms_id: str
    title: str | None
    label: str | None
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkSeen:
    lms_id: str
    title: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class AcceptLaunch:
    """One launch to store. Times are Unix seconds; `launch_json` is the launch without our ids (they are set here).

    `person` is None for an anonymous launch, `context` and `link` where the LMS has none. `role` is the context role,
    `global_role` and `group_role` what the role rules gave (`sync_roles` says whether a known membership follows).
    `was_waiting`: the attempt is stored already, as "waiting" or refused, and this launch takes its place.
    """

    attempt: Attempt
    application_id: str
    plugin: str
    message: MessageName
    nonce_hash: bytes
    nonce_expires: float
    person: PersonSeen | None
    context: ContextSeen | None
    link: LinkSeen | None
    role: str
    roles_json: str
    global_role: str | None
    group_role: str | None
    create_users: bool
    create_contexts: bool
    sync_roles: bool
    launch_json: str
    services_json: str
    target_url: str
    code_hash: bytes
    code_expires: float
    was_waiting: bool = False


@dataclass(frozen=True, slots=True)
class AcceptOutcome:
    """`refusal` is a key of `errors.REASONS` or None. On a refusal nothing is stored, not even the nonce."""

    refusal: str | None = None
    user_id: str | None = None
    context_id: str | None = None
    resource_link_id: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchedItem:
    """The column of the gradebook that a launch named. `label` and `maximum` are None until the LMS was asked for them."""

    id: str
    label: str | None
    maximum: str | None


@dataclass(frozen=True, slots=True)
class StoredLaunch:
    """An accepted launch as it was stored, with the ids the store gave it and the session made for it."""

    launch_id: str
    tenant: Tenant
    registration_id: str
    registration_name: str
    issuer: str
    plugin: str
    deployment_id: str
    application: Application
    launched_at: float
    message: MessageName
    user_id: str | None
    context_id: str | None
    resource_link_id: str | None
    launch_json: str
    line_item: LaunchedItem | None
    session_id: str
    session_expires: float


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An application's key. `tenant_id` is None for one that serves every tenant of the application."""

    id: str
    application_id: str
    tenant_id: str | None
    secret_hash: bytes
    scopes: frozenset[str]
    expires_at: float | None
    revoked: bool


class HotPath(Protocol):
    """All methods raise `errors.Busy` when the database does not take the work in time."""

    async def route(self, registration_id: str) -> Route | None:
        """The registration of this id, whatever its state."""

    async def routes(self, issuer: str, client_id: str | None) -> Sequence[Route]:
        """All registrations of this issuer (and client id, if given) that are not drafts; exact strings."""

    async def deployment(self, registration_id: str, deployment_id: str) -> Deployment | None:
        """What is known of this deployment; None when it was never seen."""

    async def note_deployment(
        self, registration_id: str, deployment_id: str, *, guid: str | None, url: str | None, name: str | None
    ) -> None:
        """Remember an unknown deployment as pending (idempotent; a known one is only completed, never changed)."""

    async def adopt_deployment(self, registration_id: str, deployment_id: str, *, guid: str) -> Deployment | None:
        """Approve an unknown deployment of a tenant-owned registration when `guid` equals an approved one's; audited."""

    async def accept_launch(self, work: AcceptLaunch) -> AcceptOutcome:
        """One transaction: nonce inserted (else `state_used`), tenant, registration, deployment, plugin switch and user
        still good (else their refusal), user, context, link (count, last launch) and membership upserted, launch,
        one-time code and audit row written. A context or membership that did not change gets its `last_seen_at` at
        most once a minute; counts and a person's last login are exact."""

    async def consume_nonce(self, registration_id: str, nonce_hash: bytes, expires: float) -> bool:
        """Spend a nonce without a launch (an error post). False when it was spent before."""

    async def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Store attempts that did not end as launches. One stored as "waiting" under the same id is replaced; one that
        was accepted or refused under the same id stays as it is."""

    async def redeem_code(
        self, code_hash: bytes, *, application_id: str | None, tenant_id: str | None, now: float, session_seconds: int
    ) -> StoredLaunch | None:
        """Spend a one-time code and open the launch's session. None when the code is unknown, spent, expired, another
        application's or tenant's (None admits any: the host itself redeems for an application mounted in it), or when
        tenant, registration, deployment or user were switched off meanwhile."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """The key of this public id."""

    async def prune(self, now: float) -> int:
        """Delete spent and expired nonces, codes and sessions; answers how many rows went. Safe to run anywhere."""
