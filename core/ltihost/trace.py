"""`Trace`: the ordered checks of one attempt, noted as they are made."""

from __future__ import annotations

from ltihost.errors import CHECKS, Refused
from ltihost.records import Check


class Trace:
    """Collects what passed. A check that is never noted counts as not reached."""

    def __init__(self) -> None:
        self._passed: dict[str, Check] = {}
        self.warnings: list[str] = []

    def passed(self, name: str, *, expected: str | None = None, received: str | None = None) -> None:
        """Note that check `name` (one of CHECKS) was made and held."""
        self._passed[name] = Check(name, "passed", expected, received)

    def warn(self, text: str) -> None:
        """Note something odd that did not stop the launch."""
        self.warnings.append(text)

    def checks(self, refused: Refused | None = None) -> tuple[Check, ...]:
        """Every check in order: passed, failed (the one `refused` names) or not reached."""
        return tuple(self._check(name, refused) for name in CHECKS)

    def _check(self, name: str, refused: Refused | None) -> Check:
        if refused is not None and refused.check == name:
            return Check(name, "failed", refused.expected, refused.received)
        return self._passed.get(name) or Check(name, "not_reached")
