"""The text of a job: its file, and what ``--set`` has put in its place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import ConfigError
from .lines import line_of

KEYS: Final = "the README shows a job of each kind (On a cluster)"


@dataclass(frozen=True)
class Source:
    """A file of TOML as read, with keys that were set from elsewhere.

    Attributes
    ----------
    raw : dict
        All values, those that were set included.
    given : mapping
        What was set: keys as ``stage.0.steps``, and their values.
    how : str
        From where: ``--set``, or a task of a sweep.
    """

    path: Path
    text: str
    raw: dict[str, Any]
    given: Mapping[str, Any]
    how: str = "--set"

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return self.path.parent

    def at(self, *place: str | int) -> str:
        """Return where a key was given, and its name: ``job.toml, line 7: noise.sigma``."""
        name = told(place)
        for key in self.given:
            if place[: key.count(".") + 1] == _parts(key):
                return f"{self.path}, {self.how} {key}: {name}"
        line = line_of(self.text, place)
        return f"{self.path}: {name}" if line is None else f"{self.path}, line {line}: {name}"

    def setting(self, given: Mapping[str, Any], how: str = "--set") -> Source:
        """Return this source with some keys set.

        Raises
        ------
        ConfigError
            If a key goes through what is no table, or past the end of a list.
        """
        raw: Any = self.raw
        for key, value in given.items():
            raw = _with(raw, _parts(key), value, f"{self.path}, {how} {key}")
        return replace(self, raw=raw, given={**self.given, **given}, how=how)


def read_source(path: Path, assignments: Sequence[str] = ()) -> Source:
    """Read a file, and set ``key=value`` pairs: TOML values, or bare words.

    Raises
    ------
    ConfigError
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", fix="check the path.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.",
                          fix="give the file of a job.") from error  # fmt: skip
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.",
                          fix="give a text, and save it as UTF-8.") from error  # fmt: skip
    except RecursionError as error:
        raise ConfigError(f"{path} cannot be read as TOML: too deep.", fix=f"{KEYS}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.",
                          fix=f"mend that place; {KEYS}.") from error  # fmt: skip
    return Source(path, text, raw, {}).setting(dict(map(_assignment, assignments)))


def told(place: Sequence[str | int]) -> str:
    """Return a key as messages name it: ``stage[0].steps``."""
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a table of tables as keys with points: ``noise.sigma = …`` is nested in TOML."""
    keys: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            keys.update(flat(value, f"{prefix}{key}."))
        else:
            keys[f"{prefix}{key}"] = value
    return keys


def _parts(key: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals and all(key.split("."))):
        raise ConfigError(
            f"--set {text}: no assignment.", fix="write it as --set noise.sigma=15.0."
        )
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return key, value


def _with(raw: Any, parts: tuple[str | int, ...], value: Any, where: str) -> Any:
    """Return tables with one value exchanged; nothing is changed in place."""
    if not parts:
        return value
    first, *rest = parts
    if isinstance(raw, list) and isinstance(first, int):
        if first >= len(raw):
            raise ConfigError(f"{where}: there are {len(raw)} of them.", fix="count from 0.")
        return [*raw[:first], _with(raw[first], tuple(rest), value, where), *raw[first + 1 :]]
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: '{first}' is in no table.", fix="check the key.")
    name = str(first)
    return {**raw, name: _with(raw.get(name, {}), tuple(rest), value, where)}
