"""What became of a launch, in words for the people who look after it: the checks, the cause, the fix, where to click."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from ltihost.errors import REASONS
from ltihost.plugins.loader import LoadedPlugin
from ltihost.records import HOST, Attempt, Check, Registration, Tenant

_PLACEHOLDER = re.compile(r"(?<= )(?:ID|REGISTRATION|DEPLOYMENT|KEY|(?<!--app )SLUG)(?= |`)")
#: What `deployment approve` need not be told where the registration says it.
_OWNER = " --tenant SLUG --app SLUG"

#: The question that each check of `errors.CHECKS` asks.
QUESTIONS = {
    "registration": "Is the platform registered?",
    "state": "Is the state ours, and fresh?",
    "browser": "Is it the browser that began?",
    "token": "Is it a signed token?",
    "key": "Does the platform publish its key?",
    "signature": "Did the platform sign it?",
    "issuer": "Does it come from this platform?",
    "audience": "Is it meant for us?",
    "time": "Is it fresh?",
    "nonce": "Does it answer our login?",
    "deployment": "Is the deployment approved?",
    "plugin": "Is the plugin enabled?",
    "version": "Is it LTI 1.3?",
    "message_type": "Do we serve this message?",
    "target": "Does it lead to the application?",
    "roles": "Does it say which roles?",
    "resource_link": "Does it say which link?",
    "subject": "Does it say who?",
    "context": "Does it say where?",
    "replay": "Is it the first time?",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt failed. `where` says where to click in this LMS; None where its plugin does not know."""

    code: str
    cause: str
    fix: str
    where: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """An attempt with what surrounds it. `tenant` is None while it belongs to nobody, `registration` if none was found."""

    attempt: Attempt
    tenant: Tenant | None
    registration: Registration | None
    lms: str | None
    refusal: Refusal | None

    @property
    def failed(self) -> Check | None:
        """The check that stopped it."""
        return next((check for check in self.attempt.checks if check.status == "failed"), None)


def explain(
    attempt: Attempt, tenant: Tenant | None, registration: Registration | None, plugin: LoadedPlugin | None
) -> Explanation:
    """Put together what an administrator wants to know; `plugin` is that of the registration, if it is loaded."""
    lms = plugin.manifest.name if plugin else registration.plugin if registration else None
    return Explanation(attempt, tenant, registration, lms, _refusal(attempt, tenant, registration, plugin))


def _refusal(
    attempt: Attempt, tenant: Tenant | None, registration: Registration | None, plugin: LoadedPlugin | None
) -> Refusal | None:
    if attempt.refusal is None:
        return None
    reason = REASONS.get(attempt.refusal, REASONS["unexpected"])
    where = plugin.manifest.help.get(attempt.refusal) if plugin else None
    return Refusal(attempt.refusal, reason.cause, _filled(reason.fix, attempt, tenant, registration), where)


def _filled(fix: str, attempt: Attempt, tenant: Tenant | None, registration: Registration | None) -> str:
    """The commands of `fix` with what is known in the place of the capitals."""
    known = {
        "DEPLOYMENT": attempt.deployment_id and shlex.quote(attempt.deployment_id), "SLUG": tenant and tenant.slug,
    }  # fmt: skip
    if registration is not None:
        if registration.application_id is not None and registration.tenant_id != HOST:
            fix = fix.replace(_OWNER, "")
        known |= {"ID": registration.id, "REGISTRATION": registration.id, "KEY": registration.plugin}
    return _PLACEHOLDER.sub(lambda found: known.get(found[0]) or found[0], fix)
