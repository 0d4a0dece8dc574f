"""Content items as Learn takes them (deep linking content types in Blackboard's documentation)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ltihost.plugins import Launch, Unacceptable

#: Learn lets students open a placement where its administrator allowed that; nobody but authors may add content.
NOT_AUTHORS = ("learner", "mentor", "member", "none")

Item = Mapping[str, Any]


def linted(item: Item, launch: Launch) -> Item | Unacceptable:
    if launch.role in NOT_AUTHORS:
        return Unacceptable("Learn lets students open this placement, but only teachers may add content.")
    if item.get("type") != "ltiResourceLink":
        return item
    if not item.get("url"):
        return Unacceptable("Learn finds the tool of a link by its url, so that a link needs one.")
    return with_column(item) if isinstance(item.get("lineItem"), Mapping) else item


def with_column(item: Item) -> Item | Unacceptable:
    """A whole number as maximum, rounded up so that no score is above it; a label; grades shown at once, as Learn has it
    for columns of its own since 3900.34.
    """
    column = item["lineItem"]
    maximum, label = column.get("scoreMaximum"), column.get("label") or item.get("title")
    if not isinstance(maximum, int | float) or isinstance(maximum, bool) or not 0 < maximum < math.inf:
        return Unacceptable("Learn makes a column only with a scoreMaximum above zero.")
    if not label:
        return Unacceptable("Learn makes a column only with a name: give the item a title or its line item a label.")
    whole = {"scoreMaximum": math.ceil(maximum), "label": label}
    return {**item, "lineItem": {"gradesReleased": True, **column, **whole}}
