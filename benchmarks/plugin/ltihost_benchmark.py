"""The plugin `benchmark`: an LMS by the specs that may be asked 32 things at once. On the host's PYTHONPATH it is
found like an installed one."""

from __future__ import annotations

from typing import ClassVar

from ltihost.plugins import LtiAdapter, Manifest, hookimpl

manifest = Manifest(key="benchmark", name="Benchmark", note="Asks an LMS 32 things at once.")


class BenchmarkAdapter(LtiAdapter):
    """By the specs, but wide."""

    in_flight: ClassVar[int] = 32
    #: Else a score whose fate was unclear would be sent again two minutes later, which is not measured.
    enforces_timestamp: ClassVar[bool] = True


@hookimpl
def register_adapter() -> type[LtiAdapter]:
    return BenchmarkAdapter
