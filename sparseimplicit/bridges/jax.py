"""Problems from an objective in JAX: its gradient, and sparse second derivatives by colours."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .._optional import require
from ..derivatives.coloured.jacobian import MAX_COLOURS, ColouredJacobian
from ..derivatives.coloured.products import Products
from ..derivatives.coloured.steps import Argument, Array, Step
from ..errors import StructureError
from ..linear import Structure
from ..problem import Function, MinimizationProblem

PURPOSE = "problems from an objective in JAX (from_jax)"


def from_jax(
    objective: Function,
    *,
    pattern: Any = None,
    cross_pattern: Any = "products",
    structure: Structure | None = None,
    max_colours: int = MAX_COLOURS,
) -> MinimizationProblem:
    """Make an argmin of g(x, y) in JAX: all its derivatives by automatic differentiation.

    Parameters
    ----------
    objective : callable
        g(x, y), one number, in ``jax.numpy``; x (n_x,), y (n_y,), both float64.
    pattern : sparse matrix, index array (E, k), "products", or None
        Where g_yy may have entries, as ``hessian_pattern`` of `derivatives.from_gradient`. None:
        found by setting parts of y to NaN. "products": a LinearOperator.
    cross_pattern : "products", sparse matrix, (rows (E, k), columns (E, m)), or None
        "products": g_yx is a LinearOperator, B ẋ a forward and Bᵀλ a reverse derivative. Else a
        sparse matrix, with rows y and columns x, by colours; None: its pattern is found by NaN.
    structure : Structure, optional
        Of the Hessian; see `MinimizationProblem`.
    max_colours : int
        Refuse matrices that take more products than this.

    Returns
    -------
    MinimizationProblem

    Raises
    ------
    MissingBackend
        If JAX is not installed.
    StructureError
        If JAX works in float32; when a matrix is made: if it is dense, or the pattern misses
        entries, one of which is named.

    Notes
    -----
    Cost of g_yy: one compiled Hessian-vector product for each colour, and two to probe; of a
    product in ``second_order``: one forward derivative of the reverse one of λᵀg_y. Points and
    seeds are arguments of what is compiled, never constants in it; arrays that the objective
    captures are constants, and large ones make the compilation slow.
    """
    jax = require("jax", extra="jax", purpose=PURPOSE)
    _check_precision(jax)
    gradient = jax.grad(objective, argnums=1)

    def along_y(x: Any, y: Any, v: Any) -> Any:
        return jax.jvp(lambda z: gradient(x, z), (y,), (v,))[1]

    def along_x(x: Any, y: Any, v: Any) -> Any:
        return jax.jvp(lambda z: gradient(z, y), (x,), (v,))[1]

    def back_to_x(x: Any, y: Any, weight: Any) -> Any:
        return jax.vjp(lambda z: gradient(z, y), x)[1](weight)[0]

    def second(x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any) -> Any:
        slopes = jax.grad(lambda p, q: adjoint @ gradient(p, q), argnums=(0, 1))
        return jax.numpy.concatenate(jax.jvp(slopes, (x, y), (x_dot, y_dot))[1])

    value, slope = _in_numpy(jax, objective), _in_numpy(jax, gradient)
    in_y = _Product(jax, slope, "y", "gradient of the objective", _in_numpy(jax, along_y))
    in_x = _Product(jax, slope, "x", "gradient of the objective", _in_numpy(jax, along_x))
    back = _Product(jax, slope, "y", "reverse derivative in x", _in_numpy(jax, back_to_x))
    both = _in_numpy(jax, second)

    def second_order(
        x: Array, y: Array, adjoint: Array, x_dot: Array, y_dot: Array
    ) -> tuple[Array, Array]:
        _check_precision(jax)
        parts = both(x, y, adjoint, x_dot, y_dot)
        return parts[: x.size], parts[x.size :]

    hessian: Function = (
        Products(in_y, in_y, max_columns=0, name="hessian")
        if _products_alone(pattern)
        else ColouredJacobian(
            in_y, pattern, symmetric=True, max_colours=max_colours, name="hessian"
        )
    )
    cross: Function = (
        Products(in_x, back, max_columns=0, name="cross_hessian")
        if _products_alone(cross_pattern)
        else ColouredJacobian(
            in_x, cross_pattern, symmetric=False, max_colours=max_colours, name="cross_hessian"
        )
    )
    return MinimizationProblem(
        objective=value, gradient=slope, hessian=hessian, cross_hessian=cross, structure=structure,
        second_order=second_order,
    )  # fmt: skip


class _Product(Step):
    """A directional derivative of the gradient that JAX has compiled."""

    tolerance = 1e-9

    def __init__(
        self, jax: ModuleType, gradient: Function, argument: Argument, name: str,
        product: Callable[..., Any],
    ) -> None:  # fmt: skip
        super().__init__(gradient, argument, name)
        self._jax, self._product = jax, product

    def along(self, x: Array, y: Array, v: Array) -> Array:
        return self.checked(self._product(x, y, v))

    def both_sides(self, x: Array, y: Array, v: Array) -> tuple[Array, Any]:
        """Return the derivative, and no kinks: JAX takes one branch of each, for every v."""
        product = self.along(x, y, v)
        return product, np.zeros(product.shape, bool)

    def verify(self, x: Array, y: Array) -> None:
        _check_precision(self._jax)


def _in_numpy(jax: ModuleType, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function; numpy arrays in float64 go in and come out."""
    compiled = jax.jit(function)

    def call(*arrays: Array) -> Any:
        try:
            value = np.array(compiled(*arrays))
        except TypeError as error:
            raise StructureError(
                f"JAX cannot differentiate the objective ({str(error).splitlines()[0]})",
                where="from_jax",
                fix="write it in jax.numpy, and return one number: g(x, y) of shape ().",
            ) from error
        if value.dtype != np.float64:
            raise StructureError(
                f"JAX returned {value.dtype}; derivatives here are float64.",
                where="from_jax",
                fix='jax.config.update("jax_enable_x64", True); and no float32 in the objective.',
            )
        return value

    return call


def _check_precision(jax: ModuleType) -> None:
    if not jax.config.jax_enable_x64:
        raise StructureError(
            "JAX works in float32: 7 digits, too few for second derivatives.",
            where="from_jax",
            fix='jax.config.update("jax_enable_x64", True) before any other use of JAX, or '
            "JAX_ENABLE_X64=1 in the environment.",
        )


def _products_alone(pattern: Any) -> bool:
    if isinstance(pattern, str) and pattern != "products":
        raise StructureError(
            f"there is no pattern {pattern!r}.",
            where="from_jax",
            fix='give a sparse matrix, index arrays, "products", or None.',
        )
    return isinstance(pattern, str)
