"""The registration guide for Blackboard: portal sheet, parameters, administrator's checklist."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ltihost.plugins import ToolUrls
from ltihost.plugins.contract import fill_preset
from ltihost_blackboard.guide import NEVER_DELETE, guide
from ltihost_blackboard.roles import Settings
from tests.plugins.reading import Reader


def document(urls: ToolUrls, title: str) -> str:
    return next(item.text for item in guide(urls).documents if item.title == title)


def test_portal_fields(urls: ToolUrls) -> None:
    sheet = document(urls, "Developer portal")
    for line in (
        "Domain(s): tool.example.org",
        f"Login Initiation URL: {urls.login}",
        f"Tool Redirect URL(s): {urls.launch}",
        f"Tool JWKS URL: {urls.key_set}",
        "Signing Algorithm: RS256",
    ):
        assert line in sheet.splitlines()


def test_parameters_ask_for_the_course_role_and_the_history(urls: ToolUrls) -> None:
    lines = document(urls, "Custom parameters").splitlines()
    assert {"bb_course_role=@X@membership.role@X@", "link_history=$ResourceLink.id.history"} <= set(lines)
    assert all(line.count("=") == 1 for line in lines)


@pytest.mark.parametrize("parameter", ["placement=deep_link", "placement=course_tool", "placement=content_tool"])
def test_each_placement_tells_its_name(urls: ToolUrls, parameter: str) -> None:
    assert f"Custom parameters: {parameter}\n" in document(urls, "Placements")


def test_everybody_is_warned_never_to_delete(urls: ToolUrls) -> None:
    assert NEVER_DELETE in document(urls, "Administrator's checklist")
    assert NEVER_DELETE in guide(urls).warnings


def test_checklist_names_the_tick_that_roles_need(urls: ToolUrls) -> None:
    assert "**Role in Course**" in document(urls, "Administrator's checklist")


def test_guide_says_where_the_storage_frame_lives(urls: ToolUrls) -> None:
    assert any("storage origin" in step for step in guide(urls).steps)


def test_preset_has_a_key_set_per_client(blackboard: Reader) -> None:
    (preset,) = blackboard.manifest.presets
    assert preset.issuer == "https://blackboard.com"
    assert fill_preset(preset, preset.issuer, "7f1c2a34")["jwks_url"] == (
        "https://developer.blackboard.com/api/v1/management/applications/7f1c2a34/jwks.json"
    )


def test_t3_a_copied_learn_is_held(blackboard: Reader) -> None:
    assert blackboard.manifest.pins_instance


def test_settings_are_comma_separated_codes() -> None:
    assert Settings.model_validate({"assistant_codes": " COACH, TUTOR,"}).assistant_codes == ("COACH", "TUTOR")
    with pytest.raises(ValidationError):
        Settings.model_validate({"assistant_codes": 5})
