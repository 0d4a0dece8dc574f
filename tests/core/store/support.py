"""A small world in a database: a tenant with an application, a registration and an approved deployment."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ltihost.errors import CHECKS
from ltihost.records import Application, Attempt, Check, Registration, Tenant
from ltihost.settings import Settings
from ltihost.store import admins, applications, deployments, registrations, role_rules, tenants
from ltihost.store.database import Database
from ltihost.store.hot import AcceptLaunch, ContextSeen, LinkSeen, PersonSeen
from ltihost.store.ids import new_code, new_id
from tests.core.store.any_row import MODELS, fill_rest

ACTOR = "tests"
DEPLOYMENT = "deployment-1"
_NUMBERS = itertools.count(1)

ADA = PersonSeen(
    "ada", "ada", "Ada Lovelace", "Ada", "Lovelace", None, "ada@example.edu", "https://x.example/a.png", "en", False
)
BIOLOGY = ContextSeen(
    "biology", "Biology 101", "BIO", ("http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering",)
)
QUIZ = LinkSeen("quiz", "Cell quiz", "Ten questions")


Seed = tuple[Tenant, Application, Registration]


@dataclass
class World:
    """What was made, and launches into it."""

    db: Database
    tenant: Tenant
    application: Application
    registration: Registration

    def attempt(self, **changes: Any) -> Attempt:
        """An attempt that was let through, as far as it says."""
        made = Attempt(
            id=new_id("lch"),
            tenant_id=self.tenant.id,
            code=new_code(),
            kind="launch",
            outcome="accepted",
            at=time.time(),
            registration_id=self.registration.id,
            deployment_id=DEPLOYMENT,
            message="resource_link",
            rung="cookie",
            checks=tuple(Check(name, "passed") for name in CHECKS),
            remote_address="192.0.2.7",
            user_agent="a browser",
        )
        return replace(made, **changes)

    def refused(self, **changes: Any) -> Attempt:
        """An attempt that was not."""
        return self.attempt(**{"outcome": "refused", "refusal": "sig_invalid"} | changes)

    def work(self, **changes: Any) -> AcceptLaunch:
        """A launch that will be accepted, with a nonce and a code of its own."""
        number = next(_NUMBERS)
        made = AcceptLaunch(
            attempt=self.attempt(),
            application_id=self.application.id,
            plugin="lti",
            message="resource_link",
            nonce_hash=digest(f"nonce {number}"),
            nonce_expires=time.time() + 600,
            person=ADA,
            context=BIOLOGY,
            link=QUIZ,
            role="learner",
            roles_json='["Learner"]',
            global_role="user",
            group_role="member",
            create_users=True,
            create_contexts=True,
            sync_roles=True,
            launch_json='{"user": {"name": "Ada Lovelace"}}',
            services_json='{"services": {}}',
            target_url="https://app.example/launch",
            code_hash=digest(f"code {number}"),
            code_expires=time.time() + 60,
        )
        return replace(made, **changes)

    async def redeem(self, work: AcceptLaunch, **changes: Any) -> Any:
        """Exchange the work's code as its application does."""
        how: dict[str, Any] = {
            "application_id": self.application.id,
            "tenant_id": None,
            "now": time.time(),
            "session_seconds": 3600,
        }
        return await self.db.hot.redeem_code(work.code_hash, **how | changes)

    async def counts(self) -> dict[str, int]:
        """How many rows each table has, over all tenants."""
        return await self.db.run_host(count_rows)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def count_rows(session: Session) -> dict[str, int]:
    """Rows by table."""
    return {model.__tablename__: session.scalar(select(func.count()).select_from(model)) or 0 for model in MODELS}


def endpoints(name: str) -> list[tuple[str, str]]:
    """The values of a complete registration of an LMS of this name."""
    base = f"https://{name}.example"
    return [
        ("issuer", base),
        ("client-id", f"client-{name}"),
        ("auth-url", f"{base}/auth"),
        ("token-url", f"{base}/token"),
        ("jwks-url", f"{base}/jwks"),
    ]


async def make_world(db: Database, slug: str = "north", **values: str) -> World:
    """A tenant of this slug with all it needs to be launched into; `values` as `registration set` takes them."""
    tenant = await db.run_host(tenants.create, slug, f"The {slug}", actor=ACTOR)
    application = await db.run_host(
        applications.create,
        tenant.id,
        "tool",
        name="Tool",
        launch_url="https://app.example/launch",
        allowed_targets=["https://app.example/"],
        actor=ACTOR,
    )
    more = [(name.replace("_", "-"), value) for name, value in values.items()]
    registration = await db.run_host(
        registrations.create,
        tenant.id,
        plugin="lti",
        application=application,
        values=[*endpoints(slug), *more],
        actor=ACTOR,
    )
    registration = await db.run_host(registrations.approve, registration.id, actor=ACTOR)
    await db.run_host(deployments.approve, registration.id, DEPLOYMENT, actor=ACTOR)
    return World(db, tenant, application, registration)


@asynccontextmanager
async def opened_world(settings: Settings) -> AsyncIterator[World]:
    """A new world in an open database of these settings."""
    database = Database(settings)
    await database.open()
    try:
        yield await make_world(database)
    finally:
        await database.close()


async def fill(world: World) -> None:
    """Put a row into every table of the tenant: as the host does it for those that a launch needs, made up for the rest."""
    work = world.work()
    assert (await world.db.hot.accept_launch(work)).refusal is None
    await world.redeem(work)
    assert (await world.db.hot.accept_launch(world.work())).refusal is None
    await world.db.hot.record_attempts([world.refused()])
    await world.db.run_host(applications.create_key, world.application, actor=ACTOR)
    await world.db.run_host(role_rules.add, world.tenant.id, "Learner", group_role="member", actor=ACTOR)
    await world.db.run_host(admins.create, world.tenant.id, f"admin@{world.tenant.slug}.example", actor=ACTOR)
    await world.db.run_host(fill_rest, world.tenant.id)
