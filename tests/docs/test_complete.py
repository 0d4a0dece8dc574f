"""What exists is documented: each hook, setting, command, refusal code, route, field, table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.blocks import api, commands, hooks, launch, refusals, tables
from docs.blocks.plugins import KEYS
from ltihost.errors import REASONS
from ltihost.settings import Settings
from tests.docs.reading import ROOT, code_spans, headings, text_of

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> Path:
    return REFERENCE / name


def test_every_hook_is_documented_with_its_signature() -> None:
    assert hooks.all_hooks()
    for name, function in hooks.all_hooks().items():
        assert name in headings(page("hooks.md"))
        assert hooks.signature(function) in text_of(page("hooks.md"))


def test_the_signature_of_a_hook_is_whole() -> None:
    function = hooks.all_hooks()["normalise_claims"]
    assert hooks.signature(function).startswith("def normalise_claims(claims: dict[str, Any], binding: Binding) -> ")


def test_every_code_that_a_guide_names_is_one_of_the_api() -> None:
    """The tables of the guides say `404 code`; the list in the reference is read from the code."""
    listed = api.errors()
    for name in ("send-grades.md", "deep-linking.md"):
        rows = re.findall(r"^\| (4\d\d) (`[a-z_`, ]+`) \|", text_of(ROOT / "docs" / "how-to" / name), re.MULTILINE)
        assert rows, name
        for status, codes in rows:
            for code in codes.split(", "):
                assert f"| {status} | {code} |" in listed, (name, code)


def test_what_an_error_says_is_read_from_the_code() -> None:
    """Constants as their values; what is known only when it happens as a mark."""
    told = api.errors()
    for row in (
        "| 413 | `body_too_large` | A body has at most 262,144 bytes. |",
        "| 422 | `idempotency_key_invalid` | An Idempotency-Key has at most 200 printable ASCII characters. |",
        "| 403 | `scope_missing` | This key lacks the scope …. |",
        "| 404 | `delivery_unknown` | There is no such delivery. |",
        "| 422 | `content_item_url` | items.…: … must be an absolute https URL. |",
    ):
        assert row in told
    assert re.findall(r"`(\w+)` \| The answer says it\.", told) == [
        "content_item_unacceptable",
        "target_not_registered",
    ]


def test_every_setting_is_documented() -> None:
    documented = set(code_spans(page("settings.md")))
    assert {f"LTIHOST_{name.upper()}" for name in Settings.model_fields} <= documented


def test_every_command_has_a_section() -> None:
    names = [name for name, _ in commands.leaves()]
    assert {"ltihost demo", "ltihost serve", "ltihost app key create"} <= set(names)
    assert set(names) <= set(headings(page("cli.md")))


def test_every_option_of_every_command_says_what_it_does() -> None:
    """`--issuer` and its like are named as what they are; everything else needs words."""
    silent = [
        f"{name} {parameter.opts[0]}"
        for name, command in commands.leaves()
        for parameter in command.params
        if not getattr(parameter, "help", None) and not _is_registration_value(parameter.opts[0])
    ]
    assert silent == []


def test_every_command_that_lists_or_creates_answers_json() -> None:
    """As the page says."""
    verbs = ("list", "create", "add", "show", "check", "approve", "enable")
    without = [
        name
        for name, command in commands.leaves()
        if name.split()[-1] in verbs and "--json" not in {option for item in command.params for option in item.opts}
    ]
    assert without == []


def test_every_refusal_code_has_a_section() -> None:
    assert set(REASONS) <= set(headings(page("refusal-codes.md")))


def test_every_page_that_people_see_is_listed() -> None:
    assert refusals.pages() in text_of(page("refusal-codes.md"))


def test_every_operation_of_the_api_has_a_section() -> None:
    operations = [f"{method} /api/v1{path}" for method, path, _ in api.each_operation()]
    assert operations
    assert set(operations) <= set(headings(page("api.md")))


def test_every_field_of_the_launch_is_documented() -> None:
    assert launch.fields() in text_of(page("launch-object.md"))


def test_every_plugin_of_the_repository_is_documented() -> None:
    assert {path.name for path in (ROOT / "plugins").iterdir() if path.is_dir()} | {"lti"} == set(KEYS)
    assert set(KEYS) <= set(headings(page("plugins.md")))


def test_every_table_is_documented() -> None:
    documented = set(code_spans(ROOT / "docs" / "explanation" / "data.md"))
    assert {table.name for table in tables.each_table()} <= documented


@pytest.mark.parametrize("lms", ["canvas", "moodle", "blackboard"])
def test_every_lms_has_a_guide_in_the_same_order(lms: str) -> None:
    titles = headings(ROOT / "docs" / "how-to" / f"register-{lms}.md")
    wanted = [
        "Before",
        "Click path",
        "What to paste",
        "What to bring back",
        "After",
        "Verify",
        "What goes wrong most often",
    ]
    assert [title for title in titles if title in wanted] == wanted


def _is_registration_value(option: str) -> bool:
    return option in ("--issuer", "--client-id", "--auth-url", "--token-url", "--jwks-url")
