"""A plugin as it should be."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from ltihost.plugins import (
    Binding,
    GiveUp,
    Launch,
    LeftOut,
    LtiAdapter,
    Manifest,
    Outcome,
    Role,
    Score,
    ServiceAnswer,
    Unacceptable,
    Withheld,
    hookimpl,
)

manifest = Manifest(key="good", name="Good LMS", families=("good",), pins_instance=True)
seen: list[Launch] = []


class GoodAdapter(LtiAdapter):
    """People are known by another claim here."""

    def user_key(self, claims: Any) -> str | None:
        return f"good:{claims['sub']}"


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
def scale_score(score: Score) -> Score | Withheld | None:
    """This LMS takes whole points, and nothing that is not final."""
    if score.given is None:
        return Withheld("only final scores are taken")
    return replace(score, given=score.given.quantize(Decimal(1)))


@hookimpl
def normalise_member(member: dict[str, Any]) -> dict[str, Any] | LeftOut:
    if member.get("robot"):
        return LeftOut("robots are no members")
    member["name"] = member["name"].title()
    member["user_id"] = "somebody else"
    return member


@hookimpl
def lint_content_item(item: dict[str, Any]) -> dict[str, Any] | Unacceptable | None:
    if item["type"] == "html":
        return Unacceptable("this LMS takes links only")
    item["title"] = item["title"][:10]
    return item


@hookimpl
def classify_error(response: ServiceAnswer) -> Outcome | None:
    return GiveUp("closed") if b"closed" in response.body else None


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
