"""What a plugin's README names exists: tests, samples, steps."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.plugins.reading import samples

HERE = Path(__file__).parent
PLUGINS = HERE.parents[1] / "plugins"
KEYS = ("canvas", "moodle", "blackboard", "classroom")


def readme(key: str) -> str:
    return (PLUGINS / key / "README.md").read_text(encoding="utf-8")


def known_tests(key: str) -> set[str]:
    files = [HERE / "test_every_plugin.py", *(HERE / key).glob("test_*.py")]
    return {
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize("key", KEYS)
def test_named_tests_exist(key: str) -> None:
    known = known_tests(key)
    named = re.findall(r"[`:](test_\w+)(…?)`", readme(key))
    missing = [name for name, cut in named if not (any(t.startswith(name) for t in known) if cut else name in known)]
    assert missing == []


@pytest.mark.parametrize("key", ["canvas", "moodle", "blackboard"])
def test_named_samples_exist(key: str) -> None:
    known = {sample.file.removesuffix(".json") for sample in samples(key)}
    lists = re.findall(r"\bsamples? ((?:`[a-z_]+`(?:, )?)+)", readme(key))
    named = {name for some in lists for name in re.findall(r"`([a-z_]+)`", some)}
    assert named
    assert named <= known


@pytest.mark.parametrize("key", ["canvas", "moodle", "blackboard"])
def test_named_steps_exist(key: str) -> None:
    named = set(re.findall(r"`(claims|roles)\.(\w{3,})`", readme(key)))
    assert named
    assert all(hasattr(import_module(f"ltihost_{key}.{module}"), name) for module, name in named)
