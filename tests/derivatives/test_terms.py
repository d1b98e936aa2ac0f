"""Problems of local terms: grids against lists, threads, borders, lifts, errors, the cache."""

import os
import pickle
import subprocess
import sys

import cloudpickle
import numba
import numpy as np
import pytest
from scipy import sparse

from sparseimplicit import derivatives as terms
from sparseimplicit.conditions import conditions_of
from sparseimplicit.derivatives.programs import compiled
from sparseimplicit.errors import NonFinite, ShapeError, StructureError
from sparseimplicit.implicit import ImplicitFunction
from sparseimplicit.kernels import generated
from sparseimplicit.problem import MinimizationProblem, RootProblem

RNG = np.random.default_rng(4)


def charbonnier(y, x, c):
    return np.exp(x[0]) * np.sqrt(1.0 + np.sum((y[1:] - y[0]) ** 2)) + 0.1 * y[0] * y[-1] * x[-1]


def tracking(y, x, c):
    return 0.5 * c[0] * (y[0] - c[1]) ** 2


def data(n):
    rng = np.random.default_rng(n)
    return terms.term(tracking, y=np.arange(n)[:, None], c=rng.uniform(1, 2, (n, 2)), name="data")


def relative(given, exact):
    return np.max(np.abs(given - exact)) / np.max(np.abs(exact))


@pytest.fixture
def two_threads():
    before = numba.get_num_threads()
    yield lambda: numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    numba.set_num_threads(before)


@pytest.mark.parametrize("border", ["nearest", "inside", "periodic"])
@pytest.mark.parametrize(
    ("shape", "offsets"),
    [
        ((17,), [-1, 0, 2]),
        ((9, 11), [(0, 0), (0, 2), (1, -1), (-1, 1)]),
        ((6, 7, 8), [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]),
    ],
)
def test_grids_and_lists_agree(shape, offsets, border):
    """The fused pass over lines and the loop over elements: one pattern, the same values."""
    y = terms.stencil(shape, offsets, border=border)
    x = y if border == "inside" else terms.stencil(shape, offsets[:2], border=border)
    n = y.pixels
    grid = terms.Energy([data(n), terms.term(charbonnier, y=y, x=x)], n_y=n, n_x=n)
    listed = terms.term(charbonnier, y=y.indices(), x=x.indices())
    lists = terms.Energy([data(n), listed], n_y=n, n_x=n)
    p, u = np.random.default_rng(0).standard_normal((2, n))
    for name in ("hessian", "cross_hessian"):
        a, b = getattr(grid, name)(p, u), getattr(lists, name)(p, u)
        np.testing.assert_array_equal(a.indptr, b.indptr)
        np.testing.assert_array_equal(a.indices, b.indices)
        assert relative(a.data, b.data) < 1e-14
    assert relative(grid.gradient(p, u), lists.gradient(p, u)) < 1e-14
    assert relative(grid.cross_adjoint(p, u, u), lists.cross_adjoint(p, u, u)) < 1e-14
    assert grid.objective(p, u) == pytest.approx(lists.objective(p, u), rel=1e-14)


def test_two_fields_are_coupled_by_joined_stencils():
    shape, n = (9, 10), 90
    y = terms.stencil(shape, [(0, 0), (0, 1), (1, 0)])
    y += terms.stencil(shape, [(0, 0), (0, 1)], field=1)

    def coupled(y, x, c):
        return np.sqrt(1 + (y[1] - y[0] - y[3]) ** 2 + y[4] ** 2) + 0.3 * np.cos(y[2] * y[3])

    field = terms.term(tracking, y=n + np.arange(n)[:, None], c=RNG.uniform(1, 2, (n, 2)))
    problem = terms.Energy([data(n), field, terms.term(coupled, y=y)], n_y=2 * n)
    listed = terms.Energy([data(n), field, terms.term(coupled, y=y.indices())], n_y=2 * n)
    u = RNG.standard_normal(2 * n)
    a, b = problem.hessian([], u), listed.hessian([], u)
    np.testing.assert_array_equal(a.indices, b.indices)
    assert relative(a.data, b.data) < 1e-14
    assert relative(problem.gradient([], u), listed.gradient([], u)) < 1e-14


