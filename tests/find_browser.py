"""Finds a Chromium for the browser tests: on the system, else by its package manager, else says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """The path of a Chromium, or None."""
    chosen = os.environ.get("LTIHOST_BROWSER")
    return chosen or next((path for name in NAMES if (path := shutil.which(name))), None)


def install_browser() -> None:
    """By the package manager, where we may."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "chromium"],
            check=False,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )


def main() -> None:
    if find_browser() is None:
        sys.stderr.write("No Chromium found; installing one ...\n")
        install_browser()
    if find_browser() is None:
        sys.exit(
            "The browser tests need Chromium and none could be installed. Install it (Debian: `apt-get install chromium`)"
            " or point LTIHOST_BROWSER at one."
        )


if __name__ == "__main__":
    main()
