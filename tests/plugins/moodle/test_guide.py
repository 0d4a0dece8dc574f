"""The registration guide for Moodle, and the help that answers for what the plugin cannot do."""

from __future__ import annotations

import pytest

from ltihost.plugins import ToolUrls
from ltihost.plugins.contract import fill_preset
from ltihost_moodle.guide import guide
from tests.plugins.reading import Reader


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Tool URL", "https://tool.example.org/r/reg1/lti/launch"),
        ("LTI version", "LTI 1.3"),
        ("Public key type", "Keyset URL"),
        ("Public keyset", "https://tool.example.org/r/reg1/lti/jwks"),
        ("Initiate login URL", "https://tool.example.org/r/reg1/lti/login"),
        ("Redirection URI(s)", "https://tool.example.org/r/reg1/lti/launch"),
        ("Content Selection URL", "https://tool.example.org/r/reg1/lti/launch"),
        ("Share launcher's name with tool", "Always"),
    ],
)
def test_form_field(urls: ToolUrls, field: str, value: str) -> None:
    assert f"{field}: {value}\n" in guide(urls).documents[0].text


def test_k20_the_history_of_a_copied_course_is_asked_for(urls: ToolUrls) -> None:
    assert "context_history=$Context.id.history\n" in guide(urls).documents[1].text


def test_k21_m13_help_for_a_restored_course_tool(moodle: Reader) -> None:
    assert "restored" in moodle.manifest.help["unknown_registration"]


def test_k22_m14_help_where_cookies_are_blocked(moodle: Reader) -> None:
    assert "New window" in moodle.manifest.help["browser_binding"]


def test_preset_follows_an_issuer_with_a_path(moodle: Reader) -> None:
    (preset,) = moodle.manifest.presets
    assert preset.issuer is None
    assert fill_preset(preset, "https://x.edu/moodle", "abc") == {
        "auth_url": "https://x.edu/moodle/mod/lti/auth.php",
        "token_url": "https://x.edu/moodle/mod/lti/token.php",
        "jwks_url": "https://x.edu/moodle/mod/lti/certs.php",
    }
