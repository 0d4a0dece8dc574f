"""`OwnKeys`: the host's own signing keys in memory, and what they sign for a registration."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog

from ltihost.errors import Busy, DecryptionError
from ltihost.lti.signing import SigningKey, load_private_key, sign_jwt
from ltihost.records import HOST, Registration
from ltihost.store import keys
from ltihost.store.database import Database
from ltihost.store.routing import TTL_SECONDS, Remembered

log = structlog.get_logger()


class OwnKey(NamedTuple):
    """The key that signs now."""

    kid: str
    key: SigningKey

    def sign(self, claims: Mapping[str, Any]) -> str:
        return sign_jwt(claims, self.key, self.kid)


class OwnKeys:
    """Which key signs is looked up every five seconds at most, so a revoked one signs no longer than that.

    The private halves are opened once for each kid and kept in memory only.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._looked_up: Remembered[OwnKey] = Remembered(TTL_SECONDS, clock)
        self._loaded: dict[str, OwnKey] = {}

    async def current(self, registration: Registration) -> OwnKey:
        """The key that signs for this registration: its own, or the host's if it uses the shared key set.

        Raises NotFound (`key_missing`) and DecryptionError; Busy only when no key is known yet.
        """
        shared = registration.key_set == "host"
        owner, tenant_id = (HOST, HOST) if shared else (registration.id, registration.tenant_id)

        async def ask() -> OwnKey:
            return self._opened(owner, await self._database.run(tenant_id, keys.signing_key, owner))

        try:
            return await self._looked_up.get(owner, ask)
        except DecryptionError as error:
            await self._database.alarm.ring(error)
            raise
        except Busy:
            if owner not in self._loaded:
                raise
            log.warning("own_keys.not_looked_up", owner=owner)
            return self._loaded[owner]

    def _opened(self, owner: str, stored: keys.SigningKey) -> OwnKey:
        known = self._loaded.get(owner)
        if known is None or known.kid != stored.kid:
            known = self._loaded[owner] = OwnKey(stored.kid, load_private_key(stored.pem))
        return known
