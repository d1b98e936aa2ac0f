"""Minimise an upper-level loss over the parameter: by L-BFGS, or by Newton's method with CG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ..conditions import parameter_vector
from ..errors import ConfigError, ShapeError, StructureError
from ..executors import Executor, Serial, executor_named
from ..hypergradient import Loss
from ..implicit import ImplicitFunction, SolvedState
from .bounds import Limits, clipped, limits_of
from .descent import Descent, Stopped
from .history import Evaluation
from .inner import InnerProduct, MatrixProduct, inner_product
from .lower import Lower
from .newton_cg import newton_cg
from .quasi_newton import quasi_newton
from .result import MinimizeResult
from .run import Run
from .trials import Metric
from .trust_run import TrustRun

METHODS: Final = ("L-BFGS-B", "newton-cg")


def minimize(
    loss: Loss | Sequence[Loss],
    implicit: ImplicitFunction | Sequence[ImplicitFunction],
    x0: Any,
    *,
    y0: Any = None,
    method: str = "L-BFGS-B",
    bounds: Any = None,
    inner: Any = None,
    gradient_rtol: float = 1e-6,
    stop_rtol: float = 1e-5,
    max_iterations: int = 100,
    memory: int | None = None,
    radius: float | None = None,
    gauss_newton: int = 0,
    executor: str | Executor = "serial",
    jobs: int | None = None,
    checkpoint: str | Path | None = None,
    callback: Callable[[Evaluation], Any] | None = None,
) -> MinimizeResult:
    """Minimise ``Σᵢ Lᵢ(x, yᵢ(x))`` over x.

    Parameters
    ----------
    loss : callable or sequence of callables
        ``loss(x, y) -> (value, L_x, L_y)``; one for each lower-level problem.
    implicit : ImplicitFunction or sequence of them
        The lower-level problems, which share x.
    x0 : number or array, shape (n_x,)
    y0 : array, or a sequence of them
        First guess of the state(s) at x0.
    method : {"L-BFGS-B", "newton-cg"}
        Newton's method needs the second derivatives of problem and loss, see `reduced_hessian`.
    bounds : pair, sequence of n_x pairs (low, high), pair of arrays, or scipy's Bounds, optional
        None for no bound on a side. An x0 outside is moved to the nearest point within.
    inner : sparse matrix (n_x, n_x), positive array (n_x,), or InnerProduct, optional
        The inner product aᵀ M b of the parameter, such as the mass matrix of its finite elements:
        steps, norms and the test for stopping are then in it, and the number of steps hardly
        depends on the mesh. By default Euclidean.
    gradient_rtol : float
        rtol of every state and adjoint solve.
    stop_rtol : float
        Stop when the projected gradient has fallen to this fraction of its first size: the largest
        entry; with ``inner`` or Newton's method the norm, see `MinimizeResult.kkt_residual`.
    max_iterations : int
    memory : int, optional
        Pairs of vectors that L-BFGS keeps: by default 10, with ``inner`` 30, which takes half as
        many steps where few directions matter.
    radius : float, optional
        Of Newton's first trust region, in the norm of M; by default the first step is as CG has it.
        A small one keeps a first step from states that cannot be solved for.
    gauss_newton : int
        So many of Newton's first steps are with the Gauss–Newton Hessian.
    executor : {"serial", "processes"}, or an Executor such as `cluster.Dask`
        Where the lower-level problems are solved, for L-BFGS-B: here, or in several processes that
        keep what they computed. The bits of the result are the same, given a linear solver by name
        and ``reuse=False`` of each `ImplicitFunction`.
    jobs : int, optional
        Processes; a process a core if left out.
    checkpoint : path, optional
        A folder. Every evaluation is written to it; if it holds evaluations of this run already,
        they are taken from it and the run goes on from there, with the same result to the bit; the
        last one is made anew first, to see that loss and problem are the same.
    callback : callable, optional
        Called with the `Evaluation` after each: `IterationDisplay` prints it. Raising
        ``StopIteration`` ends the run there.

    Returns
    -------
    MinimizeResult

    Raises
    ------
    NotConverged, ShapeError, NonFinite, ...
        From the lower level; evaluations made so far are in the checkpoint. At a trial point
        NotConverged, SingularSystem, NotPositiveDefinite and NonFinite are told in the history
        (`Evaluation.failure`), and a smaller step is tried. Where L-BFGS fails at a dozen points
        one after the other, NotConverged: ``error.best`` is the best x, ``error.report`` its
        evaluation.
    ConfigError
        If the checkpoint belongs to another run, or there is no such method or option of it.
    StructureError, NotPositiveDefinite
        If ``inner`` is no inner product, or problem or loss have no second derivatives for Newton's
        method.

    Notes
    -----
    Each state starts from the one before, each symbolic analysis is made once. Cost an
    evaluation: the state solves, one adjoint solve each.

    L-BFGS-B is scipy's, in z = √m x where ``inner`` is a diagonal m. For a matrix M it is our own
    `lbfgs` with H₀ ~ M⁻¹; but with bounds as well, m is the row sums of M: to project after a step
    in M leads to points that are no minimisers. Newton's method: `newton_cg`; each product with the
    Hessian is two solves with the factor that the state has left. It holds the states of the
    accepted point while it tries the next: two factors for each problem.

    Source: Byrd, Lu, Nocedal, Zhu 1995; Nocedal, Wright 2006; Conn, Gould, Toint 2000; Lin, Moré
    1999.
    """
    _check_method(method, memory, radius, gauss_newton)
    where = executor_named(executor, jobs)
    if method == "newton-cg" and not isinstance(where, Serial):
        raise ConfigError(
            "method 'newton-cg' holds states with their factors, in this process.",
            where="minimize", fix="leave `executor` out, or use 'L-BFGS-B'.",
        )  # fmt: skip
    several = not isinstance(implicit, ImplicitFunction)
    members = list(implicit) if isinstance(implicit, Iterable) else [implicit]
    for one in members:
        if not isinstance(one, ImplicitFunction):
            raise StructureError(
                f"`implicit` is or holds a {type(one).__name__}.",
                where="minimize",
                fix="give si.ImplicitFunction(problem), or a sequence of them; where x governs an "
                "evolution, give value and gradient of `Trajectory.gradient` to "
                "scipy.optimize.minimize(…, jac=True).",
            )
    implicits: list[ImplicitFunction] = members
    losses: list[Loss] = list(loss) if several else [loss]  # type: ignore[arg-type,list-item]
    guesses = list(y0) if several and y0 is not None else [y0] * len(implicits)
    if not len(losses) == len(implicits) == len(guesses) or not implicits:
        raise ShapeError(
            f"{len(losses)} losses, {len(implicits)} problems, {len(guesses)} first guesses.",
            where="minimize",
            fix="give one loss and one y0 for each lower-level problem.",
        )
    x = parameter_vector(x0, "x0")
    limits = limits_of(bounds, x)
    lower = [
        Lower(*one, place=f"lower-level problem {i}" if several else None)
        for i, one in enumerate(zip(losses, implicits, guesses, strict=True))
    ]
    with closing(Run(lower, gradient_rtol, checkpoint, callback, where)) as run:
        metric = Metric(_inner(run, method, gauss_newton, inner, x.size, limits), limits)
        run.inner, x = metric.inner, clipped(x, limits)
        options: dict[str, Any] = {"stop_rtol": stop_rtol, "max_iterations": max_iterations}
        solved: Sequence[SolvedState]
        if method == "newton-cg":
            trust = TrustRun(run)
            try:
                descent, point = newton_cg(
                    trust, x, metric, radius=radius, gauss_newton=gauss_newton,
                    noise=gradient_rtol, **options,
                )  # fmt: skip
                run.settle(point)
            except Stopped as stop:
                descent = stop.descent(len(run.history) - 1)
            solved = trust.solved(run.best)
        else:
            descent = quasi_newton(
                run, x, metric, euclidean=inner is None, memory=memory, **options
            )
            solved = run.solve(run.best.x)
        return MinimizeResult(
            run.best.x, run.best.value, tuple(solved) if several else solved[0], tuple(run.history),
            tuple(run.work), descent.converged, _told(descent, run.history),
            metric.size(run.best, 1.0),
        )  # fmt: skip


def _told(descent: Descent, history: Sequence[Evaluation]) -> str:
    """Return why a run has ended; where points have failed before, how many, and why the last."""
    failures = [e.failure for e in history if e.failure is not None]
    if descent.converged or not failures:
        return descent.message
    return (
        f"{len(failures)} of {len(history) - 1} trial points could not be solved for, at the last: "
        f"{failures[-1].rstrip('.')}; then {descent.message}"
    )


def _check_method(method: str, memory: int | None, radius: float | None, gauss_newton: int) -> None:
    newton = method == "newton-cg"
    if method not in METHODS:
        raise ConfigError(
            f"there is no method '{method}'.",
            where="minimize",
            fix="use 'L-BFGS-B' or 'newton-cg'.",
        )
    given = {"radius": radius is not None, "gauss_newton": gauss_newton != 0}
    for name in [name for name, there in given.items() if there and not newton]:
        raise ConfigError(
            f"method '{method}' has no {name}.",
            where="minimize",
            fix=f"leave `{name}` out, or use 'newton-cg'.",
        )
    if memory is not None and (newton or memory < 1):
        raise ConfigError(
            f"memory is {memory} for method '{method}'.",
            where="minimize",
            fix="give 1 or more with 'L-BFGS-B'; leave it out with 'newton-cg'.",
        )
    if (radius is not None and not radius > 0) or gauss_newton < 0:
        raise ConfigError(
            f"radius is {radius}, gauss_newton is {gauss_newton}.",
            where="minimize",
            fix="give a positive radius, and 0 or more Gauss–Newton steps.",
        )


def _inner(
    run: Run, method: str, gauss_newton: int, given: Any, n: int, limits: Limits
) -> InnerProduct:
    """Return the inner product of a run: with bounds, L-BFGS-B has a diagonal one.

    The solver of M goes with the checkpoint: ``auto`` might choose another when it is asked again.
    """
    settings: dict[str, Any] = {"method": method, "gauss_newton": gauss_newton}
    before = {}
    if run.checkpoint is not None and run.replay:
        before = run.checkpoint.noted(settings)
        run.coarsest = max(run.rtol, before.get("gradient_rtol", 0.0))
    inner = inner_product(given, n, before.get("inner_solver", "auto"))
    if limits is not None and method == "L-BFGS-B":
        inner = inner.lumped()
    if run.checkpoint is not None and not run.replay:
        if isinstance(inner, MatrixProduct):
            settings["inner_solver"] = inner.system.solver.label
        run.checkpoint.note(settings | {"gradient_rtol": run.rtol})
    return inner
