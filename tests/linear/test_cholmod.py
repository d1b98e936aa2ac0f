"""Sparse Cholesky: analyses are reused when the pattern is the same, and only then."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from sparseimplicit._optional import available
from sparseimplicit.errors import (
    MemoryBudgetExceeded,
    MissingBackend,
    NotPositiveDefinite,
    SingularSystem,
    SparseImplicitError,
    StructureError,
)
from sparseimplicit.linear import Cholmod, Operator, Structure, SuperLU, cholmod_api
from sparseimplicit.linear.solvers.cholmod import ORDERINGS
from sparseimplicit.verify.zoo import laplacian

SPD = Structure.POSITIVE_DEFINITE
installed = pytest.mark.skipif(
    not available("sksparse"), reason="scikit-sparse is not installed (extra 'cholmod')"
)


@pytest.fixture
def cholmod():
    return pytest.importorskip("sksparse.cholmod", reason="scikit-sparse is not installed")


def entry_of(cholmod):
    """Where an analysis starts: a function in scikit-sparse 0.4, a class in 0.5."""
    return "analyze" if hasattr(cholmod, "analyze") else "CholeskyFactor"


def overflow_of(cholmod):
    old = hasattr(cholmod, "CholmodTooLargeError")
    return cholmod.CholmodTooLargeError if old else cholmod.CholmodOverflowError


def scaled(matrix, seed):
    """D A D for a random positive diagonal D: the same pattern, other values."""
    d = sparse.diags_array(np.random.default_rng(seed).uniform(0.5, 2.0, matrix.shape[0]))
    return sparse.csr_array(d @ matrix @ d)


def residual(matrix, system, seed=0, columns=3):
    b = np.random.default_rng(seed).standard_normal((matrix.shape[0], columns))
    x = system.solve(b, rtol=1e-12).value
    return np.max(np.linalg.norm(b - matrix @ x, axis=0) / np.linalg.norm(b, axis=0))


def with_indices(matrix, dtype):
    """The same matrix with indices of this type; the constructor would narrow them."""
    out = sparse.csr_array(matrix.shape)
    out.data, out.indices, out.indptr = (
        matrix.data,
        matrix.indices.astype(dtype),
        matrix.indptr.astype(dtype),
    )
    return out


def linked(matrix, pairs, weight):
    """A + Σ weight (e_i − e_j)(e_i − e_j)ᵀ: new entries at (i, j), as definite as A."""
    n = matrix.shape[0]
    d = sparse.lil_array((len(pairs), n))
    for row, (i, j) in enumerate(pairs):
        d[row, i], d[row, j] = 1.0, -1.0
    return sparse.csr_array(matrix + weight * (d.T @ d).tocsr())


@installed
def test_equal_patterns_share_one_analysis_and_the_old_system_still_solves():
    a = laplacian(23, 31, 0.1)
    first = Cholmod().prepare(Operator(a, SPD))
    assert (first.report.analyses, first.report.factorizations) == (1, 1)
    assert first.report.reused is None
    systems, matrices = [first], [a]
    for seed in range(3):
        matrices.append(scaled(a, seed))
        systems.append(systems[-1].refresh(matrices[-1]))
        report = systems[-1].report
        assert (report.analyses, report.factorizations) == (0, 1)
        assert report.reused == "symbolic analysis"
        assert systems[-1].analysis is first.analysis
    for matrix, system in zip(matrices, systems, strict=True):  # all at once, the oldest too
        assert residual(matrix, system) <= 1e-12


@installed
@pytest.mark.parametrize("change", ["superset", "subset", "as many entries elsewhere"])
def test_another_pattern_is_analysed_anew(change):
    # 45 x 46: large enough that entries outside the analysed pattern do not fit into its blocks.
    a = laplacian(45, 46, 0.1)
    n = a.shape[0]
    pairs = [(i, n - 1 - 7 * i) for i in range(0, 90, 3)]
    more = linked(a, pairs, 5.0)
    elsewhere = linked(a, [(i, j - 1) for i, j in pairs], 5.0)
    assert more.nnz == elsewhere.nnz == a.nnz + 2 * len(pairs)
    before, after = {
        "superset": (a, more),
        "subset": (more, a),
        "as many entries elsewhere": (more, elsewhere),
    }[change]
    system = Cholmod().prepare(Operator(before, SPD))
    refreshed = system.refresh(after)
    assert (refreshed.report.analyses, refreshed.report.reused) == (1, None)
    assert residual(after, refreshed) <= 1e-12
    assert residual(before, system) <= 1e-12
    b = np.random.default_rng(1).standard_normal(n)
    np.testing.assert_allclose(
        refreshed.solve(b).value, SuperLU().prepare(after).solve(b).value, rtol=1e-10, atol=1e-13
    )


@installed
def test_an_analysis_of_too_few_entries_would_be_wrong_in_silence():
    """Why patterns are compared in full: CHOLMOD drops what its analysis did not see."""
    a = laplacian(45, 46, 0.1)
    more = linked(a, [(i, a.shape[0] - 1 - 7 * i) for i in range(0, 90, 3)], 5.0)
    symbolic = Cholmod().prepare(Operator(a, SPD)).analysis.symbolic
    b = np.random.default_rng(2).standard_normal((a.shape[0], 1))
    x = symbolic.factorize(more).solve(b)
    assert np.linalg.norm(b - more @ x) > 1e-3 * np.linalg.norm(b)


@installed
def test_a_pattern_rewritten_in_the_callers_arrays_is_noticed():
    a = laplacian(6, 7, 0.5)
    links = [linked(a, [(0, 20 + k)], 1.0) for k in (0, 1)]
    for matrix in links:
        matrix.sort_indices()
    mine = links[0].copy()
    operator = Operator(mine, SPD)
    assert np.shares_memory(operator.entries.indices, mine.indices)
    system = Cholmod().prepare(operator)
    mine.indptr[:], mine.indices[:], mine.data[:] = links[1].indptr, links[1].indices, links[1].data
    refreshed = system.refresh(mine)
    assert refreshed.report.analyses == 1
    assert residual(links[1], refreshed) <= 1e-12


@installed
def test_an_analysis_of_another_kind_is_not_used():
    a = laplacian(8, 9, 0.1)
    analysis = Cholmod("amd").prepare(Operator(a, SPD)).analysis
    assert Cholmod("amd").prepare(Operator(a, SPD), analysis=analysis).report.analyses == 0
    others = [
        Cholmod("natural").prepare(Operator(a, SPD), analysis=analysis),
        Cholmod("amd").prepare(Operator(with_indices(a, np.int64), SPD), analysis=analysis),
        Cholmod("amd").prepare(Operator(a, SPD), analysis=object()),
        Cholmod("amd").prepare(Operator(a, SPD), analysis=("amd", a.indptr, a.indices)),
    ]
    for system in others:
        assert (system.report.analyses, system.report.reused) == (1, None)
        assert residual(a, system) <= 1e-12


@installed
@given(
    n=st.integers(2, 12),
    seed=st.integers(0, 2**31),
    densities=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_refresh_equals_a_new_preparation_for_any_two_patterns(n, seed, densities):
    rng = np.random.default_rng(seed)
    matrices = []
    for density in densities:
        m = sparse.random_array((n, n), density=density, rng=rng)
        matrices.append(sparse.csr_array(m + m.T + (2 * n + 1) * sparse.eye_array(n)))
    before, after = matrices
    refreshed = Cholmod().prepare(Operator(before, SPD)).refresh(after)
    operators = [Operator(matrix) for matrix in matrices]
    assert refreshed.report.analyses == int(not operators[0].same_pattern(operators[1]))
    b = rng.standard_normal(n)
    np.testing.assert_allclose(
        refreshed.solve(b).value, np.linalg.solve(after.toarray(), b), rtol=1e-11, atol=1e-14
    )


@installed
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_an_indefinite_matrix_is_named_with_its_unknown(ordering, cholmod):
    a = sparse.lil_array(laplacian(11, 13, 0.1))
    a[37, 37] = -50.0
    a = sparse.csr_array(a)
    with pytest.raises(NotPositiveDefinite, match=r"stopped at column \d+ of 143") as caught:
        Cholmod(ordering).prepare(Operator(a, SPD))
    # Without unknown 37 the matrix is positive definite: in any order, no other pivot fails.
    assert caught.value.unknown == 37
    assert "unknown 37" in str(caught.value)
    assert isinstance(caught.value.__cause__, cholmod.CholmodError)
    diagonal = np.ones(50)
    diagonal[29] = -1.0
    with pytest.raises(NotPositiveDefinite) as caught:
        Cholmod(ordering).prepare(Operator(sparse.diags_array(diagonal).tocsr(), SPD))
    assert caught.value.unknown == 29


@installed
def test_an_indefinite_neighbour_spoils_neither_the_analysis_nor_the_old_system():
    a = laplacian(11, 13, 0.1)
    system = Cholmod().prepare(Operator(a, SPD))
    shifted = sparse.csr_array(a - 3.0 * sparse.eye_array(a.shape[0]))  # same pattern
    for _ in range(2):
        with pytest.raises(NotPositiveDefinite, match="unknown"):
            system.refresh(Operator(shifted, SPD))
    again = system.refresh(scaled(a, 4))
    assert again.report.reused == "symbolic analysis"
    assert residual(scaled(a, 4), again) <= 1e-12
    assert residual(a, system) <= 1e-12


@installed
def test_one_unknown():
    system = Cholmod().prepare(sparse.csr_array([[4.0]]))
    np.testing.assert_array_equal(system.solve([2.0]).value, [0.5])
    refreshed = system.refresh(np.array([[16.0]]))
    assert refreshed.report.analyses == 0
    np.testing.assert_array_equal(refreshed.solve([[2.0, 4.0]]).value, [[0.125, 0.25]])
    for entry in (-4.0, 0.0):
        with pytest.raises(NotPositiveDefinite) as caught:
            Cholmod().prepare(sparse.csr_array(([entry], [0], [0, 1]), shape=(1, 1)))
        assert caught.value.unknown == 0


@installed
def test_a_matrix_without_entries_is_not_positive_definite():
    with pytest.raises(NotPositiveDefinite):
        Cholmod().prepare(sparse.csr_array((3, 3)))


@installed
@pytest.mark.parametrize("k", [1, 2, 7])
def test_k_columns_are_one_call_and_c_ordered(k):
    a = laplacian(9, 10, 0.1)
    system = Cholmod().prepare(Operator(a, SPD))
    factor, shapes = system.method._factor, []

    class Counted:
        def solve(self, b):
            shapes.append(b.shape)
            return factor.solve(b)

    system.method._factor = Counted()
    b = np.random.default_rng(3).standard_normal((90, k))
    attempt = system.method._solve(b, np.ones(k))
    assert shapes == [(90, k)]
    assert attempt.value.flags.c_contiguous
    np.testing.assert_allclose(attempt.value, np.linalg.solve(a.toarray(), b), rtol=1e-11)
    adjoint = system.method._solve_adjoint(b, np.ones(k))
    np.testing.assert_array_equal(adjoint.value, attempt.value)


@installed
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_indices_and_values_reach_cholmod_as_they_are(dtype, cholmod):
    """Warnings are errors here: CHOLMOD warns of each index it has to convert."""
    a = with_indices(laplacian(8, 9, 0.1), dtype)
    columns = cholmod_api._as_columns(a, np.dtype(dtype))
    for name in ("data", "indices", "indptr"):
        assert getattr(columns, name) is getattr(a, name)
    if hasattr(cholmod, "analyze"):
        wide = dtype is np.int64
        cholmod.analyze(columns, mode="supernodal", use_long=wide).cholesky(columns)
    else:
        assert cholmod.CholeskyFactor(columns).factorize(columns).itype == dtype
    system = Cholmod().prepare(Operator(a, SPD))
    assert system.analysis.indices.dtype == dtype
    assert residual(a, system) <= 1e-12
    assert system.refresh(with_indices(scaled(a, 1), dtype)).report.analyses == 0


@installed
def test_indices_of_two_widths_go_to_the_wider():
    a = laplacian(8, 9, 0.1)
    mixed = with_indices(a, np.int32)
    mixed.indptr = mixed.indptr.astype(np.int64)
    symbolic = cholmod_api.analyse(mixed, "amd")
    assert symbolic._index == np.int64
    b = np.ones((72, 1))
    np.testing.assert_allclose(a @ symbolic.factorize(mixed).solve(b), b, rtol=1e-12)


@installed
def test_a_factor_too_large_for_int32_is_analysed_in_int64(monkeypatch, cholmod):
    a = laplacian(8, 9, 0.1)
    entry = getattr(cholmod, entry_of(cholmod))
    seen = []

    def small(columns, **options):
        seen.append(columns.indices.dtype)
        if columns.indices.dtype == np.int32:
            raise overflow_of(cholmod)("problem too large")
        return entry(columns, **options)

    monkeypatch.setattr(cholmod, entry_of(cholmod), small)
    system = Cholmod().prepare(Operator(a, SPD))
    assert seen == [np.int32, np.int64]
    assert residual(a, system) <= 1e-12
    refreshed = system.refresh(scaled(a, 0))
    assert len(seen) == 2
    assert refreshed.report.reused == "symbolic analysis"
    assert residual(scaled(a, 0), refreshed) <= 1e-12


@installed
def test_a_factor_that_is_really_too_large_for_int32_is_analysed_in_int64():
    """An arrow eliminated from its tip: 1.4e5 entries, and 2.2e9 in the block of its factor."""
    n = 47_000
    i = np.arange(1, n)
    rows, columns = np.r_[0, i, i, 0 * i], np.r_[0, i, 0 * i, i]
    values = np.r_[np.full(n, 1.0 * n), np.full(2 * n - 2, -0.5)]
    arrow = sparse.csr_array((values, (rows.astype(np.int32), columns.astype(np.int32))))
    assert arrow.indices.dtype == np.int32
    assert cholmod_api.analyse(arrow, "natural")._index == np.int64
    assert cholmod_api.analyse(arrow, "amd")._index == np.int32


@installed
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("too large", MemoryBudgetExceeded),
        ("CholmodOutOfMemoryError", MemoryBudgetExceeded),
        ("MemoryError", MemoryBudgetExceeded),
        ("CholmodNotInstalledError", MissingBackend),
        ("CholmodGpuProblemError", SparseImplicitError),
    ],
)
def test_errors_of_the_backend_become_ours(name, expected, monkeypatch, cholmod):
    error = overflow_of(cholmod) if name == "too large" else getattr(cholmod, name, MemoryError)

    def fail(columns, **options):
        raise error("as if")

    monkeypatch.setattr(cholmod, entry_of(cholmod), fail)
    with pytest.raises(expected, match="as if") as caught:
        Cholmod().prepare(Operator(laplacian(3, 4, 0.1), SPD))
    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, error)


@installed
def test_an_error_of_the_backend_in_a_solve_becomes_ours(cholmod):
    system = Cholmod().prepare(Operator(laplacian(3, 4, 0.1), SPD))

    def exhausted(b):
        raise cholmod.CholmodOutOfMemoryError("as if")

    system.method._factor._factor = SimpleNamespace(solve=exhausted, solve_A=exhausted)
    with pytest.raises(MemoryBudgetExceeded, match=r"(?s)as if.*'cholmod', solve"):
        system.solve(np.ones(12))


@installed
def test_arrays_one_may_not_write_to():
    a = laplacian(8, 9, 0.1)
    for array in (a.data, a.indices, a.indptr):
        array.flags.writeable = False
    assert residual(a, Cholmod().prepare(Operator(a, SPD))) <= 1e-12


@installed
def test_ill_conditioning_is_judged_by_the_residual_not_by_warnings():
    """scikit-sparse 0.5 warns below n ε, here 2e-12; warnings are errors in this suite."""
    diagonal = np.ones(10_000)
    diagonal[77] = 1e-12
    a = sparse.diags_array(diagonal).tocsr()
    assert residual(a, Cholmod().prepare(Operator(a, SPD))) <= 1e-12


@installed
def test_a_matrix_singular_to_working_precision():
    a = laplacian(7, 9, 1e-16)  # its smallest eigenvalue is lost in rounding
    with pytest.raises((SingularSystem, NotPositiveDefinite)):
        Cholmod().prepare(Operator(a, SPD)).solve(np.ones(63))


@installed
def test_units_alone_do_not_make_a_matrix_singular():
    a = sparse.diags_array([1.0, 1e-15, 2.0, 1e9]).tocsr()
    assert residual(a, Cholmod().prepare(Operator(a, SPD))) <= 1e-12


def test_an_unknown_ordering():
    with pytest.raises(StructureError, match="use one of default, amd, metis"):
        Cholmod("best")


def test_a_missing_backend_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sksparse", None)
    monkeypatch.setitem(sys.modules, "sksparse.cholmod", None)
    with pytest.raises(MissingBackend, match=r"sparseimplicit\[cholmod\]"):
        Cholmod().prepare(Operator(laplacian(3, 4, 0.1), SPD))


def test_the_package_is_imported_without_the_backend():
    # None in sys.modules makes an import fail; scipy.optimize tries one too, and goes on without.
    code = "import sys; sys.modules['sksparse'] = None; import sparseimplicit"
    subprocess.run([sys.executable, "-c", code], check=True)
