"""Content items as Moodle's form takes them. What the form refuses vanishes without a word when several items come at once
(Moodle 4.5, mod/lti/amd/src/contentitem.js), so nothing of the kind may leave.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ltihost.plugins import Unacceptable

#: The site's largest maximum (`gradepointmax`) is 100 unless its administrator changed it; no message tells.
LARGEST = 100
TITLE_LENGTH = 255

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_KEY = re.compile(r"[^=\r\n]+")

Item = Mapping[str, Any]


def linted(item: Item) -> Item | Unacceptable:
    for step in STEPS:
        answer = step(item)
        if isinstance(answer, Unacceptable):
            return answer
        item = answer
    return item


def links_only(item: Item) -> Item | Unacceptable:
    """Quirk 63: every other type silently becomes a broken activity (mod/lti/locallib.php)."""
    if item.get("type") != "ltiResourceLink":
        return Unacceptable("Moodle takes links to this tool only: return an item of type ltiResourceLink.")
    return item


def with_fitting_title(item: Item) -> Item:
    """Quirk 61: the name of an activity has 255 characters at most; without one Moodle takes the tool's name."""
    column = item.get("lineItem")
    label = column.get("label") if isinstance(column, Mapping) else None
    title = item.get("title") or label
    return {**item, "title": shortened(title)} if isinstance(title, str) and title else item


def with_fitting_maximum(item: Item) -> Item | Unacceptable:
    """Quirk 61: the form takes whole numbers from 1 to 100. Any other maximum is rounded up, to 100 at most; scores state
    their own maximum and Moodle scales them, so that every ratio stays right.
    """
    column = item.get("lineItem")
    if not isinstance(column, Mapping):
        return item
    maximum = column.get("scoreMaximum")
    if not isinstance(maximum, int | float) or isinstance(maximum, bool) or not maximum > 0:
        return Unacceptable("Moodle makes a column only with a scoreMaximum above zero.")
    return {**item, "lineItem": {**column, "scoreMaximum": math.ceil(min(maximum, LARGEST))}}


def with_flat_custom(item: Item) -> Item | Unacceptable:
    """Quirk 65: parameters are written as lines of `name=value`. A nested value ends in an error page, and a line break in
    a value starts another parameter, so it leaves as the two characters `\\n`.
    """
    custom = item.get("custom")
    if not isinstance(custom, Mapping):
        return item
    if not all(_KEY.fullmatch(name) for name in custom):
        return Unacceptable("Moodle takes custom parameters only by names without line breaks and equals signs.")
    return {**item, "custom": {name: _flat(value) for name, value in custom.items() if value is not None}}


STEPS = (links_only, with_fitting_title, with_fitting_maximum, with_flat_custom)


def shortened(text: str) -> str:
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 1] + "…"


def _flat(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _LINE_BREAK.sub(r"\\n", text)
