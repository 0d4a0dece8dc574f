"""`check_registration`: goes through what a launch will need, step by step, and says what to mend.

The key set is really fetched, through the same guarded client and the same reader as at a launch.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ltihost.errors import OutboundError, OutboundRefused
from ltihost.lti.key_set import KeySetError, read_key_set
from ltihost.lti.keys import MAX_KEY_SET_BYTES
from ltihost.outbound import Outbound, approved_ports
from ltihost.plugins.loader import LoadedPlugin
from ltihost.records import Registration
from ltihost.store.hot import Deployment
from ltihost.store.registrations import missing

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One step. `fix` says what to do; None where nothing is to do."""

    step: str
    status: Status
    detail: str
    fix: str | None = None


async def check_registration(
    registration: Registration, deployments: Sequence[Deployment], plugin: LoadedPlugin | None, outbound: Outbound
) -> list[Finding]:
    """Every step, whatever became of those before; "fail" means that no launch can work."""
    found = [_values(registration), _state(registration), _plugin(registration, plugin)]
    found += [*_deployments(registration, deployments), *_urls(registration, outbound)]
    return [*found, *await _key_set(registration, outbound)]


def _values(registration: Registration) -> Finding:
    if lacking := missing(registration):
        fix = f"ltihost registration set {registration.id} " + " ".join(f"{name}=..." for name in lacking)
        return Finding("values", "fail", f"{', '.join(lacking)} not set", fix)
    return Finding("values", "ok", f"{registration.issuer}, client id {registration.client_id}")


def _state(registration: Registration) -> Finding:
    if registration.state == "active":
        return Finding("state", "ok", "active")
    return Finding("state", "warn", registration.state, f"ltihost registration approve {registration.id}")


def _plugin(registration: Registration, plugin: LoadedPlugin | None) -> Finding:
    if plugin is None:
        return Finding("plugin", "fail", f"{registration.plugin} is not loaded here", "ltihost plugin list says why")
    return Finding("plugin", "ok", f"{plugin.manifest.name} {plugin.version}")


def _deployments(registration: Registration, deployments: Sequence[Deployment]) -> Iterator[Finding]:
    """One finding per deployment; none at all is usual before the first launch, which then waits for approval."""
    for deployment in deployments:
        step = f"deployment {deployment.deployment_id}"
        tenant = deployment.tenant
        quoted = shlex.quote(deployment.deployment_id)
        approve = f"ltihost deployment approve {registration.id} {quoted} --tenant SLUG --app SLUG"
        if deployment.state != "approved" or tenant is None or deployment.application is None:
            yield Finding(step, "warn", deployment.state, approve)
        elif not tenant.active:
            yield Finding(step, "fail", f"{tenant.slug} is suspended", f"ltihost tenant resume {tenant.slug}")
        elif registration.plugin not in {plugin.key for plugin in deployment.plugins}:
            fix = f"ltihost plugin enable {registration.plugin} --tenant {tenant.slug}"
            yield Finding(step, "fail", f"{registration.plugin} is not enabled for {tenant.slug}", fix)
        else:
            yield Finding(step, "ok", f"{tenant.slug}, {deployment.application.slug}")
    if not deployments:
        yield Finding("deployments", "warn", "none yet", "the first launch makes one, which then waits for approval")


def _urls(registration: Registration, outbound: Outbound) -> Iterator[Finding]:
    for name in ("issuer", "auth_url", "token_url", "jwks_url"):
        url: str | None = getattr(registration, name)
        if url is None:
            continue
        step = name.replace("_", "-")
        try:
            outbound.check_url(url, ports=approved_ports(url))
        except OutboundRefused as error:
            yield Finding(step, "fail", error.message, f"ltihost registration set {registration.id} {step}=URL")
        else:
            yield Finding(step, "ok", url)


async def _key_set(registration: Registration, outbound: Outbound) -> list[Finding]:
    """Fetch the platform's keys as a launch would."""
    url = registration.jwks_url
    if url is None:
        return []
    try:
        answer = await outbound.get(url, limit=MAX_KEY_SET_BYTES, ports=approved_ports(url))
    except OutboundError as error:
        return [Finding("key set", "fail", error.message, _NETWORK_FIX)]
    if answer.status != 200:
        return [Finding("key set", "fail", f"the LMS answered {answer.status}", _URL_FIX)]
    try:
        keys = read_key_set(answer.body, url)
    except KeySetError as error:
        return [Finding("key set", "fail", str(error), _URL_FIX)]
    usable = len(keys.keys) or int(registration.allow_missing_kid and keys.only is not None)
    if not usable:
        return [Finding("key set", "fail", "it holds no usable key", "the LMS must publish an RSA key with a kid")]
    if keys.flaws:
        detail = f"{usable} usable, not usable: {', '.join(sorted(keys.flaws))}"
        return [Finding("key set", "warn", detail, "the log says what is wrong with them")]
    return [Finding("key set", "ok", f"{usable} usable")]


_URL_FIX = "compare the key set URL (jwks-url) with what the LMS shows for this tool"
_NETWORK_FIX = "check the key set URL, its certificate and, for a private network, LTIHOST_ALLOW_NETWORKS"
