"""The tables of the services: line items, grade slots, rosters, deep linking, events, and the work that waits.

As in `tables`, `tenant_id` leads every key, and no table here is an exception: workers, and API keys that serve every
tenant, find a row's tenant by the router's functions; the token of a deep linking answer names it. Scores are exact
decimals, written as text; comments are sealed. Times are Unix seconds. What a worker claims (slots, jobs) carries a
lease: its owner, its fencing number and its end.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ltihost.store.base import Base, Owned, application_key, deployment_key, partly, within_tenant

#: Slots that come up again by themselves, at `due_at`.
AWAKE = "state IN ('pending', 'leased', 'waiting_enrolment', 'blocked')"


class ServiceOrigin(Owned, Base):
    """An origin that a verified launch named for a kind of service. The first of its kind is accepted, others are held."""

    __tablename__ = "service_origins"
    __table_args__ = (deployment_key("service_origins"),)
    registration_id: Mapped[str] = mapped_column(primary_key=True)
    deployment_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    origin: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    first_seen_at: Mapped[float]


class ContextServices(Owned, Base):
    """`service_records.ServiceUrls` of a context, from its newest launch."""

    __tablename__ = "context_services"
    __table_args__ = (within_tenant("context_services", "context_id", "contexts"),)
    context_id: Mapped[str] = mapped_column(primary_key=True)
    line_items_url: Mapped[str | None]
    ags_scopes: Mapped[list[str]]
    memberships_url: Mapped[str | None]
    groups_url: Mapped[str | None]
    notices_url: Mapped[str | None]
    seen_at: Mapped[float]


class LineItem(Owned, Base):
    """A column. `state`: wanted (to be found or made), ready, gone (deleted in the LMS), deleting, deleted.

    `reservation` is what makes it one: two equal wishes are one row; a deleted one gives it back. The LMS has
    `synced_version` of what the application wants (`version`).
    """

    __tablename__ = "line_items"
    __table_args__ = (
        UniqueConstraint("tenant_id", "context_id", "application_id", "reservation"),
        Index("uq_line_items_url", "tenant_id", "registration_id", "url", unique=True, **partly("state <> 'deleted'")),
        deployment_key("line_items"),
        within_tenant("line_items", "context_id", "contexts"),
        within_tenant("line_items", "resource_link_id", "resource_links"),
        *application_key("line_items"),
        Index(None, "tenant_id", "resource_link_id"),
        Index("ix_line_items_results_due", "results_due_at", **partly("results_due_at IS NOT NULL")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[str]
    deployment_id: Mapped[str]
    context_id: Mapped[str]
    resource_link_id: Mapped[str | None]
    application_owner: Mapped[str]
    application_id: Mapped[str]
    state: Mapped[str]
    coupled: Mapped[bool]
    reservation: Mapped[str | None]
    url: Mapped[str | None]
    label: Mapped[str | None]
    maximum: Mapped[str | None]
    resource_id: Mapped[str | None]
    tag: Mapped[str | None]
    starts_at: Mapped[str | None]
    ends_at: Mapped[str | None]
    grades_released: Mapped[bool | None]
    submission_review: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    raw: Mapped[dict[str, Any]]
    policy: Mapped[str]
    override_policy: Mapped[str]
    extra_credit: Mapped[bool]
    version: Mapped[int]
    synced_version: Mapped[int]
    code: Mapped[str | None]
    results_read_at: Mapped[float | None]
    results_due_at: Mapped[float | None]
    created_at: Mapped[float]
    updated_at: Mapped[float]


class GradeSlot(Owned, Base):
    """One (line item, user) and what should stand there: `desired_rev` is wanted, `sent_rev` was told, `confirmed_rev`
    the LMS confirmed. Its id is what applications know as the delivery. `due_at` is when it may be claimed; for a leased one
    that is the end of its lease."""

    __tablename__ = "grade_slots"
    __table_args__ = (
        UniqueConstraint("tenant_id", "line_item_id", "user_id"),
        within_tenant("grade_slots", "line_item_id", "line_items"),
        within_tenant("grade_slots", "user_id", "users"),
        CheckConstraint("confirmed_rev <= sent_rev AND sent_rev <= desired_rev", name="revisions"),
        Index("ix_grade_slots_due", "tenant_id", "registration_id", "due_at", **partly(AWAKE)),
        Index("ix_grade_slots_leased", "tenant_id", "registration_id", **partly("state = 'leased'")),
        # Only what people look for: a database without statistics would take it for look-ups by key.
        Index(
            "ix_grade_slots_trouble",
            "tenant_id",
            "state",
            **partly("state IN ('blocked', 'waiting_enrolment', 'conflict', 'dead')"),
        ),
        {"postgresql_with": {"fillfactor": 80}},
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"))
    deployment_id: Mapped[str]
    line_item_id: Mapped[str]
    user_id: Mapped[str]
    state: Mapped[str]
    winner_event_id: Mapped[str | None]
    desired_rev: Mapped[int]
    sent_rev: Mapped[int]
    confirmed_rev: Mapped[int]
    last_second: Mapped[int] = mapped_column(BigInteger)
    unknown_outcome: Mapped[bool]
    settle_at: Mapped[float | None]
    due_at: Mapped[float]
    tries: Mapped[int]
    stale_tries: Mapped[int]
    first_failed_at: Mapped[float | None]
    paused_seconds: Mapped[float]
    code: Mapped[str | None]
    note: Mapped[str | None]
    lease_owner: Mapped[str | None]
    lease_no: Mapped[int]
    lease_until: Mapped[float]
    confirmed_given: Mapped[str | None]
    confirmed_maximum: Mapped[str | None]
    confirmed_attempt: Mapped[int | None]
    confirmed_comment: Mapped[bytes | None]
    confirmed_at: Mapped[float | None]
    updated_at: Mapped[float]


class GradeEvent(Owned, Base):
    """A fact that an application stated: an attempt, an override, or that the override ends. Only ever added."""

    __tablename__ = "grade_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slot_id", "kind", "attempt", "revision"),
        within_tenant("grade_events", "slot_id", "grade_slots"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    slot_id: Mapped[str]
    kind: Mapped[str]
    attempt: Mapped[int]
    revision: Mapped[int]
    given: Mapped[str | None]
    maximum: Mapped[str | None]
    activity_progress: Mapped[str]
    grading_progress: Mapped[str]
    comment: Mapped[bytes | None]
    started_at: Mapped[str | None]
    submitted_at: Mapped[str | None]
    actor: Mapped[str]
    request_hash: Mapped[bytes]
    created_at: Mapped[float]


class IdempotencyKey(Owned, Base):
    """What was answered under an application's `Idempotency-Key`."""

    __tablename__ = "idempotency_keys"
    __table_args__ = ({"sqlite_with_rowid": False},)
    api_key_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    object_id: Mapped[str]
    created_at: Mapped[float] = mapped_column(index=True)


