"""Content items as Canvas takes them. The numbers (D1, D2…) are those of the table of deep linking in this package's README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltihost.plugins import Launch, Unacceptable
from ltihost_canvas.claims import PLACEMENT_PARAMETER

#: Where Canvas makes a column from a `lineItem`; elsewhere it is ignored (canvas-lms, deep_linking_controller.rb).
GRADED_PLACEMENTS = frozenset(
    {
        "assignment_selection",
        "course_assignments_menu",
        "link_selection",
        "module_index_menu_modal",
        "module_menu_modal",
    }
)

Item = Mapping[str, Any]


def linted(item: Item, launch: Launch) -> Item | Unacceptable:
    if item.get("type") != "ltiResourceLink" or not isinstance(item.get("lineItem"), Mapping):
        return item
    if not takes_line_item(launch):
        return {name: value for name, value in item.items() if name != "lineItem"}
    if not _positive(item["lineItem"].get("scoreMaximum")):
        return Unacceptable("Canvas makes a column only with a scoreMaximum above zero.")
    return with_one_name(item)


def takes_line_item(launch: Launch) -> bool:
    """D2: Canvas never sends `accept_lineitem`; the placement tells. Without either, Canvas is left to decide."""
    if launch.deep_linking is not None and launch.deep_linking.accept_line_item is False:
        return False
    placement = launch.custom.get(PLACEMENT_PARAMETER)
    return placement is None or placement in GRADED_PLACEMENTS


def with_one_name(item: Item) -> Item:
    """D3: an assignment has one name. Canvas takes the label and forgets the title (canvas-lms, line_item handling in
    deep_linking_modules.rb), so where one of them is missing the other serves for both.
    """
    column, title = item["lineItem"], item.get("title")
    name = column.get("label") or title
    return {**item, "title": title or name, "lineItem": {**column, "label": name}} if name else item


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
