"""Reads what stands in calls of the source: codes and sentences that exist nowhere else."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType


def calls(place: ModuleType | Callable[..., object], name: str) -> Iterator[tuple[object, ...]]:
    """The positional arguments of each call of `name` in a module or function; what is computed comes as text in capitals."""
    for node in ast.walk(ast.parse(inspect.getsource(place))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            yield tuple(_value(argument) for argument in node.args)


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _capitals(part) for part in node.values)
    return _capitals(node)


def _capitals(node: ast.expr) -> str:
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    return ast.unparse(inner).upper()
