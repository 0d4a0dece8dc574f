"""The host's REST API as the quiz uses it: plain HTTP, one application key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

#: What the quiz's key must be allowed to do.
SCOPES = (
    "launch:exchange", "lineitems:read", "lineitems:write", "grades:write", "grades:read", "roster:read",
    "deeplink:write", "events:read",
)  # fmt: skip
Json = dict[str, Any]


class HostError(Exception):
    """The host did not do it; the text is for people. `code` is the problem's, empty without an answer."""

    def __init__(self, detail: str, code: str = "") -> None:
        super().__init__(detail)
        self.code = code


class HostApi:
    """Everything raises HostError. `base_url` is the host's, without a path."""

    def __init__(self, base_url: str, key: str, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._client = httpx2.AsyncClient(
            base_url=f"{base_url}/api/v1/",
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=20,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),  # a mounted application is never told that it ends
            transport=transport,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def line_items(self, link_id: str, *, refresh: bool = False) -> list[Json]:
        """Of one link; `refresh` has the host read them in the LMS now."""
        return await self._list(f"resource-links/{link_id}/line-items", {"refresh": "true"} if refresh else {})

    async def line_item(self, line_item_id: str) -> Json:
        return await self._send("GET", f"line-items/{line_item_id}")

    async def make_line_item(self, link_id: str, label: str, maximum: float, resource_id: str) -> Json:
        body = {"label": label, "maximum": maximum, "resource_id": resource_id}
        return await self._send("POST", f"resource-links/{link_id}/line-items", body)

    async def change_line_item(self, line_item_id: str, changes: Json) -> Json:
        return await self._send("PATCH", f"line-items/{line_item_id}", changes)

    async def post_score(self, line_item_id: str, score: Json, *, idempotency_key: str) -> Json:
        """The delivery that the score belongs to."""
        headers = {"Idempotency-Key": idempotency_key}
        answer = await self._send("POST", f"line-items/{line_item_id}/scores", score, headers=headers)
        return dict(answer["delivery"])

    async def delivery(self, delivery_id: str) -> Json:
        return await self._send("GET", f"deliveries/{delivery_id}")

    async def results(self, line_item_id: str, *, refresh: bool = False) -> list[Json]:
        """By person; `refresh` has the host read them in the LMS now."""
        return await self._list(f"line-items/{line_item_id}/results", {"refresh": "true"} if refresh else {})

    async def members(self, context_id: str) -> list[Json]:
        """Those who are there and those who left."""
        here = await self._list(f"contexts/{context_id}/members", {"active": "true"})
        return here + await self._list(f"contexts/{context_id}/members", {"active": "false"})

    async def sync_roster(self, context_id: str) -> Json:
        return await self._send("POST", f"contexts/{context_id}/roster-sync")

    async def finish(self, deep_link_id: str, body: Json) -> str:
        """Where to send the browser next."""
        return str((await self._send("POST", f"deep-links/{deep_link_id}/finish", body))["continue_url"])

    async def _list(self, path: str, query: Mapping[str, str] | None = None) -> list[Json]:
        """All pages."""
        rows: list[Json] = []
        asked = dict(query or {})
        while True:
            answer = await self._send("GET", path, query=asked)
            rows += answer["data"]
            if not answer["next_cursor"]:
                return rows
            asked = {**asked, "cursor": answer["next_cursor"]}

    async def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        try:
            answer = await self._client.request(method, path, json=body, params=dict(query or {}), headers=headers)
            found = answer.json()
        except (httpx2.HTTPError, json.JSONDecodeError) as error:
            raise HostError(f"The host did not answer: {type(error).__name__}") from None
        if answer.is_error:
            raise HostError(str(found.get("detail") or found.get("title")), str(found.get("code") or ""))
        return dict(found)
