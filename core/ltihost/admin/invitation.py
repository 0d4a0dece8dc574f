"""The page of an invitation: a person sets the password of the account, once.

GET  /admin/invitation/{token}      the form; looking at it spends nothing (mail programs look at links)
POST /admin/invitation/{token}
  1 from here        a page of this host, for this invitation
  2 good enough      12 characters or more, none of the common ones
  3 hash             argon2id, in a thread
  4 spend            password and audit row in one transaction; of two posts at once one wins
An invitation that is unknown, spent or expired answers 410 with one same page.
"""

from __future__ import annotations

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ltihost.admin import passwords
from ltihost.admin.forms import FormTokens, is_from_here, text_fields
from ltihost.admin.pages import AdminPages
from ltihost.errors import NotFound
from ltihost.host import Host
from ltihost.records import HOST
from ltihost.store import admins, tables
from ltihost.store.admin_tables import Admin

_GONE = (
    "This invitation cannot be used",
    "It was used already, a newer one has taken its place, or its time is over. Ask the person who sent it for another.",
)
_NOT_HERE = (
    "The form did not come from this page",
    "Nothing was changed. Open the link of your invitation again, in a window of its own, and fill in the form there.",
)
_READY = (
    "Your account is ready",
    "The password is set and the link is used up. Signing in comes with the web console; this version has none yet.",
)


class InvitationPage:
    """The handlers of the routes above."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._pages = AdminPages()
        self._tokens = FormTokens(host.database.box.derive_all("admin forms"))
        self._passwords = passwords.Passwords()

    def routes(self) -> list[Route]:
        """The URLs of the page."""
        path = "/admin/invitation/{token}"
        return [Route(path, self.show, methods=["GET"]), Route(path, self.accept, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """The form."""
        invitation = admins.hash_of(request.path_params["token"])
        found = await self._find(invitation)
        return self._gone() if found is None else self._form(*found, invitation)

    async def accept(self, request: Request) -> Response:
        """Set the password."""
        if not is_from_here(request, self._host.settings.origin):
            return self._pages.message(*_NOT_HERE, status=403)
        invitation = admins.hash_of(request.path_params["token"])
        found = await self._find(invitation)
        if found is None:
            return self._gone()
        fields = await text_fields(request)
        if not self._tokens.is_good(fields.get("form", ""), invitation):
            return self._pages.message(*_NOT_HERE, status=403)
        fault = _fault(fields, found[0].email)
        if fault is not None:
            return self._form(*found, invitation, fault=fault)
        return await self._set(found[0], invitation, fields["password"])

    async def _set(self, admin: Admin, invitation: bytes, password: str) -> Response:
        password_hash = await self._passwords.hash(password)
        now = self._host.clock()
        try:
            await self._host.database.run(admin.tenant_id, admins.set_password, invitation, password_hash, now)
        except NotFound:
            return self._gone()
        return self._pages.message(*_READY)

    async def _find(self, invitation: bytes) -> tuple[Admin, str | None] | None:
        """The account that the invitation is for, and the organisation's name; None while it is not good."""
        now, database = self._host.clock(), self._host.database
        tenant_id = await database.run_lookup(admins.tenant_of_invitation, invitation, now)
        if tenant_id is None:
            return None
        try:
            return await database.run(tenant_id, _invited, invitation, now)
        except NotFound:  # spent in the meantime
            return None

    def _form(self, admin: Admin, organisation: str | None, invitation: bytes, *, fault: str | None = None) -> Response:
        return self._pages.page(
            "invitation",
            status=422 if fault else 200,
            email=admin.email,
            organisation=organisation,
            form=self._tokens.make(invitation),
            fault=fault,
            least=passwords.MIN_LENGTH,
            most=passwords.MAX_LENGTH,
        )

    def _gone(self) -> Response:
        return self._pages.message(*_GONE, status=410)


def _fault(fields: dict[str, str], email: str) -> str | None:
    password = fields.get("password", "")
    if password != fields.get("again"):
        return "The two passwords differ. Type the same one twice."
    return passwords.fault(password, email)


def _invited(session: Session, invitation: bytes, now: float) -> tuple[Admin, str | None]:
    admin = admins.invited(session, invitation, now)
    tenant = session.get_one(tables.Tenant, admin.tenant_id)
    return admin, None if tenant.id == HOST else tenant.name
