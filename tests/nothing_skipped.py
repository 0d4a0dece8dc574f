"""Fails unless the test report holds browser and PostgreSQL tests and none was skipped."""

from __future__ import annotations

import sys
from xml.etree import ElementTree


def main(path: str) -> None:
    cases = list(ElementTree.parse(path).iter("testcase"))  # noqa: S314 - our own report
    skipped = [f"{case.get('classname')}::{case.get('name')}" for case in cases if case.find("skipped") is not None]
    browser = [case for case in cases if ".browser." in (case.get("classname") or "")]
    postgres = [case for case in cases if "postgres" in (case.get("name") or "")]
    for fault, found in (
        ("no browser test ran", not browser),
        ("no PostgreSQL test ran", not postgres),
        (f"skipped: {skipped}", skipped),
    ):
        if found:
            sys.exit(f"CI: {fault}")
    sys.stdout.write(
        f"CI: {len(cases)} tests, {len(browser)} in the browser, {len(postgres)} on PostgreSQL, none skipped\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
