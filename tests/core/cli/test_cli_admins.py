"""`ltihost admin`: accounts and their invitations, on both databases."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
import time_machine

from ltihost.records import HOST
from ltihost.settings import Settings
from ltihost.store import admins
from tests.core.cli.conftest import Cli, environment_of

LINK = re.compile(r"http://localhost:8700/admin/invitation/([A-Za-z0-9_-]{43})")


@pytest.fixture
def both(settings: Settings) -> Cli:
    """The command on an empty database of either kind, with an organisation `uni`."""
    cli = Cli(environment_of(settings))
    cli.run("tenant", "create", "uni", "--name", "Uni Nord")
    return cli


def test_an_owner_and_a_tenant_admin_are_made_and_listed(both: Cli) -> None:
    owner = both.json("admin", "create", "--email", "ada@example.org")
    assert (owner["email"], owner["role"], owner["tenant"], owner["state"]) == (
        "ada@example.org", "owner", None, "invited",
    )  # fmt: skip
    assert LINK.fullmatch(owner.pop("url"))
    tenant_admin = both.json("admin", "create", "--email", "tom@uni.example", "--tenant", "uni")
    assert (tenant_admin["role"], tenant_admin["tenant"]) == ("tenant_admin", "uni")
    del tenant_admin["url"]
    assert both.json("admin", "list") == [owner, tenant_admin]
    assert both.json("admin", "list", "--tenant", "uni") == [tenant_admin]
    shown = both.run("admin", "list").stdout
    assert "tom@uni.example" in shown
    assert "tenant_admin" in shown
    assert both.json("audit", "verify")[0]["ok"] is True


def test_the_link_is_all_that_is_printed_and_is_shown_once(both: Cli) -> None:
    made = both.run("admin", "create", "--email", "ada@example.org")
    link = LINK.fullmatch(made.stdout.strip())
    assert link
    assert "seven days" in made.stderr
    for ended in (both.run("admin", "list"), both.run("admin", "list", "--json")):
        assert link[1] not in ended.stdout + ended.stderr


def test_a_second_link_ends_the_first(both: Cli) -> None:
    first = both.json("admin", "create", "--email", "ada@example.org")
    second = both.json("admin", "create", "--email", "Ada@Example.org")
    assert second["id"] == first["id"]
    tokens = [LINK.fullmatch(made["url"])[1] for made in (first, second)]  # type: ignore[index]
    found = both.store(
        lambda database: asyncio.gather(
            *(database.run_lookup(admins.tenant_of_invitation, admins.hash_of(token), time.time()) for token in tokens)
        )
    )
    assert found == [None, HOST]


def test_an_account_that_is_in_use_is_left_alone(both: Cli) -> None:
    made = both.json("admin", "create", "--email", "ada@example.org")
    token = made["url"].rpartition("/")[2]
    both.store(
        lambda database: database.run(HOST, admins.set_password, admins.hash_of(token), "$argon2id$x", time.time())
    )
    assert [item["state"] for item in both.json("admin", "list")] == ["ready"]
    assert "[admin_exists]" in both.refused("admin", "create", "--email", "ADA@example.org")
    assert "[admin_exists]" in both.refused("admin", "create", "--email", "ada@example.org", "--tenant", "uni")


def test_a_link_that_nobody_used_shows_as_expired(cli: Cli) -> None:
    cli.run("admin", "create", "--email", "ada@example.org")
    with time_machine.travel(time.time() + 8 * 86_400):
        assert [item["state"] for item in cli.json("admin", "list")] == ["expired"]
        assert cli.json("admin", "create", "--email", "ada@example.org")["state"] == "invited"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--email", "ada"], "email_invalid"), (["--email", "ada@example.org", "--tenant", "other"], "tenant_unknown")],
)
def test_what_cannot_be_made_is_said(cli: Cli, arguments: list[str], code: str) -> None:
    assert f"[{code}]" in cli.refused("admin", "create", *arguments)
