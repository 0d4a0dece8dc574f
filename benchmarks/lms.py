"""The services of an LMS, as a process: `python lms.py PORT`. A token endpoint, scores, a roster.

Each answers after the latency that was set. What it took is in its ledger: who has which score, how many tokens were
asked for, when the first score came and when the last was answered. `POST /control` sets latency, members and the
page of a roster, and begins a new ledger; `GET /ledger` shows it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httptools
import uvloop
from actors import CONTEXT, RESOURCE_LINK, ROLES, subject_of


@dataclass
class Ledger:
    """`scores` are by user: timestamp, value; the newest timestamp counts. Times are of the monotonic clock."""

    tokens: int = 0
    posts: int = 0
    pages: int = 0
    first: float | None = None
    last: float | None = None
    scores: dict[str, tuple[str, float]] = field(default_factory=dict)

    def take(self, score: dict[str, Any]) -> None:
        self.posts += 1
        self.first = self.first or time.monotonic()
        stated = str(score["timestamp"]), float(score["scoreGiven"])
        self.scores[score["userId"]] = max(self.scores.get(score["userId"], stated), stated)


class Services:
    """What all connections share."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.latency = 0.0
        self.ledger = Ledger()
        self._pages: list[bytes] = []
        self._page = 100

    def control(self, wanted: dict[str, Any]) -> None:
        self.latency, self._page, self.ledger = wanted["latency"], wanted["page"], Ledger()
        people = range(wanted["members"])
        self._pages = [
            json.dumps(
                {"id": self.base, "context": {"id": CONTEXT}, "members": [_member(person) for person in part]}
            ).encode()
            for part in (people[first : first + self._page] for first in people[:: self._page])
        ]

    def page(self, number: int) -> tuple[bytes, str]:
        """A page of the roster, and the header that leads to the next."""
        self.ledger.pages += 1
        following = f'Link: <{self.base}/members?p={number + 1}>; rel="next"\r\n'
        return self._pages[number], following if number + 1 < len(self._pages) else ""


def _member(person: int) -> dict[str, Any]:
    """About what an LMS says about a person."""
    return {
        "status": "Active", "user_id": subject_of(person), "roles": [ROLES[-1]],
        "name": f"Robin Example{person:05d}", "given_name": "Robin", "family_name": f"Example{person:05d}",
        "email": f"robin.example{person:05d}@students.school.example", "lis_person_sourcedid": f"sis-{person:06d}",
    }  # fmt: skip


def _line_item(url: str) -> dict[str, Any]:
    return {"id": url, "label": "Week 7: loops", "scoreMaximum": 100, "resourceLinkId": RESOURCE_LINK}


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        services, url = self._services, urlsplit(self._url.decode())
        match url.path.rpartition("/")[2]:
            case "control":
                services.control(json.loads(self._body))
                self._answer(b"{}")
            case "ledger":
                self._answer(json.dumps(asdict(services.ledger)).encode())
            case "token":
                services.ledger.tokens += 1
                scope = parse_qs(self._body.decode())["scope"][0]
                self._later({"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 3600, "scope": scope})
            case "scores":
                services.ledger.take(json.loads(self._body))
                asyncio.get_running_loop().call_later(services.latency, self._answer_score, services.ledger)
            case "members":
                body, link = services.page(int(parse_qs(url.query).get("p", ["0"])[0]))
                asyncio.get_running_loop().call_later(services.latency, self._answer, body, link)
            case "17":
                self._later(_line_item(f"{services.base}{url.path}"))
            case "line_items":
                self._later([_line_item(f"{services.base}{url.path}/17")])
            case _:
                self._answer(b"{}", status="404 Not Found")

    def _later(self, document: Any) -> None:
        asyncio.get_running_loop().call_later(self._services.latency, self._answer, json.dumps(document).encode())

    def _answer_score(self, ledger: Ledger) -> None:
        ledger.last = time.monotonic()
        self._answer(b"{}")

    def _answer(self, body: bytes, link: str = "", status: str = "200 OK") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{link}Content-Length: {len(body)}\r\n\r\n"
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(head.encode() + body)


async def main(port: int) -> None:
    services = Services(f"http://127.0.0.1:{port}")
    server = await asyncio.get_running_loop().create_server(lambda: Connection(services), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
