"""The Markdown pages of the project, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code: its language and its text."""

    page: Path
    language: str
    text: str


def documentation() -> list[Path]:
    """The pages below `docs/`."""
    return sorted((ROOT / "docs").rglob("*.md"))


def all_pages() -> list[Path]:
    """Every page that a reader of the repository can open."""
    rest = [
        *ROOT.glob("*.md"),
        *(ROOT / "core").glob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "plugins").glob("*/*.md"),
    ]
    return documentation() + sorted(rest)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    return tuple(_PARSER.parse(text_of(page)))


def fences(page: Path) -> Iterator[Fence]:
    for token in tokens(page):
        if token.type == "fence":
            yield Fence(page, token.info.strip(), token.content)


def links(page: Path) -> Iterator[str]:
    """Where the links of a page lead, as written."""
    for token in tokens(page):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if isinstance(target, str):
                yield target


def code_spans(page: Path) -> Iterator[str]:
    """What stands between single backquotes."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as code hosting sites make them."""
    found: list[str] = []
    for heading in headings(page):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return frozenset(found)


def headings(page: Path) -> list[str]:
    """The words of each heading, without marks."""
    parsed = tokens(page)
    opened = (number for number, token in enumerate(parsed) if token.type == "heading_open")
    return ["".join(child.content for child in parsed[number + 1].children or ()) for number in opened]
