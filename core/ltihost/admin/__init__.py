"""What administrators see below `/admin`. So far: the page of an invitation, on which a person sets a password."""

from __future__ import annotations

from starlette.routing import Route

from ltihost.admin.invitation import InvitationPage
from ltihost.host import Host


def admin_routes(host: Host) -> list[Route]:
    """Every route below `/admin`."""
    return InvitationPage(host).routes()
