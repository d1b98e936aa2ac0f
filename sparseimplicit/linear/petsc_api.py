"""PETSc: a matrix whose rows are shared out over the ranks of MPI, and what solves with it.

Vectors here are a rank's own rows. Every call is collective: all ranks make it, or none.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np

from .._optional import require
from ..errors import (
    MemoryBudgetExceeded,
    MissingBackend,
    NotPositiveDefinite,
    SingularSystem,
    SparseImplicitError,
)
from .operator import Array, Structure
from .reports import Reason

T = TypeVar("T")
METHODS: Final = ("hypre", "gamg", "mumps")
RESTART: Final = 100
# What MUMPS may take beyond its estimate, in percent, which on several ranks depends on timing.
WORKSPACES: Final = (30, 100, 400, 1600)
SHORT_OF_MEMORY: Final = (-8, -9, -11, -14, -15)
LOOSEST: Final = 0.5  # PETSc takes no tolerance of 1
_numbers: Final = itertools.count()
# What stopped PETSc without meeting the tolerance, in terms of ours; all else is stagnation.
REASONS: Final = {-3: Reason.MAX_ITERATIONS, -8: Reason.NEGATIVE_CURVATURE,
                  -10: Reason.NEGATIVE_CURVATURE}  # fmt: skip


def petsc() -> Any:
    """Return petsc4py's module, and start PETSc if nobody has.

    It takes no signals then: by default it takes SIGPIPE too, which Python ignores, and a socket
    that the other side has closed ends the process.

    Raises
    ------
    MissingBackend
        With the commands that install it.
    """
    try:
        require("mpi4py.MPI", extra="petsc", purpose="solver 'petsc'")
        if "petsc4py.PETSc" not in sys.modules:
            package = require("petsc4py", extra="petsc", purpose="solver 'petsc'")
            package.init(["sparseimplicit", "-no_signal_handler"])
        return require("petsc4py.PETSc", extra="petsc", purpose="solver 'petsc'")
    except MissingBackend as error:
        error.fix = (
            "scripts/setup with PETSC=1; or by hand, on Debian or Ubuntu: apt-get install "
            "libpetsc-real-dev; pip install mpi4py 'setuptools<74' wheel 'cython<3.1'; "
            "PETSC_DIR=/usr/lib/petscdir/petsc3.18/x86_64-linux-gnu-real pip install "
            "--no-build-isolation --no-deps petsc4py==3.18.5"
        )
        raise


def communicator(comm: Any = None) -> Any:
    """Return a communicator of mpi4py: the one given, else all ranks of mpiexec, else this one."""
    petsc()
    mpi = require("mpi4py.MPI", extra="petsc", purpose="solver 'petsc'")
    if comm is not None:
        return comm.tompi4py() if hasattr(comm, "tompi4py") else comm
    return mpi.COMM_WORLD if mpi.COMM_WORLD.size > 1 else mpi.COMM_SELF


@contextmanager
def together(comm: Any, where: str) -> Iterator[None]:
    """Raise on all ranks what fails on one of them: else the others would wait for it for ever."""
    failed: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - all of them are raised below
        failed = error
    told = comm.allgather(None if failed is None else str(failed))
    if failed is not None:
        raise failed
    for rank, text in enumerate(told):
        if text is not None:
            raise SparseImplicitError(
                f"rank {rank} failed: {text}", where=where, fix="see what that rank says."
            )


def own_rows(n: int, comm: Any) -> tuple[int, int]:
    """Return the first row of this rank, and the one after its last."""
    return n * comm.rank // comm.size, n * (comm.rank + 1) // comm.size


@dataclass(frozen=True)
class Settings:
    """How to solve: hypre, gamg or mumps, PETSc's own options, limits."""

    pc: str
    options: Mapping[str, Any]
    max_iterations: int
    near_nullspace: Array | None = None  # (n, k), or a rank's rows of it


@dataclass(frozen=True, eq=False)
class Rows:
    """A rank's rows of a matrix of n unknowns, in units of ``unit``, a power of 2."""

    n: int
    indptr: Any
    indices: Any
    values: Array
    unit: float

    @classmethod
    def of(cls, n: int, indptr: Any, indices: Any, values: Array, comm: Any) -> Rows:
        """Make them of CSR arrays; collective.

        Raises
        ------
        MemoryBudgetExceeded
            If they are too many for PETSc's integers.
        """
        kind = petsc().IntType
        if max(n, comm.allreduce(len(values), op=_largest())) > np.iinfo(kind).max:
            raise MemoryBudgetExceeded(
                f"PETSc here counts in {np.dtype(kind).name}, too small for {n} unknowns or the "
                "entries of a rank.", where="solver 'petsc'",
                fix="take more ranks, or a PETSc of 64-bit indices (libpetsc64-real-dev).",
            )  # fmt: skip
        largest = comm.allreduce(float(np.abs(values).max(initial=0.0)), op=_largest())
        unit = 2.0 ** round(np.log2(largest)) if largest > 0 else 1.0
        return cls(n, np.asarray(indptr, kind), np.asarray(indices, kind), values / unit, unit)

    @cached_property
    def pattern(self) -> bytes:
        """A digest of where this rank's entries are."""
        digest = hashlib.blake2b(np.ascontiguousarray(self.indptr).data)
        digest.update(np.ascontiguousarray(self.indices).data)
        return digest.digest()


