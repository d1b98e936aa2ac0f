"""The gradient of an upper-level loss through the state: dL/dx = L_x − Bᵀ A⁻ᵀ L_y."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .adjoint import gradient_of
from .conditions import finite_vector
from .errors import NonFinite, ShapeError, SparseImplicitError
from .implicit import SolvedState
from .kernels.vectors import dot
from .linear import PreparationReport, SolveReport
from .linear.operator import Array, norm
from .report import Report
from .state_report import StateReport

Loss = Callable[[Any, Any], tuple[Any, Any, Any]]


@dataclass(frozen=True, kw_only=True)
class HypergradientReport(Report):
    """How the state and the adjoint were found, each with its true residual.

    preparation: what the adjoint needed beyond the state's last factorization; None if nothing.
    """

    state: StateReport
    preparation: PreparationReport | None
    adjoint: SolveReport
    seconds: float


@dataclass(frozen=True)
class Hypergradient:
    """The loss, its gradient, and how accurate that is.

    Attributes
    ----------
    value : float
        L(x, y).
    gradient : array, shape (n_x,)
        dL/dx.
    error : float or None
        ‖gradient − exact‖, estimated to first order in what the state and the adjoint miss;
        None unless asked for.
    adjoint : array, shape (n_y,)
        λ, with Aᵀ λ = L_y.
    report : HypergradientReport
    """

    value: float
    gradient: Array
    error: float | None
    adjoint: Array
    report: HypergradientReport


def hypergradient(
    loss: Loss,
    solved: SolvedState,
    *,
    rtol: float = 1e-8,
    estimate_error: bool = False,
    start: Array | None = None,
) -> Hypergradient:
    """Differentiate a loss through the state: ``dL/dx = L_x − Bᵀ A⁻ᵀ L_y``.

    Parameters
    ----------
    loss : callable
        ``loss(x, y) -> (value, L_x, L_y)``: a number, (n_x,) or None for zero, (n_y,).
    solved : SolvedState
    rtol : float
        Bound on the true relative residual of the adjoint solve.
    estimate_error : bool
        Fill ``error``: the gradient is computed once more at the state moved by one Newton
        correction, and at the adjoint moved likewise; the difference is the error to first order.
    start : array, shape (n_y,), optional
        First guess of the adjoint, such as a neighbouring ``Hypergradient.adjoint``.

    Returns
    -------
    Hypergradient

    Raises
    ------
    ShapeError, NonFinite
        If the loss returns something else than it should.
    NotConverged, NotPositiveDefinite, SingularSystem
        From the adjoint solve.

    Notes
    -----
    Cost: one adjoint solve and one product with Bᵀ; no factorization beyond the state's own.
    Source: Domke, "Implicit Differentiation" (gradient of a loss through an argmin).

    Examples
    --------
    >>> import sparseimplicit as si
    >>> ridge = si.ImplicitFunction(si.MinimizationProblem(  # y = 3 / (1 + x)
    ...     gradient=lambda x, y: (1 + x) * y - 3,
    ...     hessian=lambda x, y: 1 + x,
    ...     cross_hessian=lambda x, y: y,
    ... ))
    >>> h = si.hypergradient(lambda x, y: (0.5 * y[0]**2, None, y), ridge.solve(2.0, y0=0.0))
    >>> print(f"{h.value:.4f} {h.gradient[0]:.4f}")  # dL/dx = −9/(1 + x)³
    0.5000 -0.3333
    """
    started = time.perf_counter()
    value, l_x, l_y = checked_loss(loss, solved.x, solved.y)
    adjoint = solved.adjoint(l_y, rtol=rtol, start=start)
    gradient = gradient_of(solved.linearization.parameter_jacobian, adjoint.value, l_x)
    error = _error(loss, solved, gradient, adjoint.value) if estimate_error else None
    report = HypergradientReport(
        state=solved.report,
        preparation=solved.preparation,
        adjoint=adjoint.report,
        seconds=time.perf_counter() - started,
    )
    return Hypergradient(value, gradient, error, adjoint.value, report)


def loss_error(solved: SolvedState, adjoint: Array) -> float:
    """Return L(x, y) − L(x, exact state) to first order: λᵀ c(x, y).

    Without it a loss and its gradient disagree where the first is flat, by far more than rtol.
    Cost: one evaluation of c.
    Source: Pierce, Giles, Adjoint recovery of superconvergent functionals, SIAM Review 42, 2000.
    """
    return dot(adjoint, solved._conditions.residual(solved.x, solved.y))


def checked_loss(loss: Loss, x: Array, y: Array) -> tuple[float, Array | None, Array]:
    """Return value, L_x and L_y of a loss, with shapes and numbers checked."""
    returned = loss(x, y)
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise ShapeError(
            f"the loss returned {type(returned).__name__}.",
            where="hypergradient",
            fix="return (value, L_x, L_y); L_x may be None where L does not depend on x directly.",
        )
    value, l_x, l_y = returned
    if np.size(value) != 1:
        raise ShapeError(f"the loss has shape {np.shape(value)}; it must be one number.")
    if np.iscomplexobj(value):
        raise ShapeError(
            f"the loss is {value}; it must be a real number.",
            where="hypergradient",
            fix="return its real part, if that is meant.",
        )
    number = float(np.asarray(value, dtype=np.float64).reshape(()))
    if not np.isfinite(number):
        raise NonFinite(f"the loss is {number}.", where="hypergradient")
    if l_y is None:
        raise ShapeError(
            "L_y is None.",
            where="hypergradient, the loss",
            fix="return (value, L_x, L_y) in this order; L_y may be zero, L_x alone None.",
        )
    try:
        gradient_y = finite_vector(l_y, y.size, "L_y")
        gradient_x = None if l_x is None else finite_vector(l_x, x.size, "L_x")
    except SparseImplicitError as error:
        raise error.at("hypergradient, the loss") from error.__cause__
    return number, gradient_x, gradient_y


def _error(loss: Loss, solved: SolvedState, gradient: Array, adjoint: Array) -> float:
    """Estimate ‖gradient − exact‖ by one Newton correction of the state and of the adjoint.

    The corrected pair is wrong to second order only, so the difference of the two gradients is
    the error of the first to first order.
    """
    conditions, x = solved._conditions, solved.x
    residual = conditions.residual(x, solved.y)
    y = solved.y - solved._solve(residual, 1e-6, None, transpose=False).value
    a, b = conditions.state_jacobian(x, y), conditions.parameter_jacobian(x, y)
    _, l_x, l_y = checked_loss(loss, x, y)
    left = l_y - a.apply_transpose(adjoint)
    if norm(left) > 0:
        adjoint = adjoint + solved._solve(left, 1e-3, None, transpose=True).value
    return norm(gradient - gradient_of(b, adjoint, l_x))
