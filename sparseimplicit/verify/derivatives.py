"""Probes of derivatives written by hand: one random direction finds a missing entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..conditions import conditions_of, parameter_vector
from ..derivatives.checks import DerivativeCheck
from ..linear import Operator
from ..linear.operator import Array
from ..problem import Problem
from ..second_order import by_differences

TOLERANCE: Final = 1e-5  # central differences of a smooth function are good to about 1e-9


def derivatives(
    problem: Problem, x: Any, y: Any, *, seed: int = 0, tolerance: float = TOLERANCE
) -> DerivativeCheck:
    """Hold a problem's derivatives against central differences along random directions.

    Parameters
    ----------
    problem : MinimizationProblem or RootProblem
    x, y : arrays, shapes (n_x,), (n_y,)
        Any smooth point; a solution is the worst choice for the gradient, which is 0 there.
    seed : int
    tolerance : float
        Above it an error counts as one.

    Returns
    -------
    DerivativeCheck
        ``print`` it; ``.passed``; ``.errors`` by name. An entry missing from the pattern of A or B
        shows as an error of its size relative to the product.

    Notes
    -----
    Cost: six residuals, two objectives, one A, one B; three of A and B with ``second_order``. The
    step is the cube root of rounding.
    """
    c = conditions_of(problem)
    px, py = parameter_vector(x, "x"), parameter_vector(y, "y")
    rng = np.random.default_rng(seed)
    v, w, adjoint = (rng.standard_normal(n) for n in (py.size, px.size, py.size))
    a, b = c.state_jacobian(px, py), c.parameter_jacobian(px, py)
    residual, matrix, cross = c.names
    errors = {}
    if c.objective_of is not None:
        slope = _central(lambda t: np.array([c.objective(px, py + t * v)]), py, v)
        errors[f"{residual} of objective"] = _relative(
            np.array([c.residual(px, py) @ v]), slope, floor=np.linalg.norm(c.residual(px, py))
        )
    errors[matrix] = _relative(a.apply(v), _central(lambda t: c.residual(px, py + t * v), py, v))
    errors[cross] = _relative(
        np.asarray(b @ w), _central(lambda t: c.residual(px + t * w, py), px, w)
    )
    if c.second_order_of is not None:
        exact = np.concatenate(c.second_order(px, py, adjoint, w, v))
        measured = np.concatenate(by_differences(problem)(px, py, adjoint, w, v))
        errors["second_order"] = _relative(exact, measured)
    if c.minimization:
        errors["symmetry"] = symmetry(a, seed=seed)
    return DerivativeCheck(errors, tolerance)


def symmetry(matrix: Any, *, seed: int = 0) -> float:
    """Return |⟨A v, w⟩ − ⟨v, A w⟩| / (‖A v‖ ‖w‖) for random v, w; also for a LinearOperator."""
    operator = matrix if isinstance(matrix, Operator) else Operator(matrix)
    rng = np.random.default_rng(seed)
    v, w = rng.standard_normal((2, operator.n))
    av, aw = operator.apply(v), operator.apply(w)
    scale = float(np.linalg.norm(av) * np.linalg.norm(w))
    return abs(float(av @ w) - float(v @ aw)) / scale if scale else 0.0


def _central(function: Callable[[float], Array], point: Array, direction: Array) -> Array:
    size = float(np.linalg.norm(point) / np.linalg.norm(direction)) or 1.0
    step = float(np.cbrt(np.finfo(float).eps)) * max(size, 1e-3)
    return np.asarray((function(step) - function(-step)) / (2 * step))


def _relative(given: Array, measured: Array, floor: Any = 0.0) -> float:
    scale = max(float(np.linalg.norm(measured)), float(np.linalg.norm(given)), float(floor))
    return float(np.linalg.norm(given - measured)) / scale if scale else 0.0
