"""What every host and every server makes anew, though it comes out the same: in one run of the tests it is made once.

Nothing here changes what a test shows; without it the tests take twice as long.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import Callable
from types import ModuleType
from typing import Any

import httpcore2
import pytest
import uvicorn.server
from fastapi import routing, utils
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

from ltihost import guard


def make_once(patch: pytest.MonkeyPatch) -> None:
    """Do all of it, until the patch is undone."""
    _certificate_authorities(patch)
    _answer_schemas(patch)
    _compiled_statements(patch)
    _prompt_servers(patch)


def _certificate_authorities(patch: pytest.MonkeyPatch) -> None:
    """Reading them takes 30 ms for each client and for each host."""
    patch.setattr(httpcore2, "default_ssl_context", _for_each_environment(httpcore2.default_ssl_context))
    patch.setattr(guard, "_tls_context", _for_each_environment(guard._tls_context))


def _for_each_environment(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    made: dict[object, ssl.SSLContext] = {}

    def context(**options: bool) -> ssl.SSLContext:
        which = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"), *options.items()
        if which not in made:
            made[which] = make(**options)
        return made[which]

    return context


def _answer_schemas(patch: pytest.MonkeyPatch) -> None:
    """FastAPI works out the schema of each answer for each application, 25 ms a host."""
    patch.setattr(routing, "create_model_field", functools.cache(utils.create_model_field))


def _compiled_statements(patch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy keeps them by dialect object, one for each engine; those of one class are made alike in the store."""
    cache = LRUCache[Any, Any](2_000)
    patch.setattr(Engine, "_compiled_cache", property(lambda _: cache, lambda *_: None), raising=False)
    for kind in (SQLiteDialect_pysqlite, PGDialect_asyncpg):
        patch.setattr(kind, "__eq__", lambda dialect, other: type(dialect) is type(other))
        patch.setattr(kind, "__hash__", lambda dialect: hash(type(dialect)))


def _prompt_servers(patch: pytest.MonkeyPatch) -> None:
    """Uvicorn looks every tenth of a second whether it should stop, and then waits another."""
    quick = ModuleType("asyncio")
    vars(quick).update(vars(asyncio), sleep=lambda seconds: asyncio.sleep(seconds / 20))
    patch.setattr(uvicorn.server, "asyncio", quick)
