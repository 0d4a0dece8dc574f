"""`ltihost demo`: it needs nothing, tells what to open, proves itself with --check, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ltihost.commands import demo_stage
from ltihost.commands.demo_check import REFUSED, WELCOME, Step, Story, Watched
from ltihost.records import Attempt
from ltihost.testing.driver import walk
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.serving import running_campus
from ltihost.testing.world import profile
from tests.core.cli.conftest import LTIHOST, Cli
from tests.core.cli.processes import ending

NOTHING = Cli({})
LAUNCHES = len(WELCOME) + len(REFUSED)
LESSON = ["deep_linking", "grade", "title", "roster", "override"]


def two_free_ports() -> int:
    """A free port whose successor is free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue


def test_check_tells_the_same_story_for_every_lms() -> None:
    ended = NOTHING.run("demo", "--check", "--json")
    steps = json.loads(ended.stdout)
    assert ended.stderr == ""
    families = {step["lms"] for step in steps}
    assert families >= {"blackboard", "canvas", "moodle"}
    assert [step for step in steps if step["status"] != "ok"] == []
    for family in families:
        assert [step["step"] for step in steps if step["lms"] == family] == ["launch"] * LAUNCHES + LESSON
    for step in steps:
        assert step.keys() == {"lms", "step", "status", "detail", "seconds"}
        assert step["seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--plugin", "absent"], "lms_unknown"), (["--app", "absent"], "application_unknown")],
)
def test_an_unknown_name_is_answered_with_those_there_are(arguments: list[str], code: str) -> None:
    assert f"[{code}]" in NOTHING.refused("demo", "--check", *arguments)


def test_a_story_without_a_step_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object, **__: object) -> list[Step]:
        return []

    monkeypatch.setattr(demo_stage, "play", nothing)
    assert "none failed" not in NOTHING.run("demo", "--check", status=1).stdout
    assert json.loads(NOTHING.run("demo", "--check", "--json", status=1).stdout) == []


@pytest.mark.parametrize("taken", ["host", "campus"])
def test_a_port_in_use_is_said_in_a_line(taken: str) -> None:
    port = two_free_ports()
    with socket.create_server(("127.0.0.1", port if taken == "host" else port + 1)):
        assert "[cannot_listen]" in NOTHING.refused("demo", "--port", str(port))


def test_the_demo_runs_until_ctrl_c_and_leaves_nothing() -> None:
    port = two_free_ports()
    with ending(subprocess.Popen(
        [LTIHOST, "demo", "--port", str(port), "--json"], env=NOTHING.process_environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )) as process:  # fmt: skip
        assert process.stdout is not None
        told = _document(process)
        assert told["campus_url"] == f"http://127.0.0.1:{port + 1}/"
        assert told["base_url"] == f"http://localhost:{port}"
        assert {item["key"] for item in told["lms"]} >= {"blackboard", "canvas", "moodle"}
        for item in told["lms"]:
            assert httpx2.get(item["url"], timeout=30).status_code == 200
        assert Cli(told["environment"]).json("tenant", "list")[0]["slug"] == "demo"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in stderr
    assert not Path(told["data"]).exists()


def test_data_that_are_kept_serve_again_and_only_at_their_port(tmp_path: Path) -> None:
    port = two_free_ports()
    for _ in range(2):  # the campus forgets, the host does not
        ended = NOTHING.run("demo", "--check", "--plugin", "moodle", "--data", str(tmp_path), "--port", str(port))
        _assert_told_to_people(ended.stdout.splitlines())
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0
    assert "[demo_elsewhere]" in NOTHING.refused("demo", "--check", "--plugin", "moodle", "--data", str(tmp_path))


def _assert_told_to_people(lines: list[str]) -> None:
    *lines, end = lines
    assert len(lines) == LAUNCHES + len(LESSON)
    assert all(line.startswith("ok     moodle ") for line in lines)
    assert end == f"{len(lines)} steps, none failed"
    assert "as instructor, recognised by cookie" in lines[0]
    assert "was refused as sig_invalid, code " in lines[2]
    assert "added 'From light to sugar' for 20 points" in lines[6]
    assert "attempts of 2, 3, 1 right; 15 of 20 stands" in lines[7]


def test_its_log_tells_what_was_refused_and_nothing_about_anybody() -> None:
    port = two_free_ports()
    with ending(subprocess.Popen(
        [LTIHOST, "demo", "--port", str(port), "--json", "--plugin", "moodle"], env=NOTHING.process_environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )) as process:  # fmt: skip
        campus = _document(process)["lms"][0]["url"]
        for fault in ("", "&fault=tampered"):
            asyncio.run(walk(f"{campus}_launch?person=ada&link=cell-quiz{fault}"))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    logged = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    assert [line["refusal"] for line in logged if line["event"] == "launch.refused"] == ["sig_invalid"]
    for canary in ("Ada", "O'Brien", "@campus.example", "eyJ", "state=", "code="):
        assert canary not in stderr


async def test_a_host_that_does_not_answer_fails_every_step() -> None:
    with running_campus([profile()]) as campus:
        platform = campus.platforms["lti"]
        gone = f"http://localhost:{two_free_ports()}"
        platform.register(login_url=gone + "/login", launch_url=gone + "/launch", jwks_url=gone + "/jwks")
        steps = await _steps(platform)
    assert {step.status for step in steps} == {"failed"}
    assert {step.detail for step in steps} == {"no answer: ConnectError"}


async def test_a_page_that_is_no_launch_fails_the_steps_that_need_one() -> None:
    with running_campus([profile()]) as campus:
        platform = campus.platforms["lti"]
        page = campus.base_url + "/"  # answers 200 to whoever comes, and launches nobody
        platform.register(login_url=page, launch_url=page, jwks_url=page)
        steps = await _steps(platform)
    assert [step.status for step in steps] == ["failed"] * (LAUNCHES + 1)  # without content there is no lesson


async def _steps(platform: SimulatedPlatform) -> list[Step]:
    async def find(code: str) -> Attempt | None:
        raise AssertionError(f"no page shows a code, yet {code} was looked up")

    async def nowhere(*_: object) -> None:
        raise AssertionError("nothing reaches the application")

    return [step async for step in Story(Watched(nowhere), find).play(platform)]


def _document(process: subprocess.Popen[str]) -> Any:
    """The JSON document that a process prints before it goes on running."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr and process.stderr.read()
    return json.loads("".join(lines))
