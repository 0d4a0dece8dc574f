"""The example code of the pages runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from docs.blocks.launch_fields import EXAMPLE
from ltihost.handover import application_launch
from ltihost.settings import Settings
from ltihost.testing.serving import listen, port_of, serving
from tests.docs.reading import ROOT, name_of
from tests.docs.shell import BIN, free_ports

EXAMPLES = ROOT / "docs" / "examples"
ACME = EXAMPLES / "ltihost-acme"
KEY = "key-of-the-application"


async def exchange(request: Request) -> Response:
    """Exchanging a launch: the code says how the browser stands."""
    if request.headers["authorization"] != f"Bearer {KEY}":
        return JSONResponse({"code": "key_invalid"}, 401)
    code = (await request.json())["code"]
    if code not in ("partitioned", "first_party", "none"):
        return JSONResponse({"code": "code_unusable"}, 410)
    launch = application_launch(EXAMPLE)
    return JSONResponse({**launch, "browser": {"rung": "cookie", "cookies": code}})


async def take_score(request: Request) -> Response:
    """Posting a score; the state of the application keeps what came."""
    if not request.headers.get("idempotency-key"):
        return JSONResponse({"code": "invalid_request"}, 422)
    request.app.state.scores.append((request.path_params["item"], await request.json()))
    return JSONResponse({"delivery": {"id": "dlv_1", "state": "pending"}}, 202)


@pytest.fixture
def scores() -> list[tuple[str, Any]]:
    """Line item and body of each score that reached the host."""
    return []


@pytest.fixture
def host(scores: list[tuple[str, Any]]) -> Iterator[str]:
    sockets = listen("127.0.0.1")
    routes = [
        Route("/api/v1/launches/exchange", exchange, methods=["POST"]),
        Route("/api/v1/line-items/{item}/scores", take_score, methods=["POST"]),
    ]
    api = Starlette(routes=routes)
    api.state.scores = scores
    with serving(api, sockets):
        yield f"http://127.0.0.1:{port_of(sockets)}"


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.py")), ids=name_of)
def test_every_example_compiles(file: Path) -> None:
    compile(file.read_text(encoding="utf-8"), str(file), "exec")


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.py")), ids=name_of)
def test_every_example_is_used_by_a_page(file: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert name_of(file) in pages or file.name == "__init__.py"


def test_the_first_application_needs_the_standard_library_alone(host: str, scores: list[tuple[str, Any]]) -> None:
    port = str(free_ports()[1])
    environment = {"HOST_URL": host, "API_KEY": KEY, "PORT": port, "PATH": os.environ["PATH"]}
    process = subprocess.Popen([sys.executable, "-S", EXAMPLES / "first_app.py"], env=environment)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx2.HTTPTransport(retries=8)) as browser:
            greeting = browser.get("/launch?code=none")
            refused = browser.get("/launch?code=used")
            bare = browser.get("/launch")
    finally:
        process.terminate()
        process.wait(10)
    assert "Hello Ada O&#x27;Brien" in greeting.text
    assert [answer.status_code for answer in (greeting, refused, bare)] == [200, 403, 403]
    assert EXAMPLE.line_item
    assert scores == [(EXAMPLE.line_item.id, {"user_id": EXAMPLE.user_id, "given": 8, "maximum": 10})]


@pytest.mark.parametrize("cookies", ["partitioned", "first_party", "none"])
async def test_the_application_with_a_session_works_on_every_rung(
    cookies: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_URL", host)
    monkeypatch.setenv("API_KEY", KEY)
    app = loaded(EXAMPLES / "app_with_session.py").app
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="https://app.example") as browser:
        page = await browser.get("/launch", params={"code": cookies})
        header = page.headers.get("set-cookie", "")
        assert ("; Partitioned" in header) == (cookies == "partitioned")
        assert bool(header) == (cookies != "none")
        browser.cookies.clear()
        token = page.text.split('data-session="')[1].split('"')[0]
        by_page = await browser.get("/me", headers={"X-Session": token})
        assert by_page.json()["role"] == "learner"
        by_cookie = await browser.get("/me", headers={"Cookie": header.partition(";")[0]})
        assert by_cookie.status_code == (200 if header else 401)
        assert (await browser.get("/me")).status_code == 401
        assert (await browser.get("/launch", params={"code": "used"})).status_code == 403


async def test_the_mounted_application_is_given_its_launch(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTIHOST_BASE_URL", sqlite_settings.base_url)
    monkeypatch.setenv("LTIHOST_DATABASE_URL", sqlite_settings.database)
    monkeypatch.setenv("LTIHOST_SECRET_KEY", sqlite_settings.secret_keys[0])
    example = loaded(EXAMPLES / "mounted_app.py")
    host = example.app()
    async with (
        host.router.lifespan_context(host),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=host), base_url=sqlite_settings.base_url) as browser,
    ):
        assert (await browser.get("/apps/hello/launch")).status_code == 403
        unknown = "x" * 43  # of the shape of a code of ours; other `code` parameters are the application's own
        assert (await browser.get(f"/apps/hello/launch?code={unknown}")).status_code == 401
    given = httpx2.ASGITransport(app=with_launch(example.application, application_launch(EXAMPLE)))
    async with httpx2.AsyncClient(transport=given, base_url="https://app.example") as browser:
        assert "Hello Ada O&#x27;Brien" in (await browser.get("/launch")).text


def test_the_tests_of_the_example_plugin_pass(acme: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ACME, env=acme, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_plugin_plays_its_story(acme: dict[str, str]) -> None:
    command = [str(BIN / "ltihost"), "demo", "--plugin", "acme", "--check", "--json"]
    done = subprocess.run(command, env=acme, capture_output=True, text=True, check=False)
    steps = json.loads(done.stdout)
    assert {step["lms"] for step in steps} == {"acme"}
    assert [step for step in steps if step["status"] != "ok"] == []
    assert done.returncode == 0


@pytest.fixture
def acme(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example plugin is installed: its files, and what an installer writes beside them."""
    project = tomllib.loads((ACME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["ltihost.plugins"]
    information = tmp_path / "ltihost_acme-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (information / "entry_points.txt").write_text(f"[ltihost.plugins]\n{lines}")
    paths = os.pathsep.join((str(tmp_path), str(ACME)))
    return {"PYTHONPATH": paths, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}


def loaded(file: Path) -> ModuleType:
    """The example as a module."""
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def with_launch(app: Any, launch: dict[str, Any]) -> Any:
    """`app` as the host calls it for a request that brought a good code."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "ltihost.launch": launch}, receive, send)

    return called
