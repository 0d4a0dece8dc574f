"""`Link` headers as LMSs really send them. RFC 8288; AGS 3.2.4, NRPS 2.4.

Read with tolerance, because a link that is overlooked ends a roster or a list of columns too early, in silence:
there are LMSs that put curly quotation marks around the relation and write `&amp;` in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from ltihost.service_records import ServiceAnswer

# Header bytes are read as UTF-8 or, where another header is not UTF-8, as Latin-1: the marks come in both shapes.
_CURLY = re.compile("“|”|â\x80\x9c|â\x80\x9d")
_PARAMETER = re.compile(r'[\s;]*;\s*([^\s=;,<>"]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s";,]*))?', re.DOTALL)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its target as it was written, and its relations in lower case."""

    target: str
    relations: frozenset[str]


def read_links(header: str) -> Iterator[Link]:
    """Every link of a header's value; repeated headers are joined by commas before."""
    header, at = _CURLY.sub('"', header), 0
    while (opened := header.find("<", at)) >= 0 and (closed := header.find(">", opened)) >= 0:
        relations, at = _relations(header, closed + 1)
        # Once only: in a target that was escaped twice, the second time was meant.
        yield Link(header[opened + 1 : closed].strip().replace("&amp;", "&"), relations)


def linked(answer: ServiceAnswer, relation: str, request_url: str) -> str | None:
    """The URL that an answer links under this relation, absolute but otherwise as it was written; else None."""
    for link in read_links(answer.headers.get("link", "")):
        if relation in link.relations and link.target:
            return link.target if _ABSOLUTE.match(link.target) else urljoin(request_url, link.target)
    return None


def next_url(answer: ServiceAnswer, request_url: str) -> str | None:
    """The URL of the next page; None on the last one."""
    return linked(answer, "next", request_url)


def _relations(header: str, at: int) -> tuple[frozenset[str], int]:
    """The relations of the link whose parameters begin at `at`, and where they end."""
    found: str | None = None
    while (parameter := _PARAMETER.match(header, at)) is not None:
        at = parameter.end()
        if parameter[1].lower() == "rel" and found is None:  # only the first counts, RFC 8288 3.3
            found = (parameter[2] or "").strip('"')
    return frozenset((found or "").lower().split()), at
