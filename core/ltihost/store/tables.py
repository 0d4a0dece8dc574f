"""Every table of the host.

`tenant_id` leads the primary key, every unique constraint and every foreign key between tenant tables, so that no
row can even point at another tenant's. The exceptions are the routing tables, which answer before a tenant is known:
tenants, registrations, deployments, key pairs, API keys, one-time codes, nonces and administrators. What belongs to no customer
belongs to the tenant `records.HOST`; `tenant_id` is never NULL.

Times are Unix seconds. Ids are made by `ids.new_id`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ltihost.store import linking_tables as linking_tables  # these tables belong to the same schema
from ltihost.store import service_tables as service_tables
from ltihost.store.admin_tables import Admin as Admin
from ltihost.store.base import Base as Base
from ltihost.store.base import Owned as Owned
from ltihost.store.base import Routed, application_key, deployment_key, partly, within_tenant
from ltihost.store.base import Shared as Shared


class Tenant(Base):
    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    active: Mapped[bool]
    created_at: Mapped[float]


class TenantPlugin(Owned, Base):
    """A plugin switch. `secrets` is the sealed JSON object of the settings that are secret."""

    __tablename__ = "tenant_plugins"
    key: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    position: Mapped[int]
    settings: Mapped[dict[str, Any]]
    secrets: Mapped[bytes | None]


class Application(Shared, Base):
    """`webhook_secret` is sealed; it is there when `webhook_url` is."""

    __tablename__ = "applications"
    __table_args__ = (UniqueConstraint("tenant_id", "slug"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    launch_url: Mapped[str]
    picker_url: Mapped[str | None]
    webhook_url: Mapped[str | None]
    webhook_secret: Mapped[bytes | None]
    release: Mapped[list[str]]
    created_at: Mapped[float]


class ApplicationTarget(Shared, Base):
    """A URL prefix to which launches of the application may lead."""

    __tablename__ = "application_targets"
    __table_args__ = (within_tenant("application_targets", "application_id", "applications"),)
    application_id: Mapped[str] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(primary_key=True)


class ApiKey(Routed, Base):
    """`tenant_id` is HOST for a key that serves every tenant of a host's application."""

    __tablename__ = "api_keys"
    __table_args__ = application_key("api_keys")
    id: Mapped[str] = mapped_column(primary_key=True)
    application_owner: Mapped[str]
    application_id: Mapped[str] = mapped_column(index=True)
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[str]]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class Registration(Shared, Base):
    """The fields are those of `records.Registration`."""

    __tablename__ = "registrations"
    __table_args__ = (*application_key("registrations"), UniqueConstraint("issuer", "client_id", "jwks_url"))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True, sort_order=-1)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    plugin: Mapped[str]
    state: Mapped[str]
    issuer: Mapped[str | None]
    client_id: Mapped[str | None]
    auth_url: Mapped[str | None]
    token_url: Mapped[str | None]
    jwks_url: Mapped[str | None]
    audience: Mapped[str | None]
    home_url: Mapped[str | None]
    application_owner: Mapped[str | None]
    application_id: Mapped[str | None]
    algorithms: Mapped[list[str]]
    trusted_audiences: Mapped[list[str]]
    leeway: Mapped[int]
    max_token_bytes: Mapped[int]
    allow_missing_kid: Mapped[bool]
    allow_anonymous: Mapped[bool]
    institution_admin: Mapped[bool]
    auto_deployments: Mapped[str]
    key_set: Mapped[str]
    frame_origins: Mapped[list[str]]
    storage_origins: Mapped[list[str]]
    nrps: Mapped[bool]
    deep_linking: Mapped[bool]
    create_users: Mapped[bool]
    create_contexts: Mapped[bool]
    sync_roles: Mapped[bool]
    remove_on_unenrol: Mapped[bool]
    created_at: Mapped[float]


class Deployment(Routed, Base):
    """`tenant_id` is that of the registration until the deployment is approved for another."""

    __tablename__ = "deployments"
    __table_args__ = (*application_key("deployments"), Index(None, "tenant_id"))
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    application_owner: Mapped[str | None]
    application_id: Mapped[str | None]
    instance_guid: Mapped[str | None]
    instance_url: Mapped[str | None]
    instance_name: Mapped[str | None]
    first_seen_at: Mapped[float]
    approved_at: Mapped[float | None]