class Handle:
    """A distributed matrix A / unit, with one KSP for A x = b and Aᵀ x = b; collective.

    But hypre's transposed cycle returns 0 (PETSc 3.18, hypre 2.26): where A is not symmetric, Aᵀ
    is made for it at the first adjoint solve, with a hierarchy of its own.

    Parameters
    ----------
    rows : Rows
    structure : Structure
    settings : Settings
    comm : mpi4py communicator
    before : Handle, optional
        Of a matrix of the same pattern: its hierarchy preconditions this matrix too.
    """

    def __init__(
        self, rows: Rows, structure: Structure, settings: Settings, comm: Any,
        before: Handle | None = None,
    ) -> None:  # fmt: skip
        self.comm, self.structure, self.settings = comm, structure, settings
        self.n, self.unit, self.pattern = rows.n, rows.unit, rows.pattern
        self.definite = structure is Structure.POSITIVE_DEFINITE
        self.first = 0  # iterations of the first solve with a hierarchy of its own
        self.last = 0
        self._petsc = petsc()
        local = len(rows.indptr) - 1
        self.matrix = self._petsc.Mat().createAIJ(
            size=((local, rows.n), (local, rows.n)), comm=comm,
            csr=(rows.indptr, rows.indices, rows.values),
        )  # fmt: skip
        self._declare()
        self.owner: Handle = self if before is None else before.owner
        self.ksp: Any = self._solver(self.matrix, None if before is None else self.owner.ksp)
        self._x, self._b = self.matrix.createVecs()

    def solve(self, b: Array, rtol: float, *, transposed: bool) -> tuple[Array, int, int]:
        """Return this rank's x of A x = b or Aᵀ x = b, the iterations, and PETSc's reason."""
        ksp = self.ksp
        run = ksp.solve
        if transposed and not self.structure.symmetric:
            ksp = self._adjoint if self.settings.pc == "hypre" else ksp
            run = ksp.solve if self.settings.pc == "hypre" else ksp.solveTranspose
        most = self.settings.max_iterations
        ksp.setTolerances(rtol=min(rtol, LOOSEST), atol=1e-300, divtol=1e100, max_it=most)
        self._b.setArray(b)
        self._x.set(0.0)
        run(self._b, self._x)
        self.last = int(ksp.getIterationNumber())
        self.first = self.first or self.last
        return self._x.getArray() / self.unit, self.last, int(ksp.getConvergedReason())

    def product(self, x: Array, *, transposed: bool) -> Array:
        """Return this rank's A x, or Aᵀ x."""
        self._x.setArray(x)
        run = self.matrix.multTranspose if transposed else self.matrix.mult
        run(self._x, self._b)
        return np.asarray(self._b.getArray() * self.unit)

    @property
    def tired(self) -> bool:
        """Whether a hierarchy taken over takes half as many iterations more than where it was new.

        Counts, not seconds, so that all ranks and all runs decide alike.
        """
        return self.last > 1.5 * self.owner.first + 2

    def fits(self, rows: Rows, structure: Structure, settings: Settings) -> bool:
        """Tell whether all ranks can take this hierarchy over for a matrix."""
        same = (
            self.settings is settings
            and settings.pc != "mumps"
            and self.structure is structure
            and not self.tired
            and (self.n, self.pattern) == (rows.n, rows.pattern)
        )
        return all(self.comm.allgather(same))

    def negative_pivots(self) -> int:
        """Return how many a factorization by MUMPS met; 0 where nothing tells."""
        if self.settings.pc != "mumps" or not self.structure.symmetric:
            return 0
        return int(self.ksp.getPC().getFactorMatrix().getMumpsInfog(12))

    def _declare(self) -> None:
        options = self._petsc.Mat.Option
        if self.structure.symmetric:
            self.matrix.setOption(options.SYMMETRIC, True)
            self.matrix.setOption(options.SYMMETRY_ETERNAL, True)
        vectors = self.settings.near_nullspace
        if vectors is not None:
            first, last = own_rows(self.n, self.comm)
            own = vectors[first:last] if vectors.shape[0] == self.n else vectors
            held = [
                self._petsc.Vec().createWithArray(np.array(column), comm=self.comm)
                for column in own.T
            ]
            space = self._petsc.NullSpace().create(vectors=_orthonormal(held), comm=self.comm)
            self.matrix.setNearNullSpace(space)

    @cached_property
    def _adjoint(self) -> Any:
        before = None if self.owner is self else self.owner._adjoint
        return self._solver(self.matrix.transpose(self._petsc.Mat()), before)

    def _solver(self, matrix: Any, before: Any) -> Any:
        """Make a KSP ready to solve; MUMPS gets more memory until it has enough."""
        if self.settings.pc != "mumps":
            return self._configured(matrix, before, {})
        for percent in WORKSPACES:
            ksp = self._configured(matrix, None, {"mat_mumps_icntl_14": percent})
            factor = ksp.getPC().getFactorMatrix()
            told, detail = int(factor.getMumpsInfog(1)), int(factor.getMumpsInfog(2))
            if told not in SHORT_OF_MEMORY:
                break
        if told in SHORT_OF_MEMORY or told == -13:
            raise MemoryBudgetExceeded(
                f"MUMPS ran out of memory (INFOG(1) = {told}, INFOG(2) = {detail}).",
                where="solver 'petsc+mumps', prepare", fix="take more ranks, or 'petsc'.",
            )  # fmt: skip
        if told < 0:
            raise SingularSystem(
                f"MUMPS could not factorize the matrix (INFOG(1) = {told}, INFOG(2) = {detail}).",
                where="solver 'petsc+mumps', prepare",
                fix="si.linear.diagnose(A) names null vectors.",
            )
        return ksp

    def _configured(self, matrix: Any, before: Any, defaults: Mapping[str, Any]) -> Any:
        """Make a KSP, with options of a prefix of its own: others are not touched."""
        ksp = self._petsc.KSP().create(self.comm)
        prefix = f"sparseimplicit_{next(_numbers)}_"
        ksp.setOptionsPrefix(prefix)
        ksp.setOperators(matrix)
        pc = ksp.getPC()
        if self.settings.pc == "mumps":
            ksp.setType("preonly")
            pc.setType("cholesky" if self.structure.symmetric else "lu")
            pc.setFactorSolverType("mumps")
        else:
            ksp.setType("cg" if self.definite else "gmres")
            if not self.definite:
                ksp.setGMRESRestart(RESTART)
                ksp.setPCSide(self._petsc.PC.Side.RIGHT)
            ksp.setNormType(self._petsc.KSP.NormType.UNPRECONDITIONED)
            pc.setType(self.settings.pc)
        if before is not None:
            pc.setType("python")
            pc.setPythonContext(_Lagged(before.getPC()))
        own, given = self._petsc.Options(prefix), {**defaults, **self.settings.options}
        for name, value in given.items():
            own.setValue(name, value)
        ksp.setFromOptions()
        ksp.setUp()  # MUMPS reads its own here
        for name in given:
            own.delValue(name)
        return ksp


