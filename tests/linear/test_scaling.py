"""One number tells the condition everywhere: a lower bound, of the matrix in like units."""

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import SingularSystem, SparseImplicitError
from sparseimplicit.linear import Operator, diagnose
from sparseimplicit.linear.scaling import equilibrated
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

DIRECT = ["dense", "superlu", "banded", "pardiso"]
N = 144


@pytest.fixture(params=DIRECT)
def direct(request):
    if request.param == "pardiso":
        pytest.importorskip("pypardiso", reason="pypardiso is not installed (extra 'pardiso')")
    return si.linear.solver_named(request.param)


def units(decades, kind):
    if kind == "one":
        exponents = np.where(np.arange(N) == 7, decades, 0.0)
    else:
        exponents = np.random.default_rng(0).uniform(-abs(decades), abs(decades), N)
    return sparse.diags_array(10.0**exponents)


@pytest.mark.parametrize("kind", ["one", "all"])
@pytest.mark.parametrize("decades", [-16.0, 16.0, 64.0, 150.0])
@pytest.mark.parametrize("base", [laplacian(12, 12, 1.0), convection_diffusion(12, 12)])
def test_units_of_rows_or_columns_do_not_count(direct, base, decades, kind):
    d = units(decades, kind)
    exact = np.linalg.cond(base.toarray())
    system = direct.prepare(sparse.csr_array(d @ base))
    report = system.solve(d @ base @ np.ones(N), rtol=1e-6).report
    assert 1.0 <= report.condition_at_least <= 1.5 * exact
    rows, columns, size = equilibrated(sparse.csr_array(base @ d), symmetric=False)
    found = np.linalg.cond((base @ d).toarray() / rows[:, None] / columns)
    assert found <= 3.0 * exact
    assert size > 0


def test_a_symmetric_matrix_stays_symmetric():
    d = units(20.0, "all")
    a = sparse.csr_array(d @ laplacian(12, 12, 1.0) @ d)
    rows, columns, _ = equilibrated(a, symmetric=True)
    np.testing.assert_array_equal(rows, columns)
    assert np.linalg.cond(a.toarray() / rows[:, None] / columns) < 1e6


@pytest.mark.parametrize("shift", [1.0, 1e-4, 1e-8, 1e-12])
def test_it_is_a_bound_from_below_and_a_good_one(direct, shift):
    a = convection_diffusion(12, 12).toarray()
    np.fill_diagonal(a, np.diag(a) - a.sum(axis=0) + shift)
    bound = direct.prepare(a).solve(np.ones(N), strict=False).report.condition_at_least
    assert 0.03 / shift < bound < 1.01 * np.linalg.cond(a) * np.sqrt(N)


def test_no_number_is_told_that_is_none(direct):
    for scale in (1e-310, 1e-320):
        with pytest.raises(SparseImplicitError) as caught:
            direct.prepare(scale * laplacian(12, 12, 1.0)).solve(np.ones(N))
        assert not {"nan", "inf"} & set(str(caught.value).replace(".", " ").split())
    diagnosis = diagnose(1e-310 * laplacian(12, 12, 1.0))
    assert not diagnosis.sound
    assert "have lost digits" in str(diagnosis)
    assert np.isfinite(diagnosis.condition)


def test_a_singular_matrix_is_not_told_a_condition_that_one_could_live_with(direct):
    with pytest.raises(SingularSystem) as caught:
        direct.prepare(Operator(laplacian(12, 12))).solve(np.ones(N))
    told = caught.value.what
    assert "singular" in told
    if "at least" in told:
        assert float(told.split("at least ")[1].rstrip(".")) > 1e13
