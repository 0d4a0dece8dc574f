"""Rosters for applications: who is in a context, and having the LMS asked again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse, Response

from ltihost.api.callers import Callers
from ltihost.api.ids import ContextId, answers
from ltihost.api.models import Shape
from ltihost.api.paging import Cursor, Limit, page, read_cursor, write_cursor
from ltihost.api.problems import ApiError
from ltihost.bindings import NotBound
from ltihost.errors import Conflict, NotFound, PluginFailed, ServiceFailed
from ltihost.flows import roster as flow
from ltihost.handover import timestamp
from ltihost.host import Host
from ltihost.lti.vocabulary import MEMBERSHIP
from ltihost.records import RoleName
from ltihost.service_records import Member
from ltihost.store import roster_queries, rosters, tables
from ltihost.store.hot import ApiKey
from ltihost.store.hot_values import findable

SCOPE = "roster:read"
#: What the LMS is asked for when only one role is wanted; it may answer with more.
_URI: dict[str, str] = {
    "administrator": MEMBERSHIP + "#Administrator",
    "content_developer": MEMBERSHIP + "#ContentDeveloper",
    "instructor": MEMBERSHIP + "#Instructor",
    "learner": MEMBERSHIP + "#Learner",
    "mentor": MEMBERSHIP + "#Mentor",
    "member": MEMBERSHIP + "#Member",
}


class MemberShape(Shape):
    """A person in a context. Names, e-mail and picture are null unless the application was given them."""

    user_id: str | None = Field(description="As in launches; null for somebody the host does not know yet.")
    subject: str
    name: str | None
    given_name: str | None
    family_name: str | None
    middle_name: str | None
    email: str | None
    picture: str | None
    role: RoleName
    roles: list[str] = Field(description="As the LMS sent them.")
    group_role: str | None = Field(description="What the role rules give in this context.")
    test_user: bool
    active: bool
    source: Literal["launch", "roster"] = Field(description="How the host first learnt of it.")
    first_seen_at: datetime | None
    last_login_at: datetime | None
    left_at: datetime | None = Field(description="When the LMS's roster stopped listing this person.")
    custom: dict[str, str] = Field(description="The link's custom parameters for this person, if asked for by link.")


class RosterShape(Shape):
    """How far the members are known. `stale_since` says since when reading the roster fails, `code` why."""

    generation: int
    synced_at: datetime | None
    stale_since: datetime | None
    code: str | None


class MembersPage(Shape):
    data: list[MemberShape]
    next_cursor: str | None
    roster: RosterShape | None


class SyncAnswer(Shape):
    job: dict[str, str] = Field(examples=[{"id": "job_…", "state": "pending"}])


_SAYS = {
    404: "No such context of this application",
    409: "The LMS offers no roster there, or something is switched off",
    502: "The LMS or its plugin failed",
}


def add_routes(api: FastAPI, host: Host, callers: Callers) -> None:
    """`GET /contexts/{id}/members` and `POST /contexts/{id}/roster-sync`."""
    reader = Depends(callers.requires(SCOPE, pace="lists"))
    asker = Depends(callers.requires(SCOPE))

    @api.get(
        "/contexts/{id}/members", response_model=MembersPage, operation_id="listMembers",
        summary="List the people of a context", responses=answers(says=_SAYS), tags=["rosters"],
    )  # fmt: skip
    async def members(
        id: ContextId,  # noqa: A002 - the path's name
        role: RoleName | None = None,
        active: bool | Literal["any"] = True,
        resource_link: Annotated[
            str | None, Query(description="Ask the LMS now who may use this link; one page, nothing is stored.")
        ] = None,
        cursor: Cursor = None,
        limit: Limit = 100,
        key: ApiKey = reader,
    ) -> Response:
        """Those who launched and those whom the LMS listed: members now, or with `active` false or `any` also who left."""
        tenant_id = await callers.tenant_for(key, "context", id)
        release = await host.database.run(tenant_id, _release, key.application_id)
        if resource_link is not None:
            data = await _by_link(host, tenant_id, id, resource_link, role, release)
            next_cursor = None
        else:
            place = read_cursor(cursor, str)
            found = await host.database.run(
                tenant_id, roster_queries.members, id, role=role, active=None if active == "any" else active,
                after=place[0] if place else "", limit=limit + 1,
            )  # fmt: skip
            data = [_stored(user, membership, release) for user, membership in found[:limit]]
            next_cursor = write_cursor(found[limit - 1][0].id) if len(found) > limit else None
        await callers.rows_read(key, tenant_id, "members", len(data))
        row = await host.database.run(tenant_id, rosters.roster, id)
        return JSONResponse(page(data, next_cursor) | {"roster": row and _roster(row)})

    @api.post(
        "/contexts/{id}/roster-sync", response_model=SyncAnswer, status_code=202, operation_id="syncRoster",
        summary="Have the LMS asked for its roster", responses=answers(says=_SAYS), tags=["rosters"],
    )  # fmt: skip
    async def sync(id: ContextId, key: ApiKey = asker) -> Response:  # noqa: A002 - the path's name
        """A worker asks the LMS soon; what changed is told by the event `roster.changed`."""
        tenant_id = await callers.tenant_for(key, "context", id)
        try:
            job_id = await flow.wish(host, tenant_id, id)
        except Conflict as error:
            raise ApiError(409, error.code, error.message) from error
        return JSONResponse({"job": {"id": job_id, "state": "pending"}}, 202)


async def _by_link(
    host: Host, tenant_id: str, context_id: str, link_id: str, role: RoleName | None, release: frozenset[str]
) -> list[dict[str, Any]]:
    try:
        lms_id = await host.database.run(tenant_id, _link, context_id, link_id)
        found = await flow.RosterFlow(host).read_link(tenant_id, context_id, lms_id, _URI.get(role or ""))
    except NotFound as error:
        raise ApiError(404, error.code, error.message) from error
    except (Conflict, NotBound) as error:
        raise ApiError(409, error.code, error.message) from error
    except (ServiceFailed, PluginFailed) as error:
        raise ApiError(502, error.code, error.message) from error
    known = await host.database.run(tenant_id, _ids, context_id)
    return [_live(member, known.get(member.subject), release) for member in found if role in (None, member.role)]


def _link(session: Session, context_id: str, link_id: str) -> str:
    """The LMS's id of a link of the context. Raises NotFound."""
    query = select(tables.ResourceLink.lms_id).where(
        tables.ResourceLink.id == link_id, tables.ResourceLink.context_id == context_id
    )
    found = session.scalars(query).first() if findable(link_id) else None
    if found is None:
        raise NotFound("resource_link_unknown", "There is no such resource link in this context.")
    return found


