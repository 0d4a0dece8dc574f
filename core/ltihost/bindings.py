"""`bind`: what the host knows of (registration, deployment), as work outside a launch needs it."""

from __future__ import annotations

from ltihost.errors import LtihostError
from ltihost.plugins.loader import Plugins
from ltihost.records import Binding
from ltihost.store.hot import Deployment, Route

#: Also the code of a launch that is refused for it.
SEALED = "secret_unreadable"


class NotBound(LtihostError):
    """Nothing may be done for this deployment now.

    `code` is tenant_suspended, registration_inactive, deployment_disabled, plugin_disabled, plugin_unavailable or, as
    long as a secret does not open, secret_unreadable.
    """


def sealed() -> NotBound:
    """Nothing may be done with a stored secret that does not open."""
    return NotBound(SEALED, "A secret that the host keeps for the tenant does not open.")


def bind(route: Route | None, deployment: Deployment | None, plugins: Plugins) -> Binding:
    """The binding of a deployment for which work may be done. Raises NotBound."""
    if route is None or route.registration.state != "active":
        raise NotBound("registration_inactive", "The registration is not active.")
    if deployment is None or deployment.state != "approved":
        raise NotBound("deployment_disabled", "The deployment is not approved.")
    if deployment.tenant is None or deployment.application is None:
        raise NotBound("deployment_disabled", "The deployment belongs to nobody.")
    if not (deployment.tenant.active and route.tenant.active):
        raise NotBound("tenant_suspended", "The tenant is suspended.")
    key = route.registration.plugin
    if plugins.get(key) is None:
        raise NotBound("plugin_unavailable", f"The plugin {key} is not loaded on this host.")
    if all(enabled.key != key for enabled in deployment.plugins):
        raise NotBound("plugin_disabled", f"The plugin {key} is not enabled for the tenant.")
    return Binding(
        deployment.tenant, route.registration, deployment.deployment_id, deployment.application, deployment.plugins,
        deployment.role_rules,
    )  # fmt: skip
