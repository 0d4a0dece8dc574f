"""A platform's token endpoint and notification service on a loopback socket."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class NoticeService:
    """`told` is what was put, in order; `scopes` what tokens were asked for. `status` is what a PUT answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.scopes: list[str] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                scope = parse_qs(self._body().decode())["scope"][0]
                outer.scopes.append(scope)
                answer = {"access_token": "good", "token_type": "bearer", "expires_in": 3600, "scope": scope}
                self._answer(200, answer)

            def do_PUT(self) -> None:
                body = json.loads(self._body())
                authorised = self.headers["authorization"] == "Bearer good"
                if authorised and outer.status == 200:
                    outer.told.append(body)
                self._answer(outer.status if authorised else 401, body)

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers["content-length"]))

            def _answer(self, status: int, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing on the console."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/notices"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
