"""Names that lead where a test wants them to."""

from __future__ import annotations

from collections.abc import Sequence


class Names:
    """A resolver that answers from a list, one entry a call, the last one for ever; it notes what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.hosts: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.calls += 1
        self.hosts.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