def _ids(session: Session, context_id: str) -> dict[str, str]:
    """Our ids of the context's people, by `sub`: as many as a statement could not name."""
    query = (
        select(tables.User.subject, tables.User.id)
        .join(tables.Membership, tables.Membership.user_id == tables.User.id)
        .where(tables.Membership.context_id == context_id)
    )
    return {subject: user_id for subject, user_id in session.execute(query)}  # noqa: C416 - rows are no pairs to dict


def _release(session: Session, application_id: str) -> frozenset[str]:
    query = select(tables.Application.release).where(tables.Application.id == application_id)
    return frozenset(session.scalars(query).first() or ())


def _stored(user: tables.User, membership: tables.Membership, release: frozenset[str]) -> dict[str, Any]:
    return _personal(user, release) | {
        "user_id": user.id, "subject": user.subject, "role": membership.role, "roles": membership.roles,
        "group_role": membership.group_role, "test_user": user.test_user, "active": membership.active,
        "source": membership.source, "first_seen_at": timestamp(membership.first_seen_at),
        "last_login_at": user.last_login_at and timestamp(user.last_login_at),
        "left_at": membership.left_at and timestamp(membership.left_at), "custom": {},
    }  # fmt: skip


def _live(member: Member, user_id: str | None, release: frozenset[str]) -> dict[str, Any]:
    return _personal(member, release) | {
        "user_id": user_id, "subject": member.subject, "role": member.role,
        "roles": [role.uri for role in member.roles], "group_role": None, "test_user": member.test_user, "active": True,
        "source": "roster", "first_seen_at": None, "last_login_at": None, "left_at": None, "custom": member.custom,
    }  # fmt: skip


def _personal(person: tables.User | Member, release: frozenset[str]) -> dict[str, str | None]:
    names = ("name", "given_name", "family_name", "middle_name")
    shown = (names if "names" in release else ()) + tuple(part for part in ("email", "picture") if part in release)
    return {name: getattr(person, name) if name in shown else None for name in (*names, "email", "picture")}


def _roster(row: Any) -> dict[str, Any]:
    return {
        "generation": row.generation, "synced_at": row.synced_at and timestamp(row.synced_at),
        "stale_since": row.stale_since and timestamp(row.stale_since), "code": row.code,
    }  # fmt: skip
