"""What no page may say, and that what a page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, all_pages, documentation, name_of, text_of

#: Places that exist on one machine only, and words of another standard for what has a name here.
FORBIDDEN = {
    "a machine path": r"(?<![\w.])/(?:work|root|home|tmp)/",
    "a local package index": r"index-url|extra-index",
    "a word that is not ours": r"\b(?:tool consumer|tool provider|LTI consumer)\b",
    "an unfinished place": r"\b(?:TODO|TBD|FIXME|XXX)\b|_TEST\b",
}


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_page_says(page: Path, what: str) -> None:
    assert re.findall(FORBIDDEN[what], text_of(page)) == []


def test_a_forbidden_text_would_be_found() -> None:
    assert re.search(FORBIDDEN["a machine path"], "see /home/ada/x")
    assert not re.search(FORBIDDEN["a machine path"], "https://lti.example.org/home/x and etc/root/x")


def test_every_page_begins_with_its_one_title() -> None:
    for page in documentation():
        first, *rest = [line for line in _outside_fences(text_of(page)) if re.match(r"# ", line)]
        assert text_of(page).startswith(first)
        assert rest == [], name_of(page)


def test_every_page_can_be_reached_from_the_index() -> None:
    index = text_of(ROOT / "docs" / "README.md")
    missing = [
        name
        for page in documentation()
        if (name := str(page.relative_to(ROOT / "docs"))) != "README.md" and name not in index
    ]
    assert [name for name in missing if not name.startswith("adr/")] == []


def test_every_test_that_the_security_page_names_exists() -> None:
    text = text_of(ROOT / "docs" / "explanation" / "security.md")
    named = re.findall(r"`(test_\w+)` \|", text)
    assert len(named) > 20
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in named if not re.search(rf"^(?:async )?def {name}\(", tests, re.MULTILINE)] == []


def test_every_file_that_the_security_page_names_exists() -> None:
    text = text_of(ROOT / "docs" / "explanation" / "security.md")
    named = {
        name for line in text.splitlines() if line.startswith("| ") for name in re.findall(r"`([\w/]+\.py)`", line)
    }
    assert named
    assert [name for name in sorted(named) if not (ROOT / "core" / "ltihost" / name).exists()] == []


def test_every_line_of_the_log_that_deserves_an_alarm_is_written() -> None:
    """The how-to names events; the source must log them."""
    text = text_of(ROOT / "docs" / "how-to" / "run-in-production.md")
    events = re.findall(r"`([a-z_]+\.[a-z]+)`", text.partition("worth an alarm")[2].partition("\n\n")[0])
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "core" / "ltihost").rglob("*.py"))
    assert events
    assert [event for event in events if f'("{event}"' not in source] == []


def _outside_fences(text: str) -> list[str]:
    return re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