def test_every_derivative_by_complex_steps():
    """Unstructured terms with shared parameters, a map and a grid term in one energy."""
    n = 42
    triangles = RNG.integers(0, n, (60, 3))
    mixed = terms.term(
        lambda y, x, c: np.exp(x[0] + 0.1 * x[2]) * np.logaddexp(y[0] * y[1], c[0, 1]) * x[1],
        y=triangles,
        x=[terms.shared(2, first=n), triangles[:, :1]],
        c=RNG.uniform(1, 2, (60, 2, 2)),
    )
    grid = terms.term(
        charbonnier, y=terms.stencil((6, 7), [(0, 0), (0, 1), (1, 0)]), x=np.arange(n)[:, None]
    )
    problem = terms.Energy([data(n), mixed, grid], n_y=n, n_x=n + 2)
    x, y, v = RNG.uniform(0.2, 1, n + 2), RNG.standard_normal(n), RNG.standard_normal(n)
    check = problem.check(x, y)
    assert check.passed, str(check)
    found = {"gradient", "hessian", "third", "second_order", "cross_hessian adjoint"}
    assert set(check.errors) > found
    cross = problem.cross_hessian(x, y)
    assembled = problem.cross_hessian(x, y, assembled=True)
    assert relative(assembled.T @ v, cross.rmatvec(v)) < 1e-13
    assert relative(assembled @ x, cross @ x) < 1e-13


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
def test_lifts(learned, coupled):
    """Filters, fixed or parameters; responses apart or all coupled; by lines and by lists."""
    shape, k, count = (7, 8), 6, 3
    filters = RNG.standard_normal((count, k))
    lift = terms.parameters(2, (count, k)) if learned else filters

    def phi(r, x, c):
        if coupled:
            return np.exp(x[0]) * np.sqrt(1 + r @ r) * x[1]
        return sum(np.exp(x[j % 2]) * np.log1p(r[j] ** 2) for j in range(count))

    y = terms.patches(shape, (2, 3))
    x = np.concatenate([RNG.uniform(0.1, 1, 2), filters.ravel() if learned else []])
    u = RNG.standard_normal(56)
    made = [
        terms.Energy(
            [data(56), terms.term(phi, y=places, lift=lift, x=terms.shared(2))],
            n_y=56, n_x=x.size,
        )
        for places in (y, y.indices())
    ]  # fmt: skip
    check = made[0].check(x, u)
    assert check.passed, str(check)
    a, b = (problem.hessian(x, u) for problem in made)
    np.testing.assert_array_equal(a.indices, b.indices)
    assert relative(a.data, b.data) < 1e-14


def test_the_same_bits_for_any_number_of_threads(two_threads):
    shape = (330, 330)
    n = shape[0] * shape[1]
    grid = terms.term(charbonnier, y=terms.stencil(shape, [(0, 0), (0, 1), (1, 0)]),
                      x=terms.shared(1))  # fmt: skip
    edges = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    springs = terms.term(lambda y, x, c: x[0] * np.cosh(y[1] - y[0]), y=edges, x=terms.shared(1))
    u, x = np.random.default_rng(0).standard_normal(n), np.array([0.3])
    for problem in (terms.Energy([grid], n_y=n, n_x=1), terms.Energy([springs], n_y=n, n_x=1)):
        found = []
        for threads in (1, 2):
            numba.set_num_threads(1) if threads == 1 else two_threads()
            found.append(
                [problem.hessian(x, u).data, problem.gradient(x, u), problem.objective(x, u),
                 problem.cross_adjoint(x, u, u)]
            )  # fmt: skip
        for one, two in zip(*found, strict=True):
            np.testing.assert_array_equal(one, two)
    exact = 0.3 * np.cosh(u[1:] - u[:-1])
    hessian = problem.hessian(x, u)
    np.testing.assert_allclose(hessian.diagonal(1), -exact, rtol=1e-13)


