"""The Hessian of a loss through the state, d²L(x, y(x))/dx², by its products."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from scipy.sparse.linalg import LinearOperator

from .adjoint import adjoint_tangent_rhs, gradient_of, gradient_tangent_of, tangent_rhs
from .conditions import finite_vector
from .errors import SparseImplicitError
from .hypergradient import Hypergradient, Loss, checked_loss
from .implicit import BLOCK, SolvedState
from .linear import LinearSolution, SolveReport
from .linear.checks import check_rtol, checked_columns
from .linear.operator import Array
from .report import Report
from .second_order import checked_second_order

WHERE: Final = "reduced_hessian"


@dataclass(frozen=True, kw_only=True)
class ReducedHessianReport(Report):
    """What the products so far took.

    products: directions. solves: right-hand sides, two a direction (tangent and second adjoint).
    residual: the worst true relative residual among them. factorizations: made during products,
    where that was cheaper than to go on with Newton's last one. adjoint: of the solve for λ, None
    where λ was given.
    """

    products: int
    solves: int
    iterations: int
    residual: float
    factorizations: int
    adjoint: SolveReport | None


@dataclass
class _Counts:
    """The sums behind a report, the one thing here that changes."""

    products: int = 0
    solves: int = 0
    iterations: int = 0
    residual: float = 0.0
    factorizations: int = 0

    def add(self, report: SolveReport) -> None:
        self.solves += report.columns
        self.iterations += report.iterations
        self.residual = max(self.residual, report.residual)


@dataclass(frozen=True, eq=False)
class ReducedHessian:
    """H = d²L(x, y(x))/dx² at a solved state, as products; made by `reduced_hessian`.

    Attributes
    ----------
    adjoint : array, shape (n_y,)
        λ, with Aᵀ λ = L_y.
    gradient : array, shape (n_x,)
        dL/dx = L_x − Bᵀ λ.
    solved : SolvedState
    gauss_newton : bool
        Whether second derivatives of the conditions are left out.
    """

    adjoint: Array
    gradient: Array
    solved: SolvedState
    gauss_newton: bool
    _loss: Loss
    _rtol: float
    _adjoint_report: SolveReport | None
    _counts: _Counts = field(default_factory=_Counts)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_x, n_x)."""
        return self.solved.x.size, self.solved.x.size

    @property
    def report(self) -> ReducedHessianReport:
        """What the products so far took."""
        return ReducedHessianReport(**vars(self._counts), adjoint=self._adjoint_report)

    def apply(self, v: Any) -> Array:
        """Return H v, (n_x,) or (n_x, k).

        Raises
        ------
        StructureError
            If the problem or the loss has no second derivatives.
        ShapeError, NonFinite, NotConverged, NotPositiveDefinite, SingularSystem

        Notes
        -----
        Cost: two solves with k columns (in blocks of 64), with the prepared system of the state; a
        product with B and one with Bᵀ; the second derivatives once for each column.
        """
        n_x = self.solved.x.size
        columns = checked_columns(np.reshape(v, (1,)) if np.ndim(v) == 0 else v, n_x, "v", WHERE)
        out, before = np.empty(columns.shape), self.solved.preparation
        for first in range(0, columns.shape[1], BLOCK):
            part = slice(first, first + BLOCK)
            try:
                out[:, part] = self._products(np.ascontiguousarray(columns[:, part]))
            except SparseImplicitError as error:
                raise error.at("ReducedHessian.apply") from error.__cause__
        self._counts.products += columns.shape[1]
        after = self.solved.preparation
        if after is not None and after is not before:
            self._counts.factorizations += after.factorizations
        return out.reshape(np.shape(v) or (1,))

    def _products(self, x_dot: Array) -> Array:
        """H ẋ of a few columns.

        ẏ = −A⁻¹ B ẋ;  Aᵀ λ̇ = (L_yx ẋ + L_yy ẏ) − (s_yx ẋ + s_yy ẏ), s = λᵀ c;
        H ẋ = L_xx ẋ + L_xy ẏ − Bᵀ λ̇ − (s_xx ẋ + s_xy ẏ).
        """
        x, y = self.solved.x, self.solved.y
        b = self.solved.linearization.parameter_jacobian
        y_dot = self._counted(
            self.solved._solve(tangent_rhs(b, x_dot), self._rtol, None, transpose=False)
        )
        loss_x: list[Array | None] = []
        conditions_x: list[Array | None] = []
        rhs = np.empty(y_dot.shape)
        for k, (dx, dy) in enumerate(zip(x_dot.T.copy(), y_dot.T.copy(), strict=True)):
            by_x, by_y = checked_second_order(self._loss, x, y, dx, dy)
            s_x = s_y = None
            if not self.gauss_newton:
                s_x, s_y = self.solved._conditions.second_order(x, y, self.adjoint, dx, dy)
            loss_x.append(by_x)
            conditions_x.append(s_x)
            rhs[:, k] = adjoint_tangent_rhs(by_y, s_y)
        adjoint_dot = self._counted(self.solved._solve(rhs, self._rtol, None, transpose=True))
        return gradient_tangent_of(b, adjoint_dot, _columns(loss_x), _columns(conditions_x))

    def _counted(self, solution: LinearSolution) -> Array:
        self._counts.add(solution.report)
        return solution.value

    def as_operator(self) -> LinearOperator:
        """Return H as a symmetric scipy LinearOperator, for its eigenvalue and Krylov methods."""
        return LinearOperator(
            self.shape, matvec=lambda v: self.apply(np.reshape(v, -1)), matmat=self.apply,
            rmatvec=lambda v: self.apply(np.reshape(v, -1)), rmatmat=self.apply, dtype=np.float64,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Name the sizes, and what it is."""
        kind = "Gauss–Newton" if self.gauss_newton else "exact"
        return f"ReducedHessian(n_x={self.solved.x.size}, n_y={self.solved.y.size}, {kind})"


def reduced_hessian(
    loss: Loss,
    solved: SolvedState,
    *,
    adjoint: Array | Hypergradient | None = None,
    rtol: float = 1e-8,
    gauss_newton: bool = False,
) -> ReducedHessian:
    """Differentiate a loss twice through the state: products with ``H = d²L(x, y(x))/dx²``.

    Parameters
    ----------
    loss : object
        ``loss(x, y)`` as for `hypergradient`, and ``loss.second_order(x, y, x_dot, y_dot)``, which
        returns L_xx ẋ + L_xy ẏ (None for 0) and L_yx ẋ + L_yy ẏ; see `TwiceDifferentiable`.
    solved : SolvedState
        Of a problem with ``second_order``, unless ``gauss_newton``.
    adjoint : array, shape (n_y,), or Hypergradient, optional
        λ, of this loss at this state; solved for if not given.
    rtol : float
        Bound on the true relative residual of every solve.
    gauss_newton : bool
        Leave out the second derivatives of the conditions: H is then (1, Y)ᵀ L″ (1, Y) with
        Y = dy/dxᵀ, positive semidefinite where L is convex in (x, y).

    Returns
    -------
    ReducedHessian

    Raises
    ------
    ShapeError, NonFinite, NotConverged, NotPositiveDefinite, SingularSystem

    Notes
    -----
    Cost: one adjoint solve unless λ is given; then two solves a direction, with the prepared system
    of the state, see `SolvedState.system`. The error of a product is of the size of rtol times
    ‖A⁻¹‖.
    Source: Hinze, Pinnau, Ulbrich, Ulbrich, "Optimization with PDE Constraints", 2009, §1.6.5.

    Examples
    --------
    >>> import sparseimplicit as si
    >>> square = si.ImplicitFunction(si.RootProblem(  # y = x²
    ...     residual=lambda x, y: y - x**2,
    ...     state_jacobian=lambda x, y: 1.0,
    ...     parameter_jacobian=lambda x, y: -2 * x,
    ...     second_order=lambda x, y, adjoint, x_dot, y_dot: (-2 * adjoint * x_dot, 0 * y),
    ... ))
    >>> loss = si.TwiceDifferentiable(  # ½y² = ½x⁴
    ...     lambda x, y: (0.5 * y[0] ** 2, None, y), lambda x, y, x_dot, y_dot: (None, y_dot)
    ... )
    >>> H = si.reduced_hessian(loss, square.solve(3.0, y0=1.0))
    >>> print(f"{H.gradient[0]:.6f} {H.apply(1.0)[0]:.6f}")  # 2x³, 6x²
    54.000000 54.000000
    """
    check_rtol(rtol, WHERE)
    if isinstance(adjoint, Hypergradient):
        given = finite_vector(adjoint.adjoint, solved.y.size, "the adjoint of the hypergradient")
        return ReducedHessian(given, adjoint.gradient, solved, gauss_newton, loss, rtol, None)
    _, l_x, l_y = checked_loss(loss, solved.x, solved.y)
    report = None
    if adjoint is None:
        solution = solved.adjoint(l_y, rtol=rtol)
        given, report = solution.value, solution.report
    else:
        given = finite_vector(adjoint, solved.y.size, "adjoint")
    gradient = gradient_of(solved.linearization.parameter_jacobian, given, l_x)
    return ReducedHessian(given, gradient, solved, gauss_newton, loss, rtol, report)


def _columns(parts: list[Array | None]) -> Array | None:
    """Return the parts side by side, those that are None as 0; None if all are."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return np.stack([np.zeros(known[0].size) if p is None else p for p in parts], axis=1)
