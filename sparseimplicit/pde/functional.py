"""Functionals of a state and its controls from their densities, differentiated by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..derivatives.programs.contract import Contraction
from ..errors import NonFinite, ShapeError
from .energy import Energy, energy_of
from .equation import Equation, integrals_of
from .integral import Integral, integral
from .losses import Array, Loss, Values
from .shapes import check_basis, check_slopes
from .spaces import spaces_of, vector_of


class Functional(Loss):
    """J = ∫ j(u; x): any density of the state and the controls, differentiated by itself.

    Parameters
    ----------
    problem : Equation or Energy
    form : callable, `Integral`, or sequence of Integrals
        The density ``j(u, *controls)`` or ``j(u, *controls, w)``. A callable is integrated where
        the first integral of the problem is, with its bases and controls; for others give
        ``pde.integral(j, state, {"name": control})`` with names of the problem's controls.
    data : mapping, optional
        As for `integral`.

    Notes
    -----
    Cost: a loop over the elements for each of value, J_x and J_y.
    """

    def __init__(
        self,
        problem: Equation | Energy,
        form: Callable[..., Any] | Integral | Sequence[Integral],
        *,
        data: Any = None,
    ) -> None:
        self.problem, spaces = problem, spaces_of(problem, "pde.Functional")
        if callable(form):
            first = spaces.integrals[0]
            integrals = [integral(form, first.state, first.control, data)]
        else:
            integrals = integrals_of(form, None, None, data, "Functional")
        for of in integrals:
            spaces.check_known(of, "Functional")
        self._energy = energy_of(spaces, integrals)

    def __call__(self, x: Any, y: Any) -> Values:
        """Return value, J_x and J_y."""
        split, u = self.problem.split, self.problem.full(x, y)
        by_u = self._energy.gradient(x, u)
        by_x = self._energy.parameter_gradient(x, u) + split.to_parameters(by_u)
        return self._energy.objective(x, u), by_x, by_u[split.free]

    def second_order(self, x: Any, y: Any, x_dot: Any, y_dot: Any) -> tuple[Array, Array]:
        """Return the second derivatives along (ẋ, ẏ), by a loop over the elements for each."""
        split, u, energy = self.problem.split, self.problem.full(x, y), self._energy
        x_dot = vector_of(x_dot, self.problem.n_x, "x_dot", "Functional")
        y_dot = vector_of(y_dot, self.problem.n_y, "y_dot", "Functional")
        x = vector_of(x, self.problem.n_x, "x", "Functional")
        by_x, by_u = energy._assembly.both(
            x, u, Contraction(("both",)), {"d0": split.tangent(x_dot, y_dot), "dx": x_dot},
            energy._inputs.finite,
        )  # fmt: skip
        return by_x + split.to_parameters(by_u), by_u[split.free]


def total_variation(
    problem: Equation | Energy, basis: Any, control: str | None = None, *, epsilon: float = 1e-3
) -> Functional:
    """Return ∫ √(|∇m|² + ε²) of a control.

    Parameters
    ----------
    problem : Equation or Energy
    basis : of the control, with gradients
    control : str, optional
        Its name; the only control by default.
    epsilon : float
        The slope below which it is quadratic, more than 0.

    Raises
    ------
    StructureError
        If gradients of the shape functions are 0, as those of P0 are.
    NonFinite
        If epsilon is not positive.
    """
    check_basis(basis, "basis")
    check_slopes(basis, "pde.total_variation")
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise NonFinite(
            f"epsilon is {epsilon}.",
            where="pde.total_variation",
            fix="give a slope > 0: without it there is no derivative where the gradient is 0.",
        )
    names = list(problem.packing.shapes)
    name = control if control is not None else names[0] if len(names) == 1 else None
    if name is None:
        raise ShapeError(
            f"the problem has controls {', '.join(names) or 'none'}.",
            where="pde.total_variation",
            fix="name one.",
        )
    states = tuple(basis.with_element(b.elem) for b in problem.spaces.integrals[0].state)
    width = float(epsilon)

    def density(_: Any, m: Any) -> Any:
        return np.sqrt(np.sum(m.grad * m.grad) + width**2)

    return Functional(problem, integral(density, states, {name: basis}))
