"""Secrets at rest, ids and short codes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from time_machine import TimeMachineFixture

from ltihost.errors import ConfigurationError, DecryptionError
from ltihost.store.crypto import Place, SecretBox
from ltihost.store.ids import CROCKFORD, new_code, new_id, read_code

OLD, NEW = "the old key, which is long enough", "the new key, which is long enough"
PLACE = Place("key_pairs", "private_pem", "ten_a", "key_1")


@given(st.binary(max_size=200))
def test_what_was_sealed_opens(plain: bytes) -> None:
    box = SecretBox([OLD])
    sealed = box.seal(plain, PLACE)
    assert box.open(sealed, PLACE) == plain
    assert len(plain) < 8 or plain not in sealed
    assert box.seal(plain, PLACE) != sealed


@pytest.mark.parametrize(
    "place",
    [
        Place("tenant_plugins", "private_pem", "ten_a", "key_1"),
        Place("key_pairs", "other", "ten_a", "key_1"),
        Place("key_pairs", "private_pem", "ten_b", "key_1"),
        Place("key_pairs", "private_pem", "ten_a", "key_2"),
        Place("key_pairs", "private_pem", "ten_ak", "ey_1"),
        Place("key_pairsp", "rivate_pem", "ten_a", "key_1"),
    ],
)
def test_a_secret_opens_in_its_own_place_only(place: Place) -> None:
    box = SecretBox([OLD])
    with pytest.raises(DecryptionError) as caught:
        box.open(box.seal(b"secret", PLACE), place)
    assert caught.value.code == "secret_altered"


def test_a_secret_that_was_altered_does_not_open() -> None:
    box = SecretBox([OLD])
    sealed = box.seal(b"secret", PLACE)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(DecryptionError):
            box.open(bytes(altered), PLACE)
    for length in range(len(sealed)):
        with pytest.raises(DecryptionError):
            box.open(sealed[:length], PLACE)


def test_the_ring_opens_what_any_of_its_keys_sealed() -> None:
    sealed = SecretBox([OLD]).seal(b"secret", PLACE)
    ring = SecretBox([NEW, OLD])
    assert ring.open(sealed, PLACE) == b"secret"
    assert SecretBox([NEW]).open(ring.seal(b"secret", PLACE), PLACE) == b"secret"
    with pytest.raises(DecryptionError) as caught:
        SecretBox([NEW]).open(sealed, PLACE)
    assert caught.value.code == "secret_key_unknown"


def test_each_purpose_has_its_own_key() -> None:
    ring = SecretBox([NEW, OLD])
    assert ring.derive("launch state") == SecretBox([NEW]).derive("launch state")
    assert ring.derive_all("launch state") == (
        SecretBox([NEW]).derive("launch state"), SecretBox([OLD]).derive("launch state"),
    )  # fmt: skip
    assert len({ring.derive(purpose) for purpose in ("launch state", "audit trail", "x")}) == 3
    assert len(ring.derive("x")) == 32


def test_there_is_no_default_key() -> None:
    with pytest.raises(ConfigurationError):
        SecretBox([])


def test_ids_are_random_and_say_what_they_name() -> None:
    ids = {new_id("usr") for _ in range(5_000)}
    assert len(ids) == 5_000
    assert all(re.fullmatch(r"usr_[a-z2-7]{26}", item) for item in ids)
    assert all(len({item[place] for item in ids}) == 32 for place in range(4, 30))


def test_ids_of_launches_sort_by_time(time_machine: TimeMachineFixture) -> None:
    ids = []
    for moment in (0.0, 0.5, 31.0, 32.0, 1_023.5, 1_024.0, 1_790_000_000.0, 1_790_000_000.5, 2e10):
        time_machine.move_to(moment, tick=False)
        ids += sorted(new_id("lch") for _ in range(3))
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"lch_[a-z2-7]{36}", item) for item in ids)
    assert len({item[14:] for item in ids}) == len(ids)


def test_codes_can_be_read_aloud() -> None:
    codes = {new_code() for _ in range(5_000)}
    assert len(codes) == 5_000
    assert all(re.fullmatch(f"[{CROCKFORD}]{{4}}-[{CROCKFORD}]{{4}}", code) for code in codes)
    assert {letter for code in codes for letter in code} == set(CROCKFORD + "-")


@pytest.mark.parametrize("typed", ["K7QM-3F10", "k7qm-3f10", "k7qm3f10", " K7QM 3FIO ", "k7qm-3flo"])
def test_a_typed_code_is_read_kindly(typed: str) -> None:
    assert read_code(typed) == "K7QM-3F10"
