"""How each tool of the comparison is set up and started on loopback, as its own documentation says."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors import CLIENT_ID, DEPLOYMENT_ID, Platform
from servers import HERE, PEER_ENVIRONMENT, BrokenError, Postgres, Redis, free_port, process, wait_for


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tools share: the platform, a folder for their files, and the store servers that this run needs."""

    platform: Platform
    folder: Path
    postgres: Postgres | None
    redis: Redis | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A tool that is set up: how it starts, and where its LTI routes will be."""

    name: str
    command: list[str]
    environment: dict[str, str]
    login_url: str
    launch_url: str
    store_pid: int | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that runs. `ready` is the seconds from its start to its first answer."""

    name: str
    login_url: str
    launch_url: str
    pid: int
    store_pid: int | None
    ready: float


@contextlib.contextmanager
def running(plan: Plan, folder: Path) -> Iterator[Tool]:
    """Run the tool until the block ends."""
    log, begun = folder / f"{plan.name}.log", time.perf_counter()
    with process(plan.command, plan.environment, log) as pid:
        wait_for(plan.login_url, log)
        yield Tool(plan.name, plan.login_url, plan.launch_url, pid, plan.store_pid, time.perf_counter() - begun)


# The host


def host(bench: Bench, workers: int = 1) -> Plan:
    """ltihost with everything on, set up and served by its own command."""
    return _host(bench, "host", {"LTIHOST_DATABASE_URL": f"sqlite:///{bench.folder}/host.db"}, None, workers=workers)


def host_postgres(bench: Bench) -> Plan:
    assert bench.postgres is not None
    return _host(bench, "host (PostgreSQL)", postgres_database(bench.postgres, "host"), bench.postgres.pid, workers=1)


def postgres_database(postgres: Postgres, name: str) -> dict[str, str]:
    """The settings of a host with a new database."""
    owner = postgres.create(name)
    # `migrate` makes the application's role, which must not be the owner: row-level security would not bind it.
    application = owner.replace("//postgres:@", f"//{name}_app:{secrets.token_hex(16)}@", 1)
    return {"LTIHOST_DATABASE_URL": application, "LTIHOST_MIGRATE_URL": owner}


def _host(bench: Bench, name: str, database: dict[str, str], store_pid: int | None, *, workers: int) -> Plan:
    port = free_port()
    environment = host_environment(port) | database
    registration = register(bench.platform, environment)
    command = f"{ltihost()} serve --host 127.0.0.1 --port {port} --workers {workers}".split()
    return Plan(name, command, environment, registration["login_url"], registration["launch_url"], store_pid)


def host_environment(port: int) -> dict[str, str]:
    """The settings of a host, without its database."""
    return {
        "LTIHOST_BASE_URL": f"http://127.0.0.1:{port}",
        "LTIHOST_SECRET_KEY": secrets.token_urlsafe(48),
        "LTIHOST_ALLOW_NETWORKS": "127.0.0.0/8",
    }


def register(platform: Platform, environment: dict[str, str], plugin: str = "lti") -> dict[str, Any]:
    """Migrate, then make tenant, application and an approved registration of the platform, by the command line."""
    run("migrate", environment)
    run("tenant create school --name School", environment)
    run(f"plugin enable {plugin} --tenant school", environment)
    application = "app create exercises --name Exercises --launch-url http://127.0.0.1:9/launch --release names,email"
    run(application, environment)
    registration: dict[str, Any] = json.loads(
        run(
            f"registration create --tenant school --app exercises --plugin {plugin} --approve --json"
            f" --issuer {platform.issuer} --client-id {CLIENT_ID} --deployment-id {DEPLOYMENT_ID}"
            f" --auth-url {platform.auth_url} --token-url {platform.token_url} --jwks-url {platform.jwks_url}",
            environment,
        )
    )
    return registration


