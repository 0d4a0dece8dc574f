"""The host's own URLs for one registration, and where its platform keeps secrets for a browser."""

from __future__ import annotations

from ltihost.lti.state import State
from ltihost.records import Registration
from ltihost.settings import Settings
from ltihost.targets import origin_of


def lti_base(settings: Settings, registration: Registration, *, shared: bool) -> str:
    """`…/lti` for the URLs that all registrations share, else `…/r/{registration}/lti`."""
    return f"{settings.base_url}/lti" if shared else f"{settings.base_url}/r/{registration.id}/lti"


def launch_url(settings: Settings, registration: Registration, *, shared: bool) -> str:
    """The redirect URI. It is ours, never the request's, and never has a query."""
    return lti_base(settings, registration, shared=shared) + "/launch"


def storage_key(state: State) -> str:
    """The name under which platform storage holds the browser secret of one login, apart from every other's."""
    return f"ltihost.{state.flow}"


def storage_origins(registration: Registration) -> tuple[str, ...]:
    """Who may be told the secret: the authorisation endpoint's origin, and origins an administrator pinned."""
    origin = origin_of(registration.auth_url)
    return tuple(dict.fromkeys((*((origin,) if origin else ()), *registration.storage_origins)))


def registered_base(settings: Settings, registration: Registration) -> str:
    """`lti_base` as the platform was told it: who signs with the host's keys uses the shared URLs."""
    return lti_base(settings, registration, shared=registration.key_set == "host")


def notices_url(settings: Settings, registration: Registration) -> str:
    """Where the platform posts its notices."""
    return f"{settings.base_url}/lti/notices/{registration.id}"
