"""Substitution variables that came back as their own name: the platform did not know or would not tell. Core spec B."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A variable may take arguments: one large LMS has permissions<manage_grades,manage_groups>.
_FORM = re.compile(r"\$[A-Za-z][A-Za-z0-9_.]*(?:<[A-Za-z0-9_.,]*>)?")

#: How the variables of the LTI specs begin: core spec, appendix B; `LineItem` and `LineItems` are of AGS.
STANDARD_PREFIXES = (
    "$User.", "$Person.", "$ActualUser.", "$ActualPerson.", "$Context.", "$ResourceLink.", "$CourseTemplate.",
    "$CourseOffering.", "$CourseSection.", "$Group.", "$Membership.", "$Message.", "$ToolPlatform.",
    "$ToolPlatformInstance.", "$LineItem.", "$LineItems.",
)  # fmt: skip


def unresolved_variable(value: str, prefixes: Sequence[str] = ()) -> bool:
    """Whether the whole of `value` is a variable's name with a known beginning: "$5 off" and "$HOME" are texts.

    `prefixes` are one platform's own beginnings, beside the standard ones: `("$Acme.",)`.
    """
    return _FORM.fullmatch(value) is not None and value.startswith((*STANDARD_PREFIXES, *prefixes))
