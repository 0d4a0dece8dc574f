"""`LtiAdapter`: an LMS by the specs, in short steps that a plugin's subclass overrides where its LMS differs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ltihost.records import Binding


class SpeaksLti(ABC):
    """The ability to read LTI messages."""

    @abstractmethod
    def user_key(self, claims: Mapping[str, Any]) -> str | None:
        """The key under which this person is known within the registration; None for an anonymous launch."""


class LtiAdapter(SpeaksLti):
    """An LMS that follows the specs. It is registered as the plugin `lti`, so a conformant LMS needs no plugin.

    Adapters are cheap values: built for one piece of work from a binding, no I/O in the constructor.
    """

    def __init__(self, binding: Binding) -> None:
        self.binding = binding

    def user_key(self, claims: Mapping[str, Any]) -> str | None:
        """`sub`, which is stable and never reassigned within an issuer. Core spec 5.3.6."""
        subject = claims.get("sub")
        return subject if isinstance(subject, str) else None
