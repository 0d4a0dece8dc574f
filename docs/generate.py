"""Fills the generated parts of the documentation from the code.

    python -m docs.generate            write them
    python -m docs.generate --check    say which pages are out of date; exit status 1 if there are any

A page marks such a part by two comments: `<!-- generated: NAME -->` and `<!-- end -->`. NAME is a key of BLOCKS, or
`file PATH` for a file that is shown whole. Everything outside the marks is written by hand and stays as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs.blocks import api, commands, guides, hooks, launch, plugins, refusals, roles, settings, tables, web
from docs.blocks.markdown import fence

ROOT = Path(__file__).parents[1]
COMMAND = "python -m docs.generate"
_PART = re.compile(r"(<!-- generated: (?P<name>[^\n]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json"}

#: What can be generated, by name.
BLOCKS: Mapping[str, Callable[[], str]] = {
    "api": api.operations,
    "api errors": api.errors,
    "api limits": api.limits,
    "cli": commands.reference,
    "cli exit": commands.exit_statuses,
    "cookies": web.cookies,
    "headers": web.headers,
    "hooks": hooks.reference,
    "hooks exports": hooks.exports,
    "launch example": launch.example,
    "launch fields": launch.fields,
    "manifest": plugins.contract,
    "plugins": plugins.first_party,
    "plugins refused": plugins.refusals,
    "pages": refusals.pages,
    "refusals": refusals.reference,
    "role names": roles.strongest,
    "role vocabulary": roles.vocabulary,
    "role rules": roles.rules,
    "settings": settings.reference,
    "registration values": settings.registration_values,
    "tables": tables.reference,
    **{f"guide {key}": partial(guides.block, key) for key in guides.KEYS},
    **{f"help {key}": partial(guides.help_block, key) for key in guides.KEYS if key != "lti"},
}


def pages() -> list[Path]:
    """Every Markdown page below `docs/`."""
    return sorted((ROOT / "docs").rglob("*.md"))


def filled(text: str) -> str:
    """A page with its generated parts as the code has them now. Raises KeyError for a part of an unknown name."""
    return _PART.sub(lambda found: f"{found[1]}{_content(found['name'])}\n{found[3]}", text)


def outdated() -> list[Path]:
    """The pages whose generated parts differ from the code."""
    return [page for page in pages() if page.read_text(encoding="utf-8") != filled(page.read_text(encoding="utf-8"))]


def main(arguments: list[str]) -> int:
    changed = outdated()
    for page in changed:
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    if "--check" in arguments:
        return 1 if changed else 0
    for page in changed:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def _content(name: str) -> str:
    kind, _, path = name.partition(" ")
    if kind != "file":
        return BLOCKS[name]().strip("\n")
    file = ROOT / path
    return fence(_LANGUAGES.get(file.suffix, "text"), file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
