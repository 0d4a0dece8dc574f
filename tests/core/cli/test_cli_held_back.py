"""`ltihost registration check` lets scores go again to an LMS that is left alone, once nothing is left to mend."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ltihost.settings import Settings
from ltihost.store import registrations
from ltihost.store.database import Database
from ltihost.store.service_tables import PlatformHealth
from tests.core.cli.conftest import Cli, environment_of
from tests.core.cli.test_cli_registrations import CREATE, PLATFORM
from tests.flows.key_server import KeyServer

FOREVER = 1e12


@pytest.fixture
def cli(settings: Settings) -> Cli:
    made = Cli(environment_of(settings))
    made.run("tenant", "create", "uni", "--name", "Uni Nord")
    made.run("app", "create", "quiz", "--name", "Quiz", "--launch-url", "https://quiz.example/launch")
    return made


def health(cli: Cli, registration_id: str, **values: Any) -> dict[str, Any]:
    """The breaker of the registration's scores; `values` make one that is open."""

    def work(session: Session) -> dict[str, Any]:
        if values:
            tenant_id = registrations.get(session, registration_id).tenant_id
            usual = {"failures": 0, "recent": [], "successes": 0, "in_flight": 1, "tokens": 0.0, "paced_at": 0.0}
            session.add(
                PlatformHealth(
                    tenant_id=tenant_id, registration_id=registration_id, kind="score", quiet_since=0.0, updated_at=0.0,
                    **usual, **values,
                )
            )  # fmt: skip
            session.flush()
        return session.scalars(select(PlatformHealth)).one().values()

    async def ask(database: Database) -> dict[str, Any]:
        return await database.run_host(work)

    return cli.store(ask)


def check(cli: Cli, registration_id: str, *, status: int) -> list[str]:
    """The steps that it names."""
    return [step["step"] for step in cli.json("registration", "check", registration_id, status=status)]


def test_an_open_breaker_is_half_opened_when_nothing_fails(cli: Cli, key_server: KeyServer) -> None:
    made = cli.json(*CREATE, *PLATFORM[:-1], key_server.url, "--deployment-id", "1")["id"]
    health(cli, made, state="open", open_until=FOREVER, times_opened=7, opened_at=1.0, code="invalid_client")
    key_server.status = 500
    assert "scores" not in check(cli, made, status=1)
    assert health(cli, made)["open_until"] == FOREVER
    key_server.status = 200
    assert check(cli, made, status=0)[-1] == "scores"
    after = health(cli, made)
    assert (after["state"], after["open_until"], after["times_opened"]) == ("open", 0.0, 0)


def test_one_that_is_closed_is_left_as_it_is(cli: Cli, key_server: KeyServer) -> None:
    made = cli.json(*CREATE, *PLATFORM[:-1], key_server.url, "--deployment-id", "1")["id"]
    before = health(cli, made, state="closed", open_until=5.0, times_opened=0)
    assert "scores" not in check(cli, made, status=0)
    assert health(cli, made) == before
