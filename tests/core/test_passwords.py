"""Passwords of administrators: which will do, and how they are hashed."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from ltihost.admin import passwords

EMAIL = "ada.lovelace@example.org"


@pytest.mark.parametrize(
    "password",
    [
        "tulip engine forty",
        "Xk9#mQ2$vL5!",
        "kräftiges Brot am Dienstag",
        "correct giraffe battery lamp",
        "университет в четверг",
        "8301746529384756",
    ],
)
def test_a_good_password_will_do(password: str) -> None:
    assert passwords.fault(password, EMAIL) is None


@pytest.mark.parametrize(
    "password",
    [
        "", "elevenchars", "           ", "Password2024!", "passwordpassword", "123456789012", "qwertyuiop123",
        "!!Administrator!!", "aaaaaaaaaaaa", "abcabcabcabcabc", "letmeinletmein1", "correct horse battery staple",
        "Ada.Lovelace@example.org", "ada.lovelace1815", "ＰＡＳＳＷＯＲＤ２０２４", "x" * 201,
    ],
)  # fmt: skip
def test_a_password_that_is_short_or_guessed_first_will_not(password: str) -> None:
    assert passwords.fault(password, EMAIL)


async def test_a_password_is_hashed_with_argon2id() -> None:
    """S-94: 64 MiB, three passes, four lanes; a salt of its own each time."""
    hasher = passwords.Passwords()
    first, second = await asyncio.gather(hasher.hash("tulip engine forty"), hasher.hash("tulip engine forty"))
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert first != second
    assert PasswordHasher().verify(first, "tulip engine forty")


async def test_one_password_has_one_hash_however_it_was_typed() -> None:
    stored = await passwords.Passwords().hash("crème brûlée am Tag")
    assert PasswordHasher().verify(stored, passwords.same_text("cre\u0300me bru\u0302le\u0301e am Tag"))


async def test_at_most_four_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher, lock, running, most = passwords.Passwords(), threading.Lock(), 0, 0
    four = threading.Barrier(passwords.AT_ONCE)

    def slow(_: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        four.wait(timeout=10)  # nobody goes on until four are here: a fifth among them would show
        with lock:
            running -= 1
        return ""

    monkeypatch.setattr(hasher._hasher, "hash", slow)
    await asyncio.gather(*(hasher.hash("tulip engine forty") for _ in range(12)))
    assert most == passwords.AT_ONCE
