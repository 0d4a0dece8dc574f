"""Signing keys and the audit trail."""

from __future__ import annotations

import time

import pytest
import time_machine

from ltihost.store import audit, tables
from ltihost.store.database import Database
from tests.core.cli.conftest import Cli


@pytest.fixture
def keyed(cli: Cli) -> Cli:
    """The host has its key set."""
    cli.run("migrate")
    return cli


def states(cli: Cli, *arguments: str) -> list[str]:
    return [key["state"] for key in cli.json("key", "list", *arguments)]


def test_a_rotation_takes_two_calls_a_day_apart(keyed: Cli) -> None:
    assert states(keyed) == ["signing"]
    assert [key["state"] for key in keyed.json("key", "rotate")] == ["signing", "published"]
    with time_machine.travel(time.time() + 3600):
        keyed.run("key", "rotate")
        assert states(keyed) == ["signing", "published"]
    with time_machine.travel(time.time() + 2 * 86_400):
        assert "signs." in keyed.run("key", "rotate").stdout
    assert states(keyed) == ["retiring", "signing"]


def test_a_leaked_key_is_dropped_at_once(keyed: Cli) -> None:
    (leaked,) = keyed.json("key", "list")
    answer = keyed.json("key", "revoke", leaked["kid"])
    assert answer["revoked"] == leaked["kid"]
    assert {key["kid"]: key["state"] for key in keyed.json("key", "list")} == {
        leaked["kid"]: "removed", answer["signing"]: "signing",
    }  # fmt: skip


def test_a_registration_has_keys_of_its_own(keyed: Cli) -> None:
    keyed.run("tenant", "create", "uni", "--name", "Uni")
    keyed.run("app", "create", "quiz", "--name", "Quiz", "--launch-url", "https://quiz.example/launch")
    made = keyed.json("registration", "create", "--tenant", "uni", "--app", "quiz", "--plugin", "lti")["id"]
    keyed.run("key", "rotate", "--registration", made)
    assert states(keyed, "--registration", made) == ["signing", "published"]
    assert states(keyed) == ["signing"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["key", "revoke", "key_x"], "key_unknown"),
        (["key", "list", "--registration", "reg_x"], "registration_unknown"),
        (["key", "rotate", "--registration", "reg_x"], "registration_unknown"),
        (["audit", "verify", "--tenant", "other"], "tenant_unknown"),
        (["audit", "verify", "--checkpoint", "1:aa"], "checkpoint_without_tenant"),
        (["audit", "verify", "--tenant", "uni", "--checkpoint", "yesterday"], "checkpoint_invalid"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(keyed: Cli, arguments: list[str], code: str) -> None:
    keyed.run("tenant", "create", "uni", "--name", "Uni")
    assert f"[{code}]" in keyed.refused(*arguments)


def test_no_list_shows_a_private_key(keyed: Cli) -> None:
    assert keyed.json("key", "list")[0].keys() == {"kid", "state", "since", "created_at"}


def test_a_whole_trail_is_said_to_be_whole(keyed: Cli) -> None:
    keyed.run("tenant", "create", "uni", "--name", "Uni")
    found = keyed.json("audit", "verify")
    assert [(row["tenant"], row["ok"]) for row in found] == [(None, True), ("uni", True)]
    checkpoint = found[1]["checkpoint"]
    keyed.run("tenant", "suspend", "uni")
    (later,) = keyed.json("audit", "verify", "--tenant", "uni", "--checkpoint", checkpoint)
    assert later["ok"] is True
    assert later["checkpoint"] != checkpoint


def test_rows_missing_since_a_checkpoint_show(keyed: Cli) -> None:
    keyed.run("tenant", "create", "uni", "--name", "Uni")
    (found,) = keyed.json("audit", "verify", "--tenant", "uni")
    seq, _, mark = found["checkpoint"].partition(":")
    (later,) = keyed.json("audit", "verify", "--tenant", "uni", "--checkpoint", f"{int(seq) + 1}:{mark}", status=1)
    assert later["ok"] is False
    assert "Rows are missing at the end" in later["message"]


def test_a_row_that_was_sealed_with_another_key_shows_and_ends_with_1(keyed: Cli) -> None:
    keyed.run("tenant", "create", "uni", "--name", "Uni")

    async def forge(database: Database) -> None:
        def add(session: object, tenant_id: str) -> None:
            audit.append(session, tenant_id, actor="x", action="forged", object_id="x")  # type: ignore[arg-type]

        row = await database.run_host(lambda session: session.query(tables.Tenant).filter_by(slug="uni").one())
        await database.run_host(add, row.id)

    stranger = Cli(keyed.environment | {"LTIHOST_SECRET_KEY": "another key that is long enough to be taken as one"})
    stranger.store(forge)
    (found,) = keyed.json("audit", "verify", "--tenant", "uni", status=1)
    assert found["ok"] is False
    assert "not as it was sealed" in found["message"]
    assert "not as it was sealed" in keyed.run("audit", "verify", status=1).stdout
