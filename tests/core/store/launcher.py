"""A process that posts one launch ten times: `launcher.py URL TENANT APPLICATION REGISTRATION`.

It says `ready`, waits for a line, and prints how each post ended.
"""

from __future__ import annotations

import asyncio
import sys
import time

from ltihost.records import Attempt
from ltihost.settings import load_settings
from ltihost.store.database import Database
from ltihost.store.hot import AcceptLaunch
from ltihost.store.ids import new_code, new_id


def post(tenant: str, application: str, registration: str) -> AcceptLaunch:
    now = time.time()
    attempt = Attempt(
        new_id("lch"), tenant, new_code(), "launch", "accepted", now,
        registration_id=registration, deployment_id="deployment-1",
    )  # fmt: skip
    return AcceptLaunch(
        attempt=attempt, application_id=application, plugin="lti", message="resource_link",
        nonce_hash=b"the one nonce".ljust(32), nonce_expires=now + 600, person=None, context=None, link=None,
        role="none", roles_json="[]", global_role=None, group_role=None,
        create_users=True, create_contexts=True, sync_roles=True, launch_json="{}", services_json="{}",
        target_url="https://app.example/", code_hash=new_id("code").encode(), code_expires=now + 60,
    )  # fmt: skip


async def main(url: str, *whose: str) -> None:
    settings = load_settings(base_url="http://localhost:8700", database_url=url, secret_key="k" * 40)
    database = Database(settings)
    await database.open()
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    ended = await asyncio.gather(*(database.hot.accept_launch(post(*whose)) for _ in range(10)))
    print(*(outcome.refusal for outcome in ended))  # noqa: T201
    await database.close()


asyncio.run(main(*sys.argv[1:]))
