"""The states of an evolution equation as a function of the parameter, and their derivatives.

A trajectory y_0, …, y_N is a chain of implicit functions: each step is solved once, and its matrix
serves the tangent and the adjoint too.

    forward k = 1 … N     c_k(x, y_k, y_{k−1}, …) = 0
    back    k = N … 1     A_kᵀ λ_k = ∂L/∂y_k − Σ_{j≥1} C_{k+j,j}ᵀ λ_{k+j},    x̄ −= B_kᵀ λ_k
"""

from __future__ import annotations

from typing import Any, Final

from ..conditions import parameter_vector
from ..linear import Solver
from ..linear.checks import check_count, check_rtol
from .checkpoints import check_room
from .evolution import Evolution, checked_times
from .schemes import Scheme, scheme_named
from .trajectory import Trajectory, Visit


class TimeStepping:
    """x ↦ (y_0, …, y_N), the states of an evolution at given times.

    Parameters
    ----------
    evolution : Evolution
    times : array, shape (N + 1,)
        t_0 < … < t_N, with steps of any lengths.
    initial : array, shape (n_y,), or Dependent
        y_0: fixed, or a function of x.
    scheme : {"implicit-euler", "crank-nicolson", "midpoint", "bdf2"} or Scheme
    linear_solver : str or Solver
        ``"auto"`` chooses at the first step.
    max_states : int, optional
        Bound on the states held at once; earlier ones are then computed again on the way back,
        by Revolve's schedule. None holds all N + 1. The least is 3 (5 for BDF2), or N + 1; for
        Hessians twice that, as a state's tangent is held with it, and (1 + p) times for p
        directions at once.
    states_on_disk : int
        Windows of states (one state each, two for BDF2) that may lie on disk beside that bound.
    max_factors : int
        Prepared systems held at once. With constant operators every step length needs one; a
        nonlinear evolution needs N to spare the sweeps after the first their factorizations.
    max_iterations : int
        Of Newton's method, in each step.

    Raises
    ------
    ConfigError
        If a count is no whole number, or less than its least.
    ShapeError, NonFinite
        From times that do not rise.

    Notes
    -----
    To optimise over x, give value and gradient to an optimiser, such as scipy's::

        def f(x):
            g = stepping.solve(x).gradient(loss)
            return g.value, g.gradient

        scipy.optimize.minimize(f, x0, jac=True, method="L-BFGS-B")

    Examples
    --------
    >>> import numpy as np, sparseimplicit as si
    >>> from sparseimplicit import pde
    >>> decay = pde.Evolution(  # dy/dt = −x y, by implicit Euler: y_N = (1 + x/N)^−N
    ...     mass=np.eye(1), residual=lambda t, x, y: x * y,
    ...     state_jacobian=lambda t, x, y: x[0] * np.eye(1),
    ...     parameter_jacobian=lambda t, x, y: y, linear=True,
    ... )
    >>> stepping = pde.TimeStepping(decay, np.linspace(0, 1, 11), np.ones(1), linear_solver="dense")
    >>> final = lambda x, k, t, y: (y[0], None, np.ones(1)) if k == 10 else (0.0, None, None)
    >>> g = stepping.solve(2.0).gradient(final)
    >>> print(f"{g.value:.6f} {g.gradient[0]:.6f} {g.report.factorizations}")
    0.161506 -0.134588 1
    """

    def __init__(
        self,
        evolution: Evolution,
        times: Any,
        initial: Any,
        *,
        scheme: str | Scheme = "implicit-euler",
        linear_solver: str | Solver = "auto",
        max_states: int | None = None,
        states_on_disk: int = 0,
        max_factors: int = 4,
        max_iterations: int = 50,
    ) -> None:
        check_count(states_on_disk, "states_on_disk", "pde.TimeStepping", 0)
        check_count(max_factors, "max_factors", "pde.TimeStepping")
        check_count(max_iterations, "max_iterations", "pde.TimeStepping")
        self.evolution: Final = evolution
        self.times: Final = checked_times(times)
        self.initial: Final = initial
        self.scheme: Final = scheme_named(scheme)
        if max_states is not None:
            check_count(max_states, "max_states", "pde.TimeStepping")
            check_room(max_states, self.times.size - 1, self.scheme.memory, 1)
        self.linear_solver: Final = linear_solver
        self.max_states: Final = max_states
        self.states_on_disk: Final = states_on_disk
        self.max_factors: Final = max_factors
        self.max_iterations: Final = max_iterations

    def solve(
        self,
        x: Any,
        *,
        start: Trajectory | None = None,
        rtol: float = 1e-10,
        visit: Visit | None = None,
    ) -> Trajectory:
        """Find all states for a parameter.

        Parameters
        ----------
        x : number or array, shape (n_x,)
        start : Trajectory, optional
            Of the same stepping at another x: its prepared systems are taken over, and used where
            the matrices are the same to the last bit; so are its symbolic analysis and its choice
            of solver.
        rtol : float
            ``‖c_k‖ ≤ rtol ‖A_k y_k‖`` in every step. Errors of N steps add up.
        visit : callable, optional
            ``visit(k, t, y)`` for every state, as it is found.

        Raises
        ------
        NotConverged, NotPositiveDefinite, SingularSystem, StructureError, ShapeError, NonFinite
            With the step in ``where``.
        """
        check_rtol(rtol, "TimeStepping.solve")
        return Trajectory(self, parameter_vector(x, "x"), start, rtol, visit)
