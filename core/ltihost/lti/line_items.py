"""Line items on the wire. AGS 2.0 section 3.2."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ltihost.lti.service_json import name, number, text, usable
from ltihost.lti.service_urls import with_parameters
from ltihost.service_records import LineItem

MEDIA_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
CONTAINER_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
MAX_BYTES = 1_048_576
#: Platforms keep these in columns of 255 characters; a longer one can end in a 502 and a column that nobody finds.
MAX_TEXT = 255


def line_items_url(url: str, *, resource_id: str | None, tag: str | None, resource_link: str | None) -> str:
    """The container's URL with its filters. AGS 3.2.4."""
    return with_parameters(url, {"resource_id": resource_id, "tag": tag, "resource_link_id": resource_link})


def read_line_item(value: object, url: str | None = None) -> LineItem | None:
    """A line item as a platform sends it; None for what is none. Blank members are absent ones.

    `url` is where it was asked for, if it was: it goes on being its URL.
    """
    if not isinstance(value, Mapping) or "scoreMaximum" not in value:
        return None
    address = url or text(value.get("id"))
    if address is None:
        return None
    released, review = value.get("gradesReleased"), value.get("submissionReview")
    return LineItem(
        id=None,
        label=text(value.get("label")) or "",  # the total of a course can come with null
        maximum=number(value.get("scoreMaximum")) or Decimal(0),
        url=address,
        resource_id=name(value.get("resourceId")),
        tag=name(value.get("tag")),
        resource_link=name(value.get("resourceLinkId")),
        starts_at=text(value.get("startDateTime")),
        ends_at=text(value.get("endDateTime")),
        grades_released=released if isinstance(released, bool) else None,
        submission_review=review if isinstance(review, Mapping) else None,
        raw=dict(value),
    )


def fits(item: LineItem, *, resource_id: str | None, tag: str | None, resource_link: str | None) -> bool:
    """Whether it is what was asked for: a platform may ignore a filter."""
    wanted = ((resource_id, item.resource_id), (tag, item.tag), (resource_link, item.resource_link))
    return all(value is None or value == found for value, found in wanted)


def new_body(item: LineItem) -> dict[str, Any]:
    """What to post: everything that is stated, and no `id`. AGS 3.2.5."""
    stated = {"resourceId": item.resource_id, "tag": item.tag, "resourceLinkId": item.resource_link}
    return {**_wanted(item), **{member: value for member, value in stated.items() if value is not None}}


def changed_body(item: LineItem, current: Mapping[str, Any]) -> dict[str, Any]:
    """What to put: the whole object as it stands, with what is wanted in it. AGS 3.2.6.

    Members that are left out are unset, `resourceLinkId` among them (the column is uncoupled then). `id` is left
    out: it must not change, and an object that holds it can be refused.
    """
    return {member: value for member, value in current.items() if member != "id"} | _wanted(item)


def is_valid(item: LineItem) -> bool:
    """Whether it may be sent: platforms accept a maximum of zero and less, and cannot undo it."""
    names = (item.resource_id or "", item.tag or "")
    maximum = usable(item.maximum) and item.maximum > 0
    return bool(item.label.strip()) and maximum and all(len(value) <= MAX_TEXT for value in names)


def _wanted(item: LineItem) -> dict[str, Any]:
    members: dict[str, Any] = {
        "label": item.label[:MAX_TEXT],
        "scoreMaximum": item.maximum,
        "startDateTime": item.starts_at,
        "endDateTime": item.ends_at,
        "gradesReleased": item.grades_released,
        "submissionReview": item.submission_review,
    }
    return {member: value for member, value in members.items() if value is not None}
