"""A tool that uses the services of a simulated LMS over plain HTTP, and sees every header."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.responses import JSONResponse

from ltihost.testing.parts import Tool
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.profile import AGS, AGS_SCOPES, NRPS, Claims
from ltihost.testing.services.records import LINE_ITEM, LINE_ITEMS, MEMBERS, RESULTS, SCORE
from ltihost.testing.services.rules_tokens import ASSERTION_TYPE
from ltihost.testing.services.tokens import SCOPES
from ltihost.testing.serving import RunningCampus, listen, port_of, serving

KEY = RSAKey.generate_key(2048, parameters={"kid": "tool-key", "alg": "RS256", "use": "sig"})
LINE_ITEM_SCOPE, _, RESULT_SCOPE, SCORE_SCOPE = AGS_SCOPES


class ServiceClient:
    """A registered tool of one LMS. Its own clock is the LMS's."""

    def __init__(self, platform: SimulatedPlatform, tool: Tool) -> None:
        self.platform = platform
        self.tool = tool
        self.token = ""
        self.http = httpx2.Client(trust_env=False, timeout=5)

    def assertion(self, **changes: Any) -> str:
        now = int(self.platform.clock())
        claims: Claims = {
            "iss": self.tool.client_id, "sub": self.tool.client_id, "iat": now, "exp": now + 300,
            "aud": self.platform.endpoints(self.tool.client_id)["token_url"], "jti": secrets.token_hex(8),
        } | changes  # fmt: skip
        return signed({name: value for name, value in claims.items() if value is not None})

    def ask_token(self, *scopes: str, **changes: Any) -> httpx2.Response:
        form = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(**changes), "scope": " ".join(scopes or SCOPES),
        }  # fmt: skip
        return self.http.post(self.platform.endpoints(self.tool.client_id)["token_url"], data=form)

    def sign_in(self, *scopes: str) -> ServiceClient:
        self.token = json.loads(self.ask_token(*scopes).text)["access_token"]
        return self

    def send(
        self, method: str, url: str, body: object = None, *, media: str | None = None, accept: str | None = None
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Content-Type": media} if media else {}
        request = self.http.build_request(
            method, url, headers=headers, content=None if body is None else json.dumps(body).encode()
        )
        if accept is None:
            del request.headers["accept"]
        else:
            request.headers["accept"] = accept
        return self.http.send(request)

    # What a launch names.

    def claims(self, link: str = "cell-quiz", person: str = "ada") -> Claims:
        context, found = self.platform.find_link(link)
        opening = self.platform.opening(self.platform.people[person], context, found, self.tool)
        return self.platform.profile.claims(opening)

    def items_url(self, link: str = "cell-quiz") -> str:
        return str(self.claims(link)[AGS]["lineitems"])

    def item_url(self, link: str = "cell-quiz") -> str:
        return str(self.claims(link)[AGS]["lineitem"])

    def user_id(self, person: str) -> str:
        return self.platform.profile.person_id(self.platform.people[person])

    # The services.

    def items(self, **query: str) -> httpx2.Response:
        return self.send("GET", added(self.items_url(), query), accept=LINE_ITEMS)

    def item(self, url: str) -> httpx2.Response:
        return self.send("GET", url, accept=LINE_ITEM)

    def make(self, body: Mapping[str, Any], **options: Any) -> httpx2.Response:
        return self.send("POST", self.items_url(), body, media=options.get("media", LINE_ITEM))

    def put(self, url: str, body: Mapping[str, Any]) -> httpx2.Response:
        return self.send("PUT", url, body, media=LINE_ITEM)

    def delete(self, url: str) -> httpx2.Response:
        return self.send("DELETE", url)

    def score(
        self,
        given: float | None = 7,
        *,
        person: str = "ada",
        link: str = "cell-quiz",
        media: str = SCORE,
        url: str | None = None,
        **changes: Any,
    ) -> httpx2.Response:
        """A final score of 10 for now, but for what is changed; None takes a member away."""
        body: dict[str, Any] = {
            "userId": self.user_id(person), "scoreGiven": given, "scoreMaximum": 10,
            "timestamp": stamp(self.platform.clock()), "activityProgress": "Completed",
            "gradingProgress": "FullyGraded",
        } | changes  # fmt: skip
        sent = {name: value for name, value in body.items() if value is not None}
        return self.send("POST", below(url or self.item_url(link), "/scores"), sent, media=media)

    def results(self, link: str = "cell-quiz", **query: str) -> httpx2.Response:
        return self.send("GET", added(below(self.item_url(link), "/results"), query), accept=RESULTS)

    def members(self, *, url: str | None = None, accept: str | None = MEMBERS, **query: str) -> httpx2.Response:
        url = url or str(self.claims()[NRPS]["context_memberships_url"])
        return self.send("GET", added(url, query), accept=accept)

    def grade(self, person: str = "ada", link: str = "cell-quiz") -> float | None:
        return self.platform.gradebook.shown(link, person)


@contextmanager
def registered(campus: RunningCampus, key: str, **options: Any) -> Iterator[ServiceClient]:
    """A tool of this LMS with its key set on the air, and a token for everything."""
    sockets = listen("127.0.0.1")
    url = f"http://127.0.0.1:{port_of(sockets)}"
    platform = campus.platforms[key]
    tool = platform.register(login_url=url, launch_url=url, jwks_url=url, **options)
    with serving(JSONResponse(KeySet([KEY]).as_dict(private=False)), sockets):
        client = ServiceClient(platform, tool)
        with client.http:
            yield client.sign_in()


def signed(claims: Mapping[str, Any], *, kid: str | None = "tool-key", key: RSAKey = KEY) -> str:
    header = {"alg": "RS256", "typ": "JWT", **({"kid": kid} if kid else {})}
    return jwt.encode(header, dict(claims), key, algorithms=["RS256"])


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def below(url: str, path: str) -> str:
    base, mark, query = url.partition("?")
    return base + path + mark + query


def added(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{httpx2.QueryParams(query)}" if query else url
