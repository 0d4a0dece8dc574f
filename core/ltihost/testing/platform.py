"""`SimulatedPlatform`: one LMS that signs launches, without a browser and without a network.

    login = platform.start("ada", "cell-quiz")        the login request that the LMS would send to the tool
    answer = platform.authorize(params)               what its authorisation endpoint answers to the tool's request

`campus.py` serves several of them over HTTP.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from ltihost.testing.places import Places
from ltihost.testing.profile import (
    AuthRequest,
    Claims,
    Context,
    ErrorPost,
    Link,
    Message,
    Opening,
    Page,
    Person,
    Profile,
    Tool,
)
from ltihost.testing.services.faults import ServiceFaults

#: What can go wrong on purpose, and how the campus's pages call it.
FAULTS: Mapping[str, str] = {
    "late_clock": "The LMS's clock is 15 minutes late",
    "fast_clock": "The LMS's clock is 15 minutes fast",
    "new_key": "Signed with a new key, which the key set has",
    "unknown_key": "Signed with a key that the key set lacks",
    "expired": "The token has expired",
    "tampered": "The token was altered after signing",
    "wrong_audience": "The token is meant for another tool",
    "wrong_nonce": "The token belongs to another sign-in",
    "no_names": "Name and e-mail are withheld",
    "unknown_deployment": "It comes from a deployment nobody knows",
    "login_required": "The LMS answers: nobody is signed in (login_required)",
    "launch_no_longer_valid": "The LMS answers: too late (launch_no_longer_valid)",
    "access_denied": "The LMS answers: not this person (access_denied)",
}
ERROR_POSTS = ("login_required", "launch_no_longer_valid", "access_denied")
CLOCK_ERROR = {"late_clock": -900, "fast_clock": 900}
#: Launches remembered; the oldest go first.
_REMEMBERED = 20_000
#: Of a serial at least so much must come back.
_SERIAL_SHOWN = 10

Edit = Callable[[Claims], None]


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """The login initiation as the browser is to send it: a form post, or a GET of `location`."""

    method: Literal["get", "post"]
    url: str
    fields: Mapping[str, str]

    @property
    def location(self) -> str:
        """`url` with the fields in its query."""
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(self.fields)}"


@dataclass(frozen=True, slots=True)
class FormPost:
    """An answer for the tool: a form that the browser posts to `url`."""

    url: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class _Pending:
    opening: Opening
    faults: frozenset[str]
    edit: Edit | None
    started: float
    claims: Claims | None = None
    spent: bool = False


class SimulatedPlatform(Places):
    """An LMS at `base_url`. `auth_base_url` is where browsers are sent for its endpoints, if that is another origin.

    `clock` answers Unix seconds. Not safe for several threads at once; one event loop or one test drives it.
    """

    def __init__(
        self,
        profile: Profile,
        base_url: str,
        *,
        clock: Callable[[], float] = time.time,
        auth_base_url: str | None = None,
    ) -> None:
        super().__init__(profile)
        self.base_url = base_url.rstrip("/")
        self.auth_base_url = (auth_base_url or base_url).rstrip("/")
        self.clock = clock
        self.tools: list[Tool] = []
        self.faults = ServiceFaults()
        self._keys: defaultdict[str, list[RSAKey]] = defaultdict(lambda: [self._new_key()])
        self._pending: OrderedDict[str, _Pending] = OrderedDict()

    @property
    def issuer(self) -> str:
        return self.profile.issuer(self.base_url)

    def endpoints(self, client_id: str) -> dict[str, str]:
        """What the LMS tells the tool about itself: issuer, auth_url, token_url, jwks_url."""
        profile = self.profile
        paths = {"auth_url": profile.auth_path, "token_url": profile.token_path, "jwks_url": profile.jwks_path}
        urls = {name: self.auth_base_url + path.replace("{client_id}", client_id) for name, path in paths.items()}
        return {"issuer": self.issuer, **urls}

    # Tools.

    def register(
        self,
        *,
        login_url: str,
        launch_url: str,
        jwks_url: str,
        name: str = "Tool",
        client_id: str | None = None,
        deployment_id: str | None = None,
        redirect_uris: Collection[str] = (),
        target_link_uri: str | None = None,
        custom: Mapping[str, str] | None = None,
        scopes: Collection[str] | None = None,
    ) -> Tool:
        """Store a tool as an administrator of this LMS would; ids that are not given are made in the LMS's own way.

        The same (client_id, deployment_id) again replaces the tool.
        """
        number = len(self.tools) + 1
        tool = Tool(
            client_id=client_id or self.profile.new_client_id(number),
            deployment_id=deployment_id or self.profile.new_deployment_id(number),
            login_url=login_url,
            launch_url=launch_url,
            redirect_uris=tuple(redirect_uris) or (launch_url,),
            jwks_url=jwks_url,
            target_link_uri=target_link_uri or launch_url,
            name=name,
            custom=dict(self.profile.tool_custom if custom is None else custom),
            scopes=None if scopes is None else frozenset(scopes),
        )
        self.tools = [known for known in self.tools if _ids(known) != _ids(tool)] + [tool]
        return tool

    def tool(self, client_id: str | None = None, deployment_id: str | None = None) -> Tool:
        """The tool with these ids; the newest one that fits where an id is left open. Raises KeyError."""
        for tool in reversed(self.tools):
            if client_id in (None, tool.client_id) and deployment_id in (None, tool.deployment_id):
                return tool
        raise KeyError((client_id, deployment_id))

    # A launch.

    def start(
        self,
        person: str,
        link: str | None = None,
        tool: Tool | None = None,
        *,
        context: str | None = None,
        faults: Collection[str] = (),
        storage: bool = True,
        edit: Edit | None = None,
    ) -> LoginRequest:
        """Begin a launch: `person` opens `link`; without a link they choose content for `context` (deep linking).

        `faults` are keys of FAULTS, `storage` says whether platform storage is offered, `edit` may change the claims
        before they are signed. Raises KeyError for an unknown name, ValueError for an unknown fault.
        """
        if unknown := set(faults) - FAULTS.keys():
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
        place, target = self.find_link(link) if link else (self.contexts[context or ""], None)
        deployed = self._deployed(tool or self.tool(), faults)
        opening = replace(
            self.opening(self.people[person], place, target, deployed),
            now=self._now(faults),
            names="no_names" not in faults,
            storage=storage,
        )
        return self._begin(_Pending(opening, frozenset(faults), edit, self.clock()))

    def review(self, person: str, column: int, for_user: str, tool: Tool | None = None) -> LoginRequest:
        """Begin a review: `person` opens the submission of `for_user` from a cell of the gradebook. Raises KeyError."""
        found = self.gradebook.columns[column]
        context = self.contexts[found.context]
        link = next((link for link in context.links if link.slug == found.link), None)
        opening = replace(
            self.opening(self.people[person], context, link, tool or self.tool()),
            message="LtiSubmissionReviewRequest",
            column=found,
            for_user=self.people[for_user],
        )
        return self._begin(_Pending(opening, frozenset(), None, self.clock()))

    def opening(self, person: Person, context: Context, link: Link | None, tool: Tool) -> Opening:
        """A launch of `link`, or without one the choice of content, as it would be now."""
        message: Message = "LtiResourceLinkRequest" if link else "LtiDeepLinkingRequest"
        return Opening(
            base_url=self.base_url,
            tool=tool,
            person=person,
            context=context,
            link=link,
            message=message,
            serial=secrets.token_hex(16),
            now=int(self.clock()),
            column=self.only_column(link),
        )

    def picking(self, serial: str) -> Opening | None:
        """The choice of content whose serial begins like this."""
        if len(serial) < _SERIAL_SHOWN:
            return None
        openings = (pending.opening for pending in reversed(self._pending.values()))
        return next((item for item in openings if item.picking and item.serial.startswith(serial)), None)

    def service_time(self) -> float:
        """The time by the clock of the LMS's services, Unix seconds."""
        return self.clock() + self.faults.skew

    def override_grade(self, link: str, person: str, points: float | None) -> None:
        """A teacher types a grade into the first column of a link; None takes it back. Raises KeyError."""
        self.override_cell(self.gradebook.column_of(link).number, person, points)

    def override_cell(self, column: int, person: str, points: float | None) -> None:
        moved = self.service_time() if self.profile.override_moves_time else None
        self.gradebook.override(column, person, points, at=moved)

    def authorize(self, params: Mapping[str, str], *, signed_in: str | None = None) -> FormPost | Page:
        """Answer an authorisation request. `signed_in` is the person of the browser's own session, if it has one."""
        pending = self._pending.get(params.get("lti_message_hint", ""))
        refusal = self.profile.refuse(self._request(params, pending, signed_in))
        if isinstance(refusal, Page):
            return refusal
        if pending is None:
            raise AssertionError(f"the profile {self.profile.key!r} accepted a launch that was never started")
        if refusal is None and (wanted := pending.faults.intersection(ERROR_POSTS)):
            refusal = ErrorPost(min(wanted), "made on purpose")
        fields = self._error(refusal) if refusal else {"id_token": self._token(pending, params.get("nonce", ""))}
        pending.spent = True
        extra = {} if refusal else self.profile.answer_fields(pending.opening)
        return FormPost(params.get("redirect_uri", ""), {**fields, "state": params.get("state", ""), **extra})

    def _begin(self, pending: _Pending) -> LoginRequest:
        opening = pending.opening
        hint = self.profile.message_hint(opening)
        if self.profile.token_at_login:
            pending.claims = self.profile.claims(opening)
        self._pending[hint] = pending
        if len(self._pending) > _REMEMBERED:
            self._pending.popitem(last=False)
        return LoginRequest(self.profile.login_method, opening.tool.login_url, self.profile.login_fields(opening, hint))

    def _request(self, params: Mapping[str, str], pending: _Pending | None, signed_in: str | None) -> AuthRequest:
        if pending is None:
            return AuthRequest(params, None, signed_in=signed_in)
        late = self.clock() - pending.started > self.profile.hint_seconds
        return AuthRequest(params, pending.opening, spent=pending.spent, late=late, signed_in=signed_in)

    def _deployed(self, tool: Tool, faults: Collection[str]) -> Tool:
        """A deployment nobody knows is unknown in the whole launch, login included."""
        if "unknown_deployment" not in faults:
            return tool
        return replace(tool, deployment_id=self.profile.new_deployment_id(9_000_000 + secrets.randbelow(1_000_000)))

    def _now(self, faults: Collection[str]) -> int:
        return int(self.clock()) + sum(CLOCK_ERROR.get(fault, 0) for fault in faults)

    @staticmethod
    def _error(refusal: ErrorPost) -> dict[str, str]:
        described = {"error_description": refusal.description} if refusal.description else {}
        return {"error": refusal.error, **described}

    # Tokens and keys.

    def key_set(self, client_id: str = "") -> dict[str, Any]:
        """The public keys, newest last. `client_id` matters where the LMS has a key set per client."""
        return {**KeySet(list(self._keys[self._ring(client_id)])).as_dict(private=False)}

    def rotate_key(self, client_id: str = "") -> str:
        """Sign with a new key from now on; the old one stays in the key set. Answers the new kid."""
        ring = self._keys[self._ring(client_id)]
        ring.append(self._new_key())
        return str(ring[-1].kid)

    def sign(self, claims: Mapping[str, Any], *, key: RSAKey | None = None, client_id: str = "") -> str:
        """A signed token of `claims` as they are."""
        key = key or self._keys[self._ring(client_id)][-1]
        return jwt.encode({"typ": "JWT", "alg": "RS256", "kid": str(key.kid)}, dict(claims), key, algorithms=["RS256"])

    def _token(self, pending: _Pending, nonce: str) -> str:
        opening, faults = pending.opening, pending.faults
        client_id = opening.tool.client_id
        claims = dict(pending.claims or self.profile.claims(replace(opening, now=self._now(faults))))
        claims["nonce"] = nonce
        _spoil(claims, faults, self._now(faults))
        if pending.edit:
            pending.edit(claims)
        if "new_key" in faults:
            self.rotate_key(client_id)
        token = self.sign(claims, key=self._new_key() if "unknown_key" in faults else None, client_id=client_id)
        return _tamper(token, claims) if "tampered" in faults else token

    def _ring(self, client_id: str) -> str:
        return client_id if "{client_id}" in self.profile.jwks_path else ""

    @staticmethod
    def _new_key() -> RSAKey:
        return RSAKey.generate_key(2048, parameters={"kid": secrets.token_hex(10), "alg": "RS256", "use": "sig"})


def _spoil(claims: Claims, faults: frozenset[str], now: int) -> None:
    if "expired" in faults:
        claims.update(iat=now - 300, exp=now - 180)
    if "wrong_audience" in faults:
        claims["aud"] = f"{claims['aud']}-other"
    if "wrong_nonce" in faults:
        claims["nonce"] = secrets.token_hex(16)


def _tamper(token: str, claims: Claims) -> str:
    """Another payload under the signature of the first."""
    header, _, signature = token.split(".")
    payload = json.dumps({**claims, "sub": "somebody-else"}).encode()
    return f"{header}.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.{signature}"


def _ids(tool: Tool) -> tuple[str, str]:
    return tool.client_id, tool.deployment_id
