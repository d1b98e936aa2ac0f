"""On which line of a TOML file a key stands: tomllib reads values and forgets where they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Place = tuple[str | int, ...]
KEY: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*(\.?)""")
OPENING: Final = "[{"
CLOSING: Final = "]}"


def line_of(text: str, place: Place) -> int | None:
    """Return the line, from 1, of a key, or of the table or value it would be in; None at the top.

    Parameters
    ----------
    text : str
        That tomllib has accepted.
    place : tuple of str and int
        As ``("stage", 1, "steps")``.
    """
    known = dict(_keys(text))
    for length in range(len(place), 0, -1):
        if place[:length] in known:
            return known[place[:length]]
    return None


def _keys(text: str) -> Iterator[tuple[Place, int]]:
    """Yield every key and table header with its line."""
    table: Place = ()
    arrays: dict[Place, int] = {}
    at = 0
    while at < len(text):
        end = _end_of_statement(text, at)
        statement = text[at:end].strip()
        line = text.count("\n", 0, at + _blank(text, at)) + 1
        at = end + 1
        if not statement or statement.startswith("#"):
            continue
        if statement.startswith("[["):
            table = _inside(arrays, _parts(statement[2:]))
            arrays[table] = arrays.get(table, -1) + 1
            table = (*table, arrays[table])
            yield table, line
        elif statement.startswith("["):
            table = _inside(arrays, _parts(statement[1:]))
            yield table, line
        else:
            yield (*table, *_parts(statement)), line


def _inside(arrays: dict[Place, int], parts: tuple[str, ...]) -> Place:
    """Put in the index of the last table of each array of tables on the way."""
    place: Place = ()
    for number, part in enumerate(parts):
        place = (*place, part)
        if place in arrays and number < len(parts) - 1:
            place = (*place, arrays[place])
    return place


def _parts(text: str) -> tuple[str, ...]:
    parts, at = [], 0
    while found := KEY.match(text, at):
        word = found.group(1)
        parts.append(word[1:-1] if word[0] in "\"'" else word)
        at = found.end()
        if not found.group(2):
            break
    return tuple(parts)


def _blank(text: str, at: int) -> int:
    return len(text[at:]) - len(text[at:].lstrip())


def _end_of_statement(text: str, at: int) -> int:
    """Return where the line ends that closes all brackets and strings opened from ``at`` on."""
    depth = 0
    while at < len(text):
        mark = text[at]
        if mark == "\n" and depth <= 0:
            return at
        if mark == "#":
            newline = text.find("\n", at)
            at = len(text) if newline < 0 else newline
            continue
        if mark in "\"'":
            at = _end_of_string(text, at)
            continue
        depth += (mark in OPENING) - (mark in CLOSING)
        at += 1
    return at


def _end_of_string(text: str, at: int) -> int:
    quote = text[at] * 3 if text.startswith(text[at] * 3, at) else text[at]
    escapes = quote[0] == '"'
    at += len(quote)
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if escapes and text[at] == "\\" else 1
    at += len(quote)
    while len(quote) == 3 and text.startswith(quote[0], at):  # """ may end a string of quotes
        at += 1
    return at
