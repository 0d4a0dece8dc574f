"""Steps 1 to 3: the platform announces a launch, the browser is sent back to it with a state and a nonce."""

from __future__ import annotations

import re
from collections.abc import Mapping
from secrets import token_hex
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ltihost import pages
from ltihost.attempts import OpenAttempt
from ltihost.errors import Refused
from ltihost.fields import read_fields
from ltihost.host import Host
from ltihost.lti.claims import MAX_ID, MAX_URL
from ltihost.lti.state import State, digest, new_secret, seal_state, short_digest
from ltihost.records import Registration
from ltihost.store import hot
from ltihost.targets import with_query
from ltihost.tool_urls import launch_url, lti_base, storage_key, storage_origins

#: Parameters of our own, on the URLs that the rung page offers: the login in a window of its own, and the login in a
#: frame whose cookies the person has just allowed.
WINDOW, ACCESS = "ltihost_window", "ltihost_access"
#: What browsers say of a request that fills a frame (Fetch Metadata).
FRAMES = frozenset({"iframe", "frame", "embed", "object"})
#: More registrations of one issuer than this are told apart by client id only: each costs a look-up.
MAX_NARROWED = 20
_ALWAYS_ASKED = "scope=openid&response_type=id_token&response_mode=form_post&prompt=none"
_STORAGE_TARGET = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Login:
    """Login initiation. Core spec 4.1, Security Framework 5.1.1.1 and 5.1.1.2."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def answer(self, request: Request, attempt: OpenAttempt) -> Response:
        """Nothing is stored here. Raises Refused."""
        fields = await read_fields(request, "registration")
        registration = await self._find_registration(request, fields, attempt)
        state, nonce, secret = self._issue_state(request, registration, fields)
        return self._redirect(request, registration, state, nonce, secret, fields)

    async def _find_registration(
        self, request: Request, fields: Mapping[str, str], attempt: OpenAttempt
    ) -> Registration:
        """Step 1: the path names it; else (iss, client_id), else (iss, deployment) if that is unique. Core spec 4.1."""
        for name in ("iss", "login_hint", "target_link_uri"):
            if not fields.get(name):
                raise Refused("missing_parameter", "registration", expected=name, received="none")
        deployment_id = deployment_hint(fields)
        for name, value in (("client_id", fields.get("client_id")), ("lti_deployment_id", deployment_id)):
            if value and len(value) > MAX_ID:
                raise Refused("parameter_invalid", "registration", expected=f"{name} of at most {MAX_ID} characters")
        if len(fields["iss"]) > MAX_URL:
            raise Refused("parameter_invalid", "registration", expected=f"iss of at most {MAX_URL} characters")
        named = request.path_params.get("registration")
        found = await self._routes_of(named, fields, deployment_id)
        active = [route for route in found if route.registration.state == "active"]
        received = f"iss={fields['iss']!a} client_id={fields.get('client_id', '')!a}"
        if not found:
            raise Refused(
                "unknown_registration", "registration", expected="a known issuer and client id", received=received
            )
        if not active:
            attempt.registration, attempt.tenant_id = found[0].registration, found[0].tenant.id
            raise Refused(
                "registration_inactive", "registration", expected="active", received=found[0].registration.state
            )
        if len(active) > 1:
            raise Refused("ambiguous_registration", "registration", expected="one registration", received=received)
        route = active[0]
        attempt.registration, attempt.tenant_id = route.registration, route.tenant.id
        await self._check_switches(route, deployment_id)
        return route.registration

    async def _routes_of(
        self, named: str | None, fields: Mapping[str, str], deployment_id: str | None
    ) -> list[hot.Route]:
        issuer, client_id = fields["iss"], fields.get("client_id") or None
        if named is not None:
            route = await self.host.routing.route(named)
            fits = route and route.registration.issuer == issuer and client_id in (None, route.registration.client_id)
            return [route] if route and (fits or route.registration.issuer is None) else []
        routes = list(await self.host.routing.routes(issuer, client_id))
        active = [route for route in routes if route.registration.state == "active"]
        if client_id is None and 1 < len(active) <= MAX_NARROWED and deployment_id:
            known = [r for r in active if await self.host.routing.deployment(r.registration.id, deployment_id)]
            return known if len(known) == 1 else routes
        return routes

    async def _check_switches(self, route: hot.Route, deployment_id: str | None) -> None:
        """What is switched off answers at once, before the person is sent through the platform for nothing."""
        registration, tenant = route.registration, route.tenant
        if self.host.plugins.get(registration.plugin) is None:
            raise Refused("plugin_unavailable", "plugin", expected=registration.plugin, received="not loaded")
        deployment = await self.host.routing.deployment(registration.id, deployment_id) if deployment_id else None
        if deployment is not None and deployment.tenant is not None:
            tenant = deployment.tenant
            if registration.plugin not in {plugin.key for plugin in deployment.plugins}:
                raise Refused(
                    "plugin_disabled", "plugin", expected=f"{registration.plugin} enabled", received="not enabled"
                )
        if not tenant.active:
            raise Refused("tenant_suspended", "registration", expected="active", received="suspended")

    def _issue_state(
        self, request: Request, registration: Registration, fields: Mapping[str, str]
    ) -> tuple[State, str, str]:
        """Step 2: nonce and browser secret are fresh; the state holds their hashes only."""
        nonce, secret = new_secret(), new_secret()
        storage_target = fields.get("lti_storage_target", "")
        state = State(
            registration_id=registration.id,
            issued_at=int(self.host.clock()),
            flow=token_hex(4),
            nonce_hash=digest(nonce),
            browser_hash=digest(secret),
            target_hash=short_digest(fields["target_link_uri"]),
            deployment_hash=short_digest(deployment_hint(fields)),
            storage_target=storage_target if _STORAGE_TARGET.fullmatch(storage_target) else "",
            shared="registration" not in request.path_params,
            framed=request.headers.get("sec-fetch-dest") in FRAMES,
            window=fields.get(WINDOW) == "1",
        )
        return state, nonce, secret

    def _redirect(
        self,
        request: Request,
        registration: Registration,
        state: State,
        nonce: str,
        secret: str,
        fields: Mapping[str, str],
    ) -> Response:
        """Step 3: to the registered authorisation endpoint and nowhere else, with our redirect URI and no other."""
        auth_url = self._auth_url(registration, state, nonce, fields)
        if state.framed and not pages.has_our_cookie(request):
            response = self._rung_page(registration, state, auth_url, secret, fields)
        else:
            response = pages.redirect(auth_url)
        partitioned = ACCESS not in fields
        pages.drop_oldest_flows(request, response)
        pages.set_flow_cookie(response, state.flow, secret, state.issued_at, partitioned=partitioned)
        return response

    def _auth_url(self, registration: Registration, state: State, nonce: str, fields: Mapping[str, str]) -> str:
        """The authentication request. Hints go back byte for byte, and absent ones stay absent. Security Framework 5.1.1.2."""
        assert registration.auth_url is not None  # an active registration has both
        assert registration.client_id is not None
        given = {
            "client_id": registration.client_id,
            "redirect_uri": launch_url(self.host.settings, registration, shared=state.shared),
            "login_hint": fields["login_hint"],
        }
        if "lti_message_hint" in fields:
            given["lti_message_hint"] = fields["lti_message_hint"]
        ours = f"state={seal_state(self.host.sealer, state)}&nonce={nonce}"  # text that needs no quoting
        return with_query(registration.auth_url, f"{_ALWAYS_ASKED}&{_query(given)}&{ours}")

    def _rung_page(
        self, registration: Registration, state: State, auth_url: str, secret: str, fields: Mapping[str, str]
    ) -> Response:
        base = lti_base(self.host.settings, registration, shared=state.shared)
        again = {name: value for name, value in fields.items() if name not in (WINDOW, ACCESS)}

        def login_url(switch: str) -> str:
            return f"{base}/login?{_query({**again, switch: '1'})}"

        return self.host.pages.rung(
            registration,
            auth_url=auth_url,
            probe_url=f"{base}/login/probe?flow={state.flow}",
            key=storage_key(state),
            value=secret,
            origins=" ".join(storage_origins(registration)),
            target=state.storage_target,
            window_url=login_url(WINDOW),
            access_url=login_url(ACCESS),
        )

    async def probe(self, request: Request) -> Response:
        """Whether the cookie of this login came back. The first time it does, remember that cookies work here."""
        secret, _ = pages.flow_secret(request, request.query_params.get("flow", ""))
        response = JSONResponse({"cookie": secret is not None}, headers={"Cache-Control": "no-store"})
        if secret is not None:
            pages.set_seen_cookie(response)
        return response


def deployment_hint(fields: Mapping[str, str]) -> str | None:
    """The deployment that the login names; some platforms leave out the prefix of the parameter's name."""
    return fields.get("lti_deployment_id") or fields.get("deployment_id") or None


def _query(values: Mapping[str, str]) -> str:
    """What was given to us as a query, byte for byte."""
    return urlencode(values, quote_via=quote, errors="surrogateescape")
