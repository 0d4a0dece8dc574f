"""Moodle's roster rows -> rows as NRPS means them (Moodle 4.5, memberships/classes/local/service/memberships.php)."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

#: What Moodle calls a site administrator in the roster: a form of LTI 2 that is neither system nor institution.
OLD_ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/person#Administrator"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"
NAMES = ("name", "given_name", "family_name", "middle_name")

Row = Mapping[str, Any]


def normalised(row: Row) -> Row:
    return with_system_administrator(with_plain_names(row))


def with_plain_names(row: Row) -> Row:
    """Quirk 58: names come as HTML text, `A &amp; B`, although the launch sends them plain."""
    names = {name: html.unescape(row[name]) for name in NAMES if isinstance(row.get(name), str)}
    return {**row, **names}


def with_system_administrator(row: Row) -> Row:
    """K6: the administrator of the site, as the launch names them."""
    roles = row.get("roles")
    if not isinstance(roles, list):
        return row
    return {**row, "roles": [ADMINISTRATOR if role == OLD_ADMINISTRATOR else role for role in roles]}
