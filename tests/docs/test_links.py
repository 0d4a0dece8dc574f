"""Every relative link leads to a file that is there, and to a heading in it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.reading import ROOT, all_pages, anchors, links, name_of


@pytest.mark.parametrize("page", all_pages(), ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not _leads_somewhere(page, link)] == []


def test_a_dead_link_would_be_found() -> None:
    page = ROOT / "docs" / "README.md"
    assert not _leads_somewhere(page, "no-such-page.md")
    assert not _leads_somewhere(page, "tutorial.md#no-such-heading")
    assert not _leads_somewhere(page, "/absolute.md")
    assert _leads_somewhere(page, "explanation/security.md#the-known-limit")


def _leads_somewhere(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme == "https"
    if parts.path.startswith("/"):
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not parts.fragment or (target.suffix == ".md" and parts.fragment in anchors(target))
