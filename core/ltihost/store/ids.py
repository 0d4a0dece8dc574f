"""Public ids and short codes: random, never guessed, never reused."""

from __future__ import annotations

import os
import time

#: Crockford's alphabet: no I, L, O, U, so that a code survives being read aloud or typed from a photograph.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("ILO", "110", " -")

#: Base32 in the order of the characters themselves, so that texts sort as the numbers do.
_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
#: Written ten bits at a time: five ids are made for each launch, and the library's base32 takes ten times as long.
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)

#: What comes in great numbers gets ids that begin with the time, so that the database writes neighbours side by side:
#: it saves a third of what an accepted launch writes. The random part is as long as everybody's.
_IN_ORDER = frozenset({"lch", "aud", "evt", "gev", "dlt"})


def new_id(prefix: str) -> str:
    """A new public id: `prefix`, an underscore and 130 random bits in lower-case base32 (26 characters; 36 in order)."""
    return f"{prefix}_{_moment()}{random_text(26)}" if prefix in _IN_ORDER else f"{prefix}_{random_text(26)}"


def random_text(length: int) -> str:
    """So many random characters of base32, an even number."""
    return _base32(int.from_bytes(os.urandom(length * 5 // 8 + 1)), length)


def _moment() -> str:
    """The milliseconds since 1970 in ten characters."""
    return _base32(time.time_ns() // 1_000_000, 10)


def _base32(number: int, length: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * length - 10, -10, -10)])


def new_code() -> str:
    """A short code of 40 random bits for a person to quote, like `K7QM-3F9X`. It opens nothing."""
    number = int.from_bytes(os.urandom(5))
    letters = "".join(CROCKFORD[number >> shift & 31] for shift in range(35, -5, -5))
    return f"{letters[:4]}-{letters[4:]}"


def read_code(text: str) -> str:
    """A short code as somebody typed it, in the form in which it is stored."""
    letters = text.upper().translate(_READ_AS)
    return f"{letters[:4]}-{letters[4:]}"
