"""`ltihost key`: the keys that the host signs with, of the host itself or of one registration."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import actor, operate, with_database
from ltihost.commands.output import AsJson
from ltihost.records import HOST
from ltihost.store import keys, registrations
from ltihost.store.tables import KeyPair

RegistrationOption = Annotated[
    str | None, typer.Option("--registration", metavar="ID", help="Of this registration instead of the host.")
]


def list_(registration: RegistrationOption = None, as_json: AsJson = False) -> None:
    """List the keys, without their private halves."""
    found = with_database(lambda _, database: database.run_host(_listed, registration), any_secret_key=True)
    if as_json:
        output.document([_key_json(key) for key in found])
        return
    rows = [(key.id, key.state, output.moment(key.state_since), output.moment(key.created_at)) for key in found]
    output.table(("Kid", "State", "Since", "Made"), rows, empty="none: they are made by `ltihost migrate`")


def rotate(registration: RegistrationOption = None, as_json: AsJson = False) -> None:
    """Replace the signing key in two steps, a day apart, so that every LMS has seen the new one before it signs.

    This publishes the next key. A day later it signs: the host does that by itself while it serves.
    """
    found = operate(_rotate, registration)
    if as_json:
        output.document([_key_json(key) for key in found])
        return
    waiting = next((key for key in found if key.state == "published"), None)
    signing = next(key.id for key in found if key.state == "signing")
    output.say(f"Key {signing} signs.")
    if waiting:
        output.say(f"Key {waiting.id} is published since {output.moment(waiting.state_since)}.")
        output.hint("a day after that it signs by itself, while the host serves")


def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="As `key list` shows it.")],
    secret_key_lost: Annotated[
        bool, typer.Option("--secret-key-lost", help="Also when LTIHOST_SECRET_KEY does not open what is stored.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Drop a key at once, for one that leaked: it leaves the key set and another signs now."""
    signing = with_database(
        lambda _, database: database.run_host(keys.revoke, kid, actor=actor()), any_secret_key=secret_key_lost
    )
    if as_json:
        output.document({"revoked": kid, "signing": signing})
        return
    output.say(f"Key {kid} is revoked; {signing} signs now.")
    output.hint("LMSs that cache key sets may refuse what is signed now for up to a day")


def _key_json(key: KeyPair) -> dict[str, Any]:
    return {
        "kid": key.id,
        "state": key.state,
        "since": output.iso(key.state_since),
        "created_at": output.iso(key.created_at),
    }


def _listed(session: Session, registration_id: str | None) -> list[KeyPair]:
    owner = registrations.get(session, registration_id).id if registration_id else HOST
    return keys.listed(session, owner)


def _rotate(session: Session, registration_id: str | None) -> list[KeyPair]:
    owner = registrations.get(session, registration_id).id if registration_id else HOST
    waiting = any(row.state == "published" for row in keys.listed(session, owner))
    keys.advance(session, owner, time.time())
    if not waiting:
        keys.rotate(session, owner, expected=keys.signing_key(session, owner).kid, actor=actor())
    return _listed(session, registration_id)
