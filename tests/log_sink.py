"""Everything that is logged for a while, as an operator gets it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ltihost.logs import configure_logs


@contextmanager
def log_sink(*, level: int = logging.INFO) -> Iterator[io.StringIO]:
    """A log that is no terminal; what was configured before comes back."""
    root, former = logging.getLogger(), structlog.get_config()
    handlers, root_level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(level=level, stream=stream)
    try:
        yield stream
    finally:
        root.handlers = handlers
        root.setLevel(root_level)
        structlog.configure(**former)
