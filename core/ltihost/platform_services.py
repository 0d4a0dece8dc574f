"""`PlatformServices`: what core lends an adapter for one binding. Guarded HTTP, tokens, the time, the plugin's opinion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ltihost.access_tokens import AccessTokens
from ltihost.errors import OutboundRefused
from ltihost.outbound import Outbound, approved_ports
from ltihost.plugins.abilities import AdapterServices
from ltihost.service_records import Operation, Outcome, ServiceAnswer
from ltihost.store.service_origins import ServiceOrigins
from ltihost.targets import origin_of
from ltihost.token_endpoint import Client


class PlatformServices(AdapterServices):
    """Requests to the services of one deployment, and to nobody else. See `AdapterServices`."""

    def __init__(
        self,
        client: Client,
        outbound: Outbound,
        tokens: AccessTokens,
        origins: ServiceOrigins,
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self._client = client
        self._outbound = outbound
        self._tokens = tokens
        self._origins = origins
        registration = client.registration
        self._ports = approved_ports(registration.auth_url, registration.token_url, registration.jwks_url)

    async def request(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> ServiceAnswer:
        await self._check_origin(url)
        if method == "GET":
            answer = await self._outbound.get(url, limit=limit, ports=self._ports, headers=headers)
        else:
            answer = await self._outbound.request(
                method, url, limit=limit, ports=self._ports, headers=headers, content=content
            )
        return ServiceAnswer(answer.status, answer.headers, answer.body)

    async def token(self, scopes: Sequence[str], *, also: Sequence[str] = (), refused: str | None = None) -> str:
        return await self._tokens.token(self._client, scopes, also=also, refused=refused)

    def classify(self, answer: ServiceAnswer, operation: Operation) -> Outcome | None:
        return self._client.classify(answer, operation)

    async def _check_origin(self, url: str) -> None:
        """The token goes only to servers that a verified launch of this deployment named first."""
        origin, binding = origin_of(url), self._client.binding
        known = origin is not None and await self._origins.includes(
            binding.tenant.id, binding.registration.id, binding.deployment_id, origin
        )
        if not known:
            text = f"{origin or 'This URL'} is not known as a place of this LMS's services."
            raise OutboundRefused("service_origin", text)