def test_an_energy_is_a_problem_that_can_be_solved():
    """A quadratic with the closed form (K + x D) y = K b, and its derivative."""
    n = 12
    k = np.linspace(1, 2, n)
    edges = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    problem = terms.Energy(
        [
            terms.term(lambda y, x, c: 0.5 * c[0] * (y[0] - c[1]) ** 2, y=np.arange(n),
                       c=np.stack([k, np.sin(np.arange(n))], axis=1)),
            terms.term(lambda y, x, c: 0.5 * x[0] * (y[1] - y[0]) ** 2, y=edges, x=terms.shared(1)),
        ],
        n_y=n, n_x=1,
    )  # fmt: skip
    assert isinstance(problem, MinimizationProblem)
    assert conditions_of(problem).minimization
    differences = np.diff(np.eye(n), axis=0)
    matrix = np.diag(k) + 0.7 * differences.T @ differences
    exact = np.linalg.solve(matrix, k * np.sin(np.arange(n)))
    solved = ImplicitFunction(problem).solve(np.array([0.7]), np.zeros(n))
    np.testing.assert_allclose(solved.y, exact, rtol=1e-9)
    slope = -np.linalg.solve(matrix, differences.T @ differences @ exact)
    np.testing.assert_allclose(solved.jvp(np.ones(1)), slope, rtol=1e-6, atol=1e-9)


def test_residuals_with_fixed_unknowns():
    """−(k u')' on a line with given ends: the exact solution is linear for a constant k."""
    n = 9
    nodes = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)

    def element(y, x, c):
        flux = np.exp(x[0]) * (1 + 0.5 * c[0] * y[0] ** 2) * (y[1] - y[0])
        return np.stack([-flux, flux])

    fixed = ([0, n - 1], [1.0, 3.0])
    made = {
        slope: terms.Residual(
            element, rows=nodes, y=nodes, x=np.arange(n - 1), c=np.full(n - 1, slope), fixed=fixed
        )
        for slope in (0.0, 1.0)
    }
    assert isinstance(made[1.0], RootProblem)
    check = made[1.0].check(RNG.standard_normal(n - 1), RNG.standard_normal(n))
    assert check.passed, str(check)
    solved = ImplicitFunction(made[0.0]).solve(np.zeros(n - 1), np.ones(n))
    np.testing.assert_allclose(solved.y, np.linspace(1, 3, n), rtol=1e-9)
    jacobian = made[1.0].state_jacobian(np.zeros(n - 1), np.ones(n))
    np.testing.assert_array_equal(jacobian[[0]].indices, [0])
    assert jacobian[0, 0] == 1.0
    assert jacobian[1, 0] != 0.0
    assert made[1.0].parameter_jacobian(np.zeros(n - 1), np.ones(n)).shape == (n, n - 1)


def pull(y, x, c):
    return np.stack([y[0] - y[1], y[1] - y[0]])


PAIRS = np.stack([np.arange(5), np.arange(1, 6)], axis=1)


@pytest.mark.parametrize(
    ("fixed", "error", "said"),
    [
        (([0, 5], [1.0, 2.0, 3.0]), ShapeError, "3 values are given for 2 unknowns"),
        (([0, 5], [1.0, np.nan]), NonFinite, "the value of unknown 5 is nan"),
        (([0, 5], "ab"), ShapeError, "the values 'ab' are no real numbers"),
        (np.array([True, False]), ShapeError, "the mask fixed= has shape (2,), n_y is 6"),
        ([1, 1], ShapeError, "fixed= names an unknown twice"),
    ],
)
def test_fixed_unknowns_that_do_not_fit(fixed, error, said):
    with pytest.raises(error) as caught:
        terms.Residual(pull, rows=PAIRS, y=PAIRS, fixed=fixed)
    assert said in str(caught.value)
    assert caught.value.where == "Residual, fixed="
    assert caught.value.fix is not None


