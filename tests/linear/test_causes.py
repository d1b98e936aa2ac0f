"""A singular matrix is told as one, with its null vectors, whichever solver fails on it."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import (
    NotConverged,
    NotPositiveDefinite,
    SingularSystem,
    StructureError,
)
from sparseimplicit.linear import Operator, Structure, causes, evident
from sparseimplicit.verify.zoo import convection_diffusion, laplacian
from tests.linear.test_broken import solver  # noqa: F401 - a fixture
from tests.linear.test_doctor import truss

SPD = Structure.POSITIVE_DEFINITE


def neumann():
    return Operator(laplacian(12, 12), SPD, (12, 12)), "constant over all 144 unknowns"


def an_island():
    parts = [laplacian(8, 8, 1.0), laplacian(4, 4), laplacian(5, 5, 0.5)]
    return Operator(sparse.csr_array(sparse.block_diag(parts))), "constant on 16 of 105 unknowns"


def a_gauge():
    return Operator(sparse.csr_array(truss())), "3 null vectors"


def an_uneven_vector():
    d = sparse.diags_array(10.0 ** np.random.default_rng(0).uniform(-2, 2, 144))
    a = sparse.csr_array(d @ laplacian(12, 12) @ d)
    least = int(np.argmin(d.diagonal()))
    return Operator(a, SPD, (12, 12)), f"unknowns, most ({least // 12}, {least % 12})"


def a_row_twice():
    a = convection_diffusion(12, 12).tolil()
    a[70] = 2.0 * a[71]
    return Operator(sparse.csr_array(a)), "rows are multiples of each other: 70 and 71"


def an_empty_row():
    keep = sparse.diags_array((np.arange(144) != 30).astype(float))
    return Operator(sparse.csr_array(keep @ laplacian(12, 12, 1.0) @ keep)), "unknown 30"


def a_conservation():
    a = convection_diffusion(12, 12).toarray()
    np.fill_diagonal(a, np.diag(a) - a.sum(axis=0))
    return Operator(
        sparse.csr_array(a)
    ), "rows sum to zero: a left null vector is constant over all 144"


@pytest.mark.parametrize(
    "case",
    [
        neumann,
        an_island,
        a_gauge,
        an_uneven_vector,
        a_row_twice,
        an_empty_row,
        a_conservation,
    ],
)
def test_every_solver_names_what_is_free(solver, case):  # noqa: F811
    operator, words = case()
    b = np.random.default_rng(0).standard_normal(operator.n)
    with pytest.raises((SingularSystem, StructureError)) as caught:
        si.linear.solve(operator, b, solver=solver)
    assert caught.value.where is not None
    if isinstance(caught.value, SingularSystem):
        assert words in str(caught.value)
        assert "min_norm" in caught.value.fix
    else:  # the solver is not meant for such a matrix at all
        assert not isinstance(caught.value, NotPositiveDefinite)


def test_what_failed_is_chained():
    operator, _ = neumann()
    with pytest.raises(SingularSystem) as caught:
        si.linear.solve(operator, np.ones(144), solver="minres")
    assert isinstance(caught.value.__cause__, NotConverged)
    assert caught.value.__cause__.best.shape == (144,)


def test_other_failures_stay_what_they_are_and_point_to_the_doctor():
    a = laplacian(12, 12, 1.0)
    a[70, 70] = -3.0
    with pytest.raises(NotPositiveDefinite) as caught:
        si.linear.solve(Operator(a, SPD), np.ones(144), solver="superlu")
    assert "No null vector was found" in caught.value.fix
    assert "si.linear.diagnose(A)" in caught.value.fix


def test_what_is_nearly_singular_is_no_singular_matrix():
    a = laplacian(12, 12, 3e-12)
    with pytest.raises(NotConverged, match="nearly singular"):
        si.linear.solve(a, np.ones(144), solver=si.linear.GMRES(max_iterations=3))


def test_what_would_take_long_is_not_looked_into(monkeypatch):
    operator, _ = an_uneven_vector()
    monkeypatch.setattr(causes, "SECONDS", 0.0)
    with pytest.raises(NotConverged, match="not looked for beyond sums and"):
        si.linear.solve(operator, np.ones(144), solver="multigrid")


def test_what_would_take_more_memory_than_there_is_is_not_looked_into(monkeypatch):
    a = Operator(laplacian(12, 12, 1.0))
    monkeypatch.setattr(causes, "available_bytes", lambda: 2**10)
    monkeypatch.setattr(causes, "null_space", None)
    assert "and 1.0 KiB are available" in causes.cause_of_failure(a)
    found = causes.cause_of_failure(neumann()[0])
    assert found.what.endswith("constant over all 144 unknowns; more was not looked for")


def test_products_alone():
    a = laplacian(12, 12)
    for given in (Operator(aslinearoperator(a), SPD), Operator(aslinearoperator(a))):
        with pytest.raises(SingularSystem, match="constant over all 144"):
            si.linear.solve(given, np.ones(144), solver="gmres")
    d = sparse.diags_array(np.linspace(1.0, 2.0, 144))
    with pytest.raises(NotConverged, match="gives products alone"):
        si.linear.solve(aslinearoperator(d @ a @ d), np.ones(144), solver="gmres")


def test_rows_of_other_units_are_no_free_constant():
    """Rows of a fixed border are of size 1, those of 10¹⁷ inside sum to zero: it is regular."""
    inside = np.arange(144) >= 12
    keep = sparse.diags_array(1e17 * inside)
    a = sparse.csr_array(keep @ laplacian(12, 12) + sparse.diags_array(1.0 * ~inside))
    assert not evident.free_constants(Operator(aslinearoperator(a)))
    with pytest.raises(NotConverged):
        si.linear.solve(aslinearoperator(a), np.ones(144), solver=si.linear.GMRES(max_iterations=3))


@pytest.mark.parametrize(
    ("other", "multiple"),
    [
        ([3e-200, 3e200, 0.0], True),
        ([-0.1e-200, -0.1e200, 0.0], True),
        ([1e-200, 3e200, 0.0], False),
        ([1e-200 * (1 + 1e-12), 1e200, 0.0], False),
        ([1e-200, 0.0, 1e200], False),
    ],
)
def test_multiples_are_told_to_rounding_whatever_their_units(other, multiple):
    a = sparse.csr_array(np.array([[1e-200, 1e200, 0.0], other, [0.0, 1.0, 1.0]]))
    assert any("0 and 1" in cause.what for cause in evident.flaws(Operator(a))) == multiple


def test_of_many_free_parts_a_few_are_made_and_all_counted():
    pair = np.array([[1.0, -1.0], [-1.0, 1.0]])
    a = Operator(sparse.csr_array(sparse.kron(sparse.eye_array(4000), pair)))
    tracemalloc.start()
    try:
        (found,) = evident.free_constants(a)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.what.startswith("4000 null vectors: unknowns 0, 1; unknowns 2, 3; ")
    assert peak < 100 * 8 * a.n


def test_a_matrix_without_entries():
    with pytest.raises(SingularSystem, match="3 empty rows"):
        si.linear.solve(sparse.csr_array((3, 3)), np.ones(3), solver="superlu")


def test_products_that_fail_later_do_not_hide_the_failure():
    def multiply(v):
        raise MemoryError("no room")

    given = Operator(LinearOperator((9, 9), matvec=multiply, dtype=float))
    with (
        pytest.raises(NotConverged, match="could not be looked for: memory ran out"),
        causes.causes_told(given),
    ):
        raise NotConverged("stopped")


def test_stencils():
    c = np.zeros((3, 12, 12))
    c[1, :, :-1] = c[2, :-1] = -1.0
    c[0] = -(c[1] + c[2] + np.roll(c[1], 1, axis=1) + np.roll(c[2], 1, axis=0))
    free = si.linear.StencilOperator(c, [(0, 0), (0, 1), (1, 0)])
    with pytest.raises(SingularSystem, match="constant over all 144"):
        si.linear.solve(Operator(free, SPD), np.ones(144), solver="multigrid")


def test_sequences_tell_it_too():
    operator, words = neumann()
    with pytest.raises(SingularSystem, match=words):
        si.linear.Sequence("cg+jacobi").solve(operator, np.ones(144))
    with pytest.raises(NotPositiveDefinite):
        si.linear.Sequence("batched").solve(operator, np.ones(144), strict=False)


@pytest.mark.parametrize("name", ["minres", "superlu", "cg+jacobi"])
def test_states_tell_it_too(name):
    k = sparse.csr_array(laplacian(12, 12))
    problem = si.RootProblem(
        residual=lambda x, y: k @ y - x[0] * np.ones(144),
        state_jacobian=lambda x, y: k,
        parameter_jacobian=lambda x, y: -np.ones((144, 1)),
    )
    with pytest.raises(SingularSystem, match="constant over all 144"):
        si.ImplicitFunction(problem, name).solve(1.0, y0=np.zeros(144))
    solved = si.ImplicitFunction(problem, name).solve(0.0, y0=np.ones(144))
    with pytest.raises(SingularSystem, match="constant over all 144"):
        solved.vjp(np.arange(144.0))


def test_rounding_hides_no_constant_and_makes_none():
    rng = np.random.default_rng(0)
    weights = sparse.diags_array(10.0 ** rng.uniform(-8, 8, 400))
    d = sparse.csr_array(rng.standard_normal((400, 1)) * _differences(rng))
    assert evident.free_constants(Operator(sparse.csr_array(d.T @ weights @ d)))
    held = sparse.csr_array(d.T @ weights @ d + 1e-9 * sparse.eye_array(100))
    assert not evident.free_constants(Operator(held))


def _differences(rng):
    """Return 400 rows, each +1 and −1 at two of 100 unknowns."""
    d = np.zeros((400, 100))
    for row in d:
        i, j = rng.choice(100, 2, replace=False)
        row[i], row[j] = 1.0, -1.0
    return d
