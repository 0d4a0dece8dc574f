"""The host without its worker: everything is accepted, nothing is delivered. `uvicorn --factory parts.accepting:build`.

What delivers must find all scores there when its clock starts; with SQLite, `ltihost serve` would begin at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from ltihost.app import build_app
from ltihost.logs import configure_logs
from ltihost.settings import load_settings


def build() -> Starlette:
    configure_logs()
    app = build_app(load_settings())
    app.router.lifespan_context = _without_worker
    return app


@contextlib.asynccontextmanager
async def _without_worker(app: Starlette) -> AsyncIterator[None]:
    await app.state.host.open()
    try:
        yield
    finally:
        await app.state.host.close()
