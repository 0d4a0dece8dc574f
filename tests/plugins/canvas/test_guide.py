"""The registration guide for Canvas: the developer key and the presets."""

from __future__ import annotations

import json

from ltihost.plugins import ToolUrls
from ltihost_canvas.guide import guide
from tests.plugins.reading import Reader


def test_developer_key_is_json_that_canvas_takes(urls: ToolUrls) -> None:
    (document,) = guide(urls).documents
    key = json.loads(document.text)
    assert document.media_type == "application/json"
    assert key["oidc_initiation_url"] == urls.login
    assert key["target_link_uri"] == urls.launch
    assert key["public_jwk_url"] == urls.key_set
    assert len(key["scopes"]) == len(set(key["scopes"])) == 6
    (extension,) = key["extensions"]
    assert extension["platform"] == "canvas.instructure.com"
    assert extension["domain"] == "tool.example.org"
    assert extension["tool_id"] == "exercises-videos"
    assert extension["privacy_level"] == "public"


def test_developer_key_places_the_tool(urls: ToolUrls) -> None:
    placements = json.loads(guide(urls).documents[0].text)["extensions"][0]["settings"]["placements"]
    messages = {placement["placement"]: placement["message_type"] for placement in placements}
    assert messages == {
        "course_navigation": "LtiResourceLinkRequest",
        "assignment_selection": "LtiDeepLinkingRequest",
        "link_selection": "LtiDeepLinkingRequest",
        "editor_button": "LtiDeepLinkingRequest",
        "account_navigation": "LtiResourceLinkRequest",
    }
    assert all(placement["target_link_uri"] == urls.launch for placement in placements)


def test_custom_fields_are_texts(urls: ToolUrls) -> None:
    fields = json.loads(guide(urls).documents[0].text)["custom_fields"]
    assert fields["context_history"] == "$Context.id.history"
    assert all(isinstance(value, str) for value in fields.values())


def test_a_name_without_letters_still_gives_a_tool_id(urls: ToolUrls) -> None:
    nameless = ToolUrls(urls.origin, urls.login, urls.launch, urls.key_set, "学习")
    assert json.loads(guide(nameless).documents[0].text)["extensions"][0]["tool_id"] == "ltihost"


def test_guide_proposes_same_instance(urls: ToolUrls) -> None:
    assert any("auto-deployments=same_instance" in step for step in guide(urls).steps)


def test_presets_are_three_environments_with_their_own_hosts(canvas: Reader) -> None:
    assert {preset.issuer: preset.jwks_url for preset in canvas.manifest.presets} == {
        "https://canvas.instructure.com": "https://sso.canvaslms.com/api/lti/security/jwks",
        "https://canvas.beta.instructure.com": "https://sso.beta.canvaslms.com/api/lti/security/jwks",
        "https://canvas.test.instructure.com": "https://sso.test.canvaslms.com/api/lti/security/jwks",
    }
