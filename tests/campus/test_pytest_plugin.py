"""The pytest plugin as a plugin author has it: in a pytest run of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AUTHORS_TESTS = """
import sys

import httpx2


def test_an_unrelated_test_pays_nothing():
    assert "ltihost.testing.campus" not in sys.modules
    assert "ltihost.plugins.loader" not in sys.modules


def test_a_campus_of_all_installed_plugins(campus):
    assert {"canvas", "moodle", "blackboard"} <= set(campus.platforms)
    assert httpx2.get(campus.base_url).is_success
"""


def test_an_authors_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(AUTHORS_TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:asyncio", "-W", "error"]
    run = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in run.stdout, run.stdout + run.stderr
