"""A problem's callables, with what they return checked: the one form that the rest works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from .errors import NonFinite, ShapeError, SparseImplicitError, StructureError
from .linear import Operator, Structure
from .linear.indices import check_indices
from .linear.operator import Array, check_structure, refuse_complex
from .problem import Function, MinimizationProblem, Problem, RootProblem, SecondOrder


@dataclass(frozen=True)
class Linearization:
    """A and B at a point: c(x + dx, y + dy) ≈ c + A dy + B dx."""

    state_jacobian: Operator
    parameter_jacobian: Any
    n_x: int


@dataclass(frozen=True)
class Conditions:
    """c(x, y) = 0 with its derivatives; ``objective`` is g where c is its gradient."""

    names: tuple[str, str, str]
    residual_of: Function
    state_jacobian_of: Function
    parameter_jacobian_of: Function
    objective_of: Function | None
    structure: Structure | None
    minimization: bool
    majorant_of: Callable[[Any, Any, float], Any] | None = None
    primal_dual_of: Callable[[], Any] | None = None
    second_order_of: SecondOrder | None = None
    linear: bool = False

    def residual(self, x: Array, y: Array) -> Array:
        """Return c(x, y), (n_y,), finite."""
        return finite_vector(
            call(self.residual_of, x, y, self.names[0]), y.size, f"{self.names[0]}(x, y)"
        )

    def objective(self, x: Array, y: Array) -> float | None:
        """Return g(x, y), or None where the problem has none. It may be +inf off its domain."""
        if self.objective_of is None:
            return None
        value = np.asarray(call(self.objective_of, x, y, "objective"))
        if value.size != 1:
            raise ShapeError(f"objective(x, y) must be one number, got shape {value.shape}.")
        return float(value.reshape(()))

    def state_jacobian(self, x: Array, y: Array) -> Operator:
        """Return A(x, y), checked."""
        return self._operator(self.state_jacobian_of, x, y, self.names[1])

    def majorant(self, x: Array, y: Array, share: float, dual: Any = None) -> Operator:
        """Return (1 − share) A(x, y) + share M(x, y), checked; A that of ``dual`` if given."""
        of = self.majorant_of if dual is None else dual.at
        assert of is not None  # noqa: S101 - the caller has looked
        name = "majorant" if dual is None else "primal_dual"
        return self._operator(lambda x, y: of(x, y, share), x, y, name)

    def _operator(self, function: Function, x: Array, y: Array, name: str) -> Operator:
        matrix = call(function, x, y, name)
        if y.size == 1 and isinstance(matrix, int | float | np.number | np.ndarray):
            matrix = np.reshape(matrix, (1, 1)) if np.size(matrix) == 1 else matrix
        if getattr(matrix, "shape", None) != (y.size, y.size):
            raise ShapeError(
                f"{name}(x, y) has shape {getattr(matrix, 'shape', None)}; the state has "
                f"{y.size} unknowns.",
                fix=f"return shape ({y.size}, {y.size}).",
            )
        try:
            return Operator(matrix, structure=self.structure)
        except SparseImplicitError as error:
            raise error.at(f"{name}(x, y)") from error.__cause__

    def parameter_jacobian(self, x: Array, y: Array) -> Any:
        """Return B(x, y), (n_y, n_x), as CSR, a dense array or a LinearOperator."""
        name = self.names[2]
        return checked_parameter_jacobian(call(self.parameter_jacobian_of, x, y, name), y.size,
                                          x.size, f"{name}(x, y)")  # fmt: skip

    def second_order(
        self, x: Array, y: Array, adjoint: Array, x_dot: Array, y_dot: Array
    ) -> tuple[Array, Array]:
        """Return s_xx ẋ + s_xy ẏ, (n_x,), and s_yx ẋ + s_yy ẏ, (n_y,), of s = λᵀ c, finite.

        Raises
        ------
        StructureError
            If the problem has no second order.
        ShapeError, NonFinite
            If it is something else.
        """
        if self.second_order_of is None:
            raise StructureError(
                "the problem has no second derivatives of its conditions.",
                fix="give second_order= to it; or state it as an Energy or a Residual, which have "
                "them; or take them by differences: differences_of_second_order(problem); or leave "
                "them out: gauss_newton=True.",
            )
        parts = self.second_order_of(*map(read_only, (x, y, adjoint, x_dot, y_dot)))
        x_part, y_part = pair_of(parts, "second_order")
        return (
            finite_vector(x_part, x.size, "the x-part of second_order"),
            finite_vector(y_part, y.size, "the y-part of second_order"),
        )


def conditions_of(problem: Problem) -> Conditions:
    """Return the conditions that define a problem's state."""
    check_structure(getattr(problem, "structure", None), type(problem).__name__)
    if isinstance(problem, MinimizationProblem):
        structure = problem.structure
        return Conditions(
            names=("gradient", "hessian", "cross_hessian"),
            residual_of=problem.gradient,
            state_jacobian_of=problem.hessian,
            parameter_jacobian_of=problem.cross_hessian,
            objective_of=problem.objective,
            structure=Structure.POSITIVE_DEFINITE if structure is None else structure,
            minimization=True,
            majorant_of=problem.majorant,
            primal_dual_of=problem.primal_dual,
            second_order_of=problem.second_order,
        )
    if isinstance(problem, RootProblem):
        return Conditions(
            names=("residual", "state_jacobian", "parameter_jacobian"),
            residual_of=problem.residual,
            state_jacobian_of=problem.state_jacobian,
            parameter_jacobian_of=problem.parameter_jacobian,
            objective_of=None,
            structure=problem.structure,
            minimization=False,
            second_order_of=problem.second_order,
            linear=problem.linear,
        )
    raise StructureError(
        f"a problem is needed, got {type(problem).__name__}.",
        fix="give a MinimizationProblem or a RootProblem.",
    )


