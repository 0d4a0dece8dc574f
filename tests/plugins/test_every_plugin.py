"""What holds for the plugin of every LMS that speaks LTI: its samples, its manners, its guide, its help."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ltihost_blackboard.plugin
import ltihost_canvas.plugin
import ltihost_moodle.plugin
from ltihost.errors import REASONS
from ltihost.plugins import ToolUrls
from ltihost.plugins.contract import fill_preset
from ltihost.testing.parts import Message, Opening, Tool
from ltihost.testing.profile import Profile
from tests.plugins.reading import (
    CONTEXT,
    CONTEXT_ROLE,
    CUSTOM,
    LIS,
    LTI,
    RESOURCE_LINK,
    ROLES,
    TEST_USER,
    Claims,
    Reader,
    Sample,
    binding,
    part_of,
    samples,
)

KEYS = ("canvas", "moodle", "blackboard")
NORMALISE: dict[str, Callable[[Claims], Any]] = {
    "canvas": ltihost_canvas.plugin.normalise_claims,
    "moodle": ltihost_moodle.plugin.normalise_claims,
    "blackboard": lambda claims: ltihost_blackboard.plugin.normalise_claims(claims, binding("blackboard")),
}
#: What `registration set` takes.
REGISTRATION_NAMES = {
    "issuer", "client-id", "auth-url", "token-url", "jwks-url", "audience", "deployment-id", "home-url",
    "auto-deployments",
}  # fmt: skip

ALL_SAMPLES = [sample for key in KEYS for sample in samples(key)]


@pytest.fixture(params=KEYS)
def plugin(request: pytest.FixtureRequest) -> Reader:
    reader: Reader = request.getfixturevalue(request.param)
    return reader


@pytest.mark.parametrize("sample", ALL_SAMPLES, ids=lambda sample: f"{sample.key}-{sample.file}")
def test_sample_comes_out_as_it_says(sample: Sample, request: pytest.FixtureRequest) -> None:
    launch = request.getfixturevalue(sample.key).launch(sample.claims)
    assert part_of(sample.launch, launch) == sample.launch


NAMES = (
    CONTEXT, CUSTOM, LIS, RESOURCE_LINK, ROLES, LTI + "launch_presentation", LTI + "lti11_legacy_user_id",
    LTI + "message_type", "https://www.instructure.com/placement", "errors", "validation_context", "id", "title",
    "document_target", "context_history", "bb_course_role", "mixedCase", "mixedcase", "Mixed Case", "mixed_case",
    "caliper_federated_session_id", "https://blackboard.com/lti/claim/one_time_session_token",
)  # fmt: skip
TEXTS = (
    "", "$Canvas.user.id", "$No.Such.Var", "@X@membership.role@X@", "T", "G", "B", "_13_1mylink", "mylink", "timed out",
    "a,truncated", "LtiResourceLinkRequest", "LtiDeepLinkingRequest", f"{CONTEXT_ROLE}#Instructor",
    f"{CONTEXT_ROLE}/instructor#TeachingAssistant", TEST_USER,
)  # fmt: skip

names = st.sampled_from(NAMES) | st.text(max_size=5)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(TEXTS)
    | st.text(max_size=8)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=12
)
claims_of_any_shape = st.dictionaries(names, values, max_size=8)


@pytest.mark.parametrize("key", KEYS)
@settings(deadline=None)
@given(claims=claims_of_any_shape)
def test_any_claims_are_normalised_without_fault_and_for_good(key: str, claims: Claims) -> None:
    given_claims = copy.deepcopy(claims)
    once = NORMALISE[key](claims)
    assert claims == given_claims
    assert NORMALISE[key](once) == once


def test_help_speaks_of_refusals_that_exist(plugin: Reader) -> None:
    assert set(plugin.manifest.help) <= set(REASONS)
    assert {"unknown_registration", "deployment_pending", "browser_binding", "keys_unavailable"} <= set(
        plugin.manifest.help
    )


def test_guide_holds_our_urls_and_asks_what_can_be_set(plugin: Reader, urls: ToolUrls) -> None:
    assert plugin.manifest.guide is not None
    guide = plugin.manifest.guide(urls)
    text = "\n".join(document.text for document in guide.documents)
    for url in (urls.login, urls.launch, urls.key_set):
        assert url in text
    assert {"issuer", "client-id", "deployment-id"} <= set(guide.asks) <= REGISTRATION_NAMES


def test_documents_hold_no_foreign_url_and_no_secret(plugin: Reader, urls: ToolUrls) -> None:
    assert plugin.manifest.guide is not None
    for document in plugin.manifest.guide(urls).documents:
        hosts = set(re.findall(r"https?://([^/\s\"`]+)", document.text))
        assert hosts <= {"tool.example.org", "purl.imsglobal.org"}
        assert not re.search(r"PRIVATE|secret|password", document.text, re.IGNORECASE)


def test_every_preset_gives_https_endpoints(plugin: Reader) -> None:
    for preset in plugin.manifest.presets:
        endpoints = fill_preset(preset, preset.issuer or "https://lms.example.edu", "client-7")
        assert all(re.fullmatch(r"https://[^{}]+", url) for url in endpoints.values())


def test_the_simulated_lms_is_this_one(plugin: Reader) -> None:
    assert plugin.manifest.profile is not None
    assert plugin.manifest.profile().key == plugin.key


def openings(profile: Profile) -> Iterator[Opening]:
    """Everybody opens every link of the simulated LMS, and asks to choose content."""
    url = "https://tool.example.org/lti"
    tool = Tool(
        profile.new_client_id(1), profile.new_deployment_id(1), f"{url}/login", f"{url}/launch", (f"{url}/launch",),
        f"{url}/jwks", f"{url}/launch", "Exercises", profile.tool_custom,
    )  # fmt: skip
    for context, person in product(profile.contexts, profile.people):
        for link in (*context.links, None):
            message: Message = "LtiResourceLinkRequest" if link else "LtiDeepLinkingRequest"
            yield Opening(
                "https://lms.example.edu", tool, person, context, link, message, "a1b2c3d4e5f60718", 1790000000
            )


def test_every_launch_of_the_simulated_lms_is_read(plugin: Reader) -> None:
    assert plugin.manifest.profile is not None
    profile = plugin.manifest.profile()
    launches = [plugin.launch(profile.claims(opening)) for opening in openings(profile)]
    values = [value for launch in launches for value in launch["custom"].values()]
    assert not [value for value in values if value.startswith("$") or "@X@" in value]
    assert {"instructor", "learner", "none"} <= {launch["role"] for launch in launches}
