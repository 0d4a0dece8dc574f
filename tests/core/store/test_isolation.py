"""One tenant never sees, changes or adds another's rows: S-38 to S-45, for every table there is."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Executable, ForeignKeyConstraint, Select, delete, func, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, aliased

from ltihost.errors import Conflict, Invalid, NotFound
from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import (
    applications,
    deployments,
    directory,
    grade_queries,
    keys,
    launches,
    line_items,
    registrations,
    results,
    role_rules,
    rosters,
    sessions,
    tables,
    tenants,
)
from ltihost.store.database import Database
from ltihost.store.guard import TenantSession, UnboundError, add_rows
from ltihost.store.service_tables import GradeSlot, LineItem, RosterRun
from tests.core.store.any_row import OWNED, pointing, row_of
from tests.core.store.support import ACTOR, ADA, DEPLOYMENT, World, fill, make_world

T = TypeVar("T")


@pytest.fixture
async def pair(db: Database) -> tuple[World, World]:
    """Two tenants with a row in every table."""
    north, south = await make_world(db), await make_world(db, "south")
    for world in (north, south):
        await fill(world)
    return north, south


def count(session: Session, model: type[Any], tenant_id: str | None = None) -> int:
    query = select(func.count()).select_from(model)
    if tenant_id is not None:
        query = query.where(model.tenant_id == tenant_id)
    return session.scalar(query) or 0


async def test_each_table_has_rows_of_both(pair: tuple[World, World]) -> None:
    """Else the tests below would prove nothing."""
    for world in pair:
        for model in OWNED:
            assert await world.db.run_host(count, model, world.tenant.id) > 0, model


# Through the store, on both databases


async def test_reading_shows_the_own_rows_and_what_the_host_shares(pair: tuple[World, World]) -> None:
    north, south = pair
    for model in OWNED:
        readable = {north.tenant.id, HOST} if issubclass(model, tables.Shared) else {north.tenant.id}
        seen = await unless_denied(north.db.run(north.tenant.id, _owners, model), {north.tenant.id})
        assert north.tenant.id in seen <= readable, model
        assert await unless_denied(north.db.run(north.tenant.id, count, model, south.tenant.id), 0) == 0, model


async def test_changing_and_deleting_reaches_the_own_rows_only(pair: tuple[World, World]) -> None:
    north, south = pair
    for model in OWNED:
        before = await north.db.run_host(count, model, south.tenant.id)
        foreign = model.tenant_id == south.tenant.id
        column = [item for item in model.__table__.columns if item.name != "tenant_id"][-1]
        for statement in (update(model).where(foreign).values({column.name: column}), delete(model).where(foreign)):
            assert await unless_denied(north.db.run(north.tenant.id, _touch, statement), 0) == 0, model
        assert await north.db.run_host(count, model, south.tenant.id) == before, model


async def test_adding_a_row_for_another_is_an_error(pair: tuple[World, World]) -> None:
    north, south = pair
    for model in OWNED:
        row = await north.db.run_host(row_of, model, north.tenant.id)
        with pytest.raises(UnboundError):
            await north.db.run(north.tenant.id, _add, model(**row.values() | {"tenant_id": south.tenant.id}))


async def test_adding_many_rows_of_which_one_is_another_s_is_an_error(pair: tuple[World, World]) -> None:
    north, south = pair
    rows = [
        {"tenant_id": tenant, "id": f"rule_{number}", "lti_role": "Mentor", "created_at": 0.0}
        for number, tenant in enumerate((north.tenant.id, north.tenant.id, south.tenant.id))
    ]
    before = await north.db.run_host(count, tables.RoleRule, north.tenant.id)
    with pytest.raises(UnboundError):
        await north.db.run(north.tenant.id, add_rows, tables.RoleRule, rows)
    assert await north.db.run_host(count, tables.RoleRule, north.tenant.id) == before
    await north.db.run(north.tenant.id, add_rows, tables.RoleRule, rows[:2])
    assert await north.db.run_host(count, tables.RoleRule, north.tenant.id) == before + 2


async def test_no_row_can_be_made_to_point_at_another_tenant_s(pair: tuple[World, World]) -> None:
    """Not even by the operator's commands, which reach every row."""
    north, south = pair
    for model in OWNED:
        for key in model.__table__.foreign_key_constraints:
            if "tenant_id" in (element.column.name for element in key.elements):
                with pytest.raises(Conflict):
                    await north.db.run_host(_point, model, key, north.tenant.id, south.tenant.id)