def call(function: Function, x: Array, y: Array, name: str) -> Any:
    """Call a user's function with arrays that it cannot change behind our back."""
    value = function(read_only(x), read_only(y))
    if value is None:
        raise ShapeError(f"{name}(x, y) returned None.", fix="return its value.")
    return value


def read_only(array: Array) -> Array:
    """Return a view that cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def pair_of(value: Any, name: str) -> tuple[Any, Any]:
    """Return the x-part and the y-part of second derivatives along a direction."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise ShapeError(
            f"{name} returned {type(value).__name__}.",
            fix="return (x_part, y_part), of shapes (n_x,) and (n_y,).",
        )
    return value


def finite_vector(value: Any, n: int, name: str) -> Array:
    """Return a vector of n finite numbers, or say what is wrong with it."""
    if sparse.issparse(value) or np.iscomplexobj(value):
        raise ShapeError(f"{name} must be a real dense array, got {type(value).__name__}.")
    try:
        vector = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} is no array of numbers ({error}).") from error
    if vector.shape != (n,) and not (n == 1 and vector.size == 1):
        raise ShapeError(f"{name} has shape {vector.shape}.", fix=f"give shape ({n},).")
    vector = vector.reshape(n)
    if not np.isfinite(vector).all():
        place = int(np.argmin(np.isfinite(vector)))
        raise NonFinite(
            f"{name} is {vector[place]} at index {place}.",
            fix="look for a division, root or logarithm near 0 in it, or a NaN in its data.",
        )
    return vector


def parameter_vector(value: Any, name: str) -> Array:
    """Return a number or an array as a finite vector of its own memory."""
    if value is None:
        raise ShapeError(f"{name} is missing.", fix="give a number or a vector; [] if it is empty.")
    array = np.array(value, dtype=np.float64) if not np.iscomplexobj(value) else None
    if array is None or array.ndim > 1:
        raise ShapeError(
            f"{name} must be a real number or a vector, got shape {np.shape(value)}.",
            fix=f"pass {name}.ravel(), and reshape inside your functions.",
        )
    return finite_vector(array.reshape(-1), array.size, name)


def checked_parameter_jacobian(matrix: Any, n_y: int, n_x: int | None, name: str) -> Any:
    """Return B as CSR, a dense array or a LinearOperator, with its shape and entries checked."""
    refuse_complex(matrix, name, "parameter Jacobian")
    if isinstance(matrix, LinearOperator):
        b = matrix
    elif sparse.issparse(matrix):
        check_indices(matrix, name)
        b = sparse.csr_array(matrix, dtype=np.float64)
    else:
        b = np.asarray(matrix, dtype=np.float64)
        if b.ndim < 2:
            b = b.reshape(-1, 1)  # one parameter, or one unknown and one parameter
    if b.shape[0] != n_y or (n_x is not None and b.shape[1] != n_x):
        swapped = n_x is not None and b.shape == (n_x, n_y)
        raise ShapeError(
            f"{name} has shape {b.shape}; rows are states ({n_y}), columns parameters "
            f"({'any' if n_x is None else n_x}).",
            fix="transpose it: ∂²g/∂y∂xᵀ has rows y and columns x." if swapped
            else f"give shape ({n_y}, {'n_x' if n_x is None else n_x}).",
        )  # fmt: skip
    if not isinstance(b, LinearOperator):
        values = b.data if sparse.issparse(b) else b
        if not np.isfinite(values).all():
            raise NonFinite(f"{name} holds entries that are NaN or infinite.")
    return b
