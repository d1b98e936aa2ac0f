"""Why a solve failed: where the matrix is singular that is said, whichever method has given up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from ..errors import NotConverged, NotPositiveDefinite, SingularSystem, SparseImplicitError
from .checks import backend_errors
from .evident import Cause, flaws, free_constants
from .factorizations import Candidate, Factorizations
from .memory import available_bytes, told_bytes
from .nullspace import null_space
from .operator import Operator, Structure
from .probe import SAMPLE, part_of
from .rates import Rates
from .stencil import StencilOperator

MOST: Final = 4  # null vectors that are looked for
QUICK: Final = 1.0  # seconds that looking for all of them may take where one is evident
SECONDS: Final = 10.0  # that it may take where none is, both as foretold for the machine of `Rates`
PROVEN: Final = 1e-13  # ‖Ã v‖ / ‖Ã‖, Ã equilibrated, from which down no method has an answer
LEAST: Final = "on_singular='min_norm' takes the solution without a part in the null space"
DOCTOR: Final = "si.linear.diagnose(A) says more"


@contextmanager
def causes_told(operator: Operator) -> Iterator[None]:
    """Within it, a solver that fails on a singular matrix raises SingularSystem, and says why.

    Any other failure stays what it is, and points to the doctor. Cost, of a failure alone: some
    passes over the entries; if they show nothing, one factorization with 24 or 48 solves, where
    these are foretold to take less than 10 seconds, by a guess that a busy machine may exceed
    threefold, and no more memory than is available. What was not looked into is said.
    """
    try:
        yield
    except (SingularSystem, NotPositiveDefinite, NotConverged) as error:
        found = _looked_for(operator)
        if isinstance(found, Cause):
            policy = "" if operator.entries is None else f" {LEAST}; {DOCTOR}."
            singular = SingularSystem(
                f"the matrix is singular: {found.what}.",
                where=error.where,
                fix=found.fix + policy,
            )
            singular.evidence = error.evidence
            raise singular from error
        doctor = "" if "linear.diagnose" in (error.fix or "") else f"{DOCTOR}."
        error.fix = " ".join(filter(None, (error.fix, found, doctor)))
        raise


def _looked_for(operator: Operator) -> Cause | str:
    """Do as `cause_of_failure`; where that fails itself, what it looked into stays the error."""
    try:
        with backend_errors("linear.causes"):
            return cause_of_failure(operator)
    except SparseImplicitError as error:
        return f"Null vectors could not be looked for: {error.what}"


def cause_of_failure(operator: Operator) -> Cause | str:
    """Return why a matrix is singular; or a sentence: what was not found, or not looked for."""
    if operator.n == 0:
        return ""
    rows = [] if operator.entries is None else flaws(operator, grid=operator.grid)
    evident = rows + free_constants(operator)
    if isinstance(operator.source, StencilOperator) and not evident:
        operator = Operator(operator.source.assemble(), operator.structure, operator.grid)
    needed = None if operator.entries is None else _foretold(operator)
    seconds = np.inf if needed is None else needed.seconds
    room = available_bytes()
    large = needed is not None and needed.bytes > room
    if evident and (seconds > QUICK or large):
        what = "; ".join(cause.what for cause in evident)
        return Cause(f"{what}; more was not looked for", evident[0].fix)
    if needed is None:
        return "Null vectors were not looked for: the matrix gives products alone."
    if seconds > SECONDS or large:
        told = f"{seconds:.0f} s"
        if large:
            told = f"{told_bytes(needed.bytes)}, and {told_bytes(room)} are available"
        return (
            "Null vectors were not looked for beyond sums and multiples of rows: a factorization "
            f"would take some {told}."
        )
    space = null_space(operator, most=MOST)
    proven = space.first(int(np.count_nonzero(space.sizes <= PROVEN)))
    if proven.dimension:
        found = [*rows, Cause(proven.told(grid=operator.grid), proven.remedy())]
        return Cause("; ".join(cause.what for cause in found), found[0].fix)
    if evident:
        return evident[0]
    if space.dimension:
        return (
            "The matrix is nearly singular, its condition number at least "
            f"{1.0 / space.sizes.min():.1e} (rows and columns of like size)."
        )
    if not space.complete:
        return f"Null vectors could not be looked for: {space.how}."
    return "No null vector was found."


def _foretold(operator: Operator) -> Candidate:
    """Foretell seconds and bytes of `null_space`, by a guess of the factor; no analysis."""
    general = Operator(operator.entries, Structure.GENERAL)
    dimension = part_of(operator, min(SAMPLE, operator.n)).dimension
    solves = 6 * MOST * (1 if operator.structure.symmetric else 2)
    return Factorizations(general, solves, Rates(), dimension).guessed()
