"""From the text of a job to its checked settings; errors name file, line, key and what is near."""

from __future__ import annotations

import dataclasses
import difflib
import json
import typing
from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo

from ...errors import ConfigError
from ...imaging.models.registry import KINDS
from .schema import JOBS, STAGES, Job, LearnJob
from .source import KEYS, Source, told
from .units import Finite, Section

OTHER_WORDS: Final = {"train": "learn", "training": "learn", "eval": "evaluate", "test": "evaluate",
                      "vjp": "gradient", "grid": "sweep"}  # fmt: skip


def checked_job(source: Source, kinds: Sequence[str] = tuple(JOBS)) -> Job:
    """Return the settings of a job.

    Parameters
    ----------
    kinds : sequence of str
        Those that will do here; the first one is what a file is that does not say.

    Raises
    ------
    ConfigError
        With the file, the line, the key, and the nearest valid name for one that is unknown.
    """
    kind = source.raw.get("kind", kinds[0])
    if kind not in kinds:
        near = nearest(OTHER_WORDS.get(str(kind), str(kind)), kinds)
        raise ConfigError(
            f"{source.at('kind')} = {kind!r} is not valid here.",
            fix=f"{near}valid: {', '.join(kinds)}.",
        )
    try:
        job = _validated(source, JOBS[kind], source.raw, ())
    except ConfigError as error:
        if not _unlike(error.__cause__) or "kind" in source.raw or len(kinds) == 1:
            raise
        raise ConfigError(
            f"{error.what.removesuffix('.')} (no 'kind' is told: taken as '{kind}').",
            fix=f"{error.fix} Or say which kind of job it is: kind = "
            f"{', '.join(json.dumps(one) for one in kinds)}.",
        ) from error
    if isinstance(job, LearnJob):
        _validated(source, _model_section(source, job.model_kind), job.model, ("model",))
    return job  # type: ignore[return-value]


def _unlike(cause: BaseException | None) -> bool:
    """Whether keys are missing, or unknown: so the file may be a job of another kind."""
    if not isinstance(cause, ValidationError):
        return False
    return any(found["type"] in ("missing", "extra_forbidden") for found in cause.errors())


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return a question after the nearest valid name, or nothing."""
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""


def _validated(source: Source, section: type[Section], raw: Any, place: tuple[str, ...]) -> Section:
    try:
        return section.model_validate(raw)
    except ValidationError as error:
        raise _refused(source, error, section, place) from error


def _model_section(source: Source, kind: str) -> type[Section]:
    """Return the section [model] of a kind: its settings, with the types that it declares."""
    if kind not in KINDS:
        raise ConfigError(
            f"{source.at('model', 'kind')} = '{kind}' is no model.",
            fix=f"{nearest(kind, list(KINDS))}valid: {', '.join(KINDS)}.",
        )
    model = KINDS[kind]
    hints = typing.get_type_hints(model)
    fields: dict[str, Any] = {
        field.name: (hints[field.name], field.default)
        for field in dataclasses.fields(model)  # type: ignore[arg-type]
    }
    made: type[Section] = create_model(
        "Model", __base__=Section, kind=(str, kind), start=(Finite | str | None, None), **fields
    )
    return made


def _refused(
    source: Source, error: ValidationError, section: type[Section], place: tuple[str, ...]
) -> ConfigError:
    # An unknown key explains a missing one.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key, valid, field = _key(first["loc"], section, place)
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"{source.at(*key)}: there is no key '{told(key)}'.",
            fix=f"{nearest(str(key[-1]), valid)}valid here: {', '.join(valid)}.",
        )
    if first["type"] in ("missing", "union_tag_not_found"):
        missing = told(key if first["type"] == "missing" else (*key, "method"))
        return ConfigError(f"{source.at(*key)}: the key '{missing}' is missing.",
                           fix=f"add {missing}.")  # fmt: skip
    message = first["msg"].removeprefix("Value error, ")
    unit = f" (in {field.description})" if field is not None and field.description else ""
    shown = repr(first["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    return ConfigError(
        f"{source.at(*key)} = {shown} is not valid: {message[0].lower()}{message[1:]}{unit}.",
        fix=f"give {told(key)} as it is asked for; {KEYS}.",
    )


def _key(
    loc: tuple[int | str, ...], section: type[Section], place: tuple[str, ...]
) -> tuple[tuple[int | str, ...], list[str], FieldInfo | None]:
    """Return a key as the file has it, the names that are valid beside it, and what it is.

    Pydantic puts in which kind of a union it tried: those are left out.
    """
    key: list[int | str] = list(place)
    inside: type[Section] | None = section
    valid, field = list(section.model_fields), None
    for part in loc:
        if isinstance(part, int):
            key.append(part)
        elif part in STAGES and key and key[0] == "stage":
            inside = STAGES[part]
            valid = list(inside.model_fields)
        elif inside is not None:
            key.append(part)
            valid = list(inside.model_fields)
            field = inside.model_fields.get(part)
            inside = None if field is None else _section_in(field.annotation)
        elif field is not None and _is_table(field.annotation):
            key.append(part)
            field = None
    return tuple(key), valid, field


def _section_in(annotation: Any) -> type[Section] | None:
    """Return the section that a field holds, one or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    found = [_section_in(inner) for inner in typing.get_args(annotation)]
    return next((one for one in found if one is not None), None)


def _is_table(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict
