"""A gradebook for each test."""

from __future__ import annotations

import pytest

from ltihost.store.database import Database
from tests.core.grades.support import Book, make_book


@pytest.fixture
async def book(db: Database) -> Book:
    """A gradebook with two learners."""
    return await make_book(db, learners=2)
