"""Rosters on the wire. NRPS 2.0."""

from __future__ import annotations

from ltihost.lti.link_header import linked
from ltihost.lti.service_json import name, read_body
from ltihost.lti.service_urls import with_parameters
from ltihost.lti.strict_json import StrictJsonError
from ltihost.service_records import RosterPage, ServiceAnswer

#: Alone, without parameters: anything else may be answered with 400, or in the format of LTI 1.
CONTAINER_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
MAX_PAGE_BYTES = 5_242_880
MAX_MEMBERS = 200_000


def members_url(url: str, *, resource_link: str | None, role: str | None, limit: int | None) -> str:
    """The roster's URL with what is asked of it. NRPS 2.4."""
    return with_parameters(url, {"rlid": resource_link, "role": role, "limit": limit})


def read_page(answer: ServiceAnswer, url: str) -> RosterPage:
    """One page, its rows as they were sent. Raises StrictJsonError.

    An empty body is an empty page: that is what a roster with nobody in it can look like.
    """
    container = read_body(answer.body)
    if container is None:
        return RosterPage(())
    rows = container.get("members") if isinstance(container, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StrictJsonError("no membership container")
    context = container.get("context")
    context_id = name(context.get("id")) if isinstance(context, dict) else None
    return RosterPage(tuple(rows), context_id, linked(answer, "differences", url))
