import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from sparseimplicit.errors import NonFinite, ShapeError, SparseImplicitError, StructureError
from sparseimplicit.linear import Operator, Structure, solve
from sparseimplicit.linear.operator import column_norms
from sparseimplicit.verify.zoo import convection_diffusion, laplacian


def test_structure_is_found_from_the_entries():
    assert Operator(laplacian(3, 4)).structure is Structure.SYMMETRIC
    assert Operator(convection_diffusion(3, 4)).structure is Structure.GENERAL
    assert Operator(aslinearoperator(laplacian(3, 4))).structure is Structure.GENERAL


@pytest.mark.parametrize("size", [1e-9, 1.0])
def test_an_asymmetry_is_named(size):
    a = laplacian(5, 6, 1.0)
    a[7, 8] += size
    with pytest.raises(StructureError, match=r"entry \((7, 8|8, 7)\)"):
        Operator(a, Structure.POSITIVE_DEFINITE)


def test_rounding_is_no_asymmetry():
    a = laplacian(5, 6, 1.0)
    a[7, 8] *= 1 + 4e-16
    assert Operator(a, Structure.SYMMETRIC).structure is Structure.SYMMETRIC


def test_a_missing_triangle_is_refused():
    with pytest.raises(StructureError, match="not symmetric"):
        Operator(sparse.triu(laplacian(4, 4, 1.0)), Structure.SYMMETRIC)


def test_a_nan_is_named():
    a = laplacian(4, 4, 1.0)
    a[9, 5] = np.nan
    with pytest.raises(NonFinite, match="row 9, column 5"):
        Operator(a)


@pytest.mark.parametrize("format_", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("index", [20, -3])
def test_an_index_out_of_range_is_named(format_, index):
    a = laplacian(4, 5, 1.0).asformat(format_, copy=True)
    (a.col if format_ == "coo" else a.indices)[5] = index
    with pytest.raises(ShapeError, match=rf"index {index} of .* out of range"):
        Operator(a)


@pytest.mark.parametrize("place", [0, 7, -1])
def test_starts_of_rows_that_do_not_rise_are_refused(place):
    a = laplacian(4, 5, 1.0)
    a.indptr[place] = 10_000
    with pytest.raises(ShapeError, match="indptr"):
        Operator(a)


def test_canonical_arrays_are_shared_not_copied():
    a = laplacian(4, 5, 1.0)
    a.sum_duplicates()
    assert np.shares_memory(Operator(a).entries.data, a.data)


def test_duplicates_are_summed_without_touching_the_input():
    a = sparse.csr_array(
        (np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2)
    )
    operator = Operator(a)
    assert operator.entries.nnz == 2
    assert a.nnz == 3
    np.testing.assert_array_equal(operator.apply(np.ones(2)), [3.0, 3.0])


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), "text", None, np.zeros(3), 3.0])
def test_what_is_not_square_is_refused(matrix):
    with pytest.raises(ShapeError, match="square"):
        Operator(matrix)


def test_a_grid_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="grid"):
        Operator(laplacian(3, 4), grid=(3, 5))


@pytest.mark.parametrize("grid", [72, (8.0, 9), "ab", (-8, -9), (), (2, 2, 2, 9), (None, 9)])
def test_what_is_no_grid_is_refused(grid):
    with pytest.raises(ShapeError, match="a grid is told by one to three integers"):
        Operator(laplacian(8, 9), grid=grid)


def test_a_grid_may_be_a_list():
    assert Operator(laplacian(8, 9), grid=[np.int64(8), 9]).grid == (8, 9)


def test_a_structure_told_by_its_name_is_refused():
    with pytest.raises(StructureError, match="'positive_definite'") as caught:
        Operator(laplacian(3, 4), structure="positive_definite")
    assert "Structure.POSITIVE_DEFINITE" in caught.value.fix


def test_a_linear_operator_without_transpose_says_what_is_missing():
    operator = Operator(LinearOperator((3, 3), matvec=lambda v: v, dtype=float))
    for v in (np.ones(3), np.ones((3, 2))):
        with pytest.raises(StructureError, match="rmatvec"):
            operator.apply_transpose(v)


@pytest.mark.parametrize("rmatvec", [lambda v: v + "1", lambda: 1, lambda v: v * len(3)])
def test_a_transpose_that_fails_is_not_told_to_be_missing(rmatvec):
    given = LinearOperator((3, 3), matvec=lambda v: v, rmatvec=rmatvec, dtype=float)
    for v in (np.ones(3), np.ones((3, 2))):
        with pytest.raises(SparseImplicitError, match="given failed: ") as caught:
            Operator(given).apply_transpose(v)
        assert not isinstance(caught.value, StructureError)
        assert isinstance(caught.value.__cause__, TypeError)


def test_products_with_the_transpose():
    a = convection_diffusion(4, 5)
    v = np.random.default_rng(0).standard_normal((20, 3))
    np.testing.assert_allclose(Operator(a).apply_transpose(v), a.T @ v, rtol=1e-14)
    np.testing.assert_allclose(Operator(a).apply(v[:, 0]), a @ v[:, 0], rtol=1e-14)


def test_norms_of_extreme_columns():
    columns = np.array([[3e200, 3e-200, 0.0], [4e200, 4e-200, 0.0]])
    np.testing.assert_allclose(column_norms(columns), [5e200, 5e-200, 0.0], rtol=1e-15)


@pytest.mark.parametrize("solver", ["auto", "cg", "minres", "gmres"])
@pytest.mark.parametrize(
    ("matvec", "error", "told"),
    [
        (lambda v: np.nan * v, NonFinite, "product that was given"),
        (lambda v: v[:-1], SparseImplicitError, "product that was given failed: ValueError"),
        (lambda v: {}["a"], SparseImplicitError, "product that was given failed: KeyError"),
    ],
)
def test_a_product_that_fails_is_told_to_be_the_users(solver, matvec, error, told):
    given = LinearOperator((60, 60), matvec=matvec, rmatvec=matvec, dtype=float)
    with pytest.raises(error, match=told) as caught:
        solve(Operator(given, Structure.SYMMETRIC), np.ones(60), solver=solver)
    assert "matvec" in caught.value.where or "matmat" in caught.value.where
    assert "bug" not in str(caught.value)
