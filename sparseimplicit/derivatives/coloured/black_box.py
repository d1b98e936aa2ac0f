"""Problems from a numpy gradient or residual alone: second derivatives by coloured steps."""

from __future__ import annotations

from typing import Any, Final

from ...errors import StructureError
from ...linear import Structure
from ...problem import Function, MinimizationProblem, RootProblem
from .differences import step_named
from .jacobian import MAX_COLOURS, ColouredJacobian
from .products import ParameterJacobian, Products
from .steps import Step

PRODUCTS: Final = "products"


def from_gradient(
    gradient: Function,
    *,
    hessian_pattern: Any = None,
    cross_pattern: Any = None,
    parameter_gradient: Function | None = None,
    objective: Function | None = None,
    structure: Structure | None = None,
    step: str = "complex",
    max_colours: int = MAX_COLOURS,
) -> MinimizationProblem:
    """Make an argmin of its gradient g_y(x, y) in numpy: g_yy and g_yx come by complex steps.

    Parameters
    ----------
    gradient : callable
        g_y(x, y), (n_y,), for real and for complex x and y: `numpy.empty(n, dtype=y.dtype)`,
        `numpy.sqrt(d * d)` for |d|; comparisons and `numpy.where` are fine.
    hessian_pattern : sparse matrix, index array (E, k), stencil, "products", or None
        Where g_yy may have entries: all that a sparse matrix stores (one triangle is enough), or
        all pairs of unknowns of an element, or of a `stencil`. "products": a LinearOperator, for
        any density. None: found by setting parts of y to NaN; see `probe_pattern` for what hides.
    cross_pattern : sparse matrix, (rows (E, k), columns (E, m)), "products", or None
        Where g_yx may have entries, rows y, columns x. "products", and None for up to 32
        parameters or a dense B: a LinearOperator; B ẋ is one complex step, Bᵀλ one for each
        parameter. None otherwise: found by NaN.
    parameter_gradient : callable, optional
        g_x(x, y), (n_x,). B is then a LinearOperator, and Bᵀλ = d/dt g_x(x, y + tλ) one complex
        step, for any n_x; the two are compared at first use.
    objective : callable, optional
        g itself, for the line search.
    structure : Structure, optional
        Of the Hessian; see `MinimizationProblem`.
    step : {"complex", "differences"}
        "differences": central ones, for a gradient that cannot take complex numbers; a warning,
        `InexactDerivatives`, has the estimated accuracy. It is never taken unasked.
    max_colours : int
        Refuse matrices, and transposed products by columns, that take more values than this.

    Returns
    -------
    MinimizationProblem

    Raises
    ------
    StructureError
        When a matrix is first made: if the gradient refuses complex numbers or loses imaginary
        parts; if it is no gradient (g_yy not symmetric); if the matrix is dense. Whenever one is
        made: if the pattern misses entries, one of which is named.

    Notes
    -----
    Cost of g_yy: a complex value of the gradient for each colour, and two to probe.
    Source: Curtis, Powell, Reid 1974 (colours); Squire, Trapp 1998 (complex step).

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> f = np.array([0.0, 1.0, 4.0])
    >>> def gradient(x, y):  # of ½‖y − f‖² + exp(x) Σ √(d² + 1), d = differences of neighbours
    ...     d = np.diff(y)
    ...     s = np.exp(x[0]) * d / np.sqrt(d * d + 1)
    ...     return y - f - np.diff(s, prepend=0, append=0)
    >>> solved = si.ImplicitFunction(si.from_gradient(gradient)).solve(0.0, y0=f)
    >>> solved.vjp(np.array([1.0, 0.0, 0.0])).round(6)
    array([0.477305])
    """
    kind = step_named(step)
    in_y, in_x = kind(gradient, "y", "gradient"), kind(gradient, "x", "gradient")
    g_x = None
    if parameter_gradient is not None:
        g_x = kind(parameter_gradient, "y", "parameter_gradient")
    return MinimizationProblem(
        gradient=gradient,
        hessian=_state_jacobian(in_y, hessian_pattern, True, max_colours, "hessian"),
        cross_hessian=_parameter_jacobian(in_x, cross_pattern, g_x, max_colours, "cross_hessian"),
        objective=objective,
        structure=structure,
    )


def from_residual(
    residual: Function,
    *,
    state_pattern: Any = None,
    parameter_pattern: Any = None,
    structure: Structure | None = None,
    step: str = "complex",
    max_colours: int = MAX_COLOURS,
) -> RootProblem:
    """Make a root problem of its residual c(x, y) in numpy: A and B come by complex steps.

    Parameters
    ----------
    residual : callable
        c(x, y), (n_y,), for real and for complex x and y, as in `from_gradient`.
    state_pattern, parameter_pattern
        Where A = ∂c/∂yᵀ and B = ∂c/∂xᵀ may have entries, as in `from_gradient`. A pattern of A is
        taken as it is: no mirror images. "products" gives an A without transpose, so no adjoints.
    structure : Structure, optional
        Of A. Default: found from the entries; of products, general.
    step, max_colours
        As in `from_gradient`.

    Returns
    -------
    RootProblem

    Raises
    ------
    StructureError
        As in `from_gradient`.
    """
    kind = step_named(step)
    in_y, in_x = kind(residual, "y", "residual"), kind(residual, "x", "residual")
    symmetric = structure is not None and structure.symmetric
    return RootProblem(
        residual=residual,
        state_jacobian=_state_jacobian(
            in_y, state_pattern, symmetric, max_colours, "state_jacobian"
        ),
        parameter_jacobian=_parameter_jacobian(
            in_x, parameter_pattern, None, max_colours, "parameter_jacobian"
        ),
        structure=structure,
    )


def _state_jacobian(
    step: Step, pattern: Any, symmetric: bool, max_colours: int, name: str
) -> Function:
    if _products_alone(pattern):
        return Products(step, step if symmetric else None, max_columns=0, name=name)
    return ColouredJacobian(step, pattern, symmetric=symmetric, max_colours=max_colours, name=name)


def _parameter_jacobian(
    step: Step, pattern: Any, transposed: Step | None, max_colours: int, name: str
) -> Function:
    products = Products(step, transposed, max_columns=max_colours, name=name)
    coloured = ColouredJacobian(step, pattern, symmetric=False, max_colours=max_colours, name=name)
    if _products_alone(pattern) or (pattern is None and transposed is not None):
        return products
    return ParameterJacobian(coloured, products) if pattern is None else coloured


def _products_alone(pattern: Any) -> bool:
    if isinstance(pattern, str) and pattern != PRODUCTS:
        raise StructureError(
            f"there is no pattern {pattern!r}.",
            where="from_gradient, from_residual",
            fix=f'give a sparse matrix, index arrays, "{PRODUCTS}", or None.',
        )
    return isinstance(pattern, str)
