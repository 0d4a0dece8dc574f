"""Passwords of administrators: which are good enough, and how they are stored."""

from __future__ import annotations

import asyncio
import string
import unicodedata
from functools import cache
from importlib.resources import files

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

MIN_LENGTH = 12
MAX_LENGTH = 200
#: One hash takes 64 MiB and a tenth of a second; so many are computed at once in one process.
AT_ONCE = 4
_AROUND = string.digits + string.punctuation + string.whitespace


class Passwords:
    """Hashes passwords with argon2id, in threads, so that nobody else waits."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._room = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """The text to store. It names its own parameters."""
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, same_text(password))


def fault(password: str, email: str) -> str | None:
    """What is wrong with a password for the account of this address, in one sentence; None when it will do."""
    plain = same_text(password)
    if len(plain) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters. A few words in a row are easy to remember."
    if len(plain) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    if _is_common(plain.casefold(), email.casefold()):
        return "This is one of the first that somebody would guess. Use a few words that do not belong together."
    return None


def same_text(password: str) -> str:
    """One form for what keyboards type in several."""
    return unicodedata.normalize("NFKC", password)


def _is_common(folded: str, email: str) -> bool:
    """A known one, with or without figures around it; the address; or something short said over and over."""
    bare = folded.strip(_AROUND)
    known = _common() | {email, email.partition("@")[0]}
    return folded in known or bare in known or len(_repeated(folded)) < MIN_LENGTH or _repeated(bare) in known


def _repeated(text: str) -> str:
    """The shortest text of which `text` is a repetition."""
    return text[: (text + text).find(text, 1)] if text else ""


@cache
def _common() -> frozenset[str]:
    lines = (files("ltihost.admin") / "common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