def test_a_residual_of_no_elements():
    none, y = PAIRS[:0], np.arange(6.0)
    made = terms.Residual(pull, rows=none, y=none, x=none, c=np.ones((0, 2)), n_y=6, n_x=3,
                          fixed=([2], 5.0))  # fmt: skip
    x = np.ones(3)
    np.testing.assert_array_equal(made.residual(x, y), [0, 0, -3, 0, 0, 0])
    np.testing.assert_array_equal(made.state_jacobian(x, y).toarray(), np.diag(y == 2) * 1.0)
    assert made.parameter_jacobian(x, y).nnz == 0
    np.testing.assert_array_equal(made.state_adjoint(x, y, y), [0, 0, 2, 0, 0, 0])
    with pytest.raises(StructureError, match="or parts are needed, got NoneType"):
        terms.Residual(None, rows=PAIRS, y=PAIRS)
    with pytest.raises(ShapeError, match="rows= is missing"):
        terms.Residual(pull, y=PAIRS)


def test_values_that_are_no_numbers_are_named():
    problem = terms.Energy(
        terms.term(lambda y, x, c: np.sqrt(y[0]) * x[0], y=np.arange(5), x=terms.shared(1),
                   name="roots"), n_y=5, n_x=1,
    )  # fmt: skip
    y = np.array([1.0, 2.0, 0.0, -1.0, 1.0])
    with pytest.raises(NonFinite, match=r"value of 'roots' is not finite at element 3") as caught:
        problem.objective([2.0], y)
    assert "y = [-1], x = [2]" in str(caught.value)
    assert "sqrt" in str(caught.value)
    with pytest.raises(NonFinite, match="first derivative of 'roots' is not finite at element 2"):
        problem.gradient([2.0], np.array([1.0, 2.0, 0.0, 1.0, 1.0]))


def unrolled(y, x, c):
    return np.exp(np.sum(np.sin(y[:, None] * y[None, :]) ** 2))


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: terms.term(3, y=np.arange(4)), StructureError, "needs a function"),
        (lambda: terms.Energy(terms.term(tracking, y=np.arange(9)), n_y=4), ShapeError, "place 8"),
        (lambda: terms.Energy([data(5), terms.term(tracking, y=np.ones(4))], n_y=5), ShapeError,
         "must be an integer array"),
        (lambda: terms.Energy([terms.term(lambda y, x, c: y, y=np.zeros((4, 2), int))], n_y=4),
         ShapeError, "1 number is needed"),
        (lambda: terms.Energy([terms.term(tracking, y=np.arange(4), c=np.ones((3, 2)))], n_y=4),
         ShapeError, "c= has 3 elements"),
        (lambda: terms.Energy([terms.term(tracking, y=np.arange(2), c=[[1, 2], [1, np.nan]])],
                              n_y=2), NonFinite, "c= of element 1"),
        (lambda: terms.Energy([terms.term(tracking, y=np.arange(4), x=terms.shared(2))], n_y=4,
                              n_x=1), ShapeError, r"reads x\[0:2\]"),
        (lambda: terms.Energy([terms.term(tracking, y=np.zeros((4, 3), int), lift=np.ones((1, 2)))],
                              n_y=4), ShapeError, "an element has 3 unknowns"),
        (lambda: data(5) and terms.stencil((3, 3), [(0, 9)], border="inside"), ShapeError,
         "no pixel"),
        (lambda: terms.patches((3, 3), (4, 1)), ShapeError, "do not fit"),
        (lambda: terms.stencil((3, 3), [(0, 0.5)]), ShapeError, "an offset = (0, 0.5) is not of"),
        (lambda: terms.stencil((3.5,), [0]), ShapeError, "shape = (3.5,) is not of whole numbers"),
        (lambda: terms.stencil((3,), [0], field=0.5), ShapeError, "field = 0.5 is not of whole"),
        (lambda: terms.patches((4, 4), (1.5, 2)), ShapeError, "size = (1.5, 2) is not of whole"),
        (lambda: terms.shared(1.5), ShapeError, "m = 1.5 is not of whole numbers"),
        (lambda: terms.parameters(0, (2, 2.5)), ShapeError, "shape = (2, 2.5) is not of whole"),
        (lambda: terms.stencil((3,), [0]) + terms.stencil((4,), [0]), ShapeError, "joined"),
        (lambda: terms.Energy([terms.term(unrolled, y=np.zeros((4, 25), int))], n_y=4).hessian(
            [], np.ones(4)), StructureError, "pass lift="),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(make, error, said):
    with pytest.raises(error) as caught:
        make()
    assert said.replace("\\", "") in str(caught.value)