class DeliveryTry(Owned, Base):
    """One try to send a slot. It is written with the lease, so that a crash leaves a visible unknown."""

    __tablename__ = "delivery_tries"
    __table_args__ = (
        within_tenant("delivery_tries", "slot_id", "grade_slots"),
        Index(None, "tenant_id", "slot_id", "lease_no"),
        Index(None, "started_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    slot_id: Mapped[str]
    rev: Mapped[int]
    lease_no: Mapped[int]
    second: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    outcome: Mapped[str]
    code: Mapped[str | None]
    http_status: Mapped[int | None]
    retry_after: Mapped[float | None]
    note: Mapped[str | None]


class PlatformHealth(Owned, Base):
    """The breaker of one platform for scores (`kind` score), shared by all workers; and, for people to see, the breaker of
    the worker that said last whether it gets tokens (`kind` token)."""

    __tablename__ = "platform_health"
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    failures: Mapped[int]
    recent: Mapped[list[Any]]
    opened_at: Mapped[float | None]
    open_until: Mapped[float]
    times_opened: Mapped[int]
    successes: Mapped[int]
    in_flight: Mapped[int]
    rate: Mapped[float | None]
    tokens: Mapped[float]
    paced_at: Mapped[float]
    quiet_since: Mapped[float]
    code: Mapped[str | None]
    note: Mapped[str | None]
    updated_at: Mapped[float]


class Job(Owned, Base):
    """Other work that waits: `kind` line_item, results, roster, notice_handler. Equal wishes (`dedup_key`) are one."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("uq_jobs_dedup_key", "tenant_id", "dedup_key", unique=True, **partly("state = 'pending'")),
        Index("uq_jobs_partition_key", "tenant_id", "partition_key", unique=True, **partly("state = 'leased'")),
        Index("ix_jobs_due", "due_at", **partly("state IN ('pending', 'leased')")),
        Index("ix_jobs_partition", "tenant_id", "partition_key", **partly("state IN ('pending', 'leased')")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"))
    deployment_id: Mapped[str]
    object_id: Mapped[str]
    dedup_key: Mapped[str]
    partition_key: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str]
    due_at: Mapped[float]
    tries: Mapped[int]
    first_failed_at: Mapped[float | None]
    code: Mapped[str | None]
    lease_owner: Mapped[str | None]
    lease_no: Mapped[int]
    lease_until: Mapped[float]
    created_at: Mapped[float]
    updated_at: Mapped[float]


class LmsResult(Owned, Base):
    """What stood in the LMS's gradebook when it was last read. `overridden`: it is not what we were told was taken."""

    __tablename__ = "lms_results"
    __table_args__ = (
        within_tenant("lms_results", "line_item_id", "line_items"),
        within_tenant("lms_results", "user_id", "users"),
    )
    line_item_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    given: Mapped[str | None]
    maximum: Mapped[str]
    comment: Mapped[bytes | None]
    overridden: Mapped[bool]
    read_at: Mapped[float]


class Roster(Owned, Base):
    """How far the host knows a context's members. `generation` counts the syncs that were applied."""

    __tablename__ = "rosters"
    __table_args__ = (within_tenant("rosters", "context_id", "contexts"),)
    context_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]
    members: Mapped[int]
    synced_at: Mapped[float | None]
    stale_since: Mapped[float | None]
    code: Mapped[str | None]


class RosterRun(Owned, Base):
    """One reading of a roster. `state`: running, applied, held (the brake: a person must look), failed, superseded."""

    __tablename__ = "roster_runs"
    __table_args__ = (
        within_tenant("roster_runs", "context_id", "contexts"),
        Index(None, "tenant_id", "context_id", "started_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    context_id: Mapped[str]
    state: Mapped[str]
    generation: Mapped[int | None]
    pages: Mapped[int]
    total: Mapped[int]
    left_out: Mapped[int]
    added: Mapped[int]
    changed: Mapped[int]
    removed: Mapped[int]
    code: Mapped[str | None]
    note: Mapped[str | None]
    approved_by: Mapped[str | None]
    started_at: Mapped[float]
    finished_at: Mapped[float | None]


class Event(Owned, Base):
    """Something an application may want to know. Thin: ids and changed facts, no personal data. `seq` is its place in
    the application's row of events, given when it is first read: see `events.numbered`."""

    __tablename__ = "events"
    __table_args__ = (
        *application_key("events"),
        Index("ix_events_seq", "application_id", "seq"),
        Index("ix_events_unnumbered", "application_id", "at", "id", **partly("seq IS NULL")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    application_owner: Mapped[str]
    application_id: Mapped[str]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[float] = mapped_column(index=True)
    seq: Mapped[int | None] = mapped_column(BigInteger)
