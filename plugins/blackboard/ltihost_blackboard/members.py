"""Learn's roster rows -> rows as NRPS means them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltihost.plugins import LeftOut
from ltihost_blackboard.roles import TEST_USER

Row = Mapping[str, Any]


def normalised(row: Row) -> Row | LeftOut:
    """T13: the preview user of a teacher is listed, with or without the role of a learner (note on names and roles in
    Blackboard's documentation).
    """
    roles = row.get("roles")
    if isinstance(roles, list) and TEST_USER in roles:
        return LeftOut("This is the preview user that Learn makes for a teacher, who is nobody.")
    return row
