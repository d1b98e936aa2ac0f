"""A minimisation problem from its local terms alone: no derivative is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from ..errors import NonFinite, ShapeError, StructureError
from ..linear import FilterOperator, StencilOperator, Structure
from ..linear.operator import Array, check_structure
from ..problem import MinimizationProblem
from .assembly import Assembly, Duals
from .checks import check_energy
from .cross import CrossOperator
from .cross import assembled as columns_assembled
from .inputs import Inputs
from .primal_dual import PrimalDual
from .programs.contract import Contraction
from .stated.bound import BoundTerm
from .stated.grids import whole_numbers
from .stated.terms import Term


class Energy(MinimizationProblem):
    """g(x, y) = Σ over all terms and elements of φ, with exact sparse derivatives.

    Parameters
    ----------
    terms : sequence of `term`
    n_y, n_x : int
        Numbers of unknowns and of parameters.
    structure : Structure, optional
        Of the Hessian at the minimiser, as for `MinimizationProblem`.
    assembled : bool
        The Hessian as CSR, which every solver takes. Else as an operator without indices: a
        `linear.StencilOperator` for the solver "multigrid", where all terms stand on one grid of
        one number a pixel; or, with lifted terms, a `linear.FilterOperator` for the solver
        "cg+spectral", where these are sums over single responses of patches of one image, and the
        other terms over single unknowns.

    Raises
    ------
    ShapeError, StructureError, NonFinite
        If a term does not fit, cannot be traced, or has data that are no numbers.

    Notes
    -----
    A `MinimizationProblem`: ``objective``, ``gradient``, ``hessian`` and ``cross_hessian`` are
    functions of (x, y). Kernels are made and compiled at first use and kept on disk; patterns are
    made once, and all Hessians share one. Results have the same bits for any number of threads.
    Smoothed norms, c √(Σ d² + ε²) with c independent of y, are recognised, for Newton's method.
    """

    def __init__(
        self,
        terms: Sequence[Term] | Term,
        *,
        n_y: int,
        n_x: int = 0,
        structure: Structure | None = None,
        assembled: bool = True,
    ) -> None:
        check_structure(structure, "Energy")
        terms = list(terms) if isinstance(terms, Iterable) else [terms]
        n_y, n_x = whole_numbers((n_y, n_x), "(n_y, n_x)", "Energy")
        checked = bound(terms, n_y, n_x)
        for key, value in {
            "structure": structure, "assembled": assembled, "n_y": n_y, "n_x": n_x,
            "terms": checked, "_assembly": Assembly(checked, n_y, n_x),
            "_inputs": Inputs(checked, n_y, n_x, "Energy"),
            "majorant": None if assembled or not any(t.lifted for t in checked)
            else self._curvature,
            "primal_dual": self._primal_dual,
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)

    terms: list[BoundTerm]
    n_y: int
    n_x: int
    assembled: bool
    _assembly: Assembly
    _inputs: Inputs

    def objective(self, x: Any, y: Any) -> float:
        """Return g(x, y). It may be infinite off its domain; a NaN raises `NonFinite`."""
        x, y = self._inputs.checked(x, y)
        value = float(self._assembly.values(x, y).sum())
        if np.isnan(value):
            self._inputs.explain("objective", x, y)
        return value

    def gradient(self, x: Any, y: Any) -> Array:
        """Return g_y, (n_y,)."""
        return self._contracted("gradient", "y", x, y)

    def hessian(self, x: Any, y: Any) -> sparse.csr_array | StencilOperator | FilterOperator:
        """Return g_yy, (n_y, n_y), as CSR or as an operator; see ``assembled``."""
        return self._curvature(x, y)

    def _curvature(
        self, x: Any, y: Any, share: float = 0.0, duals: Duals | None = None
    ) -> sparse.csr_array | StencilOperator | FilterOperator:
        x, y = self._inputs.checked(x, y)
        if not self.assembled:
            return self._operator(x, y, share, duals)
        matrix = self._assembly.matrix(x, y, "y", "y", duals)
        self._inputs.finite(matrix.data, "hessian", x, y)
        return matrix

    def _primal_dual(self) -> PrimalDual | None:
        return PrimalDual.begun(self._curvature, self._assembly, self.assembled)

    def _operator(
        self, x: Array, y: Array, share: float, duals: Duals | None
    ) -> StencilOperator | FilterOperator:
        try:
            operator = self._assembly.operator(x, y, share, duals)
        except NonFinite:  # of the weights of filters, which are looked at there
            self._inputs.explain("hessian", x, y)
        if isinstance(operator, StencilOperator):
            self._inputs.finite(operator.coefficients.reshape(-1), "hessian", x, y)
        return operator

    def hessian_product(self, x: Any, y: Any, v: Any) -> Array:
        """Return g_yy v, (n_y,), without a matrix."""
        return self._contracted("hessian_product", "y", x, y, [v])

    def cross_hessian(self, x: Any, y: Any, *, assembled: bool = False) -> Any:
        """Return ∂²g/∂y∂xᵀ, (n_y, n_x).

        As CSR where all parameters are read by index (maps). Shared ones make it a LinearOperator
        with ``matvec`` (B ẋ) and ``rmatvec`` (Bᵀ λ), whose columns are never stored; with
        ``assembled`` it is then a dense array, or CSR where there are maps too.
        """
        x, y = self._inputs.checked(x, y)
        if self._inputs.maps_alone:
            return self._maps(x, y)
        operator = CrossOperator(
            (self.n_y, self.n_x),
            lambda x_dot: self.cross_product(x, y, x_dot),
            lambda adjoint: self.cross_adjoint(x, y, adjoint),
        )
        if not assembled:
            return operator
        return columns_assembled(operator, self._inputs, lambda: self._maps(x, y))

    def cross_product(self, x: Any, y: Any, x_dot: Any) -> Array:
        """Return B ẋ = ∂²g/∂y∂xᵀ ẋ, (n_y,)."""
        return self._contracted("cross_hessian", "y", x, y, along_x=[x_dot])

    def cross_adjoint(self, x: Any, y: Any, adjoint: Any) -> Array:
        """Return Bᵀ λ, (n_x,), summed in the loop over elements."""
        return self._contracted("cross_hessian", "x", x, y, [adjoint])

    def parameter_gradient(self, x: Any, y: Any) -> Array:
        """Return g_x, (n_x,)."""
        return self._contracted("parameter_gradient", "x", x, y)

    def third(self, x: Any, y: Any, v: Any, w: Any) -> Array:
        """Return d/dε g_yy(x, y + ε v) w at ε = 0, (n_y,): symmetric in v and w."""
        return self._contracted("third", "y", x, y, [v, w])

    def third_contraction(
        self, x: Any, y: Any, *, by: str, y_directions: Sequence[Any] = (),
        x_directions: Sequence[Any] = (),
    ) -> Array:  # fmt: skip
        """Return the derivative by y or x of g's second derivative along two directions.

        Parameters
        ----------
        by : {"y", "x"}
            What is left: the result has shape (n_y,) or (n_x,).
        y_directions, x_directions : sequences of arrays
            Two together. (v, w), by "x": ∂/∂x vᵀ g_yy w. (λ), (ẋ), by "x": g_yxx[λ, ẋ, ·]; by "y":
            g_yyx[λ, ·, ẋ].
        """
        if len(y_directions) + len(x_directions) != 2 or by not in ("x", "y"):
            raise ShapeError(
                "two directions are needed, and by 'x' or 'y'.", where="Energy.third_contraction"
            )
        return self._contracted("third_contraction", by, x, y, y_directions, x_directions)

    def second_order(
        self, x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any
    ) -> tuple[Array, Array]:
        """Return s_xx ẋ + s_xy ẏ, (n_x,), and s_yx ẋ + s_yy ẏ, (n_y,), of s = λᵀ g_y.

        Exact, lifted terms included: forward over reverse on the tape of λᵀ g_y along (ẋ, ẏ) at
        once. Cost: two loops over the elements, one by y and one by x; kernels are compiled at
        first use.
        """
        x, y = self._inputs.checked(x, y)
        seeds = {
            "d0": self._inputs.direction(adjoint, self.n_y, "adjoint"),
            "d1": self._inputs.direction(y_dot, self.n_y, "y_dot"),
            "dx": self._inputs.direction(x_dot, self.n_x, "x_dot"),
        }
        return self._assembly.both(x, y, Contraction(("y", "both")), seeds, self._inputs.finite)

    def check(self, x: Any, y: Any, *, seed: int = 0) -> Any:
        """Hold every derivative against complex steps along random directions; ``print`` it."""
        return check_energy(self, x, y, seed=seed)

    def _contracted(
        self, name: str, by: str, x: Any, y: Any, along_y: Sequence[Any] = (),
        along_x: Sequence[Any] = (),
    ) -> Array:  # fmt: skip
        x, y = self._inputs.checked(x, y)
        kinds: list[str] = []
        seeds: dict[str, Array] = {}
        for kind, size, given in (("y", self.n_y, along_y), ("x", self.n_x, along_x)):
            for direction in given:
                seeds[f"d{len(kinds)}"] = self._inputs.direction(direction, size, name)
                kinds.append(kind)
        what = Contraction(tuple(kinds))
        run = self._assembly.by_state if by == "y" else self._assembly.by_parameters
        out = run(x, y, what, **seeds)
        self._inputs.finite(out, name, x, y)
        return out

    def _maps(self, x: Array, y: Array) -> sparse.csr_array:
        matrix = self._assembly.matrix(x, y, "y", "xm")
        self._inputs.finite(matrix.data, "cross_hessian", x, y)
        return matrix

    def __repr__(self) -> str:
        """Name sizes and terms."""
        names = ", ".join(f"{term.name}: {term.count} × {term.k}" for term in self.terms)
        return f"Energy({self.n_y} unknowns, {self.n_x} parameters; {names})"


def bound(terms: Sequence[Term], n_y: int, n_x: int, rows: Any = None) -> list[BoundTerm]:
    """Return the terms of a problem, checked and traced."""
    if n_y < 0 or n_x < 0:
        raise ShapeError(f"n_y = {n_y} and n_x = {n_x} must not be negative.")
    for t in terms:
        if not isinstance(t, Term):
            raise StructureError(
                f"terms must be made by si.term, got {type(t).__name__}.",
                where="Energy",
                fix="give one si.term(function, y=…), or a list of them.",
            )
    return [
        BoundTerm(t, f"term {i}" if t.name is None else t.name, n_y, n_x, rows)
        for i, t in enumerate(terms)
    ]
