"""The pytest plugin that plugin authors get with ltihost: ask for `campus`, go through it with `driver.walk`.

Nothing of the host is imported until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ltihost.testing.profile import Profile
    from ltihost.testing.serving import RunningCampus


@pytest.fixture
def campus_profiles() -> Sequence[Profile]:
    """The LMSs of the `campus` fixture: those of all installed plugins. Override it to have others."""
    from ltihost.plugins.loader import load_plugins

    manifests = [plugin.manifest for plugin in load_plugins().loaded.values()]
    return [manifest.profile() for manifest in manifests if manifest.profile]


@pytest.fixture
def campus(campus_profiles: Sequence[Profile]) -> Iterator[RunningCampus]:
    """A campus on a free port of 127.0.0.1."""
    from ltihost.testing.serving import running_campus

    with running_campus(campus_profiles) as running:
        yield running
