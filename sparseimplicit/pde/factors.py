"""Prepared systems of a M + b J, found again by their values."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ..linear import Operator, PreparedSystem, Selection, Solver, Structure, select
from ..linear.operator import Array

Key = tuple[float, float, Any, Any, Any]


class Factors:
    """What was prepared of a M + b J, the ``keep`` used last, each found by a, b and J's values.

    Values are compared in full, so that nothing here is ever out of date: a copy of J's entries is
    held beside each system. Where J gives products alone, a system is found again only if J is
    declared constant.

    Parameters
    ----------
    mass : Operator
    structure : Structure or None
        Of the sums.
    linear_solver : str or Solver
        ``"auto"`` chooses at the first matrix.
    keep : int
        Systems held, at least 1.
    constant : bool
        Declares that J is always the same.
    solves : int
        Right-hand sides that one preparation will serve, for the chooser.

    Attributes
    ----------
    factorizations, analyses, found : int
        Made so far; and systems found here that else would have been prepared.
    """

    def __init__(
        self,
        mass: Operator,
        structure: Structure | None,
        linear_solver: str | Solver,
        *,
        keep: int,
        constant: bool,
        solves: int,
    ) -> None:
        self.mass: Final = mass
        self.structure: Final = structure
        self.linear_solver: Final = linear_solver
        self.keep: Final = keep
        self.constant: Final = constant
        self.solves: Final = solves
        self.selection: Selection | None = None
        self.analysis: Any = None
        self.factorizations = self.analyses = self.found = 0
        self._kept: list[tuple[Key, PreparedSystem]] = []  # the one used last stands last

    def combined(self, a: float, b: float, jacobian: Operator) -> Operator:
        """Return a M + b J."""
        if jacobian.entries is not None and self.mass.entries is not None:
            return Operator(
                sparse.csr_array(a * self.mass.entries + b * jacobian.entries), self.structure
            )
        mass = self.mass

        def apply(v: Array) -> Array:
            return a * mass.apply(v) + b * jacobian.apply(v)

        def apply_transpose(v: Array) -> Array:
            return a * mass.apply_transpose(v) + b * jacobian.apply_transpose(v)

        products = LinearOperator(
            mass.shape, matvec=apply, rmatvec=apply_transpose, matmat=apply,
            rmatmat=apply_transpose, dtype=np.float64,
        )  # fmt: skip
        return Operator(products, self.structure)

    def solver_for(self, matrix: Operator) -> Solver:
        """Return the solver, chosen at the first matrix."""
        if self.selection is None:
            self.selection = select(self.linear_solver, matrix, solves=self.solves)
            self.analysis = self.selection.analysis
        return self.selection.solver

    def at(self, a: float, b: float, jacobian: Operator) -> PreparedSystem:
        """Return the prepared system of a M + b J."""
        key = _key(a, b, jacobian)
        for place, (other, system) in enumerate(self._kept):
            if self._same(key, other):
                self._kept.append(self._kept.pop(place))
                self.found += 1
                return system
        matrix = self.combined(a, b, jacobian)
        solver = self.solver_for(matrix)
        assert self.selection is not None  # noqa: S101 - just made
        del self._kept[: max(len(self._kept) - self.keep + 1, 0)]  # before the next one is made
        system = solver.prepare(matrix, analysis=self.analysis, because=self.selection.because)
        self.count(system.report.factorizations, system.report.analyses)
        if system.analysis is not None:
            self.analysis = system.analysis
        self._kept.append((_copied(key), system))
        return system

    def _same(self, key: Key, other: Key) -> bool:
        if key[:2] != other[:2] or (key[3] is None) != (other[3] is None):
            return False
        if key[3] is None:
            return self.constant and key[2] is other[2]
        return all(np.array_equal(one, two) for one, two in zip(key[2:], other[2:], strict=True))

    def count(self, factorizations: int, analyses: int) -> None:
        """Count work, also what was done with these matrices elsewhere."""
        self.factorizations += factorizations
        self.analyses += analyses


def _key(a: float, b: float, jacobian: Operator) -> Key:
    entries = jacobian.entries
    if entries is None:
        return (a, b, jacobian, None, None)
    return (a, b, entries.data, entries.indices, entries.indptr)


def _copied(key: Key) -> Key:
    a, b, data, indices, indptr = key
    if indices is None:
        return key
    return (a, b, data.copy(), indices.copy(), indptr.copy())
