"""The doctor, the null vectors it shows, and what is done about singular matrices on request."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import sparseimplicit as si
from sparseimplicit.errors import ConfigError, SingularSystem, StructureError
from sparseimplicit.linear import Operator, Structure, diagnose
from sparseimplicit.linear.loads import loads
from sparseimplicit.linear.nullspace import null_space
from sparseimplicit.verify.zoo import convection_diffusion, laplacian

SPD = Structure.POSITIVE_DEFINITE


def whats(diagnosis, severity):
    return " | ".join(f.what for f in diagnosis.findings if f.severity == severity)


def truss():
    """Return the stiffness of a braced lattice of springs, free in the plane: 3 movements."""
    nodes = np.array([(i, j) for i in range(5) for j in range(5)], float)
    k = np.zeros((50, 50))
    for a in range(25):
        for b in range(a):
            d = nodes[a] - nodes[b]
            if 0 < d @ d < 2.5:
                e = np.zeros(50)
                e[2 * a : 2 * a + 2], e[2 * b : 2 * b + 2] = d, -d
                k += np.outer(e, e)
    return k


def one_sided():
    """Return a nonsymmetric singular matrix whose left and right null vectors differ."""
    a = convection_diffusion(12, 12).toarray()
    a[:, 7] = 2.0 * a[:, 8] - a[:, 20]
    return a


@pytest.mark.parametrize("scale", [1.0, 1e-100, 1e100])
@pytest.mark.parametrize(
    ("dense", "dimension"),
    [
        (laplacian(9, 8).toarray(), 1),
        (sparse.block_diag([laplacian(4, 4), laplacian(3, 5), laplacian(2, 2, 1.0)]).toarray(), 2),
        (truss(), 3),
        (one_sided(), 1),
        (laplacian(6, 6, 0.1).toarray(), 0),
    ],
)
def test_null_vectors_against_the_dense_decomposition(dense, dimension, scale):
    space = null_space(Operator(sparse.csr_array(scale * dense)))
    assert space.dimension == dimension
    assert space.complete
    if dimension:
        left, _, right = np.linalg.svd(dense)
        for mine, theirs in (
            (space.right, right[-dimension:].T),
            (space.left, left[:, -dimension:]),
        ):
            np.testing.assert_allclose(mine.T @ mine, np.eye(dimension), atol=1e-12)
            np.testing.assert_allclose(mine @ mine.T, theirs @ theirs.T, atol=1e-8)


def test_more_null_vectors_than_looked_for():
    blocks = sparse.block_diag([laplacian(3, 3)] * 6, format="csr")
    assert not null_space(Operator(blocks), most=4).complete
    assert null_space(Operator(blocks), most=8).dimension == 6
    nothing = null_space(Operator(sparse.csr_array((5, 5))))
    assert (nothing.dimension, nothing.complete) == (5, True)
    alone = null_space(Operator(aslinearoperator(laplacian(3, 3))))
    assert not alone.complete
    assert "not looked for" in alone.how


def test_components_come_out_one_by_one():
    blocks = sparse.block_diag([laplacian(4, 4), laplacian(3, 5)], format="csr")
    found = {loads(v) for v in null_space(Operator(blocks)).localised().T}
    assert found == {
        "constant on 16 of 31 unknowns, from 0 to 15",
        "constant on 15 of 31 unknowns, from 16 to 30",
    }


@pytest.mark.parametrize(
    ("vector", "options", "words"),
    [
        ([1, 1, 1, 1], {}, "constant over all 4 unknowns"),
        ([1, 2, 1, 1], {}, "spread over all 4 unknowns, most 1, 0, 2"),
        ([0, 3, 0, -1], {}, "unknowns 1, 3"),
        ([0, 0, 5, 0], {"grid": (2, 2)}, "unknown (1, 0)"),
        ([0, 0, 5, 0], {"blocks": {"u": slice(0, 2), "p": (2, 4)}}, "unknown 2, in 'p'"),
        ([0, 0, 0, 0], {}, "nothing"),
    ],
)
def test_loads_in_words(vector, options, words):
    assert loads(np.array(vector, float), **options) == words


def test_a_sound_matrix_has_nothing_wrong():
    diagnosis = diagnose(Operator(laplacian(60, 60, 1.0), SPD), np.ones(3600))
    assert diagnosis.sound
    assert not whats(diagnosis, "warning")
    assert "nothing is wrong" in str(diagnosis)
    exact = np.linalg.cond(laplacian(10, 10, 1.0).toarray() / 3)
    assert 1 < diagnosis.condition < 3 * exact


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (laplacian(20, 20), "constant over all 400 unknowns"),
        (np.diag([1.0, 0.0, 2.0]), "1 empty row: unknown 1"),
        (np.array([[1.0, 2, 0], [2, 4, 0], [0, 0, 1]]), "multiples of each other: 0 and 1"),
        (np.array([[1.0, np.nan], [0, 1]]), "holds nan at row 0, column 1"),
        (np.ones((2, 3)), "square matrix is needed"),
        (1j * np.eye(3), "complex"),
        (truss(), "3 null vectors"),
        (one_sided(), "singular: 1 null vector"),
    ],
)
def test_errors(matrix, words):
    diagnosis = diagnose(matrix)
    assert not diagnosis.sound
    assert words in whats(diagnosis, "error")
    assert diagnosis.to_dict()["sound"] is False


def test_warnings_and_notes():
    upper = sparse.csr_array(sparse.triu(laplacian(8, 8, 1.0)))
    assert "only one triangle" in whats(diagnose(upper), "warning")
    nearly = laplacian(8, 8, 1.0).toarray()
    nearly[3, 4] += 1e-9
    assert "symmetric but for a small part" in whats(diagnose(nearly), "warning")
    scale = np.diag(10.0 ** np.linspace(-8, 8, 64))
    assert "decades" in whats(diagnose(scale @ laplacian(8, 8, 1.0).toarray()), "warning")
    assert "not symmetric" in whats(diagnose(convection_diffusion(6, 6)), "note")
    parts = sparse.block_diag([laplacian(4, 4, 1.0)] * 2, format="csr")
    assert "2 unconnected parts" in whats(diagnose(parts), "note")
    assert "products alone" in whats(diagnose(aslinearoperator(laplacian(3, 3))), "note")


def test_what_solvers_would_refuse_is_an_error():
    nearly = laplacian(8, 8, 1.0).toarray()
    nearly[3, 4] += 1e-9
    assert "symmetric but for a small part" in whats(diagnose(nearly, structure=SPD), "error")


def test_a_nearly_singular_matrix_is_warned_of():
    diagnosis = diagnose(laplacian(20, 20, 3e-10))
    assert "nearly singular" in whats(diagnosis, "warning")
    assert "no error was found" in str(diagnosis)
    assert 1e9 < diagnosis.condition < 8.001 / 3e-10


def test_nothing_is_called_sound_that_was_not_examined():
    diagnosis = diagnose(aslinearoperator(laplacian(3, 3)))
    assert not diagnosis.examined
    assert "nothing is wrong" not in str(diagnosis)


def test_definiteness_is_held_against_what_was_declared():
    a = laplacian(12, 12, 1.0)
    a[50, 50] = 0.1
    assert "not positive definite" in whats(diagnose(Operator(a, SPD)), "error")
    assert diagnose(a).sound
    a[50, 50] = -1.0
    assert "unknown (4, 2)" in whats(diagnose(Operator(a, SPD), grid=(12, 12)), "error")


def test_fredholm():
    a, b = laplacian(20, 20), np.random.default_rng(0).standard_normal(400)
    assert "no solution exists for b" in whats(diagnose(a, b + 1.0), "error")
    assert "solutions exist, many of them" in whats(diagnose(a, b - b.mean()), "note")
    assert "shape" in whats(diagnose(a, np.ones(3)), "error")


@pytest.mark.parametrize("n", [0, 1])
def test_tiny(n):
    assert diagnose(sparse.eye_array(n)).sound


def test_forty_thousand_unknowns():
    diagnosis = diagnose(laplacian(200, 200))
    assert "constant over all 40000" in whats(diagnosis, "error")


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("dense", [laplacian(9, 8).toarray(), truss(), one_sided()])
def test_the_least_solution_is_that_of_the_pseudoinverse(dense, transpose):
    matrix = dense.T if transpose else dense
    b = matrix @ np.random.default_rng(0).standard_normal((dense.shape[0], 2))
    a = sparse.csr_array(dense)
    solution = si.linear.solve(a, b, on_singular="min_norm", transpose=transpose)
    np.testing.assert_allclose(solution.value, np.linalg.pinv(matrix, rcond=1e-11) @ b, atol=1e-7)
    assert solution.report.null_dimension >= 1
    assert solution.report.residual <= 1e-8


def test_the_least_solution_also_where_cg_would_not_notice():
    a = Operator(laplacian(30, 30), SPD)
    b = np.random.default_rng(0).standard_normal(900)
    b -= b.mean()
    solution = si.linear.solve(a, b, solver="cg+jacobi", on_singular="min_norm")
    assert solution.report.null_dimension == 1
    assert abs(solution.value.mean()) < 1e-12


def test_no_solution_is_no_answer():
    with pytest.raises(SingularSystem, match="no solution exists"):
        si.linear.solve(laplacian(9, 9), np.ones(81), on_singular="min_norm")


def test_a_regular_matrix_is_not_touched_by_a_policy():
    a, b = laplacian(15, 15, 0.3), np.ones(225)
    for policy in ("min_norm", "damp"):
        report = si.linear.solve(a, b, on_singular=policy).report
        assert (report.null_dimension, report.damping) == (0, 0.0)


def test_damping_says_what_it_costs():
    b = np.random.default_rng(0).standard_normal(400)
    b -= b.mean()
    solution = si.linear.solve(laplacian(20, 20), b, on_singular="damp")
    report = solution.report
    assert report.damping == 1e-8
    residual = np.linalg.norm(b - laplacian(20, 20) @ solution.value) / np.linalg.norm(b)
    assert report.residual == pytest.approx(residual, rel=1e-6)
    assert "bias" in str(report)


def test_gradients_through_a_singular_hessian():
    a, b = laplacian(10, 10), sparse.csr_array(laplacian(10, 10)[:, :7])
    y_bar = np.random.default_rng(1).standard_normal(100)
    y_bar -= y_bar.mean()
    with pytest.raises(SingularSystem):
        si.vjp(a, b, y_bar)
    exact = -b.T @ np.linalg.pinv(a.toarray(), rcond=1e-11) @ y_bar
    np.testing.assert_allclose(si.vjp(a, b, y_bar, on_singular="min_norm"), exact, atol=1e-7)
    tangent = si.jvp(a, b, np.ones(7), on_singular="min_norm")
    expected = -np.linalg.pinv(a.toarray(), rcond=1e-11) @ (b @ np.ones(7))
    np.testing.assert_allclose(tangent, expected, atol=1e-7)


def test_an_unknown_policy():
    with pytest.raises(ConfigError, match="on_singular='ignore'"):
        si.linear.solve(laplacian(3, 3, 1.0), np.ones(9), on_singular="ignore")


@pytest.mark.parametrize("policy", ["min_norm", "damp"])
def test_policies_need_entries(policy):
    with pytest.raises(StructureError, match="products alone"):
        si.linear.solve(aslinearoperator(laplacian(9, 9)), np.zeros(81), on_singular=policy)
