import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.kernels import course
from sparseimplicit.linear import Operator, Structure
from sparseimplicit.linear.probe import run_cg
from tests.reference import csr as twin

N = 60


def matrix(dtype=np.int32):
    off = sparse.random_array((N, N), density=0.05, rng=np.random.default_rng(0))
    a = sparse.csr_array(sparse.eye_array(N) * 3.0 - (off + off.T) / 2)
    a.indptr, a.indices = a.indptr.astype(dtype), a.indices.astype(dtype)
    return a


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("run", [course.run, course.run.py_func])
def test_a_course_is_that_of_textbooks(run, dtype):
    a, b = matrix(dtype), np.random.default_rng(1).standard_normal(N)
    found = np.zeros((3, 8))
    assert run(a.indptr, a.indices, a.data, a.diagonal(), b, 1e-14, *found) == (8, False)
    np.testing.assert_allclose(found, twin.conjugate_gradients(a, b, 8), rtol=1e-8)


def test_it_stops_at_the_tolerance_and_at_negative_curvature():
    a, b = matrix(), np.random.default_rng(1).standard_normal(N)
    found = np.zeros((3, 50))
    steps, curved = course.run(a.indptr, a.indices, a.data, a.diagonal(), b, 1e-4, *found)
    assert not curved
    assert found[2, steps - 1] <= 1e-4 < found[2, steps - 2]
    a.data[:] = np.where(a.data == a.data.max(), 0.1, -1.0)
    assert course.run(a.indptr, a.indices, a.data, np.ones(N), b, 1e-14, *found)[1]


def test_ritz_values_lie_within_the_spectrum():
    a = matrix()
    told = run_cg(Operator(a, Structure.POSITIVE_DEFINITE), 40)
    d = np.sqrt(a.diagonal())
    exact = np.linalg.eigvalsh(a.toarray() / np.outer(d, d))
    assert told.spectrum == pytest.approx((exact[0], exact[-1]), rel=1e-6)
    assert not told.indefinite
    a.setdiag(-1.0)
    assert run_cg(Operator(a, Structure.SYMMETRIC), 40) is None
