"""Whatever comes as an id_token, it is either good or refused, and nothing else happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltihost.errors import Refused
from tests.core.support_login import NONCE, Login, a_login


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    async with a_login() as waiting:
        yield waiting


# Whatever comes

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_quick = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@_quick
@given(data=st.data())
async def test_no_change_to_a_good_token_gets_through(login: Login, data: st.DataObject) -> None:
    token = login.token()
    start = data.draw(st.integers(0, len(token)))
    changed = token[:start] + data.draw(st.text(max_size=4)) + token[data.draw(st.integers(start, len(token))) :]
    if changed != token:
        assert await login.refusal(changed)


@_quick
@given(claim=st.sampled_from(["iss", "aud", "azp", "exp", "iat", "nbf", "nonce"]), value=_values)
async def test_no_value_of_a_registered_claim_does_more_than_be_refused(login: Login, claim: str, value: Any) -> None:
    await _passes_or_is_refused(login, login.platform.id_token(login.claims() | {claim: value}))


@_quick
@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "crit", "jku", "b64", "typ", "x5c"]), _values, max_size=4))
async def test_no_header_does_more_than_be_refused(login: Login, header: dict[str, Any]) -> None:
    await _passes_or_is_refused(login, login.platform.id_token(login.claims(), header=login.platform.header() | header))


@_quick
@given(content=st.binary(max_size=60) | _values.map(json.dumps).map(str.encode))
async def test_no_signed_content_does_more_than_be_refused(login: Login, content: bytes) -> None:
    await _passes_or_is_refused(login, login.platform.id_token(content))


@_quick
@given(raw=st.text(max_size=60) | st.from_regex(r"\A[A-Za-z0-9_.-]{1,80}\Z"))
async def test_no_text_does_more_than_be_refused(login: Login, raw: str) -> None:
    assert await login.refusal(raw)


async def _passes_or_is_refused(login: Login, raw: str) -> None:
    with suppress(Refused):
        token = await login.verify(raw)
        assert token.claims["nonce"] == NONCE
