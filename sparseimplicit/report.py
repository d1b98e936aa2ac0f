"""What every report can do: print as a short table and turn into plain data."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows: numbers, strings, lists, dictionaries, None."""
    if isinstance(value, Report):
        return value.to_dict()
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Base of all reports: a frozen record that prints itself."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as nested dictionaries of plain Python values."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def __str__(self) -> str:
        """Return an aligned table, one line a figure; nested reports are indented."""
        rows = list(_rows(self.to_dict()))
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join([type(self).__name__, *(f"  {name:<{width}}  {v}" for name, v in rows)])


def _rows(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _rows(value, f"{label}: ")
        elif value is None or value == []:
            continue
        elif isinstance(value, float):
            yield label, f"{value:.3g}"
        elif isinstance(value, list) and len(value) > 6:
            yield label, f"{len(value)} entries"
        else:
            yield label, str(value)
