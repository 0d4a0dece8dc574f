"""floor-pgcte: Starlette, joserfc, and async SQLAlchemy over asyncpg; a launch is one statement."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from floors.tool import Accept, Accepted, RefusedError, build_app
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

_TABLES = """
CREATE TABLE IF NOT EXISTS nonce (hash bytea PRIMARY KEY, seen_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS person (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, registration integer NOT NULL, subject text NOT NULL,
    name text, email text, seen_at timestamptz NOT NULL DEFAULT now(), UNIQUE (registration, subject));
CREATE TABLE IF NOT EXISTS launch (
    id text PRIMARY KEY, person bigint NOT NULL REFERENCES person, claims text NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL, launch text NOT NULL, at timestamptz NOT NULL DEFAULT now());
"""

# Every later part draws from the nonce's row, so a spent nonce stores nothing at all.
_ACCEPT = text("""
WITH fresh AS (
    INSERT INTO nonce (hash) VALUES (:nonce) ON CONFLICT DO NOTHING RETURNING hash
), who AS (
    INSERT INTO person (registration, subject, name, email)
    SELECT :registration, :subject, :name, :email FROM fresh
    ON CONFLICT (registration, subject) DO UPDATE SET name = excluded.name, email = excluded.email, seen_at = now()
    RETURNING id
), kept AS (
    INSERT INTO launch (id, person, claims) SELECT :launch_id, id, :claims FROM who RETURNING id
)
INSERT INTO audit (what, launch) SELECT 'launch.accepted', id FROM kept
""")


@asynccontextmanager
async def open_store() -> AsyncIterator[Accept]:
    engine = create_async_engine(os.environ["FLOOR_DATABASE"], pool_size=8, max_overflow=0)
    async with engine.begin() as connection:
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement))

    async def accept(work: Accepted) -> None:
        async with engine.begin() as connection:
            stored = await connection.execute(_ACCEPT, {**asdict(work), "launch_id": secrets.token_urlsafe(16)})
        if not stored.rowcount:
            raise RefusedError("nonce spent")

    yield accept
    await engine.dispose()


app = build_app(open_store)
