"""What the public solve does for every solver."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import sparseimplicit as si
from sparseimplicit import jvp, vjp
from sparseimplicit.errors import (
    NotConverged,
    NotPositiveDefinite,
    ShapeError,
    SingularSystem,
    StructureError,
)
from sparseimplicit.linear import (
    AMG,
    CG,
    GMRES,
    ILU,
    MINRES,
    Dense,
    Jacobi,
    Lagged,
    Multigrid,
    Operator,
    Reason,
    Structure,
    SuperLU,
    solve,
    solver_named,
)
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

SPD = Structure.POSITIVE_DEFINITE


def rough_diffusion(n, seed=0):
    """A 2-D diffusion with coefficients over six decades: Jacobi-CG takes hundreds of steps."""
    weights = 10.0 ** np.random.default_rng(seed).uniform(-3, 3, (n, n - 1))
    d = sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
    dx = sparse.kron(sparse.eye_array(n), d)
    dy = sparse.kron(d, sparse.eye_array(n))
    w = weights.ravel()
    matrix = dx.T @ sparse.diags_array(w) @ dx + dy.T @ sparse.diags_array(w[::-1].copy()) @ dy
    return sparse.csr_array(matrix + 1e-3 * sparse.eye_array(n * n))


def test_k_columns_are_one_call_and_share_products():
    a = laplacian(12, 13, 0.01)
    products = []

    def apply(v):
        products.append(1 if v.ndim == 1 else v.shape[1])
        return a @ v

    operator = LinearOperator(a.shape, matvec=apply, matmat=apply, dtype=float)
    b = np.random.default_rng(0).standard_normal((a.shape[0], 5))
    solution = CG().prepare(Operator(operator, SPD)).solve(b)
    assert set(products) == {5}
    assert len(products) <= solution.report.iterations + 2
    assert solution.report.columns == 5


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_the_scale_of_b_does_not_matter(scale):
    a = laplacian(12, 13, 0.01)
    b = np.random.default_rng(0).standard_normal(a.shape[0])
    system = CG(preconditioner=Jacobi()).prepare(Operator(a, SPD))
    reference = system.solve(b).report
    report = system.solve(scale * b).report
    assert report.iterations == reference.iterations
    assert report.residual == pytest.approx(reference.residual, rel=1e-3)


def test_a_missed_tolerance_raises_with_the_best_iterate():
    a = rough_diffusion(30)
    b = np.random.default_rng(0).standard_normal(900)
    system = CG(max_iterations=5).prepare(Operator(a, SPD))
    with pytest.raises(NotConverged, match="true relative residual") as caught:
        system.solve(b)
    assert caught.value.best.shape == (900,)
    assert caught.value.report.reason is Reason.MAX_ITERATIONS
    loose = system.solve(b, strict=False)
    assert not loose.report.converged
    true = np.linalg.norm(b - a @ loose.value) / np.linalg.norm(b)
    assert loose.report.residual == pytest.approx(true, rel=1e-6)


def test_a_first_guess_is_used():
    a = laplacian(20, 20, 0.01)
    b = np.ones(400)
    system = CG().prepare(Operator(a, SPD))
    x = system.solve(b, rtol=1e-10).value
    again = system.solve(b, start=x)
    assert again.report.iterations == 0
    np.testing.assert_array_equal(again.value, x)


def test_negative_curvature_is_found():
    a = laplacian(6, 6, 1.0)
    a[14, 14] = 0.5  # positive diagonal, yet indefinite
    assert np.linalg.eigvalsh(a.toarray())[0] < 0
    system = CG().prepare(a)
    with pytest.raises(NotPositiveDefinite, match="curvature"):
        system.solve(np.eye(36)[14])


@pytest.mark.parametrize("solver", [Dense(), SuperLU()])
def test_a_false_declaration_is_found_and_its_unknown_named(solver):
    diagonal = np.ones(50)
    diagonal[17] = -3.0
    a = sparse.csr_array(sparse.diags_array(diagonal))
    with pytest.raises(NotPositiveDefinite) as caught:
        solver.prepare(Operator(a, SPD))
    assert caught.value.unknown == 17
    assert solver.prepare(a).solve(np.ones(50)).report.converged  # undeclared, it is solved


@pytest.mark.parametrize("solver", [Dense(), SuperLU()])
def test_a_singular_matrix_with_a_compatible_right_hand_side_gets_no_arbitrary_answer(solver):
    a = laplacian(7, 9)
    b = np.random.default_rng(0).standard_normal(63)
    b -= b.mean()  # in the range: a factorization with a pivot of rounding size would "solve" it
    with pytest.raises(SingularSystem):
        solver.prepare(a).solve(b)


@pytest.mark.parametrize("solver", [Dense(), SuperLU()])
@pytest.mark.parametrize("transpose", [False, True])
def test_units_do_not_make_a_matrix_singular(solver, transpose):
    rows, columns = 10.0 ** np.random.default_rng(0).uniform(-5, 5, (2, 63))
    plain = convection_diffusion(7, 9)
    a = sparse.csr_array(sparse.diags_array(rows) @ plain @ sparse.diags_array(columns))
    system = solver.prepare(a)
    assert np.linalg.cond(a.toarray()) > 1e14
    b = (a.T if transpose else a) @ np.ones(63)
    run = system.solve_adjoint if transpose else system.solve
    solution = run(b)
    assert solution.report.condition_at_least < 1e6
    np.testing.assert_allclose(solution.value, 1.0, rtol=1e-2)


def test_the_adjoint_of_a_preconditioned_solve_takes_as_many_iterations():
    a = convection_diffusion(30, 30)
    b = np.random.default_rng(0).standard_normal(900)
    for preconditioner in (ILU(drop_tolerance=1e-2), AMG(), Jacobi()):
        system = GMRES(preconditioner=preconditioner).prepare(a)
        forward = system.solve(b).report.iterations
        adjoint = system.solve_adjoint(b).report.iterations
        assert abs(forward - adjoint) <= 2, preconditioner


@pytest.mark.parametrize("preconditioner", [ILU(), AMG(), AMG("aggregation"), Jacobi()])
@pytest.mark.parametrize("matrix", [convection_diffusion(9, 11), laplacian(9, 11, 0.1)])
def test_the_transposed_preconditioner_is_the_transpose(preconditioner, matrix):
    prepared = preconditioner.prepare(Operator(matrix))
    eye = np.eye(99)
    m, mt = prepared.apply(eye), prepared.apply_transpose(eye)
    np.testing.assert_allclose(mt, m.T, atol=1e-12 * np.abs(m).max())


def test_amg_takes_near_nullspace_vectors():
    a = rough_diffusion(40)
    b = np.random.default_rng(0).standard_normal(1600)
    plain = CG(preconditioner=Jacobi()).prepare(Operator(a, SPD)).solve(b).report.iterations
    amg = CG(preconditioner=AMG(near_nullspace=np.ones(1600)))
    assert amg.prepare(Operator(a, SPD)).solve(b).report.iterations < plain / 5


def test_a_neighbouring_factor_preconditions():
    a = rough_diffusion(30)
    scale = sparse.diags_array(1 + 1e-3 * np.random.default_rng(1).uniform(size=900))
    near = sparse.csr_array(scale @ a @ scale)
    held = SuperLU().prepare(a)
    lagged = CG(preconditioner=Lagged(held)).prepare(Operator(near, SPD))
    report = lagged.solve(np.ones(900), rtol=1e-10).report
    assert report.iterations <= 12
    plain = CG(preconditioner=Jacobi()).prepare(Operator(near, SPD))
    assert plain.solve(np.ones(900), rtol=1e-10).report.iterations > 150
    assert lagged.report.factorizations == 0


def test_krylov_methods_take_products_alone_with_a_matrix_to_precondition_from():
    a = rough_diffusion(30)
    operator = LinearOperator(a.shape, matvec=lambda v: a @ v, dtype=float)
    b = np.ones(900)
    helped = Operator(operator, SPD, precondition_from=a)
    for name in ("cg+amg", "minres+jacobi", "gmres+ilu"):
        x = solver_named(name).prepare(helped).solve(b).value
        assert np.linalg.norm(b - a @ x) <= 1.01e-8 * 30, name
    with pytest.raises(StructureError, match="precondition_from"):
        solver_named("cg+amg").prepare(Operator(operator, SPD))


def test_an_unsymmetric_preconditioner_is_refused_by_symmetric_methods():
    for method in (CG, MINRES):
        with pytest.raises(StructureError, match="symmetric preconditioner"):
            method(preconditioner=ILU())


def test_reports_print_and_convert():
    report = SuperLU().prepare(laplacian(5, 5, 1.0)).solve(np.ones(25)).report
    assert "residual" in str(report)
    record = report.to_dict()
    assert record["solver"] == "superlu"
    assert record["reason"] == Reason.CONVERGED.value
    assert record["condition_at_least"] > 1


@pytest.mark.parametrize("solver", ["auto", "dense", "superlu", "cg+jacobi", "minres", "gmres"])
def test_no_right_hand_side_has_an_empty_answer(solver):
    for matrix in (np.eye(2), aslinearoperator(np.eye(2))):
        if solver in ("auto", "minres", "gmres") or isinstance(matrix, np.ndarray):
            a = Operator(matrix, Structure.POSITIVE_DEFINITE)
            assert solve(a, np.zeros((2, 0)), solver=solver).value.shape == (2, 0)
    assert vjp(np.eye(2), np.ones((2, 3)), np.zeros((2, 0)), linear_solver=solver).shape == (3, 0)
    assert jvp(np.eye(2), np.ones((2, 3)), np.zeros((3, 0)), linear_solver=solver).shape == (2, 0)


@pytest.mark.parametrize("method", [CG, MINRES, GMRES, Multigrid])
@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "many"])
def test_a_limit_that_is_no_count_is_refused(method, limit):
    with pytest.raises(ShapeError, match="max_iterations must be an integer, 1 or more"):
        method(max_iterations=limit)


@pytest.mark.parametrize("rtol", [0.0, 1.0, 2.0, -1e-3, np.nan, "small"])
def test_a_tolerance_that_bounds_nothing_is_refused(rtol):
    with pytest.raises(ShapeError, match="rtol must be"):
        SuperLU().prepare(np.eye(2)).solve(np.ones(2), rtol=rtol)


def test_jacobi_takes_the_diagonal_of_a_matrix_that_is_never_assembled():
    n = 20
    shift = np.random.default_rng(3).uniform(2.0, 200.0, (n, n))
    right, down = -np.ones((2, n, n))
    right[:, -1] = down[-1] = 0.0
    offsets = [(0, 0), (0, 1), (1, 0)]
    operator = si.linear.StencilOperator(np.stack([shift + 4.0, right, down]), offsets)
    free = si.linear.Operator(operator, si.Structure.POSITIVE_DEFINITE)
    b = np.sin(np.arange(n * n))
    found = si.linear.solve(free, b, solver="cg+jacobi")
    expected = si.linear.solve(operator.assemble(), b, solver="cg+jacobi")
    assert found.report.iterations == expected.report.iterations
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-6)
