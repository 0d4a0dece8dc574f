"""HTML from applications: what could run in a page of the LMS is taken out, the rest stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.lti.safe_html import safe_html


def https_only(url: str) -> bool:
    return url.startswith("https://")


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<p>Read <b>this</b></p>", "<p>Read <b>this</b></p>"),
        ("<script>alert(1)</script>", ""),
        ("<img src=x onerror=alert(1)>", "<img>"),
        ('<img src="https://x.example/a.png" alt="a">', '<img src="https://x.example/a.png" alt="a">'),
        ("<svg onload=alert(1)>", ""),
        ('<a href=" javascript:alert(1)">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<a href="//evil.example">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<iframe srcdoc="<script>x</script>"></iframe>', "<iframe></iframe>"),
        ('<iframe src="https://v.example/1" width="3" allow="camera"></iframe>', '<iframe src="https://v.example/1" width="3"></iframe>'),
        ('<form action="https://evil.example"><input name="password"></form>', ""),
        ('<p style="position:fixed">x</p><style>p{}</style>', "<p>x</p>"),
        ("<base href=https://evil.example><meta http-equiv=refresh content=0>", ""),
        ("<math><mtext><script>x</script></mtext></math>", ""),
        ("<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "&lt;p title='<img>'&gt;"),
        ("<!-- <b>-->x", "x"),
    ],
)  # fmt: skip
def test_what_stays(html: str, kept: str) -> None:
    assert safe_html(html, https_only) == kept


_PIECES = st.sampled_from(
    ["<script>", "</script>", "<a href='", "javascript:", "'>", "<img src=", " onerror=x>", "<style>", "<!--", "-->", "<svg/", "<math>", "\x00", "&lt;", "x"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_once_cleaned_nothing_changes_any_more_and_nothing_runs(html: str) -> None:
    once = safe_html(html, https_only)
    assert safe_html(once, https_only) == once
    assert "<script" not in once
    assert "<style" not in once
    assert "<svg" not in once
