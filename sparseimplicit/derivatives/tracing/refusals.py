"""What a local term may not do, said in its own words: no foreign error leaves a trace."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...errors import ShapeError, SparseImplicitError, StructureError
from .tape import Graph

INSTEAD: Final = (
    "both branches are needed for derivatives: use si.where(condition, a, b), np.maximum, "
    "np.minimum or np.abs. (np.maximum of np.array([y[0], …]) branches too: write np.stack.)"
)
BY_DATA: Final = (
    "the function is run once for all elements, whose data differ: use si.where(condition, a, b), "
    "or state a term for each kind of element; what is the same for all is no c=, but a number "
    "that the function knows."
)
LIBRARIES: Final = tuple(
    f"{p}{os.sep}" for p in (Path(__file__).parents[2], Path(np.__file__).parent)
)
NOUNS: Final = {"y": "unknowns", "r": "responses", "x": "parameters", "c": "data",
                "p": "numbers of a point"}  # fmt: skip


class ReadBeyond(IndexError):
    """A term reads beyond its local vector; an IndexError, which also ends loops over it."""


def branched(graph: Graph | None, nodes: Sequence[int]) -> StructureError:
    """Return the error for a Python condition, which says what it is on."""
    reached = [] if graph is None else graph.reached(list(nodes))
    read = {
        graph.arguments[a][0] for a in reached
        if graph is not None and graph.operations[a] == "input"
    }  # fmt: skip
    which, fix = "an unknown", INSTEAD
    if read == {"c"}:
        which, fix = "its data c", BY_DATA
    elif read and "y" not in read:
        which = "a parameter"
    return StructureError(
        f"a local term branched on the value of {which}.", where="tracing a term", fix=fix
    )


def beyond(name: str, key: Any, shape: tuple[int, ...]) -> ReadBeyond:
    """Return the error for an index that a local vector has not."""
    noun, told = NOUNS[name], str(key).strip("()")
    if 0 in shape:
        has = f"{name}= was not given: it has 0 {noun}"
    elif len(shape) == 1:
        noun = noun.removesuffix("s") if shape == (1,) else noun
        has = f"an element has {shape[0]} {noun}, counted from 0"
    else:
        has = f"an element has {noun} of shape {shape}, counted from 0"
    return ReadBeyond(f"the term reads {name}[{told}], but {has}.")


def check_arguments(function: Callable[..., Any], names: str = "yxc") -> None:
    """Raise `StructureError` where a function cannot be called with (y, x, c), or (y, x, c, p)."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of compiled code
        return
    try:
        signature.bind(*names)
    except TypeError:
        raise StructureError(
            f"the function of the term takes {signature}; it is called with "
            f"{'three' if len(names) == 3 else 'four'} arguments, ({', '.join(names)}).",
            fix=f"write it as lambda {', '.join(names)}: …, also where it has no parameters or no "
            "data.",
        ) from None


def refusal(error: Exception) -> SparseImplicitError:
    """Return as one of our errors what a term's function raised."""
    said = str(error)
    if isinstance(error, ReadBeyond):
        return ShapeError(
            said,
            fix="give the term as many columns of it (y=, x=, c=, or the rows of lift=) as its "
            "function reads, or read no more than there are.",
        )
    if isinstance(error, ValueError) and "read-only" in said:
        return StructureError(
            "the term assigns to y, x or c, which it may only read.",
            fix="compute new numbers, or work on a copy: z = y.copy().",
        )
    if isinstance(error, IndexError) and "only integers" in said:
        return StructureError(
            "the term indexes an array with an unknown, a parameter or its data: their values are "
            "not known when the function is run.",
            fix="choose by si.where; or put what depends on the element into c=.",
        )
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)][-1:]
    place = f" ({own[0].filename}, line {own[0].lineno})" if own else ""
    return StructureError(
        f"the function of the term failed{place}: {type(error).__name__}: {said}.",
        fix="correct it; it is run once, on traced numbers, which know arithmetic, comparisons "
        "and numpy's functions.",
    )
