"""The generated parts of the pages are those that the code gives now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import generate
from tests.docs.reading import documentation, name_of, text_of

_MARK = re.compile(r"<!-- (generated: (?P<name>.+?)|end) -->")


@pytest.mark.parametrize("page", documentation(), ids=name_of)
def test_the_page_is_up_to_date(page: Path) -> None:
    if generate.filled(text_of(page)) != text_of(page):
        pytest.fail(f"{name_of(page)} differs from the code; run: {generate.COMMAND}")


@pytest.mark.parametrize("page", documentation(), ids=name_of)
def test_every_mark_is_closed(page: Path) -> None:
    """An open mark would swallow the text up to the next end."""
    marks = ["end" if found["name"] is None else "begin" for found in _MARK.finditer(text_of(page))]
    assert marks == ["begin", "end"] * (len(marks) // 2)


def test_every_part_that_can_be_generated_is_shown() -> None:
    shown = {found["name"] for page in documentation() for found in _MARK.finditer(text_of(page)) if found["name"]}
    assert set(generate.BLOCKS) <= shown


def test_what_changed_by_hand_is_found() -> None:
    page = "<!-- generated: role rules -->\nold\n<!-- end -->\nby hand\n"
    assert generate.filled(page).endswith("<!-- end -->\nby hand\n")
    assert "old" not in generate.filled(page)
    assert generate.filled(generate.filled(page)) == generate.filled(page)


def test_a_part_of_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        generate.filled("<!-- generated: nothing -->\n<!-- end -->\n")
