"""The return of a content picker: the tool's signed answer, checked as this LMS checks it, and what comes of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
from joserfc import jws
from joserfc.errors import JoseError

from ltihost.testing.parts import Link, Opening
from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.records import Refused
from ltihost.testing.services.rules_content import DL, Choice, Chosen
from ltihost.testing.services.tokens import fetch_keys


class ContentDesk:
    """Takes content for one LMS. `choices` wait for the teacher's word, by a random key; `received` are all answers."""

    def __init__(self, platform: SimulatedPlatform) -> None:
        self.choices: dict[str, Choice] = {}
        self.received: list[Choice] = []
        self._platform = platform
        self._nonces: set[str] = set()

    async def take(self, query: Mapping[str, str], token: str) -> Choice:
        """A verified answer. Raises Refused."""
        claims = _claims(token)
        opening = self._platform.picking(self._platform.profile.answered_serial(query, claims))
        if opening is None:
            raise Refused(400, "This does not answer any choice of content that was begun here")
        await self._verify(token, opening)
        platform = self._platform
        platform.profile.check_choice(claims, opening, platform.issuer, self._nonces, platform.service_time())
        self._nonces.add(str(claims.get("nonce")))
        choice = self._choose(claims, opening)
        self.received.append(choice)
        return choice

    def keep(self, choice: Choice) -> str:
        """Remember a choice until the teacher confirms it; answers its key."""
        key = secrets.token_urlsafe(16)
        self.choices[key] = choice
        return key

    def add(self, choice: Choice) -> list[Link]:
        """Put everything that was chosen into the context; the new links to the tool."""
        context = choice.opening.context.slug
        return [link for chosen in choice.chosen if (link := self._platform.add(context, chosen))]

    def _choose(self, claims: Mapping[str, Any], opening: Opening) -> Choice:
        profile, items = self._platform.profile, claims.get(DL + "content_items") or []
        choice = Choice(
            opening, message=str(claims.get(DL + "msg") or ""), error=str(claims.get(DL + "errormsg") or ""), sent=items
        )
        if choice.error:
            return choice
        if len(items) > 1 and not profile.takes_several:
            raise Refused(400, "Only one item can be added here")
        chosen: list[Chosen] = []
        refused: list[str] = []
        for item in items:
            try:
                chosen.append(profile.choose(item, opening))
            except Refused as refusal:
                refused.append(f"{item.get('title') or item.get('type')}: {refusal.text}")
        return replace(choice, chosen=tuple(chosen), refused=tuple(refused))

    async def _verify(self, token: str, opening: Opening) -> None:
        try:
            keys = await fetch_keys(opening.tool.jwks_url)
            jws.deserialize_compact(token, keys, algorithms=["RS256"])
        except (JoseError, httpx2.HTTPError, ValueError, KeyError):
            raise Refused(400, "JWT verification failure") from None


def _claims(token: str) -> dict[str, Any]:
    """The claims, not believed yet. Raises Refused."""
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError):
        raise Refused(400, "The field JWT holds no signed token") from None
    if not isinstance(claims, dict):
        raise Refused(400, "The field JWT holds no signed token")
    return claims
