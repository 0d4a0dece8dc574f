"""Registrations: created as a draft or complete, set field by field, approved, disabled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.records import HOST, Application, Registration
from ltihost.store import audit, checks, deployments, keys, tables
from ltihost.store.guard import tenant_of
from ltihost.store.hot_rows import registration_from
from ltihost.store.ids import new_id
from ltihost.store.unknown_field import unknown_field

#: What `lti.token` can verify.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
#: What a registration needs before it can be approved.
NEEDED = ("issuer", "client_id", "auth_url", "token_url", "jwks_url")

_whole = checks.whole_number


def _algorithms(value: str) -> list[str]:
    chosen = [checks.one_of(item, ALGORITHMS) for item in checks.items(value)]
    if not chosen:
        raise Invalid("choice_invalid", f"At least one of {', '.join(ALGORITHMS)} is needed.")
    return chosen


def _origins(value: str) -> list[str]:
    return [checks.origin(item) for item in checks.items(value)]


#: What `registration set ID NAME=VALUE` knows, beside `deployment-id`: how each value is read.
FIELDS: Mapping[str, Callable[[str], Any]] = {
    "name": checks.line,
    "issuer": checks.url,
    "client-id": checks.line,
    "auth-url": checks.url,
    "token-url": checks.url,
    "jwks-url": checks.url,
    "audience": checks.line,
    "home-url": checks.url,
    "auto-deployments": partial(checks.one_of, choices=("never", "same_instance")),
    "key-set": partial(checks.one_of, choices=("own", "host")),
    "algorithms": _algorithms,
    "trusted-audiences": checks.items,
    "leeway": partial(_whole, least=0, most=300),
    "max-token-bytes": partial(_whole, least=1_024, most=131_072),
    "frame-origins": _origins,
    "storage-origins": _origins,
    "allow-missing-kid": checks.yes_or_no,
    "allow-anonymous": checks.yes_or_no,
    "institution-admin": checks.yes_or_no,
    "nrps": checks.yes_or_no,
    "deep-linking": checks.yes_or_no,
    "create-users": checks.yes_or_no,
    "create-contexts": checks.yes_or_no,
    "sync-roles": checks.yes_or_no,
    "remove-on-unenrol": checks.yes_or_no,
}


def create(
    session: Session,
    tenant_id: str,
    *,
    plugin: str,
    name: str | None = None,
    application: Application | None = None,
    values: Iterable[tuple[str, str]] = (),
    actor: str,
) -> Registration:
    """Make a registration of a tenant, or of HOST for one that is shared, with a key pair of its own.

    `values` are (NAME, VALUE) as in `update`. While an endpoint is missing it is a `draft`, else `pending`.
    Raises Invalid and Conflict as `update` does.
    """
    row = _new_row(tenant_id, plugin, name or plugin, application)
    session.add(row)
    session.flush()
    keys.create(session, tenant_id, row.id)
    audit.append(session, tenant_id, actor=actor, action="registration.created", object_id=row.id)
    return update(session, row.id, values, actor=actor)


def update(session: Session, registration_id: str, values: Iterable[tuple[str, str]], *, actor: str) -> Registration:
    """Set fields; a `deployment-id` is approved for the registration's own tenant and application.

    Raises NotFound, Invalid (value or NAME unknown), Conflict when issuer, client id and key set are taken.
    """
    row = _get(session, registration_id)
    pairs = list(values)
    for field, value in pairs:
        if field != "deployment-id":
            _set(row, field, value)
    _check_uniqueness(session, row)
    _check_owner(row)
    if row.state == "draft" and not missing(row):
        row.state = "pending"
    session.flush()
    if row.key_set == "host" and tenant_of(session) is None:
        keys.create(session, HOST, HOST)
    for value in (value for field, value in pairs if field == "deployment-id"):
        deployments.approve(session, row.id, value, actor=actor)
    if pairs:
        changed = sorted({field for field, _ in pairs})
        details = {"fields": changed}
        audit.append(session, row.tenant_id, actor=actor, action="registration.set", object_id=row.id, details=details)
    return registration_from(row.values())


def approve(session: Session, registration_id: str, *, actor: str) -> Registration:
    """Let launches through. Raises NotFound, and Invalid when something is still missing."""
    row = _get(session, registration_id)
    lacking = missing(row)
    if lacking:
        raise Invalid("registration_incomplete", f"Still missing: {', '.join(lacking)} (`ltihost registration set`).")
    return _change_state(session, row, "active", "registration.approved", actor)


def disable(session: Session, registration_id: str, *, actor: str) -> Registration:
    """Let no launch through until it is approved again. Raises NotFound."""
    return _change_state(session, _get(session, registration_id), "disabled", "registration.disabled", actor)


def get(session: Session, registration_id: str) -> Registration:
    """The registration of this id. Raises NotFound."""
    return registration_from(_get(session, registration_id).values())


def listed(session: Session, tenant_id: str | None = None) -> list[Registration]:
    """The registrations of a tenant, or all, oldest first."""
    query = select(tables.Registration).order_by(tables.Registration.created_at, tables.Registration.id)
    if tenant_id is not None:
        query = query.where(tables.Registration.tenant_id == tenant_id)
    return [registration_from(row.values()) for row in session.scalars(query)]


def missing(row: tables.Registration | Registration) -> list[str]:
    """The options that still have no value, as `registration set` names them."""
    return [name.replace("_", "-") for name in NEEDED if getattr(row, name) is None]


def _new_row(tenant_id: str, plugin: str, name: str, application: Application | None) -> tables.Registration:
    defaults = Registration(id=new_id("reg"), tenant_id=tenant_id, name=checks.line(name), plugin=plugin, state="draft")
    columns = {column.key for column in tables.Registration.__mapper__.column_attrs}
    values = {key: getattr(defaults, key) for key in columns if hasattr(defaults, key)}
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    row = tables.Registration(**values, created_at=time.time())
    if application is not None:
        if application.tenant_id not in (tenant_id, HOST):
            raise Invalid("application_of_other_tenant", "The application belongs to another tenant.")
        row.application_owner, row.application_id = application.tenant_id, application.id
    return row


def names(session: Session) -> dict[str, str]:
    """The name of every registration by its id."""
    return {registration.id: registration.name for registration in listed(session)}


def _set(row: tables.Registration, field: str, value: str) -> None:
    read = FIELDS.get(field)
    if read is None:
        raise unknown_field("A registration", field, (*FIELDS, "deployment-id"))
    setattr(row, field.replace("-", "_"), read(value))


def _check_uniqueness(session: Session, row: tables.Registration) -> None:
    if row.issuer is None or row.client_id is None or row.jwks_url is None:
        return
    same = select(tables.Registration.id).where(
        tables.Registration.issuer == row.issuer,
        tables.Registration.client_id == row.client_id,
        tables.Registration.jwks_url == row.jwks_url,
        tables.Registration.id != row.id,
    )
    with session.no_autoflush:
        if session.scalars(same).first() is not None:
            raise Conflict(
                "registration_exists", "There is a registration of this issuer, client id and key set URL already."
            )


def _check_owner(row: tables.Registration) -> None:
    if row.tenant_id == HOST and row.auto_deployments != "never":
        raise Invalid(
            "auto_deployments_shared", "A shared registration cannot adopt deployments: it serves many tenants."
        )


def _change_state(
    session: Session,
    row: tables.Registration,
    state: Literal["active", "disabled"],
    action: str,
    actor: str,
) -> Registration:
    row.state = state
    session.flush()
    audit.append(session, row.tenant_id, actor=actor, action=action, object_id=row.id)
    return registration_from(row.values())


def _get(session: Session, registration_id: str) -> tables.Registration:
    row = session.get(tables.Registration, registration_id)
    if row is None:
        raise NotFound("registration_unknown", f"There is no registration {registration_id}.")
    return row
