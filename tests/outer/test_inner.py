import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import NotPositiveDefinite, ShapeError, StructureError
from sparseimplicit.outer import inner_product
from tests.reference.mother import assembled, grid, triangles

RNG = np.random.default_rng(5)
MASS = assembled(*triangles(grid(5, 0.6)))[1]  # (36, 36), rows of unequal sums
V, G = RNG.standard_normal((2, 36))


class Given:
    """A user's object, of a dense matrix; riesz may be wrong."""

    def __init__(self, matrix, inverse=None):
        self.matrix = matrix
        self.inverse = np.linalg.inv(matrix) if inverse is None else inverse

    def apply(self, v):
        return self.matrix @ v

    def riesz(self, g):
        return self.inverse @ g


@pytest.mark.parametrize(
    "given",
    [MASS, MASS.toarray(), si.linear.Operator(MASS), Given(MASS.toarray())],
    ids=["sparse", "dense", "operator", "object"],
)
def test_a_matrix_pairs_as_dense_algebra_does(given):
    M, product = MASS.toarray(), inner_product(given, 36)
    np.testing.assert_allclose(product.apply(V), M @ V, rtol=1e-12)
    np.testing.assert_allclose(product.riesz(G), np.linalg.solve(M, G), rtol=1e-7)
    assert product.dot(V, G) == pytest.approx(V @ M @ G)
    assert product.norm(V) == pytest.approx(np.sqrt(V @ M @ V))
    assert product.dual_norm(G) == pytest.approx(np.sqrt(G @ np.linalg.solve(M, G)))
    assert product.dual_norm(product.apply(V)) == pytest.approx(product.norm(V))
    np.testing.assert_allclose(product.lumped().apply(V), M.sum(1) * V, rtol=1e-12)


def test_none_and_a_diagonal():
    weights = np.linspace(1, 3, 36)
    assert inner_product(None, 36).dot(V, G) == pytest.approx(V @ G)
    product = inner_product(weights, 36)
    assert product.dual_norm(G) == pytest.approx(np.sqrt(np.sum(G**2 / weights)))
    assert product.lumped() is product


def test_the_matrix_is_prepared_once():
    product = inner_product(MASS, 36)
    assert product.system is product.system


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (np.r_[1.0, -1.0, np.ones(34)], NotPositiveDefinite, "weight 1 .* -1"),
        (np.ones(35), ShapeError, "35 parameters; there are 36"),
        (sparse.eye_array(35, format="csr"), ShapeError, "35 parameters"),
        (sparse.csr_array(np.triu(np.ones((36, 36)))), StructureError, "symmetric"),
        ("mass", ShapeError, "got str"),
        (Given(np.triu(np.ones((36, 36)))), StructureError, "not symmetric"),
        (Given(-np.eye(36)), StructureError, "not positive"),
        (Given(np.eye(36), 2 * np.eye(36)), StructureError, "riesz"),
    ],
)
def test_what_is_no_inner_product_is_refused(given, error, says):
    with pytest.raises(error, match=says):
        inner_product(given, 36)


def test_an_indefinite_matrix_is_found_out():
    with pytest.raises(NotPositiveDefinite):
        inner_product(sparse.diags_array(np.r_[-1.0, np.ones(35)]).tocsr(), 36).riesz(G)


def test_row_sums_that_are_no_weights_are_refused():
    M = np.eye(3) * 2 - 0.9 * (np.ones((3, 3)) - np.eye(3))
    M[0, 0] = 1.8  # the sum of row 0 is 0, as at the corners of quadratic triangles
    with pytest.raises(StructureError, match="row 0"):
        inner_product(sparse.csr_array(M), 3).lumped()


@pytest.mark.parametrize(
    "matrix",
    [
        -MASS,
        -sparse.eye_array(36, format="csr"),
        sparse.diags_array(np.r_[0.0, np.ones(35)]).tocsr(),
    ],
    ids=["negative", "negative diagonal", "singular"],
)
def test_the_error_of_a_matrix_that_is_not_definite_names_inner(matrix):
    with pytest.raises(NotPositiveDefinite, match=r"`inner`.* not positive definite") as caught:
        inner_product(matrix, 36).riesz(G)
    assert "pde.mass" in caught.value.fix
    assert "argmin" not in str(caught.value)