class KeyPair(Routed, Base):
    """A key of ours. `owner` is a registration's id or HOST; the indexes allow one signing and one next key each."""

    __tablename__ = "key_pairs"
    __table_args__ = (
        Index("uq_key_pairs_signing", "owner", unique=True, **partly("state = 'signing'")),
        Index("uq_key_pairs_published", "owner", unique=True, **partly("state = 'published'")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    state: Mapped[str]
    state_since: Mapped[float]
    created_at: Mapped[float]
    public_jwk: Mapped[dict[str, Any]]
    private_pem: Mapped[bytes | None]


class Nonce(Base):
    """A spent nonce, kept until its token could not be accepted any more."""

    __tablename__ = "nonces"
    __table_args__ = ({"sqlite_with_rowid": False},)
    registration_id: Mapped[str] = mapped_column(primary_key=True)
    nonce_hash: Mapped[bytes] = mapped_column(primary_key=True)
    expires_at: Mapped[float]


class OneTimeCode(Routed, Base):
    """What an application exchanges for a launch. Spending it deletes it."""

    __tablename__ = "one_time_codes"
    # No foreign key to the launch: it is written in the same transaction, and lives longer than its code.
    __table_args__ = ({"sqlite_with_rowid": False},)
    code_hash: Mapped[bytes] = mapped_column(primary_key=True)
    launch_id: Mapped[str]
    application_id: Mapped[str]
    expires_at: Mapped[float]


class Session(Owned, Base):
    """An application's session: from the exchange of a launch until it expires."""

    __tablename__ = "sessions"
    __table_args__ = (
        within_tenant("sessions", "launch_id", "launches"),
        # Without it each attempt that is deleted would be looked for in all sessions of its tenant.
        Index(None, "tenant_id", "launch_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    launch_id: Mapped[str]
    application_id: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


class User(Owned, Base):
    """A person of one registration. Never matched to another by e-mail or name."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant_id", "registration_id", "user_key"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"))
    user_key: Mapped[str]
    subject: Mapped[str]
    name: Mapped[str | None]
    given_name: Mapped[str | None]
    family_name: Mapped[str | None]
    middle_name: Mapped[str | None]
    email: Mapped[str | None]
    picture: Mapped[str | None]
    locale: Mapped[str | None]
    test_user: Mapped[bool]
    global_role: Mapped[str | None]
    suspended: Mapped[bool]
    first_seen_at: Mapped[float]
    last_login_at: Mapped[float | None]


class Context(Owned, Base):
    __tablename__ = "contexts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "registration_id", "deployment_id", "lms_id"),
        deployment_key("contexts"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[str]
    deployment_id: Mapped[str]
    lms_id: Mapped[str]
    title: Mapped[str | None]
    label: Mapped[str | None]
    types: Mapped[list[str]]
    first_seen_at: Mapped[float]
    last_seen_at: Mapped[float]


class ResourceLink(Owned, Base):
    __tablename__ = "resource_links"
    __table_args__ = (
        UniqueConstraint("tenant_id", "registration_id", "deployment_id", "lms_id"),
        deployment_key("resource_links"),
        within_tenant("resource_links", "context_id", "contexts"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[str]
    deployment_id: Mapped[str]
    lms_id: Mapped[str]
    context_id: Mapped[str | None]
    title: Mapped[str | None]
    description: Mapped[str | None]
    launch_count: Mapped[int]
    first_seen_at: Mapped[float]
    last_launched_at: Mapped[float]


class Membership(Owned, Base):
    """A person in a context. `source` says how the host learnt of it, `generation` is the roster sync that listed them
    first, or changed something last (0: none did). Who left keeps the row: inactive, with the date."""

    __tablename__ = "memberships"
    __table_args__ = (
        within_tenant("memberships", "context_id", "contexts"),
        within_tenant("memberships", "user_id", "users"),
        Index(None, "tenant_id", "user_id"),
    )
    context_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    roles: Mapped[list[Any]]
    group_role: Mapped[str | None]
    active: Mapped[bool]
    source: Mapped[str]
    first_seen_at: Mapped[float]
    last_seen_at: Mapped[float]
    generation: Mapped[int] = mapped_column(server_default="0")
    left_at: Mapped[float | None]


class RoleRule(Owned, Base):
    __tablename__ = "role_rules"
    id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[str | None] = mapped_column(ForeignKey("registrations.id"))
    lti_role: Mapped[str]
    global_role: Mapped[str | None]
    group_role: Mapped[str | None]
    created_at: Mapped[float]


class Launch(Owned, Base):
    """One login or launch post, whatever became of it: `records.Attempt`, and the launch itself once accepted."""

    __tablename__ = "launches"
    __table_args__ = (
        *application_key("launches"),
        within_tenant("launches", "user_id", "users"),
        within_tenant("launches", "context_id", "contexts"),
        within_tenant("launches", "resource_link_id", "resource_links"),
        Index(None, "tenant_id", "at"),
        # People quote the codes of what was refused, and after a time it goes; this costs an accepted launch nothing.
        Index(None, "code", **partly("outcome <> 'accepted'")),
        Index(None, "at", **partly("outcome <> 'accepted'")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    kind: Mapped[str]
    outcome: Mapped[str]
    at: Mapped[float]
    refusal: Mapped[str | None]
    registration_id: Mapped[str | None] = mapped_column(ForeignKey("registrations.id"))
    deployment_id: Mapped[str | None]
    message: Mapped[str | None]
    rung: Mapped[str | None]
    checks: Mapped[list[Any]]
    warnings: Mapped[list[str]]
    remote_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    user_id: Mapped[str | None]
    context_id: Mapped[str | None]
    resource_link_id: Mapped[str | None]
    application_owner: Mapped[str | None]
    application_id: Mapped[str | None]
    plugin: Mapped[str | None]
    target_url: Mapped[str | None]
    launch_json: Mapped[str | None]
    services_json: Mapped[str | None]


class AttemptCounter(Owned, Base):
    """How many attempts of one minute were stored as rows, and how many only counted because the rows' cap was full.

    `registration_id` is empty where no registration was known, and for logins, which share one cap.
    """

    __tablename__ = "attempt_counters"
    registration_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True)
    stored: Mapped[int]
    dropped: Mapped[int]


class Audit(Owned, Base):
    """The audit trail. Rows are only ever added; `seq`, `previous_hash` and `hash` are filled once, when sealed."""

    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("tenant_id", "seq"), {"sqlite_with_rowid": False})
    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[float]
    actor: Mapped[str]
    action: Mapped[str]
    object_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    seq: Mapped[int | None] = mapped_column(BigInteger)
    previous_hash: Mapped[bytes | None]
    hash: Mapped[bytes | None]
