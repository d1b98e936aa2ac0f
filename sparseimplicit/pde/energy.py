"""An energy over scikit-fem's bases as a `MinimizationProblem`, and functionals of a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..derivatives import Energy as LocalEnergy
from ..derivatives import term
from ..linear import Structure
from ..problem import MinimizationProblem
from .equation import integrals_of
from .integral import Integral
from .on_free import OnFree
from .spaces import Spaces

Array = NDArray[np.float64]


class Energy(OnFree, MinimizationProblem):
    """y = argmin ∫ g(u; x), where y holds the free unknowns of u.

    Parameters
    ----------
    form : callable, `Integral`, or sequence of Integrals
        The density ``g(u, *controls)`` or ``g(u, *controls, w)``, as for `integral`; gradient,
        Hessian and cross-Hessian are made from it.
    state, control, data, fixed, structure :
        As for `Equation`.

    Attributes
    ----------
    n_y, n_x, packing, free, control_dofs :
        As of `Equation`.

    Raises
    ------
    StructureError, ShapeError, NonFinite, MissingBackend

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> from skfem import Basis, ElementTriP1, MeshTri
    >>> from sparseimplicit import pde
    >>> V = Basis(MeshTri().refined(4), ElementTriP1())
    >>> soap = pde.Energy(  # a minimal surface over the square
    ...     lambda u: np.sqrt(1 + pde.dot(u.grad, u.grad)),
    ...     state=V, fixed=pde.fixed(V.get_dofs(), np.abs(V.doflocs[0, V.get_dofs().all()] - 0.5)),
    ... )
    >>> solved = si.ImplicitFunction(soap).solve([], y0=np.zeros(soap.n_y))
    >>> bool(1.0 < soap.objective([], solved.y) < np.sqrt(2))
    True
    """

    where = "pde.Energy"

    def __init__(
        self,
        form: Callable[..., Any] | Integral | Sequence[Integral],
        *,
        state: Any = None,
        control: Any = None,
        data: Any = None,
        fixed: Any = None,
        structure: Structure | None = None,
    ) -> None:
        integrals = integrals_of(form, state, control, data, self.where)
        spaces = Spaces(integrals, fixed, self.where)
        whole = energy_of(spaces, spaces.integrals)
        self._begin(spaces, whole, structure)

    def objective(self, x: Any, y: Any) -> float:
        """Return the energy."""
        x, y = self._checked(x, y)
        value: float = self._whole.objective(x, self.split.state(x, y))
        return value

    def gradient(self, x: Any, y: Any) -> Array:
        """Return g_y, (n_y,)."""
        x, y = self._checked(x, y)
        whole: Array = self._whole.gradient(x, self.split.state(x, y))
        return np.asarray(whole[self.free])

    def hessian(self, x: Any, y: Any) -> Any:
        """Return g_yy as CSR, (n_y, n_y)."""
        x, y = self._checked(x, y)
        return self.split.square(self._whole.hessian(x, self.split.state(x, y)))

    def cross_hessian(self, x: Any, y: Any) -> Any:
        """Return ∂²g/∂y∂xᵀ, (n_y, n_x): CSR, or by products where numbers are shared by all."""
        x, y = self._checked(x, y)
        u = self.split.state(x, y)
        state = self._whole.hessian(x, u) if self.split.chosen.size else None
        return self.split.cross(self._whole.cross_hessian(x, u), state)


def energy_of(spaces: Spaces, integrals: Sequence[Integral]) -> LocalEnergy:
    """Return the sum of integrals as an energy of all unknowns."""
    terms = [
        term(function, **places, **numbers)
        for function, places, numbers in spaces.terms(integrals, tested=False)
    ]
    return LocalEnergy(terms, n_y=spaces.size, n_x=spaces.packing.size)
