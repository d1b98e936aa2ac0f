"""A weak form as a `RootProblem`: from the integrand to exact sparse derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..derivatives import Residual, part
from ..errors import NonFinite, StructureError
from ..linear import Structure
from ..problem import RootProblem
from .integral import Integral, integral
from .on_free import OnFree
from .spaces import Spaces, vector_of

Array = NDArray[np.float64]


class Equation(OnFree, RootProblem):
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
    linear : bool
        Declares that the form is affine in u, as for `RootProblem`: a state is one solve, and its
        Jacobian is assembled once.

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

    where = "pde.Equation"

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
        linear: bool = False,
    ) -> None:
        spaces = Spaces(
            integrals_of(form, state, control, data, "pde.Equation"), fixed, "pde.Equation"
        )
        parts = [
            part(function, rows=places["y"][:, function.rows], **places, **numbers)
            for function, places, numbers in spaces.terms(spaces.integrals, tested=True)
        ]
        forces = None if load is None else vector_of(load, spaces.size, "load", self.where)
        if forces is not None and not np.isfinite(forces).all():
            raise NonFinite("load holds NaN or infinity.", where=self.where)
        whole = Residual(parts, n_y=spaces.size, n_x=spaces.packing.size)
        self._begin(spaces, whole, structure)
        object.__setattr__(self, "linear", linear)
        object.__setattr__(self, "_load", None if forces is None else forces[self.free])

    _load: Array | None

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
