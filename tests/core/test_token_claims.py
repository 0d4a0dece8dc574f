"""What a well-signed id_token may say: with exactly one defect in its content it is refused for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from ltihost.errors import Refused
from ltihost.lti.token import verify_id_token
from ltihost.trace import Trace
from tests.core.support_login import NONCE, NOW, Login, a_login
from tests.core.support_tokens import (
    CLIENT_ID,
    a_registration,
)


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    async with a_login() as waiting:
        yield waiting


# The content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[]", "claims_malformed"),
        (b'"text"', "claims_malformed"),
        (b"null", "claims_malformed"),
        (b"", "token_malformed"),
        (b"{", "claims_malformed"),
        (b"{} {}", "claims_malformed"),
        (b"{'a': 1}", "claims_malformed"),
        (b'{"a": NaN}', "claims_malformed"),
        (b'{"a": Infinity}', "claims_malformed"),
        (b'{"a": 1e999}', "claims_malformed"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "claims_malformed"),
        (b'{"a": "\x00"}', "claims_malformed"),
        (b'{"a": "\xed\xa0\x80"}', "claims_malformed"),
        (b'\xef\xbb\xbf{"a": 1}', "claims_malformed"),
        ('{"a": 1}'.encode("utf-16"), "claims_malformed"),
        (b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}", "claims_malformed"),
        (b'{"a": ' + b"[" * 2_000 + b"]" * 2_000 + b"}", "claims_malformed"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "claims_malformed"),
        (b"[" * 40_000, "claims_malformed"),
        (b'"' + b'\\"' * 20_000 + b"{" * 40, "claims_malformed"),
        (b'{"sub": "a", "sub": "admin"}', "dup_member"),
        (b'{"sub": "a", "s\\u0075b": "admin"}', "dup_member"),
        (b'{"a": [{"b": 1, "b": 2}]}', "dup_member"),
    ],
)
async def test_content_that_is_no_plain_object_is_refused(login: Login, content: bytes, code: str) -> None:
    assert await login.refusal(login.platform.id_token(content)) == code


async def test_a_good_token_with_a_claim_twice_is_refused(login: Login) -> None:
    content = json.dumps(login.claims()).replace('"sub": "user-1"', '"sub": "user-1", "sub": "admin"').encode()
    assert await login.refusal(login.platform.id_token(content)) == "dup_member"


async def test_ordinary_nesting_and_many_brackets_in_texts_are_accepted(login: Login) -> None:
    deep: Any = "[{" * 1_000
    for _ in range(30):
        deep = [deep]
    token = await login.verify(login.token(deep=deep, wide=[{}] * 200, quoted='"[\\"{' * 100))
    assert token.claims["deep"] == deep


@pytest.mark.parametrize("sub", ["a\x00b", "\ud800", "\udfff\ud800", "x" * 5_000, 10**4_000])
async def test_odd_values_reach_the_message_rules_unharmed(login: Login, sub: object) -> None:
    assert (await login.verify(login.token(sub=sub))).claims["sub"] == sub


async def test_a_payload_without_any_lti_in_it_is_refused(login: Login) -> None:
    assert await login.refusal(login.platform.id_token({"name": "badltilaunch"})) == "issuer_mismatch"


# Issuer and audience


@pytest.mark.parametrize(
    "issuer",
    [
        "https://lms.example/",
        "http://lms.example",
        "https://LMS.example",
        "https://lms.example ",
        "",
        "\ud800",
        None,
        1,
        [],
        {},
        True,
    ],
)
async def test_any_other_issuer_is_refused(login: Login, issuer: object) -> None:
    assert await login.refusal(login.token(iss=issuer)) == "issuer_mismatch"


async def test_a_list_with_the_issuer_is_no_issuer(login: Login) -> None:
    assert await login.refusal(login.token(iss=["https://lms.example"])) == "issuer_mismatch"


async def test_a_registration_without_issuer_or_client_matches_nothing(login: Login) -> None:
    no_issuer = a_registration(jwks_url=login.server.url(), issuer=None)
    no_client = a_registration(jwks_url=login.server.url(), client_id=None)
    assert await login.refusal(login.token(iss=None), no_issuer) == "issuer_mismatch"
    assert await login.refusal(login.token(aud=None), no_client) == "audience_mismatch"


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({"aud": CLIENT_ID}, ()),
        ({"aud": [CLIENT_ID]}, ()),
        ({"aud": [CLIENT_ID, CLIENT_ID]}, ()),
        ({"aud": CLIENT_ID, "azp": CLIENT_ID}, ()),
        ({"aud": [CLIENT_ID, "us-too"], "azp": CLIENT_ID}, ("us-too",)),
    ],
)
async def test_audiences_that_mean_this_client_are_accepted(
    login: Login, change: dict[str, Any], trusted: tuple[str, ...]
) -> None:
    registration = a_registration(jwks_url=login.server.url(), trusted_audiences=trusted)
    await login.verify(login.token(**change), registration)


@pytest.mark.parametrize(
    ("change", "trusted", "code"),
    [
        ({"aud": "client-2"}, (), "audience_mismatch"),
        ({"aud": ["client-2"]}, (), "audience_mismatch"),
        ({"aud": "client-12"}, (), "audience_mismatch"),
        ({"aud": []}, (), "audience_mismatch"),
        ({"aud": ""}, (), "audience_mismatch"),
        ({"aud": 1}, (), "audience_mismatch"),
        ({"aud": {CLIENT_ID: 1}}, (), "audience_mismatch"),
        ({"aud": [CLIENT_ID, 1]}, (), "audience_mismatch"),
        ({"aud": [[CLIENT_ID]]}, (), "audience_mismatch"),
        ({"aud": None}, (), "audience_mismatch"),
        ({"aud": "us-too"}, ("us-too",), "audience_mismatch"),
        ({"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}, (), "audience_untrusted"),
        ({"aud": [CLIENT_ID, "us-too", "other"], "azp": CLIENT_ID}, ("us-too",), "audience_untrusted"),
        ({"aud": [CLIENT_ID, "us-too"]}, ("us-too",), "azp_mismatch"),
        ({"aud": [CLIENT_ID, "us-too"], "azp": "us-too"}, ("us-too",), "azp_mismatch"),
        ({"azp": "other"}, (), "azp_mismatch"),
        ({"azp": ""}, (), "azp_mismatch"),
        ({"azp": [CLIENT_ID]}, (), "azp_mismatch"),
        ({"azp": 1}, (), "azp_mismatch"),
        ({"azp": False}, (), "azp_mismatch"),
    ],
)
async def test_audiences_that_mean_somebody_else_are_refused(
    login: Login, change: dict[str, Any], trusted: tuple[str, ...], code: str
) -> None:
    registration = a_registration(jwks_url=login.server.url(), trusted_audiences=trusted)
    assert await login.refusal(login.token(**change), registration) == code


# Time


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW - 59, "iat": NOW - 300},
        {"exp": NOW + 0.5},
        {"iat": NOW - 659},
        {"iat": NOW + 60},
        {"iat": NOW + 5},
        {"iat": NOW, "exp": NOW + 86_400},
        {"nbf": NOW + 60},
        {"nbf": NOW - 1000},
        {"iat": NOW - 0.25},
    ],
)
async def test_times_within_the_bounds_are_accepted(login: Login, change: dict[str, Any]) -> None:
    await login.verify(login.token(**change))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"exp": NOW - 60, "iat": NOW - 300}, "expired"),
        ({"exp": NOW - 3600, "iat": NOW - 3900}, "expired"),
        ({"iat": 11_111, "exp": 22_222}, "expired"),
        ({"iat": NOW + 61}, "issued_in_future"),
        ({"iat": NOW + 600}, "issued_in_future"),
        ({"iat": NOW - 660}, "issued_too_long_ago"),
        ({"iat": NOW - 80_000}, "issued_too_long_ago"),
        ({"nbf": NOW + 61}, "not_yet_valid"),
        ({"exp": NOW + 86_401}, "lifetime_too_long"),
        ({"exp": 1e30}, "lifetime_too_long"),
        ({"exp": 1e308, "iat": -1e308}, "lifetime_too_long"),
        ({"exp": NOW, "iat": NOW}, "time_invalid"),
        ({"exp": NOW, "iat": NOW + 1}, "time_invalid"),
        ({"exp": None}, "time_invalid"),
        ({"iat": None}, "time_invalid"),
        ({"exp": str(NOW + 60)}, "time_invalid"),
        ({"iat": str(NOW)}, "time_invalid"),
        ({"exp": True}, "time_invalid"),
        ({"iat": False}, "time_invalid"),
        ({"exp": [NOW + 60]}, "time_invalid"),
        ({"exp": 10**4_000}, "time_invalid"),
        ({"nbf": str(NOW)}, "time_invalid"),
        ({"nbf": True}, "time_invalid"),
    ],
)
async def test_times_outside_the_bounds_are_refused(login: Login, change: dict[str, Any], code: str) -> None:
    assert await login.refusal(login.token(**change)) == code


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(0, True), (59, True), (110, True), (119, True), (120, False), (125, False)]
)
async def test_a_token_of_sixty_seconds_lives_for_its_time_and_the_leeway(
    login: Login, seconds: int, accepted: bool
) -> None:
    token = login.token(exp=NOW + 60)
    if accepted:
        await login.verify(token, now=NOW + seconds)
    else:
        assert await login.refusal(token, now=NOW + seconds) == "expired"


@pytest.mark.parametrize(("leeway", "effective"), [(0, 0), (60, 60), (300, 300), (301, 300), (86_400, 300), (-60, 0)])
async def test_the_leeway_of_a_registration_is_at_most_five_minutes(login: Login, leeway: int, effective: int) -> None:
    registration = a_registration(jwks_url=login.server.url(), leeway=leeway)
    await login.verify(login.token(iat=NOW + effective), registration)
    assert await login.refusal(login.token(iat=NOW + effective + 1), registration) == "issued_in_future"


# Nonce


@pytest.mark.parametrize(
    "nonce", [None, "", "nonce-of-another-login", NONCE + " ", NONCE.upper(), 1, [NONCE], "\ud800"]
)
async def test_any_other_nonce_is_refused_and_not_noted(login: Login, nonce: object) -> None:
    assert await login.refusal(login.token(nonce=nonce)) == "nonce_mismatch"
    with pytest.raises(Refused) as caught:
        await login.verify(login.token(nonce=nonce))
    assert "of-another" not in (caught.value.received or "")


async def test_an_empty_nonce_is_refused_even_if_it_were_expected(login: Login) -> None:
    nothing = hashlib.sha256(b"").digest()
    with pytest.raises(Refused) as caught:
        await verify_id_token(
            login.token(nonce=""),
            login.registration,
            login.keys,
            nonce_hash=nothing,
            asked_at=NOW,
            now=NOW,
            trace=Trace(),
        )
    assert caught.value.code == "nonce_mismatch"


# What an administrator sees


async def test_a_refusal_says_what_was_expected_and_what_came(login: Login) -> None:
    with pytest.raises(Refused) as caught:
        await login.verify(login.token(iss="https://lms.example/"))
    refused = caught.value
    assert (refused.check, refused.expected, refused.received) == (
        "issuer", "https://lms.example", '"https://lms.example/"',
    )  # fmt: skip
    with pytest.raises(Refused) as caught:
        await login.verify(login.token(exp=NOW - 240, iat=NOW - 300))
    assert caught.value.received == "issued 300 s ago, valid for 60 s"
    with pytest.raises(Refused) as caught:
        await login.verify(login.token(exp=NOW + 960, iat=NOW + 900))
    assert caught.value.received == "issued 900 s in the future, valid for 60 s"


@pytest.mark.parametrize(
    ("offset", "warnings"),
    [
        (-901, ["the clock of the LMS seems to be about 15 minutes behind this host's"]),
        (-86_400 * 3, ["the clock of the LMS seems to be about 3 days behind this host's"]),
        (-61, ["the clock of the LMS seems to be about 61 seconds behind this host's"]),
        (-60, []),
        (60, []),
        (900, ["the clock of the LMS seems to be about 15 minutes ahead of this host's"]),
    ],
)
async def test_a_token_that_is_older_than_its_login_comes_from_a_late_clock(
    login: Login, offset: int, warnings: list[str]
) -> None:
    with suppress(Refused):
        await login.verify(login.token(iat=NOW + offset, exp=NOW + offset + 3_600))
    assert login.trace.warnings == warnings


async def test_a_slow_browser_is_no_late_clock(login: Login) -> None:
    with pytest.raises(Refused) as caught:
        await login.verify(login.token(), now=NOW + 700)
    assert caught.value.code == "issued_too_long_ago"
    assert login.trace.warnings == []
