"""Reads what stands in calls of the source: codes and sentences that exist nowhere else."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

#: Stands for what is known only when the code runs.
COMPUTED = "\N{HORIZONTAL ELLIPSIS}"


def calls(place: ModuleType | Callable[..., object], name: str) -> Iterator[tuple[object, ...]]:
    """The positional arguments of each call of `name` in a module or function, with COMPUTED for what is computed.

    Constants of the module come as their values.
    """
    module = inspect.getmodule(place)
    constants = {key: value for key, value in vars(module).items() if key.isupper()}
    for node in ast.walk(ast.parse(inspect.getsource(place))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            yield tuple(_value(argument, constants) for argument in node.args)


def _value(node: ast.expr, constants: Mapping[str, object]) -> object:
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return constants.get(name, COMPUTED)
        case ast.JoinedStr(parts):
            return "".join(str(_value(part, constants)) for part in parts)
        case ast.FormattedValue(inner, _, form):
            return _formatted(_value(inner, constants), str(_value(form, constants)) if form else "")
        case ast.Call(ast.Attribute(text, "format"), filled):
            return str(_value(text, constants)).format(*(_value(part, constants) for part in filled))
    return COMPUTED


def _formatted(value: object, form: str) -> str:
    return COMPUTED if value == COMPUTED else format(value, form)
