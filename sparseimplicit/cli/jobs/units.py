"""What a value in a job's file may be: numbers in their ranges, times and sizes with units."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...errors import ConfigError
from ...linear.memory import parsed_bytes


def seconds(value: Any) -> float | None:
    """Return the seconds of ``"90s"``, ``"50min"``, ``"4h"``, ``"2d"`` or Slurm's ``1-12:00:00``.

    Raises
    ------
    ValueError
        For what has no unit, or one that is no time.
    """
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if found := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|d)", text):
        return float(found[1]) * TIMES[found[2]]
    if found := re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-9]{2}):([0-9]{2})", text):
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        return 86400.0 * days + 3600.0 * hours + 60.0 * minutes + rest
    raise ValueError("no time with its unit: give it as '90s', '50min', '4h', '2d' or '1-12:00:00'")


def size(value: Any) -> int | None:
    """Return the bytes of ``"900M"`` or ``"16 GB"``.

    Raises
    ------
    ValueError
        For what has no unit, or one that is no size.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str) and not value.strip().isdigit():
            return parsed_bytes(value)
    except ConfigError:
        pass
    raise ValueError("no size with its unit: give it as '900M' or '16 GB'")


TIMES: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Time = Annotated[float | None, BeforeValidator(seconds)]
Size = Annotated[int | None, BeforeValidator(size)]
Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Accuracies = Share | Annotated[list[Share], Field(min_length=2, max_length=2)]


class Section(BaseModel):
    """A table of the file: its keys and no others, of the right kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
