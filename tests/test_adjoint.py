import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import NonFinite, ShapeError, SingularSystem, StructureError
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

A = convection_diffusion(6, 7)
B = sparse.random_array((42, 5), density=0.4, rng=np.random.default_rng(0), format="csr")
Y_BAR = np.random.default_rng(1).standard_normal((42, 3))
X_DOT = np.random.default_rng(2).standard_normal((5, 3))
VJP = -B.toarray().T @ np.linalg.solve(A.toarray().T, Y_BAR)
JVP = -np.linalg.solve(A.toarray(), B.toarray() @ X_DOT)


@pytest.mark.parametrize("solver", ["auto", "dense", "superlu", "gmres+ilu"])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, np.asarray])
def test_against_dense_algebra(solver, form):
    a = form(A.toarray())
    b = form(B.toarray())
    np.testing.assert_allclose(si.vjp(a, b, Y_BAR, linear_solver=solver), VJP, atol=1e-6)
    np.testing.assert_allclose(si.jvp(a, b, X_DOT, linear_solver=solver), JVP, atol=1e-6)
    np.testing.assert_allclose(
        si.vjp(a, b, Y_BAR[:, 1], linear_solver=solver, rtol=1e-12), VJP[:, 1], atol=1e-10
    )


def test_products_alone_suffice():
    a, b = aslinearoperator(A), aslinearoperator(B)
    np.testing.assert_allclose(si.vjp(a, b, Y_BAR, rtol=1e-11), VJP, atol=1e-8)
    np.testing.assert_allclose(si.jvp(a, b, X_DOT, rtol=1e-11), JVP, atol=1e-8)


@given(st.integers(0, 10**6), st.floats(-12, 12))
def test_linearity_scaling_and_duality(seed, exponent):
    rng = np.random.default_rng(seed)
    y_bar, x_dot = rng.standard_normal(42), rng.standard_normal(5)
    x_bar = si.vjp(A, B, y_bar, rtol=1e-12)
    y_dot = si.jvp(A, B, x_dot, rtol=1e-12)
    assert abs(y_bar @ y_dot - x_bar @ x_dot) <= 1e-10 * np.linalg.norm(y_bar) * np.linalg.norm(
        y_dot
    )
    factor = 10.0**exponent
    scaled = si.vjp(A, B, factor * y_bar, rtol=1e-12)
    np.testing.assert_allclose(scaled, factor * x_bar, rtol=1e-9, atol=1e-9 * factor)


@pytest.mark.parametrize("solver", ["auto", "cg+jacobi", "superlu", "cg+amg", "minres"])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_tiny_and_huge_cotangents_get_the_same_relative_accuracy(solver, scale):
    h = laplacian(20, 21, 0.05)
    b = sparse.random_array((420, 3), density=0.3, rng=np.random.default_rng(0))
    y_bar = np.random.default_rng(1).standard_normal(420)
    exact = -b.T @ np.linalg.solve(h.toarray(), y_bar)
    for factor in (1.0, scale):
        error = si.vjp(h, b, factor * y_bar, linear_solver=solver) / factor - exact
        assert np.linalg.norm(error) <= 1e-6 * np.linalg.norm(exact)


def test_a_zero_cotangent_gives_zero_without_a_solve():
    np.testing.assert_array_equal(si.vjp(A, B, np.zeros(42)), 0.0)


def test_no_parameters_and_no_unknowns():
    assert si.vjp(A, sparse.csr_array((42, 0)), Y_BAR).shape == (0, 3)
    assert si.vjp(sparse.csr_array((0, 0)), sparse.csr_array((0, 4)), np.zeros(0)).shape == (4,)


@pytest.mark.parametrize(
    ("a", "b", "y_bar", "error", "message"),
    [
        (A, B.T, Y_BAR, ShapeError, "rows are states"),
        (A, B, Y_BAR[:-1], ShapeError, "42 unknowns"),
        (A, B, np.full(42, np.nan), NonFinite, "nan"),
        (A, B * np.inf, Y_BAR, NonFinite, "B holds"),
        (A[:5], B, Y_BAR, ShapeError, "square"),
        (laplacian(6, 7), B, Y_BAR, SingularSystem, "singular"),
        (A, B, "text", ShapeError, "numbers"),
        ("text", B, Y_BAR, ShapeError, "square"),
        (A, B, 1j * Y_BAR, ShapeError, "complex"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_bad_input_gets_a_clear_error(a, b, y_bar, error, message):
    with pytest.raises(error, match=message):
        si.vjp(a, b, y_bar)


def test_a_b_without_transposed_products_says_so():
    from scipy.sparse.linalg import LinearOperator

    b = LinearOperator((42, 5), matvec=lambda v: B @ v, dtype=float)
    with pytest.raises(StructureError, match="rmatvec"):
        si.vjp(A, b, Y_BAR[:, 0])


def test_a_cross_hessian_with_an_index_out_of_range_is_refused():
    b = sparse.csr_array(np.ones((3, 2)))
    b.indices[4] = 7
    with pytest.raises(ShapeError, match="column index 7 of row 2"):
        si.vjp(np.eye(3), b, np.ones(3))


@pytest.mark.parametrize("form", [np.asarray, sparse.csc_array, aslinearoperator])
def test_a_complex_cross_hessian_is_refused(form):
    b = form(1j * np.ones((3, 2)))
    with pytest.raises(StructureError, match="B is complex"):
        si.vjp(np.eye(3), b, np.ones(3))
    with pytest.raises(StructureError, match="B is complex"):
        si.jvp(np.eye(3), b, np.ones(2))


@pytest.mark.parametrize("rtol", [0.0, -1e-8, 1.0, "1e-8", np.nan])
@pytest.mark.parametrize("solver", ["auto", "superlu"])
def test_a_tolerance_that_is_none_is_told_where_it_was_given(rtol, solver):
    a, b = laplacian(5, 5, 1.0), np.ones((25, 2))
    for where, call in (
        ("linear.solve", lambda: si.linear.solve(a, np.ones(25), solver=solver, rtol=rtol)),
        ("linear.prepare", lambda: si.linear.prepare(a, solver, rtol=rtol)),
        ("vjp", lambda: si.vjp(a, b, np.ones(25), linear_solver=solver, rtol=rtol)),
        ("jvp", lambda: si.jvp(a, b, np.ones(2), linear_solver=solver, rtol=rtol)),
    ):
        with pytest.raises(ShapeError, match="rtol must be") as caught:
            call()
        assert caught.value.where == where
