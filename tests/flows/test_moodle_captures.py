"""What a real Moodle 4.5.6 sent, byte for byte, through the real verification and normalisation, with the clock stopped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from ltihost.attempts import OpenAttempt
from ltihost.errors import Refused
from ltihost.flows.launch.accept import Acceptance
from ltihost.flows.launch.browser import Bound
from ltihost.lti.state import State, digest, short_digest
from ltihost.plugins.loader import load_plugins
from ltihost.records import Registration
from ltihost.settings import Settings
from ltihost.store import applications, tenants
from tests.flows.rig import ACTOR, Rig

DATA = Path(__file__).parent.parent / "data" / "moodle"
TARGET = "http://127.0.0.1:9001/launch"


def capture(name: str) -> tuple[dict[str, Any], str]:
    """The captured claims and the id_token that Moodle's form carried."""
    recorded = json.loads((DATA / f"launch-{name}.json").read_bytes())
    form = next(hop for hop in recorded["hops"] if hop.get("name") == "ltiAuthForm")
    return recorded["claims"], form["fields"]["id_token"]


@pytest.fixture
async def moodle(settings: Settings) -> AsyncIterator[tuple[Rig, Registration]]:
    """A host that trusts the captured Moodle and its captured key set."""
    rig = Rig(settings, load_plugins(["moodle"]))
    await rig.start()
    rig.keys.keys = json.loads((DATA / "certs-jwks.json").read_bytes())["body"]["keys"]
    await rig.operator(tenants.enable_plugin, rig.tenant.id, "moodle", actor=ACTOR)
    application = await rig.operator(
        applications.create, rig.tenant.id, "captured", name="Captured", launch_url=TARGET, picker_url=TARGET,
        release=("names", "email"), actor=ACTOR,
    )  # fmt: skip
    registration = await rig.register(
        ("1",), plugin="moodle", application=application, issuer="http://127.0.0.1:8090", client_id="NTP8xlFBlIn9rs6",
        auth_url="http://127.0.0.1:8090/mod/lti/auth.php", token_url="http://127.0.0.1:8090/mod/lti/token.php",
    )  # fmt: skip
    yield rig, registration
    await rig.stop()


async def run(
    rig: Rig, registration: Registration, name: str, *, age: float, token: str | None = None
) -> dict[str, Any]:
    """Steps 5 to 9 for a capture posted `age` seconds after Moodle signed it; then what the application gets."""
    claims, captured = capture(name)
    rig.clock.now = claims["iat"] + age
    state = State(
        registration.id, int(rig.clock.now) - 1, "0123abcd", digest(claims["nonce"]), digest("secret"),
        short_digest(TARGET), short_digest("1"), "", True, False, False,
    )  # fmt: skip
    request = Request({"type": "http", "headers": [], "client": ("127.0.0.1", 1)})
    attempt = OpenAttempt("launch", request, rig.clock.now)
    attempt.registration, attempt.tenant_id = registration, rig.tenant.id
    bound = Bound("cookie", "partitioned")
    done = await Acceptance(rig.host).run(token or captured, state, registration, bound, attempt, rig.clock.now)
    key = await rig.key(await rig.operator(applications.by_slug, "captured", rig.tenant.id))
    answer = await rig.redeem(done.location.partition("code=")[2], key)
    assert answer.status_code == 200, answer.text
    launch: dict[str, Any] = answer.json()
    return launch


async def test_a_student(moodle: tuple[Rig, Registration]) -> None:
    launch = await run(*moodle, "student01", age=1)
    assert launch["user"] | {"id": "x"} == {
        "id": "x", "subject": "7", "name": "Ada O'Brien 1", "given_name": "Ada", "family_name": "O'Brien 1",
        "middle_name": None, "email": "student01@example.com", "picture": None, "locale": "en", "anonymous": False,
    }  # fmt: skip
    assert launch["role"] == "learner"
    assert launch["context"]["types"] == ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseSection"]
    assert launch["context"]["title"] == 'LTI 101: Peer "Review" & Fairness'
    assert launch["resource_link"]["title"] == 'Peer review "q" & é'
    assert launch["lis"]["person_sourcedid"] == "S0001"
    assert launch["capabilities"] == {
        "grades": True, "line_items": True, "results": True, "roster": True, "deep_linking": False, "groups": False,
        "names": True, "emails": True, "pictures": False,
    }  # fmt: skip
    custom = launch["custom"]
    assert "$" not in "".join(custom.values())
    assert "context_memberships_url" not in custom
    assert (custom["task"], custom["mixedCase"], "mixedcase" in custom) == ("42", "Hello", False)


async def test_an_administrator_who_also_teaches(moodle: tuple[Rig, Registration]) -> None:
    launch = await run(*moodle, "admin", age=1)
    assert launch["role"] == "instructor"
    assert {(role["scope"], role["role"]) for role in launch["roles"]} == {
        ("institution", "administrator"), ("context", "instructor"), ("system", "administrator"),
    }  # fmt: skip
    assert launch["lis"]["person_sourcedid"] is None


async def test_a_teacher_asks_for_content(moodle: tuple[Rig, Registration]) -> None:
    launch = await run(*moodle, "deeplinking-teacher1", age=1)
    assert launch["message"] == "deep_linking"
    assert launch["resource_link"] is None
    assert launch["deep_linking"]["accept_types"] == ["ltiResourceLink"]
    assert launch["deep_linking"]["accept_multiple"] is True
    assert launch["deep_linking"]["accept_line_item"] is None


@pytest.mark.parametrize("age", [0, 59, 110])
async def test_its_sixty_seconds_and_our_leeway(moodle: tuple[Rig, Registration], age: float) -> None:
    assert (await run(*moodle, "student01", age=age))["user"]["subject"] == "7"


@pytest.mark.parametrize(("age", "code"), [(125, "expired"), (-62, "issued_in_future")])
async def test_too_late_and_too_early(moodle: tuple[Rig, Registration], age: float, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await run(*moodle, "student01", age=age)
    assert caught.value.code == code


async def test_one_altered_byte(moodle: tuple[Rig, Registration]) -> None:
    _, token = capture("student01")
    head, payload, signature = token.split(".")
    altered = f"{head}.{payload}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}"
    with pytest.raises(Refused) as caught:
        await run(*moodle, "student01", age=1, token=altered)
    assert caught.value.code == "sig_invalid"


async def test_another_person_s_token_in_this_login(moodle: tuple[Rig, Registration]) -> None:
    _, token = capture("admin")
    with pytest.raises(Refused) as caught:
        await run(*moodle, "student01", age=5, token=token)
    assert caught.value.code == "nonce_mismatch"