def run(line: str, environment: dict[str, str]) -> str:
    """What the command `ltihost` prints. Raises BrokenError."""
    command = [ltihost(), *line.split()]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(f"ltihost {line}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def ltihost() -> str:
    return str(Path(sys.executable).with_name("ltihost"))


# The floors


def floor_core(bench: Bench) -> Plan:
    return _floor(bench, "floor-core", "starlette_sqlite", f"{bench.folder}/floor.db", None)


def floor_pgcte(bench: Bench) -> Plan:
    assert bench.postgres is not None
    url = bench.postgres.create("floor").replace("postgresql://", "postgresql+asyncpg://", 1)
    return _floor(bench, "floor-pgcte", "starlette_postgres", url, bench.postgres.pid)


def _floor(bench: Bench, name: str, module: str, database: str, store_pid: int | None) -> Plan:
    port, platform = free_port(), bench.platform
    base = f"http://127.0.0.1:{port}/lti"
    registration = {
        "issuer": platform.issuer,
        "client_id": CLIENT_ID,
        "deployment_id": DEPLOYMENT_ID,
        "auth_url": platform.auth_url,
        "jwks_url": platform.jwks_url,
        "launch_url": f"{base}/launch",
    }
    environment = {"FLOOR_REGISTRATIONS": json.dumps([registration]), "FLOOR_DATABASE": database}
    options = f"--app-dir {HERE} --port {port} --no-access-log --log-level warning"
    command = f"{sys.executable} -m uvicorn {options} floors.{module}:app".split()
    return Plan(name, command, environment, f"{base}/login", f"{base}/launch", store_pid)


# The peers


def pylti1p3(bench: Bench) -> Plan:
    """As the library comes: the platform's key set is fetched at every launch."""
    return _pylti1p3(bench, "PyLTI1p3", "--workers 2", {"PEER_REDIS": _redis(bench).url}, _redis(bench).pid)


def pylti1p3_keys_kept(bench: Bench) -> Plan:
    """With the platform's key set kept: its best configuration that runs in more than one process."""
    settings = {"PEER_REDIS": _redis(bench).url, "PEER_KEY_CACHING": "1"}
    return _pylti1p3(bench, "PyLTI1p3 keys kept", "--workers 2", settings, _redis(bench).pid)


def pylti1p3_one_process(bench: Bench) -> Plan:
    """The same with an in-process cache: cheapest, but nothing survives a restart and a second process cannot join."""
    return _pylti1p3(bench, "PyLTI1p3 1 process", "--workers 1 --threads 4", {"PEER_KEY_CACHING": "1"}, None)


def _pylti1p3(bench: Bench, name: str, workers: str, settings: dict[str, str], store_pid: int | None) -> Plan:
    port, platform = free_port(), bench.platform
    base = f"http://127.0.0.1:{port}/lti"
    client = {
        "default": True,
        "client_id": CLIENT_ID,
        "auth_login_url": platform.auth_url,
        "auth_token_url": platform.token_url,
        "key_set_url": platform.jwks_url,
        "deployment_ids": [DEPLOYMENT_ID],
    }
    configuration = {"PEER_CONFIG": json.dumps({platform.issuer: [client]}), "PEER_SECRET": secrets.token_urlsafe(32)}
    gunicorn = f"{PEER_ENVIRONMENT}/bin/gunicorn --chdir {HERE}/peers --bind 127.0.0.1:{port}"
    command = f"{gunicorn} {workers} pylti1p3_app:app".split()
    return Plan(name, command, settings | configuration, f"{base}/login", f"{base}/launch", store_pid)


def _redis(bench: Bench) -> Redis:
    assert bench.redis is not None
    return bench.redis


SetUp = Callable[[Bench], Plan]

SQLITE: dict[str, SetUp] = {"host": host, "floor-core": floor_core}
POSTGRES: dict[str, SetUp] = {"host (PostgreSQL)": host_postgres, "floor-pgcte": floor_pgcte}
PEERS: dict[str, SetUp] = {
    "PyLTI1p3": pylti1p3,
    "PyLTI1p3 keys kept": pylti1p3_keys_kept,
    "PyLTI1p3 1 process": pylti1p3_one_process,
}
