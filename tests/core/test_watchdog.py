"""A hook that blocks the event loop is named while it blocks; where others share the work, the process ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from structlog.testing import capture_logs

from ltihost.plugins.loader import load_plugins
from ltihost.plugins.watchdog import EXIT_STATUS, Running, Watchdog, plugins_at_fault
from tests.core.test_plugins import entry

_BLOCKED = """
import sys, time
from pathlib import Path
from ltihost.plugins.watchdog import Running, Watchdog
call = Running("slowpoke", "map_roles", "ten_1", time.monotonic())
Watchdog(lambda: call, Path(sys.argv[1]), slow=0.05, blocked=0.2).start()
time.sleep(60)  # the hook: only the end of the process ends it
"""


def test_a_blocked_process_names_the_plugin_and_ends(tmp_path: Path) -> None:
    faults = tmp_path / "faults"
    ended = subprocess.run(
        [sys.executable, "-c", _BLOCKED, str(faults)], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == EXIT_STATUS
    assert "slowpoke" in ended.stdout + ended.stderr
    assert plugins_at_fault(faults) == {"slowpoke": "map_roles"}


def test_the_next_process_refuses_the_plugin(tmp_path: Path) -> None:
    faults = tmp_path / "faults"
    faults.write_text("good map_roles\n")
    plugins = load_plugins(installed=[entry("good"), entry("policy")], at_fault=plugins_at_fault(faults))
    assert plugins.get("good") is None
    assert plugins.get("policy") is not None
    assert [(item.name, item.code) for item in plugins.refused] == [("good", "hook_blocked")]
    assert "map_roles" in plugins.refused[0].reason


def test_without_a_file_a_slow_hook_is_named_once_and_nothing_ends() -> None:
    call = Running("slowpoke", "map_roles", "ten_1", time.monotonic() - 60)
    looked = threading.Semaphore(0)

    def running() -> Running | None:
        looked.release()
        return call

    with capture_logs() as logs:
        dog = Watchdog(running, None, slow=0.01)
        dog.start()
        for _ in range(4):
            assert looked.acquire(timeout=10)
        dog.stop()
    assert [(log["event"], log["plugin"]) for log in logs] == [("plugin.hook_blocks", "slowpoke")]


def test_no_file_means_no_faults(tmp_path: Path) -> None:
    assert plugins_at_fault(None) == {}
    assert plugins_at_fault(tmp_path / "missing") == {}
