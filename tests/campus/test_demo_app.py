"""The demo application shows what it is given, says what is missing and trusts none of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from ltihost.testing.demo_app import ROLES, build_demo_app

LAUNCH: dict[str, Any] = {
    "id": "l1",
    "message": "resource_link",
    "launched_at": "2026-11-21T10:00:00.000Z",
    "target_link_uri": "https://tool.example.org/lti/launch",
    "tenant": {"id": "t1", "slug": "demo", "name": "Demo"},
    "registration": {"id": "r1", "name": "Our LMS", "lms": "acme", "plugin": "acme", "issuer": "https://lms.example"},
    "deployment_id": "1",
    "user": {
        "id": "u1", "subject": "7", "name": "Ada O'Brien", "given_name": "Ada", "family_name": "O'Brien",
        "middle_name": None, "email": "ada@example.org", "picture": None, "locale": "en", "anonymous": False,
    },
    "role": "learner",
    "roles": [],
    "application_roles": {"global": None, "group": None},
    "test_user": False,
    "context": {"id": "c1", "lms_id": "2", "title": "Biology <101>", "label": "BIO", "types": []},
    "resource_link": {"id": "k1", "lms_id": "11", "title": "Quiz & more", "description": "<p>Read <b>this</b></p>"},
    "line_item": None,
    "custom": {"chapter": "4", "empty": ""},
    "lis": {"person_sourcedid": None, "course_section_sourcedid": None, "course_offering_sourcedid": None},
    "for_user": None,
    "groups": None,
    "presentation": {"target": "iframe", "return_url": None, "locale": "en", "width": None, "height": None},
    "deep_linking": None,
    "capabilities": {"grades": True, "roster": False, "names": True},
    "session": {"id": "s1", "expires_at": "2026-11-21T22:00:00.000Z"},
    "browser": {"rung": "storage", "cookies": "none"},
}  # fmt: skip


def shown(launch: dict[str, Any] | None, path: str = "/apps/demo/launch") -> Any:
    """The answer of the application, mounted as the host mounts it."""
    demo = build_demo_app()

    async def with_launch(scope: Scope, receive: Receive, send: Send) -> None:
        if launch is not None:
            scope["ltihost.launch"] = launch
        await demo(scope, receive, send)

    app: ASGIApp = Starlette(routes=[Mount("/apps/demo", with_launch)])
    return TestClient(app).get(path)


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LAUNCH), **changes}


def test_shows_who_where_and_how() -> None:
    page = shown(LAUNCH)
    assert page.status_code == 200
    for text in (
        "Welcome, Ada", "Student", "Biology &lt;101&gt;", "Quiz &amp; more", "Read this", "Our LMS", "plugin acme",
        "https://lms.example", "platform storage", "chapter", "(empty)", "ada@example.org",
    ):  # fmt: skip
        assert text in page.text
    assert "<101>" not in page.text


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_word(role: str) -> None:
    assert f'<strong id="role">{ROLES[role]}</strong>' in shown(changed(role=role)).text


def test_nothing_known_about_the_person() -> None:
    nobody = {**dict.fromkeys(LAUNCH["user"]), "anonymous": True}
    page = shown(changed(user=nobody, role="none", context=None, resource_link=None, custom={}))
    assert page.status_code == 200
    assert "Welcome, guest" in page.text
    assert "anonymous" in page.text


def test_withheld_names() -> None:
    user = {**LAUNCH["user"], "name": None, "given_name": None, "family_name": None, "email": None}
    page = shown(changed(user=user))
    assert "name withheld" in page.text
    assert "e-mail withheld" in page.text


def test_test_user_is_marked() -> None:
    assert "test user" in shown(changed(test_user=True)).text
    assert "test user" not in shown(LAUNCH).text


@pytest.mark.parametrize("path", ["/apps/demo/launch", "/apps/demo/"])
def test_without_a_launch(path: str) -> None:
    page = shown(None, path)
    assert page.status_code == 404
    assert "This page needs a launch" in page.text


def test_stylesheet_is_the_applications_own_and_nothing_is_inline() -> None:
    page = shown(LAUNCH)
    assert 'href="/apps/demo/static/demo.css"' in page.text
    assert not [part for part in ("<style", " style=", "<script", "javascript:") if part in page.text]
    assert shown(None, "/apps/demo/static/demo.css").status_code == 200
