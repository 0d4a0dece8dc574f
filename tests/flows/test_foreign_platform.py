"""A platform that is not ours, the package lti1p3platform, launches into a running host over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from lti1p3platform.ltiplatform import LTI1P3PlatformConfAbstract
from lti1p3platform.message_launch import LTIAdvantageMessageLaunchAbstract
from lti1p3platform.oidc_login import OIDCLoginAbstract
from lti1p3platform.registration import Registration

from ltihost.app import build_app
from ltihost.settings import Settings
from ltihost.store import applications, registrations, tenants
from ltihost.store.database import Database
from ltihost.testing.serving import listen, port_of, serving
from tests.flows.key_server import KeyServer
from tests.flows.platform import V2, Key
from tests.flows.rig import Browser

ACTOR = "test"
ISSUER, CLIENT, DEPLOYMENT = "https://foreign.example", "foreign-client", "foreign-deployment"
PAIR = Key("unused")


class Platform(LTI1P3PlatformConfAbstract):
    """The package's platform with one registered tool."""

    def init_platform_config(self, **kwargs: Any) -> None:
        tool = Registration()
        private = PAIR.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        public = PAIR.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        tool.set_iss(ISSUER).set_client_id(CLIENT).set_deployment_id(DEPLOYMENT)
        tool.set_launch_url(kwargs["base_url"] + "/lti/launch").set_deeplink_launch_url(
            kwargs["base_url"] + "/lti/launch"
        )
        tool.set_oidc_login_url(kwargs["base_url"] + "/lti/login")
        tool.set_platform_public_key(public).set_platform_private_key(private)
        self._registration = tool

    def get_registration_by_params(self, **_: Any) -> Registration:
        assert self._registration is not None
        return self._registration


class Login(OIDCLoginAbstract):
    def set_lti_message_hint(self, **_: Any) -> None:
        self._lti_message_hint = "hint"

    def get_redirect(self, url: str) -> str:
        return url


class Launch(LTIAdvantageMessageLaunchAbstract):
    """`_request` is the query of the authentication request."""

    def get_preflight_response(self) -> dict[str, Any]:
        query: dict[str, Any] = self._request  # type: ignore[assignment]
        return query

    def render_launch_form(self, launch_data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return launch_data


@pytest.fixture
def foreign(settings: Settings) -> Iterator[tuple[Platform, str, str]]:
    """The platform, the base URL of a running host that trusts it, and a key of the application behind the host."""
    sockets = listen("127.0.0.1")
    base_url = f"http://localhost:{port_of(sockets)}"
    here = settings.model_copy(update={"base_url": base_url})
    platform, keys = Platform(base_url=base_url), KeyServer()
    keys.keys = platform.get_jwks()["keys"]
    key = asyncio.run(_set_up(here, keys.url))
    with serving(build_app(here), sockets, lifespan=True):
        yield platform, base_url, key
    keys.close()


async def _set_up(settings: Settings, jwks_url: str) -> str:
    database = Database(settings)
    await database.open()
    tenant = await database.run_host(tenants.create, "foreign", name="Foreign", actor=ACTOR)
    application = await database.run_host(
        applications.create, tenant.id, "tool", name="Tool", launch_url="https://app.example/tool",
        picker_url="https://app.example/pick", actor=ACTOR,
    )  # fmt: skip
    made = await database.run_host(applications.create_key, application, scopes=("launch:exchange",), actor=ACTOR)
    fields = {
        "issuer": ISSUER, "client-id": CLIENT, "auth-url": "https://foreign.example/auth",
        "token-url": "https://foreign.example/token", "jwks-url": jwks_url, "deployment-id": DEPLOYMENT,
    }  # fmt: skip
    registration = await database.run_host(
        registrations.create, tenant.id, plugin="lti", application=application, values=list(fields.items()), actor=ACTOR
    )
    await database.run_host(registrations.approve, registration.id, actor=ACTOR)
    await database.close()
    return made.text


def _launch(platform: Platform, http: httpx2.Client, *, deep_linking: bool = False) -> httpx2.Response:
    login = Login(None, platform)
    login.set_lti_message_hint()
    browser = Browser()
    answer = http.get(login.initiate_login("user-7"))
    browser.keep(answer)
    query = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    launch = Launch(query, platform)  # type: ignore[arg-type]
    launch.set_user_data(
        "user-7", [f"{V2}membership#Learner"], full_name="Grace Hopper", email_address="grace@example.edu"
    )
    launch.set_launch_context_claim("ctx-7", [f"{V2}course#CourseOffering"], "Compilers", "CS-7")
    launch.set_resource_link_claim("link-7", title="Lab 7")
    launch.set_ags("https://foreign.example/lineitems")
    launch.set_nrps("https://foreign.example/members")
    if deep_linking:
        launch.set_dl("https://foreign.example/return", "Pick", "Pick something", {"ltiResourceLink"})
    form = launch.lti_launch()
    return http.post(form.pop("launch_url"), data=form, headers=browser.header)


def test_a_foreign_platform_launches(foreign: tuple[Platform, str, str]) -> None:
    platform, base_url, key = foreign
    with httpx2.Client() as http:
        answer = _launch(platform, http)
        assert answer.status_code == 303, answer.text
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        bearer = {"authorization": f"Bearer {key}"}
        launch = http.post(f"{base_url}/api/v1/launches/exchange", json={"code": code}, headers=bearer).json()
    assert launch["user"]["name"] == "Grace Hopper"
    assert launch["user"]["email"] is None, "only names were released to this application"
    assert launch["role"] == "learner"
    assert launch["context"]["title"] == "Compilers"
    assert launch["resource_link"]["title"] == "Lab 7"
    assert launch["capabilities"]["grades"] is True
    assert launch["capabilities"]["roster"] is True


def test_a_foreign_platform_asks_for_content(foreign: tuple[Platform, str, str]) -> None:
    platform, base_url, key = foreign
    with httpx2.Client() as http:
        answer = _launch(platform, http, deep_linking=True)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith("https://app.example/pick?code=")
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        bearer = {"authorization": f"Bearer {key}"}
        launch = http.post(f"{base_url}/api/v1/launches/exchange", json={"code": code}, headers=bearer).json()
    assert launch["message"] == "deep_linking"
    assert launch["deep_linking"]["accept_types"] == ["ltiResourceLink"]
    assert "return" not in str(launch["deep_linking"])
