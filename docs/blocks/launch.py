"""The launch that an application receives: field by field, and an example."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from docs.blocks.launch_fields import EXAMPLE, MEANINGS
from docs.blocks.markdown import code, fence, table
from ltihost.api.models import LaunchShape
from ltihost.handover import application_launch


def fields() -> str:
    """Every field of the launch with its type and meaning. Raises ValueError when the meanings do not fit the model."""
    found = dict(_fields(LaunchShape))
    if differing := sorted(found.keys() ^ MEANINGS.keys()):
        raise ValueError(f"docs/blocks/launch_fields.py and the launch differ in: {', '.join(differing)}")
    return table(("field", "type", "meaning"), ((code(path), found[path], MEANINGS[path]) for path in found))


def example() -> str:
    """A launch of a student, as the exchange answers it. It is put together by the host's own code."""
    launch = application_launch(EXAMPLE)
    LaunchShape.model_validate(launch)
    return fence("json", json.dumps(launch, indent=2, ensure_ascii=False))


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        yield path, type_name(field.annotation)
        inner = _model(field.annotation)
        if inner is not None:
            yield from _fields(inner, f"{path}[]." if _is_list(field.annotation) else f"{path}.")


def type_name(annotation: Any) -> str:
    """A type in the words of JSON."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(code(item) for item in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_name(item) for item in arguments))
    if origin is list:
        return f"list of {type_name(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object"
    return _JSON.get(annotation, "object")


_JSON = {str: "text", bool: "boolean", int: "number", float: "number", datetime: "text (ISO 8601)", type(None): "null"}


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation: itself, of a list, or beside None."""
    candidates = (annotation, *get_args(annotation))
    return next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), None)
