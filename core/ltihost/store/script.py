"""One transaction written once for both databases, without an ORM.

A script is a generator: it yields statements and receives their rows.

    def count(now: float) -> Script[int]:
        rows = yield "SELECT count(*) AS n FROM grade_slots WHERE tenant_id = $1", (tenant_id,)
        return rows[0]["n"]

On SQLite it runs to its end inside the group writer, on PostgreSQL over asyncpg. Parameters are `$1`, `$2`, …; row
locks and `json_array_elements_text` are put into SQLite's words.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Either:
    """A statement that the databases spell differently: SQLite has no functions of our own, and no lock timeout."""

    sqlite: str
    postgres: str


@dataclass(frozen=True, slots=True)
class Many:
    """One statement for several rows of parameters; it answers no rows."""

    sql: str
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Each:
    """One statement for each of several rows of parameters, in their order; it answers the rows of all of them."""

    sql: str | Either
    rows: Sequence[Sequence[Any]]


Statement = tuple[str | Either, Sequence[Any]] | Many | Each
Script = Generator[Statement, list[Row], T]
#: What makes a script, given the time of the database's clock: of all hosts' clocks it is the one that they share.
Written = Callable[[float], Script[T]]

_LOCKS = re.compile(r"\s+FOR (?:UPDATE|(?:KEY )?SHARE)(?: OF \w+)?(?: SKIP LOCKED)?")
_BEGIN = "SELECT set_config('app.tenant', $1, true), extract(epoch FROM clock_timestamp())::float8"


def run_sqlite(db: sqlite3.Connection, script: Script[T]) -> T:
    """Run inside the transaction that is open."""
    rows: list[Row] | None = None
    try:
        while True:
            rows = _execute_sqlite(db, script.send(rows) if rows is not None else next(script))
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        script.close()


async def run_postgres(connection: asyncpg.Connection, tenant_id: str, written: Written[T]) -> T:
    """Run in a transaction of its own that sees this tenant's rows ("": none but what the router's functions show)."""
    async with connection.transaction():
        _, now = await connection.fetchrow(_BEGIN, tenant_id)
        script = written(now)
        rows: list[Row] | None = None
        try:
            while True:
                rows = await _execute_postgres(connection, script.send(rows) if rows is not None else next(script))
        except StopIteration as end:
            answer: T = end.value
            return answer
        finally:
            script.close()


def _execute_sqlite(db: sqlite3.Connection, statement: Statement) -> list[Row]:
    if isinstance(statement, Many):
        db.executemany(sqlite_sql(statement.sql), statement.rows)
        return []
    if isinstance(statement, Each):
        sql = _in_sqlite(statement.sql)
        return [row for values in statement.rows for row in _rows_sqlite(db, sql, values)]
    return _rows_sqlite(db, _in_sqlite(statement[0]), statement[1])


def _rows_sqlite(db: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[Row]:
    cursor = db.execute(sql, values)
    if cursor.description is None:
        return []
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


async def _execute_postgres(connection: asyncpg.Connection, statement: Statement) -> list[Row]:
    if isinstance(statement, Many):
        await connection.executemany(statement.sql, statement.rows)
        return []
    if isinstance(statement, Each):
        return list(await connection.fetchmany(_in_postgres(statement.sql), statement.rows))
    found: list[Row] = await connection.fetch(_in_postgres(statement[0]), *statement[1])
    return found


def _in_sqlite(sql: str | Either) -> str:
    return sqlite_sql(sql.sqlite if isinstance(sql, Either) else sql)


def _in_postgres(sql: str | Either) -> str:
    return sql.postgres if isinstance(sql, Either) else sql


@lru_cache(maxsize=256)
def sqlite_sql(sql: str) -> str:
    """The statement as SQLite reads it: its transactions lock the whole file, so rows need no lock."""
    return _LOCKS.sub("", sql).replace("json_array_elements_text(", "json_each(").replace("$", "?")