def _owners(session: Session, model: type[Any]) -> set[str]:
    return set(session.scalars(select(model.tenant_id)))


def _point(session: Session, model: type[Any], key: ForeignKeyConstraint, of: str, towards: str) -> None:
    """Let the rows of one tenant point at a row of another."""
    values = pointing(session, key, towards)
    session.execute(update(model).where(model.tenant_id == of).values(values | {"tenant_id": of}))


def _scalar(session: Session, query: Select[Any]) -> Any:
    return session.scalar(query)


def _touch(session: Session, statement: Executable) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _add(session: Session, row: tables.Base) -> None:
    session.add(row)
    session.flush()


async def unless_denied(work: Awaitable[T], otherwise: T) -> T:
    """On PostgreSQL the serving role may not even ask for some tables."""
    try:
        return await work
    except ProgrammingError as error:
        assert "permission denied" in str(error)
        return otherwise


async def test_a_row_cannot_change_hands(pair: tuple[World, World]) -> None:
    north, south = pair

    def by_attribute(session: Session) -> None:
        row = session.scalars(select(tables.RoleRule)).one()
        row.tenant_id = south.tenant.id
        session.flush()

    def by_statement(session: Session) -> None:
        session.execute(update(tables.RoleRule).values(tenant_id=south.tenant.id))

    for work in (by_attribute, by_statement):
        with pytest.raises(UnboundError):
            await north.db.run(north.tenant.id, work)


STATEMENTS: dict[str, Executable] = {
    "text": text("SELECT * FROM users"),
    "a Core table": select(tables.User.__table__),
    "a Core table beside a model": select(tables.User.__table__.c.id, tables.Context.id),
    "a Core table below": select(tables.Context).where(tables.Context.id.in_(select(tables.User.__table__.c.id))),
    "a model from text": select(tables.User).from_statement(text("SELECT * FROM users")),
    "a bulk insert": insert(tables.RoleRule).values(tenant_id="x", id="y", lti_role="z", created_at=0),
}


@pytest.mark.parametrize("how", STATEMENTS)
async def test_what_criteria_cannot_reach_is_refused(world: World, how: str) -> None:
    with pytest.raises(UnboundError):
        await world.db.run(world.tenant.id, lambda session: session.execute(STATEMENTS[how]).all())


async def test_aliases_joins_and_subqueries_are_confined(pair: tuple[World, World]) -> None:
    north, _ = pair
    other = aliased(tables.User)
    members = select(tables.Membership.user_id).scalar_subquery()
    queries = (
        select(func.count()).select_from(other),
        select(func.count(tables.User.id)).where(tables.User.id.in_(members)),
        select(func.count(tables.User.id)).join(tables.Membership, tables.Membership.user_id == tables.User.id),
    )
    for query in queries:
        assert await north.db.run(north.tenant.id, _scalar, query) == 1


async def test_a_session_without_a_tenant_does_nothing(sqlite_settings: Settings) -> None:
    """S-42."""
    with TenantSession() as session:
        for work in (
            lambda: session.scalars(select(tables.User)).all(),
            lambda: session.get(tables.Tenant, "x"),
            lambda: session.execute(text("SELECT 1")),
        ):
            with pytest.raises(UnboundError):
                work()
        session.add(tables.RoleRule(tenant_id="x", id="y", lti_role="z", created_at=0))
        with pytest.raises(UnboundError):
            session.flush()
    database = Database(sqlite_settings)
    await database.open()
    with pytest.raises(UnboundError):
        await database.run("", directory.users)
    await database.close()


