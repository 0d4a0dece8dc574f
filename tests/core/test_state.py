"""The signed state: what it carries, how it ends, and that nothing but our key makes one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltihost.errors import Refused
from ltihost.lti.state import (
    MAX_STATE,
    Sealer,
    State,
    Ticket,
    digest,
    new_secret,
    open_state,
    open_ticket,
    seal_state,
    seal_ticket,
    short_digest,
)

SEALER = Sealer([b"k" * 32])
NOW = 1_800_000_000


def state(**changes: object) -> State:
    fields: dict[str, object] = {
        "registration_id": "reg_" + "a" * 26,
        "issued_at": NOW,
        "flow": "0123abcd",
        "nonce_hash": digest("nonce"),
        "browser_hash": digest("secret"),
        "target_hash": short_digest("https://tool.example/launch"),
        "deployment_hash": short_digest("1"),
        "storage_target": "post_message_forwarding",
        "shared": True,
        "framed": False,
        "window": True,
    }
    return State(**(fields | changes))  # type: ignore[arg-type]


def code_of(text: str, now: float = NOW, sealer: Sealer = SEALER) -> str:
    with pytest.raises(Refused) as caught:
        open_state(sealer, text, now)
    assert caught.value.check == "state"
    return caught.value.code


@pytest.mark.parametrize(
    "changes", [{}, {"deployment_hash": b""}, {"storage_target": ""}, {"framed": True, "shared": False}]
)
def test_a_state_comes_back_as_it_went(changes: dict[str, object]) -> None:
    sent = state(**changes)
    assert open_state(SEALER, seal_state(SEALER, sent), NOW + 599) == sent


def test_the_longest_state_fits() -> None:
    assert len(seal_state(SEALER, state(storage_target="x" * 64))) <= MAX_STATE


def test_a_state_lives_ten_minutes() -> None:
    text = seal_state(SEALER, state())
    assert open_state(SEALER, text, NOW + 600)
    assert code_of(text, NOW + 601) == "state_expired"
    assert code_of(text, NOW - 61) == "state_expired"


def test_no_state_is_no_state() -> None:
    assert code_of("") == "state_missing"


@pytest.mark.parametrize("position", [0, 4, 20, 200, -1])
def test_an_altered_state_is_refused(position: int) -> None:
    text = seal_state(SEALER, state())
    altered = list(text)
    altered[position] = "A" if altered[position] != "A" else "B"
    assert code_of("".join(altered)) == "state_invalid"


def test_another_key_or_another_kind_does_not_open() -> None:
    text = seal_state(SEALER, state())
    assert code_of(text, sealer=Sealer([b"x" * 32])) == "state_invalid"
    assert code_of(SEALER.seal("lt1", b"body")) == "state_invalid"
    assert code_of(text.replace("ls1", "lt1", 1)) == "state_invalid"


def test_an_old_key_still_opens_after_a_rotation() -> None:
    text = seal_state(Sealer([b"old" * 11]), state())
    assert open_state(Sealer([b"new" * 11, b"old" * 11]), text, NOW) == state()


@given(st.text(max_size=600))
def test_rubbish_is_refused(text: str) -> None:
    assert code_of(text) in ("state_missing", "state_invalid")


def test_secrets_are_long_and_never_repeat() -> None:
    values = {new_secret() for _ in range(20_000)}
    assert len(values) == 20_000
    assert min(map(len, values)) >= 43


def test_a_ticket_fits_its_form_for_a_minute() -> None:
    ticket = Ticket("lch_1", "K7QM-3F9X", NOW + 0.25, digest("form"))
    text = seal_ticket(SEALER, ticket)
    assert open_ticket(SEALER, text, form_hash=digest("form"), now=NOW + 60) == ticket
    assert open_ticket(SEALER, text, form_hash=digest("other"), now=NOW + 1) is None
    assert open_ticket(SEALER, text, form_hash=digest("form"), now=NOW + 61) is None
    assert open_ticket(SEALER, seal_state(SEALER, state()), form_hash=digest("form"), now=NOW + 1) is None
