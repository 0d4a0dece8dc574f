"""Origins of services that launches named: seen, and accepted by an operator."""

from __future__ import annotations

from structlog.testing import capture_logs

from ltihost.service_records import ServiceUrls
from ltihost.store import services
from ltihost.store.database import Database
from tests.core.cli.conftest import Cli
from tests.core.cli.test_cli_registrations import CREATE, PLATFORM


def test_a_held_origin_is_shown_and_accepted(uni: Cli) -> None:
    made = uni.json(*CREATE, *PLATFORM, "--deployment-id", "1", "--approve")["id"]
    assert uni.json("deployment", "origins", made, "1") == []

    async def launch(database: Database) -> None:
        deployment = await database.hot.deployment(made, "1")
        assert deployment is not None
        assert deployment.tenant is not None
        assert deployment.application is not None
        for moment, host in enumerate(("lms", "new")):
            urls = ServiceUrls(memberships_url=f"https://{host}.example/members")
            await database.run(
                deployment.tenant.id, services.note, registration_id=made, deployment_id="1", context_id=None,
                resource_link_id=None, application=(deployment.application.tenant_id, deployment.application.id),
                urls=urls, line_item_url=None, origins=services.origins_of(urls), now=1_790_000_000.0 + moment,
            )  # fmt: skip

    with capture_logs() as told:
        uni.store(launch)
    assert [entry["event"] for entry in told] == ["services.origin_held"]
    states = [(row["origin"], row["kind"], row["state"]) for row in uni.json("deployment", "origins", made, "1")]
    assert states == [
        ("https://lms.example", "memberships", "accepted"), ("https://new.example", "memberships", "held"),
    ]  # fmt: skip
    assert "https://new.example" in uni.run("deployment", "origins", made, "1").stdout
    after = uni.json("deployment", "origins", made, "1", "--accept", "https://new.example")
    assert {row["state"] for row in after} == {"accepted"}
    again = uni.refused("deployment", "origins", made, "1", "--accept", "https://new.example")
    assert "[origin_unknown]" in again
    assert "[deployment_unknown]" in uni.refused("deployment", "origins", made, "2")
