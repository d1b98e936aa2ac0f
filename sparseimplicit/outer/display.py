"""A line an evaluation, to watch a run or to look back at one."""

from __future__ import annotations

import sys
from typing import Final, TextIO

from ..errors import ConfigError
from .history import Evaluation

HEAD: Final = (
    "evaluation          loss    |gradient|  Newton  linear  factors  products  seconds   step"
)


def line(evaluation: Evaluation) -> str:
    """Return an evaluation in a line, under `HEAD`."""
    parts = [f"{evaluation.evaluation:>10}"]
    if evaluation.failure is None:
        parts.append(f"{evaluation.value:>14.6e}{evaluation.gradient_norm:>14.3e}")
    else:
        parts.append(f"{'none':>14}{'':>14}")
    work = evaluation.work
    if work is None:
        parts.append("  from the checkpoint".ljust(42))
    else:
        counts = (work.newton_iterations, work.linear_iterations, work.factorizations,
                  work.hessian_products)  # fmt: skip
        widths = (8, 8, 9, 10)
        parts.append("".join(f"{n:>{w}}" for n, w in zip(counts, widths, strict=True)))
        parts.append(f"{work.seconds:>9.2f}")
    step = evaluation.step
    if step is not None:
        taken = "" if step.accepted else ", refused"
        parts.append(f"   {step.length:.1e} of {step.radius:.1e}, {step.end}{taken}")
    if evaluation.failure is not None:
        parts.append(f"   {evaluation.failure}")
    parts.extend(f"\n           {note}" for note in evaluation.notes)
    return "".join(parts).rstrip()


class IterationDisplay:
    """A callback that prints a line an evaluation.

    Parameters
    ----------
    file : text file, optional
        Standard output by default.
    every : int
        Print one evaluation out of so many, 1 or more; what failed is printed anyhow.

    Raises
    ------
    ConfigError
        If ``every`` is no such number.

    Notes
    -----
    Columns: loss; norm of its gradient, in the inner product; iterations of Newton's method and of
    linear solvers; factorizations; products with the Hessian; seconds, all lower-level problems
    together; with Newton–CG the length of the step, the radius it kept, and why CG ended.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> ridge = si.ImplicitFunction(si.MinimizationProblem(  # y = 3 / (1 + x)
    ...     gradient=lambda x, y: (1 + x) * y - 3,
    ...     hessian=lambda x, y: 1 + x,
    ...     cross_hessian=lambda x, y: y,
    ... ))
    >>> loss = lambda x, y: (0.5 * (y[0] - 1)**2, None, y - 1)
    >>> best = si.minimize(loss, ridge, 1.5, y0=0.0, callback=si.IterationDisplay(every=9))
    evaluation          loss    |gradient|  Newton  linear  factors  products  seconds   step
             0  2.000000e-02     9.600e-02 ...
    """

    def __init__(self, file: TextIO | None = None, *, every: int = 1) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ConfigError(f"every={every!r}.", where="IterationDisplay", fix="give 1 or more.")
        self._file, self._every = file, every

    def __call__(self, evaluation: Evaluation) -> None:
        """Print it."""
        file = sys.stdout if self._file is None else self._file
        if evaluation.evaluation == 0:
            print(HEAD, file=file)
        if evaluation.evaluation % self._every == 0 or evaluation.failure is not None:
            print(line(evaluation), file=file, flush=True)
