"""An application's picker, as the host's API sees it, and what the platform makes of the answer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
from joserfc import jws
from joserfc.jwk import KeySet

from tests.flows.platform import Change, put
from tests.flows.rig import Rig, field_at

SETTINGS = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
RETURN_URL = "https://lms.example/contentitem_return.php?course=2&sesskey=abc%20d&x=<y>"
ALL_TYPES = ["ltiResourceLink", "link", "file", "html", "image"]


def deep_linking(**settings: Any) -> Change:
    """Turn a launch into a deep linking request; a setting of None is left out."""
    made = {
        "deep_link_return_url": RETURN_URL, "accept_types": ALL_TYPES, "accept_multiple": True,
        "accept_presentation_document_targets": ["iframe", "window", "embed"], "data": "909708", "auto_create": True,
        "title": "A title", "text": "A text",
    } | settings  # fmt: skip
    kept = {name: value for name, value in made.items() if value is not None}
    return put(lti_message_type="LtiDeepLinkingRequest", lti_resource_link=None, **{SETTINGS: kept})


class Picker:
    """What the application does with a deep linking launch."""

    def __init__(self, rig: Rig, key: str) -> None:
        self.rig = rig
        self.key = key

    @classmethod
    async def of(cls, rig: Rig) -> Picker:
        return cls(rig, await rig.key(rig.application, "launch:exchange", "deeplink:write"))

    async def begin(self, *changes: Change, **settings: Any) -> str:
        """Launch the picker and exchange its code; answer the conversation's id."""
        response = await self.rig.launch(deep_linking(**settings), *changes)
        launch = await self.rig.exchange(response)
        assert response.headers["location"].startswith("https://app.example/pick?code=")
        return str(field_at(launch, "deep_linking.id"))

    async def show(self, link: str, key: str | None = None) -> httpx2.Response:
        return await self.rig.http.get(f"/api/v1/deep-links/{link}", headers=self._bearer(key))

    async def finish(self, link: str, *items: Any, key: str | None = None, **body: Any) -> httpx2.Response:
        sent = json.dumps({"items": list(items)} | body)
        headers = self._bearer(key) | {"content-type": "application/json"}
        return await self.rig.http.post(f"/api/v1/deep-links/{link}/finish", content=sent, headers=headers)

    async def refused(self, link: str, *items: Any, **body: Any) -> tuple[int, str]:
        """Status and code of an answer that is not taken."""
        response = await self.finish(link, *items, **body)
        assert response.headers["content-type"] == "application/problem+json", response.text
        return response.status_code, response.json()["code"]

    async def visit(self, url: str, **headers: str) -> httpx2.Response:
        """The teacher's browser opens the page."""
        return await self.rig.http.get(urlsplit(url).path, headers=headers)

    async def returned(self, link: str, *items: Any, **body: Any) -> dict[str, Any]:
        """Finish, open the page, and read what the platform would be posted: the verified claims."""
        response = await self.finish(link, *items, **body)
        assert response.status_code == 200, response.text
        page = await self.visit(response.json()["continue_url"])
        assert page.status_code == 200, page.text
        return await self.claims(token_in(page))

    async def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature fits the key set that the platform was told."""
        header, claims = await self.opened(token)
        assert header["alg"] == "RS256"
        assert header["typ"] == "JWT"
        return claims

    async def opened(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its header and claims; the key that signed it is in the key set under the header's `kid`."""
        keys = KeySet.import_key_set(await self.key_set())
        read = jws.deserialize_compact(token, keys, ["RS256"])
        assert read.headers()["kid"] in {key.kid for key in keys.keys}
        claims: dict[str, Any] = json.loads(read.payload)
        return dict(read.headers()), claims

    async def key_set(self) -> Any:
        """The public keys of the registration, as the platform fetches them."""
        return (await self.rig.http.get(f"/r/{self.rig.registration.id}/lti/jwks")).json()

    def _bearer(self, key: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {key or self.key}"}


def token_in(page: httpx2.Response) -> str:
    """The only field of the form."""
    assert page.text.count("<input") == 1
    return page.text.split('name="JWT" value="')[1].split('"')[0]


def lti_link(**changes: Any) -> dict[str, Any]:
    """An item with nothing wrong."""
    return {"type": "ltiResourceLink", "title": "Lab 1", "url": "https://app.example/tool/lab-1"} | changes
