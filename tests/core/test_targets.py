"""Where a launch may lead: compared part by part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.targets import origin_of, permitted, same_page, with_query

APP = ("https://app.example/tool", "http://localhost:9000/apps/demo/launch")


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/tool",
        "https://app.example/tool/",
        "https://app.example/tool/a/b?x=1#y",
        "https://APP.example/tool/a",
        "https://app.example:443/tool",
        "http://localhost:9000/apps/demo/launch?item=1",
    ],
)
def test_the_application_and_what_lies_below(url: str) -> None:
    assert permitted(url, APP)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.evil.com/tool",
        "https://app.example@evil.com/tool",
        "https://user:pw@app.example/tool",
        "//evil.com/tool",
        "/tool",
        "https://app.example/tool/../../x",
        "https://app.example/tool/%2e%2e/x",
        "https://app.example/tool/%252e%252e/x",
        "https://app.example/tool\\..\\x",
        "https://app.example/toolbox",
        "https://app.example/",
        "https://app.example:8443/tool",
        "http://app.example/tool",
        "http://localhost:9001/apps/demo/launch",
        "javascript:alert(1)//https://app.example/tool",
        "https://app.example/tool\n",
        " https://app.example/tool",
        "https://app.example/tool/\N{EM SPACE}x",
        "https://app.example/tool/\x1cx",
        "https://аpp.example/tool",
        "https://app.example:99999/tool",
        "https://[::1/tool",
        "",
    ],
)
def test_nothing_else(url: str) -> None:
    assert not permitted(url, APP)


@given(st.text(max_size=200))
def test_no_text_is_an_error(url: str) -> None:
    if permitted(url, APP):
        assert origin_of(url) in ("https://app.example", "http://localhost:9000")


def test_pages_and_queries() -> None:
    assert same_page("https://h.example/lti/launch?item=1", "https://h.example:443/lti/launch")
    assert not same_page("https://h.example/lti/launch/x", "https://h.example/lti/launch")
    assert with_query("https://h.example/a?b=1#c", "code=2") == "https://h.example/a?b=1&code=2"
    assert with_query("https://h.example/a", "code=2") == "https://h.example/a?code=2"


def test_origins_are_written_as_browsers_do() -> None:
    assert origin_of("https://H.example:443/x?y") == "https://h.example"
    assert origin_of("http://[::1]:8080/") == "http://[::1]:8080"
    assert origin_of("data:text/html,x") is None
    assert origin_of(None) is None