def test_what_is_missing_is_said():
    for given, told in ((None, "NoneType"), ([None], "NoneType"), (3, "int")):
        with pytest.raises(StructureError, match=f"made by si.term, got {told}"):
            terms.Energy(given, n_y=6)
    with pytest.raises(ShapeError, match="not of whole numbers"):
        terms.Energy([], n_y=6.5)
    scaled = terms.term(lambda y, x, c: x[0] * y[0] ** 2, y=np.arange(6), x=terms.shared(1))
    energy, y = terms.Energy(scaled, n_y=6, n_x=1), np.ones(6)
    for x, said in ((None, "x is missing"), (["a"], "x holds <U1")):
        with pytest.raises(ShapeError, match=said):
            energy.objective(x, y)
    with pytest.raises(ShapeError, match="x is missing"):
        ImplicitFunction(energy).solve(None, y)


def test_a_branch_on_a_parameter_is_said():
    term = terms.term(lambda y, x, c: y[0] if x[0] > 0 else 0.0, y=np.arange(3), x=terms.shared(1))
    with pytest.raises(StructureError, match="branched on the value of a parameter"):
        terms.Energy(term, n_y=3, n_x=1)


def assigned(y, x, c):
    y[0] = 3.0
    return y[0] ** 2


def added(y, x, c):
    c += 1.0
    return y[0] * c[0]


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (lambda y, x, c: y[3], ShapeError, "reads y[3], but an element has 2 unknowns"),
        (lambda y, x, c: y[0] * x[0], ShapeError, "reads x[0], but x= was not given: it has 0 par"),
        (lambda y, x, c: y[0] * c[1], ShapeError, "reads c[1], but an element has 1 data"),
        (lambda y, x: y[0], StructureError, "takes (y, x); it is called with three arguments"),
        (lambda y, x, c: y[0] % 1, StructureError, "'remainder' is not differentiable"),
        (lambda y, x, c: 1 // y[0], StructureError, "'floor_divide' is not differentiable"),
        (lambda y, x, c: "a", StructureError, "met 'a' where a real number is needed"),
        (lambda y, x, c: np.array([1.0, 2.0])[y[0]], StructureError, "indexes an array with an un"),
        (lambda y, x, c: y[0] + 1 / 0, StructureError, "ZeroDivisionError: division by zero"),
        (assigned, StructureError, "assigns to y, x or c"),
        (added, StructureError, "assigns to y, x or c"),
        (lambda y, x, c: y[0] if c[0] > 0 else 0.0, StructureError, "value of its data c"),
        (lambda y, x, c: y[0] if y[0] > c[0] else 0.0, StructureError, "value of an unknown"),
    ],
)
def test_what_a_function_does_wrong_is_said_with_its_term(function, error, said):
    term = terms.term(function, y=np.array([[0, 1], [1, 2]]), c=np.ones(2), name="smooth")
    with pytest.raises(error) as caught:
        terms.Energy(term, n_y=3)
    assert said in str(caught.value)
    assert "where: smooth" in str(caught.value)
    assert caught.value.fix is not None


def test_loops_and_copies_of_local_vectors_are_free():
    def phi(y, x, c):
        z = y.copy()
        z[0] = 2.0 * y[1]
        a, b = y
        return sum(v**2 for v in z) + a * b

    energy = terms.Energy(terms.term(phi, y=np.array([[0, 1]])), n_y=2)
    assert energy.objective([], [2.0, 3.0]) == 36.0 + 9.0 + 6.0


