"""`ltihost grade`."""

from __future__ import annotations

from typing import Any

from ltihost.store.database import Database
from ltihost.store.grades import Verdict
from ltihost.store.tables import Audit
from tests.core.cli.conftest import Cli
from tests.core.grades.support import GradeSlot, make_book


def book_with_three(cli: Cli) -> dict[str, str]:
    """Three deliveries: one arrived, one is dead, one is on its way; their ids by state."""

    async def fill(db: Database) -> dict[str, str]:
        book = await make_book(db, learners=3)
        await book.take(7, user_id=book.learners[0])
        await book.deliver()
        await book.take(8, user_id=book.learners[1])
        (claim,) = await book.claim()
        await book.settle(claim, Verdict("dead", "refused", note="no such user"))
        await book.take(9, user_id=book.learners[2])
        return {row.state: row.id for row in await book.rows(GradeSlot)}

    return cli.store(fill)


def test_what_did_not_arrive_comes_first_with_its_reason(cli: Cli) -> None:
    ids = book_with_three(cli)
    listed = cli.json("grade", "list")
    assert [row["state"] for row in listed] == ["dead", "pending", "idle"]
    dead = listed[0]
    assert (dead["id"], dead["code"], dead["wanted"]) == (ids["dead"], "refused", {"given": 8.0, "maximum": 10.0})
    assert (dead["context"]["title"], dead["tenant"]) == ("Biology 101", "north")
    assert listed[2]["confirmed"] == {"given": 7.0, "maximum": 10.0}
    assert [row["id"] for row in cli.json("grade", "list", "--state", "dead", "--tenant", "north")] == [ids["dead"]]
    assert "refused" in cli.run("grade", "list").stdout


def test_one_delivery_shows_what_was_stated_and_each_try(cli: Cli) -> None:
    ids = book_with_three(cli)
    shown = cli.json("grade", "show", ids["dead"])
    assert [event["given"] for event in shown["events"]] == [8.0]
    assert [(one["outcome"], one["note"]) for one in shown["tries"]] == [("dead", "no such user")]
    text = cli.run("grade", "show", ids["dead"]).stdout
    assert "no such user" in text
    assert "delivery_unknown" in cli.refused("grade", "show", "dlv_none")


def test_replaying_sends_again_one_after_the_other_and_is_audited(cli: Cli) -> None:
    ids = book_with_three(cli)
    assert cli.json("grade", "replay", "--all") == {"replayed": [ids["dead"]]}
    assert set(cli.json("grade", "replay", ids["idle"], ids["dead"])["replayed"]) == {ids["idle"], ids["dead"]}
    states = {row["id"]: row["state"] for row in cli.json("grade", "list")}
    assert set(states.values()) == {"pending"}

    async def trail(db: Database) -> list[Any]:
        rows = await db.run_host(lambda session: [row.action for row in session.query(Audit)])
        return [action for action in rows if action == "grade.replayed"]

    assert len(cli.store(trail)) == 2
    assert cli.run("audit", "verify").status == 0


def test_replay_needs_to_know_what(cli: Cli) -> None:
    ids = book_with_three(cli)
    assert "replay_unclear" in cli.refused("grade", "replay")
    assert "replay_unclear" in cli.refused("grade", "replay", "--all", ids["dead"])
    assert "delivery_unknown" in cli.refused("grade", "replay", "dlv_none")


def test_verify_finds_what_is_out_of_order_and_what_cannot_be_read(cli: Cli) -> None:
    book_with_three(cli)
    found = cli.json("grade", "verify", status=1)
    assert [item["code"] is not None for item in found["line_items"]] == [True]  # the LMS's name leads nowhere
    assert found["faults"] == []

    async def bend(db: Database) -> None:
        def change(session: Any) -> None:
            for row in session.query(GradeSlot).filter_by(state="idle"):
                row.winner_event_id = "gev_other"

        await db.run_host(change)

    cli.store(bend)
    assert [fault["code"] for fault in cli.json("grade", "verify", status=1)["faults"]] == ["winner_wrong"]
    assert "winner_wrong" in cli.run("grade", "verify", status=1).stderr
