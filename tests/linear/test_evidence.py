"""A failed solve can be tried again elsewhere: what it leaves behind, and which solver helps."""

import json
import pickle

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ConfigError, NotConverged, NotPositiveDefinite
from sparseimplicit.linear.evidence import evidence_of, read_bundle, write_bundle
from sparseimplicit.linear.rescue import told, try_all
from sparseimplicit.verify.zoo import laplacian

A = sparse.csr_array(laplacian(12, 12, 1e-3))
B = np.random.default_rng(3).standard_normal((144, 2))


@pytest.fixture
def failure():
    """Two steps of CG are too few."""
    operator = si.linear.Operator(A, si.Structure.POSITIVE_DEFINITE)
    with pytest.raises(NotConverged) as caught:
        si.linear.CG(max_iterations=2).prepare(operator).solve_adjoint(B, rtol=1e-9)
    return caught.value


def test_a_bundle_has_the_system_to_the_bit(failure, tmp_path):
    assert write_bundle(tmp_path, failure) == ["failure.json", "matrix.npz", "rhs.npy"]
    bundle = read_bundle(tmp_path)
    assert bundle.operator.structure is si.Structure.POSITIVE_DEFINITE
    assert (bundle.operator.entries != A).nnz == 0
    np.testing.assert_array_equal(bundle.rhs, B)
    assert bundle.about["solver"] == "cg"
    assert bundle.about["transposed"] is True
    assert bundle.about["rtol"] == 1e-9
    assert bundle.about["report"]["iterations"] == 2
    assert bundle.about["error"]["type"] == "NotConverged"


def test_what_is_too_large_is_left_out_and_said(failure, tmp_path):
    size = A.data.nbytes + A.indices.nbytes + A.indptr.nbytes
    assert write_bundle(tmp_path, failure, size) == ["failure.json", "matrix.npz"]
    assert "rhs" in json.loads((tmp_path / "failure.json").read_text())["left_out"]
    assert read_bundle(tmp_path).rhs is None
    (tmp_path / "matrix.npz").unlink()
    assert write_bundle(tmp_path, failure, size - 1) == ["failure.json", "rhs.npy"]
    with pytest.raises(ConfigError, match=r"left out .* allowed"):
        read_bundle(tmp_path)


def test_evidence_is_found_behind_other_errors_and_in_other_processes(failure):
    outer = ConfigError("something else")
    outer.__cause__ = failure
    assert evidence_of(outer) is failure.evidence
    sent = pickle.loads(pickle.dumps(failure))  # noqa: S301 - our own
    assert (sent.evidence.matrix != A).nnz == 0
    assert evidence_of(ConfigError("no system")) is None
    assert evidence_of(None) is None


def test_a_failed_preparation_leaves_its_matrix(tmp_path):
    indefinite = si.linear.Operator(laplacian(8, 8, -1.0), si.Structure.POSITIVE_DEFINITE)
    with pytest.raises(NotPositiveDefinite) as caught:
        si.linear.solve(indefinite, np.ones(64), solver="superlu")
    assert "matrix.npz" in write_bundle(tmp_path, caught.value)
    assert read_bundle(tmp_path).rhs is None


def test_newton_leaves_its_last_system(tmp_path):
    problem = si.RootProblem(
        residual=lambda x, y: y**2 + x, state_jacobian=lambda x, y: 2 * np.diag(y),
        parameter_jacobian=lambda x, y: np.ones((2, 1)),
    )  # fmt: skip
    with pytest.raises(NotConverged) as caught:
        si.ImplicitFunction(problem, max_iterations=3).solve(1.0, y0=np.array([0.9, 3.0]))
    assert "matrix.npz" in write_bundle(tmp_path, caught.value)
    assert read_bundle(tmp_path).operator.n == 2


def test_matrices_never_assembled_are_assembled_within_the_limit(tmp_path):
    c = np.zeros((3, 9, 9))
    c[1, :, :-1] = c[2, :-1] = -1.0
    c[0] = 4.001
    stencil = si.linear.StencilOperator(c, [(0, 0), (0, 1), (1, 0)])
    filters = si.linear.FilterOperator(
        np.random.default_rng(0).standard_normal((2, 3, 3)), np.ones((2, 9, 9)), np.ones((9, 9))
    )
    for number, source in enumerate((stencil, filters)):
        operator = si.linear.Operator(source, si.Structure.POSITIVE_DEFINITE)
        with pytest.raises(NotConverged) as caught:
            si.linear.CG(max_iterations=1).prepare(operator).solve(np.arange(81.0))
        folder = tmp_path / str(number)
        assert write_bundle(folder, caught.value, 1000) == ["failure.json", "rhs.npy"]
        write_bundle(folder, caught.value)
        assert abs(read_bundle(folder).operator.entries - source.assemble()).max() == 0.0


def test_no_bundle(tmp_path):
    assert write_bundle(tmp_path, ConfigError("no system")) == []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="no failure bundle"):
        read_bundle(tmp_path)


def test_every_solver_is_tried_and_those_that_work_come_first():
    operator = si.linear.Operator(A, si.Structure.POSITIVE_DEFINITE)
    attempts = try_all(operator, B)
    assert {one.solver for one in attempts} == set(si.available_solvers())
    works = [one.outcome == "works" for one in attempts]
    assert works[0]
    assert works == sorted(works, reverse=True)
    assert all(one.residual <= 1e-8 for one in attempts if one.outcome == "works")
    assert f'solver.linear = "{attempts[0].solver}"' in told(attempts)


def test_where_no_solver_helps_that_is_said():
    singular = si.linear.Operator(laplacian(6, 6))
    assert "no solver has an answer" in told(try_all(singular, np.arange(36.0)))
