"""`RosterRules`: the roster service of an LMS by the specs. Names and Role Provisioning Services 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ltihost.testing.parts import Context, Tool
from ltihost.testing.services.records import Refused, Row


class RosterRules:
    """How this LMS tells who is in a context. `unlisted` are the kinds of people that its rosters leave out."""

    memberships_path: ClassVar[str] = "/contexts/{context}/memberships"
    unlisted: ClassVar[frozenset[str]] = frozenset()
    #: Whether every page names a URL of what changed since.
    offers_differences: ClassVar[bool] = False

    def memberships_url(self, base_url: str, tool: Tool, context: Context) -> str:
        return base_url + self.memberships_path.format(context=context.number, tool=tool.deployment_id)

    def member(self, row: Row, user_id: str, roles: list[str]) -> dict[str, Any]:
        """A person as the roster shows them. `roles` are the URIs of their launches from this context."""
        person = row.person
        return {
            "status": "Active", "user_id": user_id, "roles": roles, "name": person.name,
            "given_name": person.given_name, "family_name": person.family_name, "email": person.email,
            "lis_person_sourcedid": person.sourcedid,
        }  # fmt: skip

    def has_role(self, member: Mapping[str, Any], wanted: str) -> bool:
        """Whether the `role` parameter of a request means this member: a whole URI or the short name of a context role."""
        return any(role == wanted or role.rpartition("#")[2] == wanted for role in member["roles"])

    def unknown_link(self, rlid: str) -> Refused:
        """The answer to a roster of a link that is not there."""
        return Refused(404, "There is no such resource link in this context")

    def messages(self, row: Row, custom: Mapping[str, str | None]) -> list[dict[str, Any]] | None:
        """What a launch of `row.link` would tell about this member, in a link's own roster. NRPS 2.0, section 2.5."""
        claim = "https://purl.imsglobal.org/spec/lti/claim/"
        return [{claim + "message_type": "LtiResourceLinkRequest", claim + "custom": dict(custom)}]
