"""The host's REST API as far as the quiz uses it, in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

from ltihost.testing.demo_app import HostApi

Json = dict[str, Any]


@dataclass
class FakeHost:
    """Answers the quiz. `requests` are (method, path, body); `failing` maps a path's end to a problem's code."""

    requests: list[tuple[str, str, Json | None]] = field(default_factory=list)
    line_items: list[Json] = field(default_factory=list)
    members: list[Json] = field(default_factory=list)
    results: list[Json] = field(default_factory=list)
    delivery: Json = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    gone: bool = False
    read: Json | None = None  # what reading the line items in the LMS brings

    def api(self) -> HostApi:
        return HostApi("https://host.example", "ltih_key", transport=httpx2.MockTransport(self.answer))

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.gone:
            raise httpx2.ConnectError("nobody there")
        assert request.headers["authorization"] == "Bearer ltih_key"
        path = request.url.path.removeprefix("/api/v1/")
        body = json.loads(request.content) if request.content else None
        self.requests.append((request.method, path, body))
        for end, code in self.failing.items():
            if path.endswith(end):
                return httpx2.Response(409, json={"title": "Conflict", "detail": f"It failed: {code}", "code": code})
        return httpx2.Response(200, json=self._found(request, path, body))

    def _found(self, request: httpx2.Request, path: str, body: Json | None) -> Json:
        match path.split("/"):
            case ["resource-links", _, "line-items"] if request.method == "GET":
                read = self.read if request.url.params.get("refresh") == "true" else None
                return page([read] if read else self.line_items)
            case ["resource-links", _, "line-items"]:
                self.line_items.append(column(**(body or {}), coupled=False))
                return self.line_items[-1]
            case ["line-items", known] if request.method == "GET":
                return next(item for item in self.line_items if item["id"] == known)
            case ["line-items", known]:
                self.line_items[0] |= body or {}
                return self.line_items[0]
            case ["line-items", _, "scores"]:
                self.keys.append(request.headers["idempotency-key"])
                return {"delivery": {"id": "dlv_1", "state": "pending"}}
            case ["line-items", _, "results"]:
                return page(self.results)
            case ["contexts", _, "members"]:
                active = request.url.params["active"] == "true"
                return page([member for member in self.members if member["active"] is active])
            case ["contexts", _, "roster-sync"]:
                return {"job": {"id": "job_1", "state": "pending"}}
            case ["deliveries", _]:
                return self.delivery
            case ["deep-links", _, "finish"]:
                return {"continue_url": "/deep-links/once"}
        raise AssertionError(f"the quiz asked for {path}")


def page(rows: list[Json]) -> Json:
    return {"data": rows, "next_cursor": None}


def column(**values: Any) -> Json:
    return {"id": "lin_1", "label": "Quiz", "maximum": 10.0, "coupled": True, "state": "ready"} | values


def delivered(state: str, **values: Any) -> Json:
    confirmed = {"given": 3.0, "maximum": 4.0, "attempt": 1} if state == "idle" else None
    return {"id": "dlv_1", "state": state, "code": None, "confirmed": confirmed, "standing": None} | values


def member(user_id: str, name: str, **values: Any) -> Json:
    return {"user_id": user_id, "subject": user_id, "name": name, "role": "learner", "active": True} | values