class _Lagged:
    """The preconditioner of a neighbouring matrix."""

    def __init__(self, pc: Any) -> None:
        self._pc = pc

    def apply(self, _pc: Any, x: Any, y: Any) -> None:
        self._pc.apply(x, y)

    def applyTranspose(self, _pc: Any, x: Any, y: Any) -> None:  # noqa: N802 - PETSc's name
        self._pc.applyTranspose(x, y)


def _orthonormal(vectors: list[Any]) -> list[Any]:
    """Return distributed vectors made orthonormal, by Gram and Schmidt, twice."""
    for k, vector in enumerate(vectors):
        for _ in range(2):
            for other in vectors[:k]:
                vector.axpy(-other.dot(vector), other)
        vector.normalize()
    return vectors


def _largest() -> Any:
    return require("mpi4py.MPI", extra="petsc", purpose="solver 'petsc'").MAX


def made(
    rows: Rows, structure: Structure, settings: Settings, comm: Any, before: Handle | None
) -> Handle:
    """Return a matrix ready to solve; collective.

    Raises
    ------
    SingularSystem, NotPositiveDefinite
    """
    where = "solver 'petsc', prepare"
    handle = backend(lambda: Handle(rows, structure, settings, comm, before), where)
    if handle.definite and handle.negative_pivots():
        raise NotPositiveDefinite(
            f"the matrix is not positive definite: MUMPS met {handle.negative_pivots()} negative "
            "pivots.", where=where,
            fix="declare Structure.SYMMETRIC, if it is only that.",
        )  # fmt: skip
    return handle


def stopped(code: int) -> str:
    """Return PETSc's name of a reason."""
    reasons = vars(petsc().KSP.ConvergedReason)
    return next((n for n, value in reasons.items() if value == code and n[:1] == "D"), str(code))


def backend(run: Callable[[], T], where: str) -> T:
    """Call PETSc; its errors become ours, on all ranks: it raises them on all.

    Raises
    ------
    SingularSystem
        PETSc fails on a sound matrix only where a pivot or a coarse level vanishes.
    """
    try:
        return run()
    except petsc().Error as error:
        raise SingularSystem(
            f"PETSc failed ({' '.join(str(error).split())[:200]}): the matrix is singular, or an "
            "option does not suit it.",
            where=where,
            fix="try 'petsc+mumps' or 'pardiso'; si.linear.diagnose(A) names null vectors.",
        ) from error
