"""A root problem from its local residual alone: finite elements, circuits, networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError, StructureError
from ..linear import Structure
from ..linear.operator import Array, check_structure
from ..problem import RootProblem
from .assembly import Assembly
from .checks import check_residual
from .cross import CrossOperator
from .cross import assembled as columns_assembled
from .inputs import Inputs
from .programs.contract import Contraction
from .stated.bound import BoundTerm
from .stated.fixed import fixed_unknowns
from .stated.grids import whole_numbers
from .stated.terms import Term, term

PLAIN = Contraction(())


class Residual(RootProblem):
    """c(x, y) = Σ_e r(y[Y_e], x[X_e], c_e) in the rows R_e, with exact sparse derivatives.

    Parameters
    ----------
    function : callable (y, x, c) -> vector, or sequence of `part`
        The local residual r, of as many numbers as an element has rows; or several kinds of
        elements, each made by `part`.
    rows : integer array, shape (E, ρ)
        R: where the numbers of r are added.
    y, x, c :
        As for `term`.
    fixed : integer array, boolean mask (n_y,), or pair (places, values), optional
        Unknowns with Dirichlet values, 0 where none are given: their rows become y_i − value.
    n_y, n_x : int, optional
        Default: as many as the index arrays name, at least.
    structure : Structure, optional
        Of the state Jacobian; default: found from the entries.

    Raises
    ------
    ShapeError, StructureError, NonFinite

    Notes
    -----
    A `RootProblem`: ``residual``, ``state_jacobian`` and ``parameter_jacobian`` are functions of
    (x, y). The Jacobian is general; rows of fixed unknowns are rows of the identity, their columns
    stay.
    """

    def __init__(
        self,
        function: Callable[..., Any] | Sequence[tuple[Term, Any]],
        *,
        rows: Any = None,
        y: Any = None,
        x: Any = None,
        c: Any = None,
        fixed: Any = None,
        n_y: int | None = None,
        n_x: int | None = None,
        structure: Structure | None = None,
        name: str | None = None,
    ) -> None:
        check_structure(structure, "Residual")
        parts = [part(function, rows, y, x, c, name)] if callable(function) else _parts(function)
        if any(r is None for _, r in parts):
            raise ShapeError(
                "rows= is missing.", where="Residual", fix="say where the numbers are added."
            )
        n_y = _size([r for _, r in parts] + [t.y for t, _ in parts]) if n_y is None else n_y
        n_x = _size([t.x for t, _ in parts]) if n_x is None else n_x
        n_y, n_x = whole_numbers((n_y, n_x), "(n_y, n_x)", "Residual")
        terms = [
            BoundTerm(t, f"residual {i}" if t.name is None else t.name, n_y, n_x, r)
            for i, (t, r) in enumerate(parts)
        ]
        if any(t.lifted for t in terms):
            raise ShapeError("lift= is for energies.", where="Residual")
        places, values = fixed_unknowns(fixed, n_y)
        for key, value in {
            "structure": structure, "n_y": n_y, "n_x": n_x, "terms": terms, "fixed": places,
            "fixed_values": values, "_assembly": Assembly(terms, n_y, n_x, places),
            "_inputs": Inputs(terms, n_y, n_x, "Residual"),
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)

    terms: list[BoundTerm]
    n_y: int
    n_x: int
    fixed: NDArray[Any] | None
    fixed_values: Array
    _assembly: Assembly
    _inputs: Inputs

    def residual(self, x: Any, y: Any) -> Array:
        """Return c(x, y), (n_y,)."""
        x, y = self._inputs.checked(x, y)
        out = self._assembly.by_rows(x, y, PLAIN)
        if self.fixed is not None:
            out[self.fixed] = y[self.fixed] - self.fixed_values
        self._inputs.finite(out, "residual", x, y)
        return out

    def state_jacobian(self, x: Any, y: Any) -> Any:
        """Return A = ∂c/∂yᵀ as CSR, (n_y, n_y)."""
        x, y = self._inputs.checked(x, y)
        matrix = self._assembly.matrix(x, y, "rows", "y")
        self._inputs.finite(matrix.data, "state_jacobian", x, y)
        return matrix

    def parameter_jacobian(self, x: Any, y: Any, *, assembled: bool = False) -> Any:
        """Return B = ∂c/∂xᵀ, (n_y, n_x), as `Energy.cross_hessian` does."""
        x, y = self._inputs.checked(x, y)
        if self._inputs.maps_alone:
            return self._maps(x, y)
        operator = CrossOperator(
            (self.n_y, self.n_x),
            lambda x_dot: self.parameter_product(x, y, x_dot),
            lambda adjoint: self.parameter_adjoint(x, y, adjoint),
        )
        if not assembled:
            return operator
        return columns_assembled(operator, self._inputs, lambda: self._maps(x, y))

    def state_product(self, x: Any, y: Any, v: Any) -> Array:
        """Return A v, (n_y,), without a matrix."""
        out = self._along("state_product", x, y, "y", v)
        if self.fixed is not None:
            out[self.fixed] = np.asarray(v, dtype=np.float64)[self.fixed]
        return out

    def state_adjoint(self, x: Any, y: Any, adjoint: Any) -> Array:
        """Return Aᵀ λ, (n_y,), summed in the loop over elements."""
        x, y = self._inputs.checked(x, y)
        weight = self._weight(adjoint, "state_adjoint")
        out = self._assembly.by_state(x, y, Contraction((), weighted=True), weight=weight)
        if self.fixed is not None:
            out[self.fixed] += np.asarray(adjoint, dtype=np.float64)[self.fixed]
        self._inputs.finite(out, "state_adjoint", x, y)
        return out

    def parameter_product(self, x: Any, y: Any, x_dot: Any) -> Array:
        """Return B ẋ, (n_y,)."""
        return self._along("parameter_product", x, y, "x", x_dot)

    def parameter_adjoint(self, x: Any, y: Any, adjoint: Any) -> Array:
        """Return Bᵀ λ, (n_x,), summed in the loop over elements."""
        x, y = self._inputs.checked(x, y)
        weight = self._weight(adjoint, "parameter_adjoint")
        out = self._assembly.by_parameters(x, y, Contraction((), weighted=True), weight=weight)
        self._inputs.finite(out, "parameter_adjoint", x, y)
        return out

    def third_contraction(
        self, x: Any, y: Any, adjoint: Any, *, by: str, y_directions: Sequence[Any] = (),
        x_directions: Sequence[Any] = (),
    ) -> Array:  # fmt: skip
        """Return the derivative by y or x of λᵀ c along one direction: λᵀ c_yy v and the like."""
        if len(y_directions) + len(x_directions) != 1 or by not in ("x", "y"):
            raise ShapeError(
                "one direction is needed, and by 'x' or 'y'.", where="Residual.third_contraction"
            )
        x, y = self._inputs.checked(x, y)
        kind, size = ("y", self.n_y) if y_directions else ("x", self.n_x)
        seed = self._inputs.direction([*y_directions, *x_directions][0], size, "direction")
        weight = self._weight(adjoint, "third_contraction")
        run = self._assembly.by_state if by == "y" else self._assembly.by_parameters
        out = run(x, y, Contraction((kind,), weighted=True), weight=weight, d0=seed)
        self._inputs.finite(out, "third_contraction", x, y)
        return out

    def second_order(
        self, x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any
    ) -> tuple[Array, Array]:
        """Return s_xx ẋ + s_xy ẏ, (n_x,), and s_yx ẋ + s_yy ẏ, (n_y,), of s = λᵀ c.

        Exact, as `Energy.second_order`; rows of fixed unknowns are linear and add nothing.
        """
        x, y = self._inputs.checked(x, y)
        seeds = {
            "weight": self._weight(adjoint, "adjoint"),
            "d0": self._inputs.direction(y_dot, self.n_y, "y_dot"),
            "dx": self._inputs.direction(x_dot, self.n_x, "x_dot"),
        }
        what = Contraction(("both",), weighted=True)
        return self._assembly.both(x, y, what, seeds, self._inputs.finite)

    def check(self, x: Any, y: Any, *, seed: int = 0) -> Any:
        """Hold every derivative against complex steps along random directions; ``print`` it."""
        return check_residual(self, x, y, seed=seed)

    def _maps(self, x: Array, y: Array) -> Any:
        matrix = self._assembly.matrix(x, y, "rows", "xm")
        self._inputs.finite(matrix.data, "parameter_jacobian", x, y)
        return matrix

    def _weight(self, adjoint: Any, name: str) -> Array:
        weight = self._inputs.direction(adjoint, self.n_y, name)
        if self.fixed is None:
            return weight
        weight = weight.copy()
        weight[self.fixed] = 0.0
        return weight

    def _along(self, name: str, x: Any, y: Any, kind: str, direction: Any) -> Array:
        x, y = self._inputs.checked(x, y)
        seed = self._inputs.direction(direction, self.n_y if kind == "y" else self.n_x, name)
        out = self._assembly.by_rows(x, y, Contraction((kind,)), d0=seed)
        self._inputs.finite(out, name, x, y)
        return out

    def __repr__(self) -> str:
        """Name sizes and elements."""
        names = ", ".join(f"{term.name}: {term.count} × {term.k}" for term in self.terms)
        return f"Residual({self.n_y} unknowns, {self.n_x} parameters; {names})"


def part(
    function: Callable[..., Any],
    rows: Any,
    y: Any,
    x: Any = None,
    c: Any = None,
    name: str | None = None,
    points: Any = None,
) -> tuple[Term, Any]:
    """Return one kind of elements of a `Residual`: its local residual and where its numbers go."""
    return term(function, y, x, c, None, name, points), rows


def _parts(given: Any) -> list[tuple[Term, Any]]:
    parts = list(given) if isinstance(given, Iterable) else None
    if parts is None or not all(isinstance(p, tuple) and len(p) == 2 for p in parts):
        raise StructureError(
            f"a function of (y, x, c) or parts are needed, got {type(given).__name__}.",
            where="Residual",
            fix="give Residual(function, rows=…, y=…), or a list of si.part(function, rows, y).",
        )
    return parts


def _size(places: Sequence[Any]) -> int:
    """Return how many numbers the index arrays name."""
    largest = 0
    for given in places:
        for piece in given if isinstance(given, list | tuple) else [given]:
            if piece is None:
                continue
            if hasattr(piece, "m"):
                largest = max(largest, piece.first + piece.m)
            elif hasattr(piece, "size") and not isinstance(piece, np.ndarray):
                largest = max(largest, piece.size)
            else:
                largest = max(largest, int(np.max(piece, initial=-1)) + 1)
    return largest
