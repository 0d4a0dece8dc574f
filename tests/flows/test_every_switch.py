"""S-17: with every switch that widens something thrown, the login, the browser and the signature are checked as before."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from pathlib import Path

import pytest

from ltihost.records import Registration
from ltihost.settings import Settings
from ltihost.store.registrations import FIELDS
from tests.flows import test_launch_state as state
from tests.flows import test_launch_token as token
from tests.flows.cases import REFUSED
from tests.flows.platform import Change
from tests.flows.rig import Rig

#: Every value of a registration that is no name or address of the LMS, as wide as it goes.
WIDE = {field.name: "yes" for field in fields(Registration) if isinstance(field.default, bool)} | {
    "algorithms": "RS256,RS384,RS512,PS256,ES256",
    "auto_deployments": "same_instance",
    "key_set": "host",
    "frame_origins": "https://lms.example,https://evil.example",
    "leeway": "300",
    "max_token_bytes": "131072",
    "storage_origins": "https://lms.example,https://evil.example",
    "trusted_audiences": "client-9,stranger",
}
ADDRESSES = {"name", "issuer", "client-id", "auth-url", "token-url", "jwks-url", "audience", "home-url"}


@pytest.fixture
async def rig(sqlite_settings: Settings, tmp_path: Path) -> AsyncIterator[Rig]:
    """On one database: where these cases belong, they run on both."""
    everywhere = tuple(ipaddress.ip_network(network) for network in ("0.0.0.0/0", "::/0"))
    settings = sqlite_settings.model_copy(
        update={
            "allow_networks": everywhere, "launch_rows_per_minute": 10**6, "login_rows_per_minute": 10**6,
            "api_rate_per_minute": 10**6, "attempt_days": 36_500, "plugin_faults_file": tmp_path / "faults",
        }
    )  # fmt: skip
    made = Rig(settings)
    await made.start()
    await made.set(made.registration.id, **WIDE)
    yield made
    await made.stop()


def test_all_of_them_are_thrown() -> None:
    assert {name.replace("_", "-") for name in WIDE} | ADDRESSES == set(FIELDS)


@pytest.mark.parametrize(
    "case",
    [
        state.test_a_bad_signature_burns_nothing,
        token.test_the_public_key_is_no_shared_secret,
        state.test_another_browser_cannot_finish_a_login,
        state.test_another_login_s_cookie_does_not_help,
        state.test_of_twenty_posts_at_once_one_is_admitted,
        state.test_a_launch_is_completed_once_whatever_cookies_are_kept,
        state.test_a_parallel_login_s_nonce_is_refused_and_its_login_still_good,
        state.test_an_old_token_in_a_fresh_login_is_refused,
    ],
    ids=lambda case: case.__name__.removeprefix("test_"),
)
async def test_the_case_ends_as_ever(rig: Rig, case: Callable[[Rig], Awaitable[None]]) -> None:
    """S-01, S-02, S-03, S-04."""
    await case(rig)


@pytest.mark.parametrize(
    "change",
    [change for _, change, code in REFUSED if code == "nonce_mismatch"],
    ids=["none", "empty", "list", "other"],
)
async def test_a_nonce_is_as_mandatory_as_ever(rig: Rig, change: Change) -> None:
    """S-04."""
    assert await rig.refused(await rig.launch(change)) == "nonce_mismatch"


async def test_parallel_launches_are_kept_apart_as_ever(rig: Rig) -> None:
    """S-05."""
    await state.test_parallel_launches_in_one_browser_do_not_disturb_each_other(rig, (2, 0, 1))
