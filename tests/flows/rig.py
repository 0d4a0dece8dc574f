"""A host in this process, over a real database, and a platform that launches into it.

The host's HTTP side is driven through ASGI; the platform's key set lies on a real socket, fetched by the real client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from ltihost.app import build_app
from ltihost.host import Host
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.records import HOST, Application, Attempt, Registration
from ltihost.settings import Settings
from ltihost.store import applications, deployments, launches, registrations, tables, tenants
from tests.flows.key_server import KeyServer
from tests.flows.platform import CLIENT, DEPLOYMENT, ISSUER, Change, Key, claims

KEY = Key("key-1")
OTHER_KEY = Key("key-2")
BASE = "http://localhost:8700"
AUTH_URL = "https://lms.example/auth?tenant=7"
ACTOR = "test"


class Clock:
    """Seconds that tests may shift."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Flow:
    """One login on its way through one browser."""

    response: httpx2.Response
    cookies: dict[str, str]
    state: str = ""
    nonce: str = ""
    query: dict[str, str] = field(default_factory=dict)


class Browser:
    """Cookies as a browser keeps them: by name, the newest value wins, gone at Max-Age=0."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def keep(self, response: httpx2.Response) -> None:
        for header in response.headers.get_list("set-cookie"):
            pair, *attributes = (part.strip() for part in header.split(";"))
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    @property
    def header(self) -> dict[str, str]:
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}


class Rig:
    """See the module. `start` makes the tenant "uni", the application "tool" and one active registration."""

    def __init__(
        self, settings: Settings, plugins: Plugins | None = None, applications: Mapping[str, ASGIApp] | None = None
    ) -> None:
        self.settings = settings
        self.keys = KeyServer()
        self.keys.keys = [KEY.jwk()]
        self.clock = Clock(1_790_000_000.0)
        self.app = build_app(
            settings, plugins=plugins or load_plugins(["lti"]), applications=applications, clock=self.clock, work=False
        )
        self.host: Host = self.app.state.host
        self._stack = AsyncExitStack()
        self.browser = Browser()
        self.user_id = ""  # of a person whom a test will switch off

    async def start(self) -> None:
        await self._stack.enter_async_context(self.app.router.lifespan_context(self.app))
        transport = httpx2.ASGITransport(app=self.app, client=("203.0.113.7", 4711))
        self.http = await self._stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url=BASE))
        self.tenant = await self.operator(tenants.create, "uni", name="Uni One", actor=ACTOR)
        self.application = await self.operator(
            applications.create, self.tenant.id, "tool", name="Tool", launch_url="https://app.example/tool",
            picker_url="https://app.example/pick", release=("names", "email", "picture"), actor=ACTOR,
        )  # fmt: skip
        self.api_key = await self.key(self.application)
        self.registration = await self.register()

    async def stop(self) -> None:
        await self._stack.aclose()
        self.keys.close()

    async def operator(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a store function as the operator's commands do, and let nothing stale be served."""
        answer = await self.host.database.run_host(function, *args, **kwargs)
        self.host.routing.forget()
        return answer

    async def key(self, application: Application, *scopes: str) -> str:
        """A new key of the application, for exchanges unless `scopes` say otherwise."""
        made = await self.operator(
            applications.create_key, application, scopes=scopes or ("launch:exchange",), actor=ACTOR
        )
        return str(made.text)

    async def register(
        self, deployment_ids: tuple[str, ...] = (DEPLOYMENT,), *, plugin: str = "lti", tenant_id: str | None = None,
        application: Application | None = None, **values: str,
    ) -> Registration:  # fmt: skip
        """An active registration; `values` are those of `registration set`, written with underscores."""
        fields = {
            "issuer": ISSUER, "client-id": CLIENT, "auth-url": AUTH_URL, "token-url": "https://lms.example/token",
            "jwks-url": self.keys.url,
        } | {name.replace("_", "-"): value for name, value in values.items()}  # fmt: skip
        made = await self.operator(
            registrations.create, tenant_id or self.tenant.id, plugin=plugin, name="LMS",
            application=application or self.application, values=list(fields.items()), actor=ACTOR,
        )  # fmt: skip
        for deployment_id in deployment_ids:
            await self.approve(made.id, deployment_id)
        approved: Registration = await self.operator(registrations.approve, made.id, actor=ACTOR)
        return approved

    async def approve(self, registration_id: str, deployment_id: str, **to: Any) -> None:
        await self.operator(deployments.approve, registration_id, deployment_id, actor=ACTOR, **to)

    async def set(self, registration_id: str, **values: str) -> None:
        pairs = [(name.replace("_", "-"), value) for name, value in values.items()]
        await self.operator(registrations.update, registration_id, pairs, actor=ACTOR)

    # --- one launch --------------------------------------------------------------------------------------------

    async def login(
        self, browser: Browser | None = None, *, method: str = "GET", path: str = "/lti/login",
        headers: Mapping[str, str] | None = None, **changes: str | None,
    ) -> Flow:  # fmt: skip
        """Send the browser to the login URL. A change of None leaves a parameter out."""
        browser = browser or self.browser
        self.clock.now += 0.001  # so that attempts have an order
        sent: dict[str, str | None] = {
            "iss": ISSUER, "login_hint": "user-1", "target_link_uri": f"{BASE}/lti/launch",
            "lti_message_hint": "hint-1", "client_id": CLIENT, "lti_deployment_id": DEPLOYMENT,
        } | changes  # fmt: skip
        fields = {name: value for name, value in sent.items() if value is not None}
        extra = {**browser.header, **(headers or {})}
        if method == "POST":
            response = await self.http.post(path, data=fields, headers=extra)
        else:
            response = await self.http.get(path, params=fields, headers=extra)
        browser.keep(response)
        flow = Flow(response, browser.cookies)
        if response.status_code == 302:
            flow.query = {
                name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()
            }
            flow.state, flow.nonce = flow.query["state"], flow.query["nonce"]
        return flow

    def claims(self, flow: Flow, *changes: Change) -> dict[str, Any]:
        payload = claims(self.clock(), flow.nonce, f"{BASE}/lti/launch")
        for change in changes:
            change(payload)
        return payload

    def token(self, flow: Flow, *changes: Change, key: Key = KEY, header: Mapping[str, Any] | None = None) -> str:
        return key.sign(key.header(**(header or {})), self.claims(flow, *changes))

    async def post(
        self, flow: Flow, id_token: str | None, browser: Browser | None = None, *, path: str = "/lti/launch",
        headers: Mapping[str, str] | None = None, **changes: str | None,
    ) -> httpx2.Response:  # fmt: skip
        """Post what the platform would have the browser post."""
        browser = browser or self.browser
        self.clock.now += 0.001
        sent: dict[str, str | None] = {"state": flow.state, "id_token": id_token} | changes
        form = {name: value for name, value in sent.items() if value is not None}
        response = await self.http.post(path, data=form, headers={**browser.header, **(headers or {})})
        browser.keep(response)
        return response

    async def launch(self, *changes: Change, browser: Browser | None = None, **login: Any) -> httpx2.Response:
        """Login and launch in one browser."""
        flow = await self.login(browser, **login)
        return await self.post(flow, self.token(flow, *changes), browser)

    async def exchange(self, response: httpx2.Response) -> dict[str, Any]:
        """The launch that the application gets for the code in this answer's redirect."""
        answer = await self.redeem(code_in(response))
        assert answer.status_code == 200, answer.text
        launch: dict[str, Any] = answer.json()
        return launch

    async def redeem(self, code: str, key: str | None = None) -> httpx2.Response:
        bearer = {"authorization": f"Bearer {key or self.api_key}"}
        return await self.http.post("/api/v1/launches/exchange", json={"code": code}, headers=bearer)

    # --- what was stored ---------------------------------------------------------------------------------------

    async def attempts(self) -> list[Attempt]:
        """Newest first."""
        return await self.host.database.run_host(_attempts)

    async def count(self, table: type[tables.Base], tenant_id: str | None = None) -> int:
        """Rows of one tenant, counted by the operator: the host's own role may not even look at some tables."""
        return await self.host.database.run_host(_count, table, tenant_id or self.tenant.id)

    async def dump(self) -> str:
        """Every value of every row of every table, as text."""
        return await self.host.database.run_host(_dump)

    async def refused(self, response: httpx2.Response) -> str:
        """The stored reason of this refusal, after checking that the page tells nothing and nobody was let in."""
        newest = (await self.attempts())[0]
        ours = ("keys_unavailable", "plugin_error", "secret_unreadable", "busy")
        assert 400 <= response.status_code < 500 or newest.refusal in ours
        assert "location" not in response.headers
        assert newest.code in response.text
        assert newest.refusal is not None
        assert newest.refusal not in response.text
        assert "Traceback" not in response.text
        failed = [check.name for check in newest.checks if check.status == "failed"]
        assert len(failed) == 1, newest.checks
        return newest.refusal


def _attempts(session: Session) -> list[Attempt]:
    return [launches.attempt(row) for row in launches.page(session, limit=200).rows]


def _count(session: Session, table: type[tables.Base], tenant_id: str) -> int:
    return len(session.scalars(select(table).filter_by(tenant_id=tenant_id)).all())


def _dump(session: Session) -> str:
    mappers = tables.Base.registry.mappers
    return "\n".join(repr(row.values()) for mapper in mappers for row in session.scalars(select(mapper.class_)))


def code_in(response: httpx2.Response) -> str:
    """The one-time code of a hand-over."""
    assert response.status_code == 303, response.text
    return parse_qs(urlsplit(response.headers["location"]).query)["code"][0]


def field_at(launch: Mapping[str, Any], path: str) -> Any:
    """`a.b` in nested objects."""
    value: Any = launch
    for part in path.split("."):
        value = value[part]
    return value


__all__ = ["ACTOR", "BASE", "HOST", "KEY", "OTHER_KEY", "Browser", "Flow", "Rig", "code_in", "field_at"]
