"""What can go wrong with an LMS's services on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltihost.testing.services.records import Service

#: Each fault and how the campus's pages call it.
SERVICE_FAULTS: Mapping[str, str] = {
    "throttled": "Too many requests: asks to come back later",
    "token_refused": "The token endpoint refuses every tool",
    "token_error": "The token endpoint answers 500",
    "error_500": "Answers 500",
    "unavailable": "Answers 503",
    "access_off": "An administrator switched the tool's access off",
    "hang": "Hangs for half a minute, then does what was asked",
    "lost_answer": "Does what was asked, then closes the connection",
    "late_clock": "The LMS's clock is 15 minutes late",
    "fast_clock": "The LMS's clock is 15 minutes fast",
}
_TOKEN_ONLY = frozenset({"token_refused", "token_error"})
_CLOCKS = {"late_clock": -900.0, "fast_clock": 900.0}


@dataclass(slots=True)
class _Switch:
    service: Service | None
    left: int | None


class ServiceFaults:
    """Switches of one LMS. `latency` (seconds) delays every score; a throttled tool is told to wait `retry_after`."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.hang_seconds = 30.0
        self.retry_after = 2
        self._on: dict[str, _Switch] = {}

    def switch(self, fault: str, *, service: Service | None = None, times: int | None = None) -> None:
        """Let `fault` happen from now on: to one service or to all, for ever or the next `times` requests.

        Raises ValueError for an unknown fault.
        """
        if fault not in SERVICE_FAULTS:
            raise ValueError(f"unknown fault {fault!r}; there is {', '.join(SERVICE_FAULTS)}")
        self._on[fault] = _Switch("token" if fault in _TOKEN_ONLY else service, times)

    def clear(self, fault: str | None = None) -> None:
        """Switch one fault off, or all of them."""
        for name in [fault] if fault else list(self._on):
            self._on.pop(name, None)

    @property
    def on(self) -> dict[str, Service | None]:
        """The faults that are switched on, and the service each is meant for."""
        return {name: switch.service for name, switch in self._on.items()}

    @property
    def skew(self) -> float:
        """How far the LMS's clock is off, in seconds."""
        return sum(_CLOCKS.get(name, 0.0) for name in self._on)

    def meet(self, service: Service) -> str | None:
        """The fault that this request meets, None if all goes well. One that is on for so many times is counted down."""
        for name, switch in self._on.items():
            if name in _CLOCKS or not _meant(switch.service, service):
                continue
            if switch.left is not None:
                switch.left -= 1
                if switch.left <= 0:
                    del self._on[name]
            return name
        return None


def _meant(wanted: Service | None, service: Service) -> bool:
    """A fault of all services leaves the token endpoint alone: without a token nothing else would be seen."""
    return service == wanted if wanted else service != "token"
