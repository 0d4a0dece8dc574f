"""What a plugin's README names exists: tests, samples, steps."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.plugins.reading import samples
from tests.plugins.service_samples import service_samples

HERE = Path(__file__).parent
PLUGINS = HERE.parents[1] / "plugins"
KEYS = ("canvas", "moodle", "blackboard", "classroom")


def readme(key: str) -> str:
    return (PLUGINS / key / "README.md").read_text(encoding="utf-8")


def known_tests(key: str) -> set[str]:
    files = [*HERE.glob("test_every_plugin*.py"), *(HERE / key).glob("test_*.py")]
    return {
        name
        for file in files
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
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
    known |= {sample.stem for sample in service_samples(key)}
    lists = re.findall(r"\bsamples? ((?:`[a-z_]+`(?:, )?)+)", readme(key))
    named = {name for some in lists for name in re.findall(r"`([a-z_]+)`", some)}
    assert named
    assert named <= known


@pytest.mark.parametrize("key", ["canvas", "moodle", "blackboard"])
def test_named_adapter_steps_exist(key: str) -> None:
    """`adapter.name` is a method or attribute of the plugin's adapter."""
    named = re.findall(r"`adapter\.(\w{3,})`", readme(key))
    adapter = import_module(f"ltihost_{key}.plugin").register_adapter()
    assert named
    assert [name for name in named if not hasattr(adapter, name)] == []


@pytest.mark.parametrize("key", ["canvas", "moodle", "blackboard"])
def test_named_steps_exist(key: str) -> None:
    named = set(re.findall(r"`(claims|roles|scores|members|content_items|errors)\.(\w{3,})`", readme(key)))
    assert named
    assert all(hasattr(import_module(f"ltihost_{key}.{module}"), name) for module, name in named)
