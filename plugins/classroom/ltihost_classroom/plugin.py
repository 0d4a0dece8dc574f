"""Google Classroom: known to the host, but without its bridge, so that nothing can be launched from it yet."""

from __future__ import annotations

from ltihost.plugins import Manifest

manifest = Manifest(
    key="classroom",
    name="Google Classroom",
    note="Google Classroom does not speak LTI and the bridge to it is not built yet: nothing can be launched from it.",
)
