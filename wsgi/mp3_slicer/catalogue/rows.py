"""Rows of a catalogue, which may be damaged: what differs from the tables is one error, before anything uses it."""

import sqlite3
from typing import Any


def checked(row: Any, *kinds: type) -> tuple[Any, ...]:
    """Return a row whose columns have these types. Raises sqlite3.DatabaseError where it is missing or differs."""
    if row is None or tuple(map(type, row)) != kinds:
        raise sqlite3.DatabaseError("a row is missing, or is not as it was written")
    return tuple(row)
