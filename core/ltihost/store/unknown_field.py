"""A name that is none: what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from ltihost.errors import Invalid


def unknown_field(what: str, name: str, known: Iterable[str]) -> Invalid:
    """The error for a field that `what` ("A registration") does not have: with the name that was meant, else with all."""
    names = list(known)
    near = get_close_matches(name, names, 1)
    meant = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}."
    return Invalid("field_unknown", f"{what} has no {name!r}; {meant}")
