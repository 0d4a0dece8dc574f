"""The refusal codes and the pages that people see."""

from __future__ import annotations

from docs.blocks.markdown import code, facts, joined, table
from ltihost.errors import CHECKS, PAGES, REASONS
from ltihost.explain import QUESTIONS
from ltihost.pages import WORDS


def reference() -> str:
    """One section per code: status, what the person sees, cause, fix."""
    return joined(*(_section(name) for name in REASONS))


def pages() -> str:
    """The few pages that a refused person can see, and the checks in their order."""
    words = table(("page", "title", "advice"), ((code(page), *WORDS[page]) for page in PAGES))
    checks = table(("check", "question"), ((code(name), QUESTIONS[name]) for name in CHECKS))
    return joined("## Pages", words, "## Checks, in order", checks)


def _section(name: str) -> str:
    reason = REASONS[name]
    lines = (
        ("Status", reason.status),
        ("The person sees", f"{WORDS[reason.page][0]} ({code(reason.page)})"),
        ("Cause", reason.cause),
        ("Fix", reason.fix),
    )
    return joined(f"### {name}", facts(lines))
