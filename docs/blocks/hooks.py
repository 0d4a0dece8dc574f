"""The hooks and what a plugin may import."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import ltihost.plugins
from docs.blocks.markdown import code, document, fence, joined, table
from ltihost.plugins import hookspecs


def all_hooks() -> dict[str, Callable[..., Any]]:
    """The functions marked `@hookspec`, in the order in which they stand."""
    marked = f"{hookspecs.PROJECT}_spec"
    return {name: item for name, item in vars(hookspecs).items() if callable(item) and hasattr(item, marked)}


def signature(function: Callable[..., Any]) -> str:
    """`def name(parameters) -> answer`, as in the source, on one line."""
    source = inspect.getsource(function)
    found = re.search(r"def .*?(?=:\n)", source, re.DOTALL)
    assert found is not None
    return " ".join(found[0].split()).replace("( ", "(").replace(", )", ")")


def reference() -> str:
    """Module docstring, then each hook with its signature and its docstring."""
    sections = (
        joined(f"## {name}", fence("python", signature(function)), document(function))
        for name, function in all_hooks().items()
    )
    return joined(document(hookspecs).partition("\n\n")[2], *sections)


def exports() -> str:
    rows = ((code(name), _first_sentence(getattr(ltihost.plugins, name))) for name in sorted(ltihost.plugins.__all__))
    return table(("name", "what it is"), rows)


def _first_sentence(item: object) -> str:
    if isinstance(item, tuple):
        return f"the version of this contract: {'.'.join(map(str, item))}"
    if not (inspect.isclass(item) or inspect.isfunction(item)):
        return "marks a function as the implementation of a hook"
    return re.split(r"(?<=[.?])\s", document(item).replace("\n", " "), maxsplit=1)[0]
