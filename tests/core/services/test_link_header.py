"""Link headers as LMSs send them: none may end a list too early, and no text may do harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.lti.link_header import linked, next_url, read_links
from ltihost.service_records import ServiceAnswer

PAGE = "https://lms.example/items?type_id=1"
NEXT = "https://lms.example/X?Cursor=AbC"


def answered(link: str | None) -> ServiceAnswer:
    return ServiceAnswer(200, {} if link is None else {"link": link}, b"")


@pytest.mark.parametrize(
    "header",
    [
        f'<{NEXT}>; rel="next"',
        f"<{NEXT}>;rel=next",
        f"<{NEXT}> ; rel = next",
        f'<{NEXT}>; REL="Next"',
        f'<{NEXT}>; rel="last next"',
        f'<{NEXT}>; title="a, <b>; rel=prev"; rel="next"',
        f'<{NEXT}>; title="say \\"x\\", y"; rel="next"',
        f'<{NEXT}>; rel="next"; rel="prev"',
        f"<{NEXT}>;; rel=next;",
        f'<https://lms.example/1>; rel="prev", <{NEXT}>; rel="next"',
        f'<https://lms.example/1>; rel=first,<https://lms.example/2>;rel="canonical",<{NEXT}>;rel=next',
        f"<https://lms.example/1>, <{NEXT}>; rel=next",
        f"<{NEXT}>; rel=“next”",
        f"<{NEXT}>; rel=â\x80\x9cnextâ\x80\x9d",
        '</X?Cursor=AbC>; rel="next"',
        '<X?Cursor=AbC>; rel="next"',
        '<//lms.example/X?Cursor=AbC>; rel="next"',
    ],
)
def test_the_next_page_is_found_and_its_url_kept(header: str) -> None:
    assert next_url(answered(header), PAGE) == NEXT


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("https://lms.example/a,b;c?d=e,f;g", "https://lms.example/a,b;c?d=e,f;g"),
        ("https://lms.example/i?a=1&amp;b=2", "https://lms.example/i?a=1&b=2"),
        ("https://lms.example/i?a=1&amp;amp;b=2", "https://lms.example/i?a=1&amp;b=2"),
        ("https://lms.example/I?q=%2f%2F", "https://lms.example/I?q=%2f%2F"),
        ("?from=2", "https://lms.example/items?from=2"),
    ],
)
def test_a_url_is_changed_no_more_than_it_must(target: str, url: str) -> None:
    assert next_url(answered(f'<{target}>; rel="next"'), PAGE) == url


@pytest.mark.parametrize(
    "header",
    [None, "", f"<{NEXT}>", f'<{NEXT}>; rel="prev"', f'<{NEXT}>; rel="nextpage"', f'<{NEXT}>; rev="next"',
     f"{NEXT}; rel=next", f'<{NEXT}; rel="next"', '<>; rel="next"', f'<{NEXT}>; rel="prev"; rel="next"'],
)  # fmt: skip
def test_what_links_no_next_page_is_the_last_one(header: str | None) -> None:
    assert next_url(answered(header), PAGE) is None


def test_other_relations_are_found_in_the_same_way() -> None:
    header = f'<{NEXT}>; rel="next", </d?since=Z>; rel="differences"'
    assert linked(answered(header), "differences", PAGE) == "https://lms.example/d?since=Z"


@given(st.text(alphabet=st.sampled_from('<>;,="\\ relnxt“”&ap/?'), max_size=80))
def test_no_text_does_more_than_link_something(header: str) -> None:
    for link in read_links(header):
        assert ">" not in link.target
        assert all(relation == relation.lower() and relation.split() == [relation] for relation in link.relations)


TARGETS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='<>"&'), min_size=1)
RELATIONS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz-.", min_size=1, max_size=12)


@given(st.lists(st.tuples(TARGETS, st.lists(RELATIONS, min_size=1, max_size=3), st.booleans()), max_size=6))
def test_what_is_written_by_the_rules_is_read_back_whole(links: list[tuple[str, list[str], bool]]) -> None:
    written = [f'<{target}>; title="x, y"; rel="{" ".join(names)}"' if quoted else f"<{target}>;rel={names[0]}"
               for target, names, quoted in links]  # fmt: skip
    expected = [(target, frozenset(names if quoted else names[:1])) for target, names, quoted in links]
    assert [(link.target, link.relations) for link in read_links(", ".join(written))] == expected


@pytest.mark.parametrize("piece", ["<", "<>", '<>;a="', ';"', "; ", "<a>;", '<a>;rel="\\'])
def test_a_long_header_takes_no_long_time(piece: str) -> None:
    started = time.thread_time()
    assert len(list(read_links(piece * 20_000))) <= 20_000
    assert time.thread_time() - started < 2
