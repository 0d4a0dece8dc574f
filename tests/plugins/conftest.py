"""What the tests of all plugins share."""

from __future__ import annotations

import pytest

from ltihost.plugins import ToolUrls
from tests.plugins.reading import Reader


@pytest.fixture
def urls() -> ToolUrls:
    origin = "https://tool.example.org"
    return ToolUrls(
        origin=origin,
        login=f"{origin}/r/reg1/lti/login",
        launch=f"{origin}/r/reg1/lti/launch",
        key_set=f"{origin}/r/reg1/lti/jwks",
        name="Exercises & Videos",
    )


@pytest.fixture(scope="session")
def canvas() -> Reader:
    return Reader("canvas")


@pytest.fixture(scope="session")
def moodle() -> Reader:
    return Reader("moodle")


@pytest.fixture(scope="session")
def blackboard() -> Reader:
    return Reader("blackboard")