async def test_ids_of_another_tenant_are_as_unknown_as_none(pair: tuple[World, World]) -> None:
    """S-44: word for word the same answer."""
    north, south = pair
    run, run_host = north.db.run, north.db.run_host
    (user,) = await run(south.tenant.id, directory.users)
    (context,) = await run(south.tenant.id, directory.contexts)
    (link,) = await run(south.tenant.id, directory.resource_links)
    (rule,) = await run(south.tenant.id, role_rules.listed, south.tenant.id)
    (key,) = await run(south.tenant.id, applications.keys, south.application.id)
    launch = (await run(south.tenant.id, launches.page)).rows[0]
    signing = await run(south.tenant.id, keys.signing_key, south.registration.id)
    models = (LineItem, GradeSlot, RosterRun, tables.Session)
    line_item, slot, roster_run, session = [await run_host(row_of, model, south.tenant.id) for model in models]
    asked = {
        directory.user: (user.id,),
        directory.context: (context.id,),
        directory.resource_link: (link.id,),
        launches.show: (launch.id,),
        applications.get: (south.application.id,),
        deployments.get: (south.registration.id, DEPLOYMENT),
        keys.signing_key: (south.registration.id,),
        line_items.get: (line_item.id,),
        results.reading: (line_item.id,),
        grade_queries.get: (slot.id,),
        rosters.context: (context.id,),
    }
    for function, args in asked.items():
        await run(south.tenant.id, function, *args)  # type: ignore[arg-type]
        answers = [await _refusal(run(north.tenant.id, function, *ids)) for ids in (args, tuple("x" for _ in args))]  # type: ignore[arg-type]
        assert answers[0] == answers[1], function
    changes = (
        run(north.tenant.id, applications.revoke_key, key.id, actor=ACTOR),
        run(north.tenant.id, keys.revoke, signing.kid, actor=ACTOR),
        run(north.tenant.id, role_rules.remove, north.tenant.id, rule.id, actor=ACTOR),
        run(north.tenant.id, registrations.disable, south.registration.id, actor=ACTOR),
        run(north.tenant.id, tenants.suspend, "south", actor=ACTOR),
        run(north.tenant.id, deployments.approve, south.registration.id, DEPLOYMENT, actor=ACTOR),  # S-38
        run(north.tenant.id, sessions.launch, session.id, now=0),
        run(north.tenant.id, line_items.change, line_item.id, {"label": "mine"}, now=0),
        run(north.tenant.id, line_items.delete, line_item.id, force=True, actor=ACTOR, now=0),
        run(north.tenant.id, grade_queries.replay, [slot.id], actor=ACTOR, now=0),
        run(north.tenant.id, rosters.approve, roster_run.id, ACTOR),
    )
    for change in changes:
        await _refusal(change)


async def _refusal(work: object) -> str:
    with pytest.raises(NotFound) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


async def test_a_tenant_cannot_take_a_shared_registration_s_deployment(world: World) -> None:
    shared = await world.db.run_host(registrations.create, HOST, plugin="lti", actor=ACTOR)
    with pytest.raises(NotFound):
        await world.db.run(
            world.tenant.id, deployments.approve, shared.id, "d", application=world.application, actor=ACTOR
        )


async def test_shared_rows_are_read_only_for_tenants(world: World) -> None:
    shared = await world.db.run_host(
        applications.create, HOST, "shared", name="Shared", launch_url="https://shared.example/", actor=ACTOR
    )
    assert await world.db.run(world.tenant.id, applications.get, shared.id) == shared

    def rename(session: Session) -> int:
        return int(session.execute(update(tables.Application).values(name="mine")).rowcount)  # type: ignore[attr-defined]

    assert await world.db.run(world.tenant.id, rename) == 1
    assert await world.db.run_host(applications.get, shared.id) == shared


# S-45


HOSTILE = st.text(st.sampled_from("'\"`;-%_\\/*()[]{}$:?\0\ud800\u202e\n\té𝄞xX0 "), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=HOSTILE, key=HOSTILE)
async def test_hostile_text_is_text(world: World, name: str, key: str) -> None:
    """Names come back as they were, but for what cannot be stored; keys are stored whole or refused."""
    person = replace(ADA, key=key, subject=key, name=name, given_name=name, email=name)
    if "\0" in key or "\ud800" in key:
        with pytest.raises(Invalid):
            await world.db.hot.accept_launch(world.work(person=person))
        return
    outcome = await world.db.hot.accept_launch(world.work(person=person))
    storable = name.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    user = await world.db.run(world.tenant.id, directory.user, outcome.user_id or "")
    assert (user.user_key, user.name, user.email) == (key, storable, storable)
    assert (await world.db.run(world.tenant.id, launches.page, refusal=key)).rows == []
    with pytest.raises(NotFound):
        await world.db.run(world.tenant.id, launches.show, key)
