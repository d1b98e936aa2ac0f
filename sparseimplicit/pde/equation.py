"""A weak form as a `RootProblem`: from the integrand to exact sparse derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..derivatives import Residual, part
from ..errors import StructureError
from ..linear import Structure
from ..packing import Packing
from ..problem import RootProblem
from .dirichlet import Split
from .integral import Integral, integral
from .spaces import Spaces, vector_of

Array = NDArray[np.float64]


class Equation(RootProblem):
    """∫ f(u, v; x) = 0 for all test functions v, where the state's free unknowns are y.

    Parameters
    ----------
    form : callable, `Integral`, or sequence of Integrals
        The weak residual ``f(u, v, *controls)`` or ``f(u, v, *controls, w)``, linear in v, as for
        `integral`; all derivatives are made from it.
    state, control, data :
        As for `integral`, where ``form`` is a callable.
    fixed : what ``basis.get_dofs`` returns, `fixed`, or sequence of these, optional
        Unknowns with Dirichlet values, 0 unless said otherwise. They are no part of y; their rows
        and columns are left out, so that a symmetric form has a symmetric Jacobian.
    load : array, shape (N,), optional
        Forces that are no integral, one for each unknown, such as ``basis.point_source(x)``: the
        form equals load · v.
    structure : Structure, optional
        Of the state Jacobian. Declare `Structure.POSITIVE_DEFINITE` where you know it; symmetry is
        found from the entries.

    Attributes
    ----------
    n_y, n_x : int
    packing : Packing
        The blocks of x by name.
    free : array, shape (n_y,)
        Which of all unknowns y holds.
    control_dofs : dict
        For each control of a basis, which of its numbers x holds.

    Raises
    ------
    StructureError, ShapeError, NonFinite, MissingBackend

    Notes
    -----
    An element is a local term of a `Residual`, with the quadrature as its inner sum: patterns and
    kernels are made once, and c, A, B, Bᵀ λ and second derivatives filled by compiled loops.

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> from skfem import Basis, ElementTriP0, ElementTriP1, MeshTri
    >>> from sparseimplicit import pde
    >>> V = Basis(MeshTri().refined(4), ElementTriP1())
    >>> poisson = pde.Equation(
    ...     lambda u, v, f: pde.dot(u.grad, v.grad) - f * v,
    ...     state=V, control=V.with_element(ElementTriP0()), fixed=V.get_dofs(),
    ...     structure=si.Structure.POSITIVE_DEFINITE,
    ... )
    >>> solved = si.ImplicitFunction(poisson).solve(np.ones(512), y0=np.zeros(225))
    >>> print(f"{solved.y.max():.4f}")  # 0.0737 in the limit
    0.0734
    """

    def __init__(
        self,
        form: Callable[..., Any] | Integral | Sequence[Integral],
        *,
        state: Any = None,
        control: Any = None,
        data: Any = None,
        fixed: Any = None,
        load: Any = None,
        structure: Structure | None = None,
    ) -> None:
        spaces = Spaces(integrals_of(form, state, control, data, "Equation"), fixed, "Equation")
        parts = [
            part(function, rows=places["y"][:, function.rows], **places, **numbers)
            for function, places, numbers in spaces.terms(spaces.integrals, tested=True)
        ]
        split = spaces.split()
        forces = None if load is None else vector_of(load, spaces.size, "load", "Equation")
        whole = Residual(parts, n_y=spaces.size, n_x=spaces.packing.size)
        for key, value in {
            "structure": structure, "n_y": split.free.size, "n_x": spaces.packing.size,
            "packing": spaces.packing, "free": split.free, "spaces": spaces, "split": split,
            "control_dofs": spaces.control_dofs, "_whole": whole,
            "_load": None if forces is None else forces[split.free],
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)

    n_y: int
    n_x: int
    packing: Packing
    free: NDArray[Any]
    control_dofs: dict[str, NDArray[Any]]
    spaces: Spaces
    split: Split
    _whole: Residual
    _load: Array | None

    def full(self, x: Any, y: Any) -> Array:
        """Return all values of the state, the fixed ones too, (N,); fields one behind another."""
        return self.split.state(*self._checked(x, y))

    def fields(self, x: Any, y: Any) -> tuple[Array, ...]:
        """Return the vector of each field of the state, as its basis numbers it."""
        return tuple(np.split(self.full(x, y), self.spaces.offsets[1:-1]))

    def residual(self, x: Any, y: Any) -> Array:
        """Return c(x, y), (n_y,): the weak residual, tested with the free shape functions."""
        x, y = self._checked(x, y)
        whole: Array = self._whole.residual(x, self.split.state(x, y))
        free: Array = whole[self.free]
        return free if self._load is None else free - self._load

    def state_jacobian(self, x: Any, y: Any) -> Any:
        """Return A = ∂c/∂yᵀ as CSR, (n_y, n_y)."""
        x, y = self._checked(x, y)
        return self.split.square(self._whole.state_jacobian(x, self.split.state(x, y)))

    def parameter_jacobian(self, x: Any, y: Any) -> Any:
        """Return B = ∂c/∂xᵀ, (n_y, n_x): CSR, or by products where numbers are shared by all."""
        x, y = self._checked(x, y)
        u = self.split.state(x, y)
        state = self._whole.state_jacobian(x, u) if self.split.chosen.size else None
        return self.split.cross(self._whole.parameter_jacobian(x, u), state)

    def second_order(
        self, x: Any, y: Any, adjoint: Any, x_dot: Any, y_dot: Any
    ) -> tuple[Array, Array]:
        """Return (s_xx ẋ + s_xy ẏ, s_yx ẋ + s_yy ẏ) of s = λᵀ c: (n_x,) and (n_y,)."""
        x, y = self._checked(x, y)
        u, weight = self.split.state(x, y), self.split.padded(np.asarray(adjoint, dtype=float))
        x_dot = np.asarray(x_dot, dtype=float)
        u_dot = self.split.tangent(x_dot, np.asarray(y_dot, dtype=float))
        by_x, by_u = self._whole.second_order(x, u, weight, x_dot, u_dot)
        return by_x + self.split.to_parameters(by_u), by_u[self.free]

    def check(self, x: Any, y: Any, *, seed: int = 0) -> Any:
        """Hold every derivative against complex steps along random directions; ``print`` it."""
        x, y = self._checked(x, y)
        return self._whole.check(x, self.split.state(x, y), seed=seed)

    def _checked(self, x: Any, y: Any) -> tuple[Array, Array]:
        return vector_of(x, self.n_x, "x", "Equation"), vector_of(y, self.n_y, "y", "Equation")

    def __repr__(self) -> str:
        """Name sizes and controls."""
        return f"{type(self).__name__}({self.n_y} of {self.spaces.size} unknowns, {self.packing})"


def integrals_of(form: Any, state: Any, control: Any, data: Any, where: str) -> list[Integral]:
    """Return the integrals of a form, as it was given."""
    if callable(form):
        if state is None:
            raise StructureError(
                "state= is missing.", where=where, fix="give the basis of the state."
            )
        return [integral(form, state, control, data)]
    if state is not None or control is not None or data is not None:
        raise StructureError(
            "state=, control= and data= belong to the integrals.",
            where=where,
            fix="give them to pde.integral(…).",
        )
    integrals = [form] if isinstance(form, Integral) else list(form)
    if not all(isinstance(i, Integral) for i in integrals):
        raise StructureError(
            "a form is a callable or integrals.", where=where, fix="make them by pde.integral(…)."
        )
    return integrals
