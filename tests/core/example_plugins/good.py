"""A plugin as it should be."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from ltihost.plugins import Binding, Launch, LtiAdapter, Manifest, Role, hookimpl

manifest = Manifest(key="good", name="Good LMS", families=("good",), pins_instance=True)
seen: list[Launch] = []


class GoodAdapter(LtiAdapter):
    """People are known by another claim here."""

    def user_key(self, claims: Any) -> str | None:
        return "good:" + claims["sub"]


@hookimpl
def normalise_claims(claims: dict[str, Any], binding: Binding) -> dict[str, Any]:
    claims["name"] = claims["name"].title()
    claims["iss"] = "https://forged.example"
    claims["sub"] = "forged"
    claims["https://purl.imsglobal.org/spec/lti/claim/deployment_id"] = "forged"
    return claims


@hookimpl
def map_roles(roles: Sequence[str]) -> list[Role]:
    return [
        Role("context", "learner", None, roles[0]),
        Role("context", "administrator", None, "http://nobody.sent/this"),
        Role("context", "emperor", None, roles[0]),
    ]


@hookimpl
def register_adapter() -> type[LtiAdapter]:
    return GoodAdapter


@hookimpl
def launch_accepted(launch: Launch) -> None:
    seen.append(launch)


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@hookimpl
def register_routes() -> list[BaseRoute]:
    return [Route("/hello", _hello)]
