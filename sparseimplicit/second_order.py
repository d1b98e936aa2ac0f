"""Second derivatives of losses, and, where asked for, of either by central differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, overload, runtime_checkable

import numpy as np

from .adjoint import transposed_product
from .conditions import conditions_of, finite_vector, pair_of, read_only
from .errors import ShapeError, SparseImplicitError, StructureError
from .hypergradient import Loss, checked_loss
from .linear.operator import Array, norm
from .problem import MinimizationProblem, Problem, RootProblem, SecondOrder

STEP: Final = float(np.cbrt(np.finfo(float).eps))  # relative; the differences err by its square


@runtime_checkable
class SecondOrderLoss(Protocol):
    """A loss with second derivatives: ``loss(x, y)`` as ever, and their products."""

    def __call__(self, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """Return value, L_x (None for 0) and L_y."""

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Any, Any]:
        """Return L_xx ẋ + L_xy ẏ, (n_x,) or None for 0, and L_yx ẋ + L_yy ẏ, (n_y,)."""


@dataclass(frozen=True)
class TwiceDifferentiable:
    """A loss of two functions, for `reduced_hessian`.

    Parameters
    ----------
    first : callable
        ``(x, y) -> (value, L_x, L_y)``, as for `hypergradient`.
    second : callable
        ``(x, y, x_dot, y_dot) -> (L_xx ẋ + L_xy ẏ, L_yx ẋ + L_yy ẏ)``; the first None for 0.

    Examples
    --------
    >>> import sparseimplicit as si
    >>> loss = si.TwiceDifferentiable(  # ½‖y‖²
    ...     lambda x, y: (0.5 * y @ y, None, y), lambda x, y, x_dot, y_dot: (None, y_dot)
    ... )
    """

    first: Loss
    second: Callable[[Any, Any, Any, Any], tuple[Any, Any]]

    def __call__(self, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """Return value, L_x and L_y."""
        return self.first(x, y)

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Any, Any]:
        """Return the second derivatives along (ẋ, ẏ)."""
        return self.second(x, y, x_dot, y_dot)


def checked_second_order(
    loss: Loss, x: Array, y: Array, x_dot: Array, y_dot: Array
) -> tuple[Array | None, Array]:
    """Return the second derivatives of a loss along (ẋ, ẏ), with shapes and numbers checked."""
    if not isinstance(loss, SecondOrderLoss):
        raise StructureError(
            f"the loss ({type(loss).__name__}) has no second derivatives.",
            where="reduced_hessian",
            fix="give TwiceDifferentiable(loss, second), or an object with `__call__(x, y)` and "
            "`second_order(x, y, x_dot, y_dot)`; or differences_of_second_order(loss).",
        )
    parts = loss.second_order(*map(read_only, (x, y, x_dot, y_dot)))
    try:
        x_part, y_part = pair_of(parts, "second_order")
        by_y = finite_vector(y_part, y.size, "the y-part of second_order")
        if x_part is None:
            return None, by_y
        return finite_vector(x_part, x.size, "the x-part of second_order"), by_y
    except SparseImplicitError as error:
        raise error.at("reduced_hessian, the loss") from error.__cause__


@overload
def differences_of_second_order(
    of: MinimizationProblem, *, step: float = ...
) -> MinimizationProblem: ...
@overload
def differences_of_second_order(of: RootProblem, *, step: float = ...) -> RootProblem: ...
@overload
def differences_of_second_order(of: Loss, *, step: float = ...) -> TwiceDifferentiable: ...
def differences_of_second_order(of: Problem | Loss, *, step: float = STEP) -> Any:
    """Return a problem or a loss with second derivatives by central differences of the first.

    Parameters
    ----------
    of : MinimizationProblem, RootProblem or loss
        `Energy` and `Residual` have exact ones and are refused.
    step : float
        The point moves by step · max(‖(x, y)‖, 1) along the direction.

    Returns
    -------
    the same problem, or the same loss, with ``second_order``

    Raises
    ------
    StructureError
        If it has second derivatives already.

    Notes
    -----
    Cost of a product: for a problem two Jacobians A and two B with a product of each with λ, for a
    loss two evaluations. Error: step² of the third derivatives, and rounding / step of the first:
    about 1e-10. Hessians from them are symmetric to as much.
    """
    if not isinstance(step, float | int) or not 0 < step < 1:
        raise ShapeError(f"step must be a number between 0 and 1, got {step!r}.")
    problem = of if isinstance(of, MinimizationProblem | RootProblem) else None
    if isinstance(of, SecondOrderLoss) if problem is None else problem.second_order is not None:
        raise StructureError(
            f"{type(of).__name__} has second derivatives already.",
            where="differences_of_second_order",
            fix="leave the differences out.",
        )
    if problem is not None:
        return replace(problem, second_order=by_differences(problem, step))
    loss: Any = of
    return TwiceDifferentiable(loss, _of_loss(loss, step))


def by_differences(problem: Problem, step: float = STEP) -> SecondOrder:
    """Return ``second_order`` of a problem by central differences of (Bᵀλ, Aᵀλ)."""
    conditions = conditions_of(problem)

    def second(x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        def slope(x: Array, y: Array) -> Array:
            a, b = conditions.state_jacobian(x, y), conditions.parameter_jacobian(x, y)
            return np.concatenate([transposed_product(b, adjoint), a.apply_transpose(adjoint)])

        return _central(slope, x, y, x_dot, y_dot, step)

    return second


def _of_loss(loss: Loss, step: float) -> Callable[..., tuple[Array, Array]]:
    def second(x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        def slope(x: Array, y: Array) -> Array:
            _, l_x, l_y = checked_loss(loss, x, y)
            return np.concatenate([np.zeros(x.size) if l_x is None else l_x, l_y])

        return _central(slope, x, y, x_dot, y_dot, step)

    return second


def _central(
    slope: Callable[[Array, Array], Array], x: Array, y: Array, x_dot: Array, y_dot: Array,
    step: float,
) -> tuple[Array, Array]:  # fmt: skip
    """Return d/dε slope(x + ε ẋ, y + ε ẏ), cut into (n_x,) and (n_y,)."""
    size = np.hypot(norm(x_dot), norm(y_dot))
    if size == 0.0:
        return np.zeros(x.size), np.zeros(y.size)
    h = step * max(float(np.hypot(norm(x), norm(y))), 1.0) / size
    ahead, behind = slope(x + h * x_dot, y + h * y_dot), slope(x - h * x_dot, y - h * y_dot)
    moved = (ahead - behind) / (2 * h)
    return moved[: x.size], moved[x.size :]
