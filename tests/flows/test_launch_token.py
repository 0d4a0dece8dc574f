"""Headers and keys of the id_token through the whole launch (the verifier's own tests go further)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

import pytest

from ltihost.store import tables
from tests.flows.platform import CLIENT, Key, b64, put
from tests.flows.rig import KEY, OTHER_KEY, Browser, Rig

SMALL = Key("small", 1024)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"kid": None}, "kid_missing"),
        ({"kid": "imstester_66067"}, "key_not_found"),
        ({"kid": ""}, "kid_invalid"),
        ({"kid": 1}, "kid_invalid"),
        ({"kid": "../../etc/passwd"}, "key_not_found"),
        ({"kid": "' OR 1=1--"}, "key_not_found"),
        ({"kid": "x" * 300}, "kid_invalid"),
        ({"alg": "none"}, "alg_not_allowed"),
        ({"alg": "nOnE"}, "alg_not_allowed"),
        ({"alg": "RS512"}, "alg_not_allowed"),
        ({"alg": "HS256"}, "alg_not_allowed"),
        ({"crit": ["exp"], "exp": 1}, "header_unsupported"),
        ({"b64": False, "crit": ["b64"]}, "header_unsupported"),
    ],
)
async def test_a_header_with_one_defect(rig: Rig, header: dict[str, Any], code: str) -> None:
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, rig.token(flow, header=header))) == code


async def test_a_key_in_the_header_is_neither_used_nor_fetched(rig: Rig) -> None:
    flow = await rig.login()
    header = {"jwk": OTHER_KEY.jwk(), "jku": f"{rig.keys.origin}/attacker", "x5u": f"{rig.keys.origin}/attacker"}
    token = rig.token(flow, key=OTHER_KEY, header=header | {"kid": KEY.kid})
    assert await rig.refused(await rig.post(flow, token)) == "sig_invalid"
    assert set(rig.keys.paths) <= {"/jwks"}


async def test_the_public_key_is_no_shared_secret(rig: Rig) -> None:
    flow = await rig.login()
    head, body = b64(json.dumps(KEY.header(alg="HS256")).encode()), b64(json.dumps(rig.claims(flow)).encode())
    tag = hmac.digest(json.dumps(KEY.jwk()).encode(), f"{head}.{body}".encode(), hashlib.sha256)
    assert await rig.refused(await rig.post(flow, f"{head}.{body}.{b64(tag)}")) == "alg_not_allowed"


async def test_a_weak_key_is_refused(rig: Rig) -> None:
    rig.keys.keys = [SMALL.jwk()]
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, rig.token(flow, key=SMALL))) == "key_too_small"


@pytest.mark.parametrize("change", [{"alg": "RS512"}, {"use": "enc"}, {"key_ops": ["encrypt"]}])
async def test_a_key_for_another_purpose_is_refused(rig: Rig, change: dict[str, Any]) -> None:
    rig.keys.keys = [KEY.jwk(**change)]
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, rig.token(flow))) == "key_unusable"


async def test_a_new_key_is_fetched_once(rig: Rig) -> None:
    await rig.launch()
    rig.keys.keys.append(OTHER_KEY.jwk())
    for _ in range(3):
        flow = await rig.login()
        assert (await rig.post(flow, rig.token(flow, key=OTHER_KEY))).status_code == 303
    assert len(rig.keys.paths) == 2


async def test_a_platform_changes_its_key_while_twenty_people_launch(rig: Rig) -> None:
    """R-19: every other token is signed with the new key; nobody is refused, and the set is fetched once more."""
    assert (await rig.launch()).status_code == 303
    rig.keys.keys.append(OTHER_KEY.jwk())

    async def launch(number: int) -> int:
        browser = Browser()
        flow = await rig.login(browser)
        token = rig.token(flow, put(sub=f"person-{number}"), key=(KEY, OTHER_KEY)[number % 2])
        return (await rig.post(flow, token, browser)).status_code

    assert await asyncio.gather(*map(launch, range(20))) == [303] * 20
    assert await rig.count(tables.User) == 21
    assert len(rig.keys.paths) == 2


async def test_unknown_keys_do_not_flood_the_platform(rig: Rig) -> None:
    for number in range(20):
        flow = await rig.login()
        assert (
            await rig.refused(await rig.post(flow, rig.token(flow, header={"kid": f"random-{number}"})))
            == "key_not_found"
        )
        assert (await rig.launch()).status_code == 303
    assert len(rig.keys.paths) <= 2


async def test_an_outage_of_the_key_set_does_not_burn_the_state(rig: Rig) -> None:
    rig.keys.status = 503
    flow = await rig.login()
    token = rig.token(flow)
    answer = await rig.post(flow, token)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert await rig.refused(answer) == "keys_unavailable"
    rig.keys.status = 200
    rig.clock.now += 61
    assert (await rig.post(flow, token)).status_code == 303


async def test_known_keys_serve_through_an_outage(rig: Rig) -> None:
    await rig.launch()
    rig.keys.status = 503
    rig.clock.now += 3600
    assert (await rig.launch()).status_code == 303


@pytest.mark.parametrize(
    "raw",
    ["a.b", "a.b.c.d", "a.b.c.d.e", "...", "!!!.###.$$$", "e30.e30.e30", "bnVsbA.bnVsbA.bnVsbA", "x" * 70_000],
)
async def test_what_is_no_token_is_refused_and_nothing_breaks(rig: Rig, raw: str) -> None:
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, raw)) in ("token_malformed", "token_too_large", "alg_not_allowed")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"sub":"a","sub":"admin"}', "dup_member"),
        (b'["a"]', "claims_malformed"),
        (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", "claims_malformed"),
        (b"\xff\xfe", "claims_malformed"),
    ],
)
async def test_signed_rubbish(rig: Rig, payload: bytes, code: str) -> None:
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, KEY.sign(KEY.header(), payload))) == code


@pytest.mark.parametrize("suffix", ["\n", "==", " "])
async def test_no_padding_and_no_white_space(rig: Rig, suffix: str) -> None:
    flow = await rig.login()
    assert await rig.refused(await rig.post(flow, rig.token(flow) + suffix)) == "token_malformed"


async def test_further_algorithms_and_audiences_only_where_the_registration_says_so(rig: Rig) -> None:
    await rig.register(client_id="client-2", trusted_audiences="friend", leeway="300")
    trusted = put(aud=["client-2", "friend"], azp="client-2")
    assert (await rig.launch(trusted, client_id="client-2")).status_code == 303
    assert await rig.refused(await rig.launch(put(aud=[CLIENT, "friend"], azp=CLIENT))) == "audience_untrusted"


async def test_an_id_token_is_no_api_key(rig: Rig) -> None:
    flow = await rig.login()
    answer = await rig.redeem("code", key=rig.token(flow))
    assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid")


async def test_a_sixty_second_token_is_good_for_two_minutes_and_no_longer(rig: Rig) -> None:
    for age, accepted in ((110, True), (125, False)):
        flow = await rig.login()
        token = rig.token(flow, lambda payload: payload.update(exp=payload["iat"] + 60))
        rig.clock.now += age
        answer = await rig.post(flow, token)
        assert (answer.status_code == 303) is accepted
    assert (await rig.attempts())[0].refusal == "expired"
