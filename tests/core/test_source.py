"""What must stand nowhere: switches that turn a check off, and texts of other people as templates."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

import ltihost
from ltihost import cli
from ltihost.pages import Pages
from ltihost.plugins.contract import Manifest
from ltihost.records import Registration
from ltihost.settings import Settings
from ltihost.store.registrations import FIELDS

ROOT = Path(ltihost.__file__).parent
MODULES = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
TEMPLATES = sorted(ROOT.rglob("*.html"))

#: Words of which the names of switches are made that turn checks off.
LOOSE = frozenset({
    "all", "allow", "anonymous", "any", "bypass", "check", "debug", "dev", "development", "disable", "fake", "force",
    "ignore", "insecure", "lax", "lost", "missing", "mock", "mode", "no", "off", "only", "relaxed", "skip", "test",
    "trust", "trusted", "unchecked", "unsafe", "unverified", "validate", "verify", "without", "yes",
})  # fmt: skip


def loose(names: Iterator[str]) -> set[str]:
    return {name for name in names if LOOSE & set(re.split(r"[^a-z]+", name.lower()))}


def test_settings_turn_no_check_off() -> None:
    """S-17. Networks are the one thing a test system opens wider: it decides where requests may go, never who is let in."""
    assert loose(iter(Settings.model_fields)) == {"allow_networks"}
    assert [name for name, field in Settings.model_fields.items() if field.annotation is bool] == []


def test_a_registration_turns_none_off_but_those_that_lms_need() -> None:
    """S-17. A key without a name where there is one only; people without a name; audiences that are named one by one."""
    meant = {"allow_missing_kid", "allow_anonymous", "trusted_audiences"}
    assert loose(field.name for field in fields(Registration)) == meant
    assert loose(iter(FIELDS)) == {name.replace("_", "-") for name in meant}
    assert loose(field.name for field in fields(Manifest)) == set()


def test_no_command_turns_one_off() -> None:
    """S-17. `--forwarded-allow-ips` names proxies, `--allow-target` URLs of the application, `--check` is the demo's; the
    others say what is sent again, and that a lost key shall be replaced."""
    assert loose(iter(_options(typer.main.get_command(cli.command)))) == {
        "--forwarded-allow-ips", "--allow-target", "--all", "--check", "--secret-key-lost",
    }  # fmt: skip


def _options(command: Any) -> set[str]:
    inner = getattr(command, "commands", {}).values()
    own = {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*map(_options, inner))


def test_only_these_read_the_environment() -> None:
    """So that no variable that is not in `Settings` changes anything: certificates, spelling mistakes, and the demo's own."""
    assert {place for place, tree in MODULES.items() if _mentions(tree, {"environ", "environb", "getenv"})} == {
        "guard.py", "commands/database.py", "commands/operator.py", "commands/serve.py",
    }  # fmt: skip


def test_nothing_speaks_of_unverified_connections() -> None:
    loosening = {
        "CERT_NONE",
        "CERT_OPTIONAL",
        "_create_unverified_context",
        "check_hostname",
        "verify_mode",
        "verify_ssl",
    }
    assert {place for place, tree in MODULES.items() if _mentions(tree, loosening)} == set()
    turned = {
        place
        for place, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in ("ssl", "verify") and _is_false(node.value)
    }
    assert turned == set()


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (False, None)


def _mentions(tree: ast.AST, names: set[str]) -> bool:
    """As a name, an attribute, an argument or something imported."""
    for node in ast.walk(tree):
        found = (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "arg", None))
        imported = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
        if names & {*found, *imported}:
            return True
    return False


def test_templates_are_files_and_nothing_else() -> None:
    """S-63: no text of a platform can be the source of one, or be taken for HTML."""
    made_of_text = {
        "from_string",
        "Template",
        "NativeEnvironment",
        "SandboxedEnvironment",
        "Markup",
        "format_map",
        "compile_expression",
    }
    assert {place for place, tree in MODULES.items() if _mentions(tree, made_of_text)} == set()
    for place, call in _environments():
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given["autoescape"] == "True", place
        assert given["loader"].startswith("PackageLoader('ltihost"), place


def _environments() -> list[tuple[str, ast.Call]]:
    found = [
        (place, node)
        for place, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Environment"
    ]
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_gives_up_escaping(path: Path) -> None:
    """S-62: and none has a script or a handler of its own, but for the one with a nonce."""
    text = path.read_text()
    assert not re.search(r"\|\s*safe\b|autoescape|include\s+[^'\"]|extends\s+[^'\"]", text)
    assert not re.search(r"\son\w+\s*=", text)
    assert not re.search(r"<script(?![^>]*\b(src|nonce)=)", text)
    assert not re.search(r"(href|src|action)=(?![\"'])", text)


def test_a_text_of_ours_is_escaped_like_any_other() -> None:
    """Jinja2 takes what a translation answers for HTML."""
    page = bytes(Pages(()).message(None, "{{7*7}}<script>", "\"'><img src=x>").body).decode()
    assert "<h1>{{7*7}}&lt;script&gt;</h1>" in page
    assert "<p>&quot;&#x27;&gt;&lt;img src=x&gt;</p>" in page
