"""Public ids and short codes: random, never guessed, never reused."""

from __future__ import annotations

import base64
import os

#: Crockford's alphabet: no I, L, O, U, so that a code survives being read aloud or typed from a photograph.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("ILO", "110", " -")


def new_id(prefix: str) -> str:
    """A new public id: `prefix`, an underscore and 128 random bits in lower-case base32 (26 characters)."""
    return f"{prefix}_{random_text(16)}"


def random_text(size: int) -> str:
    """`size` random bytes in lower-case base32 without padding."""
    return base64.b32encode(os.urandom(size)).decode().rstrip("=").lower()


def new_code() -> str:
    """A short code of 40 random bits for a person to quote, like `K7QM-3F9X`. It opens nothing."""
    number = int.from_bytes(os.urandom(5))
    letters = "".join(CROCKFORD[number >> shift & 31] for shift in range(35, -5, -5))
    return f"{letters[:4]}-{letters[4:]}"


def read_code(text: str) -> str:
    """A short code as somebody typed it, in the form in which it is stored."""
    letters = text.upper().translate(_READ_AS)
    return f"{letters[:4]}-{letters[4:]}"