def test_kernels_are_kept_on_disk_by_content(tmp_path):
    """A second process compiles nothing: it finds the machine code of the first."""
    script = (
        "import numpy as np\n"
        "from sparseimplicit import derivatives as t\n"
        "from sparseimplicit.kernels import generated\n"
        "p = t.Energy(t.term(lambda y, x, c: y[0]**4, y=np.arange(5)), n_y=5)\n"
        "assert p.gradient([], np.ones(5)).tolist() == [4.0] * 5\n"
        "(module,) = generated._LOADED.values()\n"
        "print(sum(module.run.stats.cache_hits.values()), module.__file__)\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    told = [
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, text=True,
                       capture_output=True).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert [int(hits) for hits, _ in told] == [0, 1]
    assert told[0][1] == told[1][1]
    (file,) = (tmp_path / "sparseimplicit" / "generated").glob("*.py")
    assert file.stem == generated.key_of(file.read_text())


def test_a_cache_that_cannot_be_written_is_said_once(monkeypatch, tmp_path):
    (tmp_path / "generated").write_text("in the way")
    monkeypatch.setattr(compiled, "folder", lambda: tmp_path / "generated")
    compiled._say_once.cache_clear()
    problem = terms.Energy(terms.term(lambda y, x, c: y[0] ** 3 + 0.125 * y[0], y=np.arange(3)),
                           n_y=3)  # fmt: skip
    with pytest.warns(RuntimeWarning, match="cannot be kept on disk"):
        found = problem.gradient([], np.ones(3))
    np.testing.assert_array_equal(found, 3.125)
    np.testing.assert_array_equal(problem.hessian_product([], np.ones(3), np.ones(3)), 6.0)


def test_a_residual_with_a_map_and_shared_parameters_is_assembled_sparsely():
    pairs = np.array([[0, 1], [1, 2], [2, 3]])
    problem = terms.Residual(
        lambda y, x, c: [x[0] * y[0] ** 2 - x[1], x[0] * x[1] * y[1]],
        rows=pairs, y=pairs, x=[pairs[:, :1], terms.shared(1, first=4)], n_y=4, n_x=5,
    )  # fmt: skip
    x, y = np.linspace(1, 2, 5), np.linspace(-1, 1, 4)
    products = problem.parameter_jacobian(x, y)
    found = problem.parameter_jacobian(x, y, assembled=True)
    assert sparse.issparse(found)
    np.testing.assert_allclose(found.toarray(), products @ np.eye(5), atol=1e-15)
    np.testing.assert_allclose(found.toarray().T, products.T @ np.eye(4), atol=1e-15)
    exact = np.zeros((4, 5))
    for e, (i, j) in enumerate(pairs):
        exact[i, e] += y[i] ** 2
        exact[j, e] += x[4] * y[j]
        exact[i, 4] -= 1.0
        exact[j, 4] += x[e] * y[j]
    np.testing.assert_allclose(found.toarray(), exact, atol=1e-15)


@pytest.mark.parametrize(
    "make",
    [
        lambda name: terms.Energy([], n_y=3, structure=name),
        lambda name: terms.Residual([], n_y=3, n_x=1, structure=name),
        lambda name: ImplicitFunction(
            RootProblem(residual=None, state_jacobian=None, parameter_jacobian=None, structure=name)
        ),
    ],
)
def test_a_structure_told_by_its_name_is_refused(make):
    with pytest.raises(StructureError, match="'symmetric'"):
        make("symmetric")


def test_an_energy_in_another_process_makes_its_kernels_anew():
    from sparseimplicit.imaging import total_variation

    image = np.random.default_rng(3).random((9, 12))
    energy = total_variation(image)
    here = energy.gradient(np.array([0.3]), image.ravel() ** 2)  # tables of addresses are made
    code = (
        "import sys, pickle\nenergy, x, y = pickle.loads(sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(pickle.dumps((energy.gradient(x, y), energy.hessian(x, y))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True,
        input=cloudpickle.dumps((energy, np.array([0.3]), image.ravel() ** 2)),
    )  # fmt: skip
    gradient, hessian = pickle.loads(run.stdout)  # noqa: S301 - written just now
    np.testing.assert_array_equal(gradient, here)
    there = energy.hessian(np.array([0.3]), image.ravel() ** 2)
    assert abs(hessian - there).max() == 0
