"""Solvers by name: ours, registered ones, and those of installed entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from ..errors import StructureError
from . import preconditioners, solvers
from .contract import Solver
from .preconditioning import Preconditioner

ENTRY_POINTS: Final = "sparseimplicit.solvers"

_PRECONDITIONERS: Final[dict[str, Callable[[], Preconditioner]]] = {
    "jacobi": preconditioners.Jacobi,
    "ilu": preconditioners.ILU,
    "amg": preconditioners.AMG,
    "sa": lambda: preconditioners.AMG("aggregation"),
}
_solvers: Final[dict[str, Callable[[], Solver]]] = {
    "dense": solvers.Dense,
    "superlu": solvers.SuperLU,
    "cholmod": solvers.Cholmod,
    "cholmod+amd": lambda: solvers.Cholmod("amd"),
    "cholmod+metis": lambda: solvers.Cholmod("metis"),
    "pardiso": solvers.Pardiso,
    "pardiso+amd": lambda: solvers.Pardiso("amd"),
    "pardiso+single": lambda: solvers.Pardiso(single=True),
    "petsc": solvers.Petsc,
    "petsc+gamg": lambda: solvers.Petsc("gamg"),
    "petsc+mumps": lambda: solvers.Petsc("mumps"),
    "banded": solvers.Banded,
    "batched": solvers.Batched,
    "multigrid": solvers.Multigrid,
    "multigrid+late": lambda: solvers.Multigrid(on_demand=True),
    "cg": solvers.CG,
    "minres": solvers.MINRES,
    "gmres": solvers.GMRES,
}
# For one kind of operator alone: chosen by 'auto' and by name, and not among the solvers that
# are right for every matrix that their needs admit.
_SPECIAL: Final[dict[str, Callable[[], Solver]]] = {
    "cg+spectral": lambda: solvers.CG(preconditioners.Spectral()),
}
for _method in (solvers.CG, solvers.MINRES, solvers.GMRES):
    for _name, _make in _PRECONDITIONERS.items():
        if _make().symmetric or _method is solvers.GMRES:
            _solvers[f"{_method.name}+{_name}"] = (
                lambda method=_method, make=_make: method(preconditioner=make())  # type: ignore[misc]
            )


def register_solver(name: str, make: Callable[[], Solver]) -> None:
    """Make a solver known under a name: ``linear_solver=name`` then selects ``make()``.

    Parameters
    ----------
    name : str
    make : callable
        A `Solver` class or a function without arguments that returns one. See
        `verify.conformance` for what it must keep to. A package registers its own by the entry
        point group ``sparseimplicit.solvers``.

    Raises
    ------
    StructureError
        If the name is taken.
    """
    if name in _solvers or name in _SPECIAL or name == "auto":
        raise StructureError(
            f"there is a solver '{name}' already.",
            where="register_solver",
            fix="choose another name.",
        )
    _solvers[name] = make


def available_solvers() -> tuple[str, ...]:
    """Return the names of all solvers, sorted; backends are not imported for it."""
    return tuple(sorted({*_solvers, *(entry.name for entry in _entries())}))


def solver_named(name: str) -> Solver:
    """Return a new solver of that name.

    Raises
    ------
    StructureError
        If there is none; the message lists those there are.
    """
    if name in _solvers or name in _SPECIAL:
        return (_solvers | _SPECIAL)[name]()
    for entry in _entries():
        if entry.name == name:
            solver = entry.load()()
            assert isinstance(solver, Solver), f"{entry.value} is no Solver"  # noqa: S101
            return solver
    raise StructureError(
        f"there is no solver '{name}'.",
        where="linear_solver",
        fix=f"choose 'auto' or one of {', '.join(available_solvers())}.",
    )


def _entries() -> list:  # type: ignore[type-arg]
    return list(entry_points(group=ENTRY_POINTS))
