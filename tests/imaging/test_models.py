"""Every model: derivatives, closed forms, energies by numpy, and hypergradients by Taylor."""

import numpy as np
import pytest
from scipy import ndimage

import sparseimplicit as si
from sparseimplicit.errors import ConfigError, NonFinite, ShapeError
from sparseimplicit.imaging import (
    FieldsOfExperts,
    GeneralizedVariation,
    HuberVariation,
    Observation,
    TotalVariation,
    add_noise,
    model_named,
)
from sparseimplicit.imaging.models.cosines import cosine_filters
from sparseimplicit.imaging.models.potentials import POTENTIALS
from tests.reference import tv as twin

MODELS = [
    TotalVariation(),
    TotalVariation(2.0, "directions"),
    TotalVariation(2.0, "map"),
    TotalVariation(2.0, learn_epsilon=True),
    TotalVariation(2.0, "map", learn_epsilon=True),
    HuberVariation(8.0),
    HuberVariation(8.0, "directions"),
    GeneralizedVariation(2.0),
    FieldsOfExperts(3, 8, "charbonnier"),
    FieldsOfExperts(3, 8, "log", filters="learned"),
    FieldsOfExperts(5, 7, "student-t", filters="learned", freedom=3.0),
]
NAMES = [f"{m.kind}-{i}" for i, m in enumerate(MODELS)]
BLUR = np.array([[0.0, 0.1, 0.1], [0.1, 0.5, 0.0], [0.15, 0.05, 0.0]])


def picture(shape=(9, 11), seed=0):
    """A bright disc on a slope, and noise on it."""
    i, j = np.indices(shape)
    disc = (i - shape[0] / 3) ** 2 + (j - shape[1] / 2) ** 2 < (min(shape) / 3) ** 2
    clean = 60.0 + 3.0 * i + 2.0 * j + 90.0 * disc
    return clean, add_noise(clean, 15.0, seed)


def observation(kind, shape=(9, 11)):
    _, f = picture(shape)
    rng = np.random.default_rng(4)
    if kind == "weighted":
        return Observation(f, weights=rng.uniform(0.2, 2.0, shape))
    if kind == "masked":
        weights = (rng.random(shape) > 0.2).astype(float)
        return Observation(np.where(weights > 0, f, np.nan), weights=weights)
    return Observation(f, blur=BLUR if kind == "blurred" else None)


def moved(model, shape, seed=1):
    theta = model.start(shape)
    return theta + 0.1 * np.random.default_rng(seed).standard_normal(theta.size)


def squared_image_error(model, truth):
    """½‖u − truth‖² of the image in a state of any number of fields."""

    def loss(_, y):
        error = np.zeros_like(y)
        error[: truth.size] = model.image(y, truth.shape).ravel() - truth.ravel()
        return 0.5 * error @ error, None, error

    return loss


CASES = [(model, "plain") for model in MODELS]
CASES += [(MODELS[m], kind) for m in (0, 7, 8) for kind in ("weighted", "masked", "blurred")]


@pytest.mark.parametrize(("model", "kind"), CASES, ids=lambda v: getattr(v, "kind", v))
def test_derivatives_against_complex_steps(model, kind):
    observed = observation(kind)
    guess = model.first_guess(observed)
    y = guess + 3.0 * np.random.default_rng(2).standard_normal(guess.size)
    problem, theta = model.problem(observed), moved(model, observed.shape)
    check = problem.check(theta, y)
    errors = dict(check.errors)
    if model.kind == "huber-tv" and model.weight == "directions":  # it is 0, but for rounding
        v, w = np.random.default_rng(3).standard_normal((2, y.size))
        assert np.abs(problem.third(theta, y, v, w)).max() < 1e-12
        del errors["third"]
    assert max(errors.values()) < check.tolerance, str(check)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_hypergradients_by_taylor(model):
    truth, f = picture((18, 21))
    observed = Observation(f)
    table = si.verify.taylor(
        model.implicit(observed), squared_image_error(model, truth),
        moved(model, truth.shape), y0=model.first_guess(observed),
    )  # fmt: skip
    assert 1.9 < table.slope < 2.1, str(table)


@pytest.mark.parametrize("kind", ["masked", "blurred"])
@pytest.mark.parametrize("model", [MODELS[0], MODELS[7], MODELS[8]], ids=["tv", "tgv", "foe"])
def test_hypergradients_of_other_data_by_taylor(model, kind):
    observed = observation(kind, (17, 18))
    truth, _ = picture((17, 18))
    table = si.verify.taylor(
        model.implicit(observed), squared_image_error(model, truth),
        moved(model, truth.shape), y0=model.first_guess(observed),
    )  # fmt: skip
    assert 1.9 < table.slope < 2.1, str(table)


def solved_image(model, observed, theta=None, rtol=1e-11):
    theta = model.start(observed.shape) if theta is None else theta
    solved = model.implicit(observed).solve(theta, model.first_guess(observed), rtol=rtol)
    return model.image(solved.y, observed.shape)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (9, 11), (17, 20)])
def test_a_constant_image_is_left_as_it_is(model, shape):
    u = solved_image(model, Observation(np.full(shape, 93.0)))
    np.testing.assert_allclose(u, 93.0, atol=1e-8)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_without_weight_the_image_is_what_was_measured(model):
    _, f = picture()
    theta = model.start(f.shape)
    for name in model.packing(f.shape).shapes:
        if name in ("log_weight", "log_weights"):
            theta[model.packing(f.shape).slice(name)] = -40.0
    if isinstance(model, GeneralizedVariation):  # v is held by nothing: a tiny weight will do
        theta[:] = -12.0
    np.testing.assert_allclose(solved_image(model, Observation(f), theta, 1e-9), f, atol=1e-3)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_pixels_without_data_are_filled(model):
    f = np.full((17, 18), 120.0)
    weights = np.ones(f.shape)
    weights[5:8, 6:10] = 0.0
    f[weights == 0] = np.nan
    observed = Observation(f, weights)
    guess = model.first_guess(observed)
    np.testing.assert_array_equal(model.image(guess, f.shape), 120.0)
    guess[: f.size][weights.ravel() == 0] += 4.0  # so that there is something to do
    solved = model.implicit(observed).solve(model.start(f.shape), guess, rtol=1e-11)
    assert solved.report.iterations > 0
    np.testing.assert_allclose(model.image(solved.y, f.shape), 120.0, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_a_blur_by_a_point_is_none(model):
    _, f = picture((17, 18))
    point = np.zeros((3, 3))
    point[1, 1] = 1.0
    blurred = solved_image(model, Observation(f, blur=point), rtol=1e-10)
    np.testing.assert_allclose(blurred, solved_image(model, Observation(f), rtol=1e-10), atol=1e-5)


@pytest.mark.parametrize("size", [(3, 3), (1, 4), (4, 2), (5, 1), (12, 13)])
def test_a_blur_is_the_convolution_of_scipy(size):
    rng = np.random.default_rng(5)
    blur, (_, f), u = rng.random(size), picture(), rng.standard_normal((9, 11))
    weights = rng.random(f.shape) + 0.1
    for model in (TotalVariation(), FieldsOfExperts(3, 4)):
        theta = np.full(model.packing(f.shape).size, -80.0)
        value = model.problem(Observation(f, weights, blur)).objective(theta, u.ravel())
        beside = ndimage.convolve(u, blur, mode="reflect") - f
        assert value == pytest.approx(0.5 * np.sum(weights * beside**2), rel=1e-12)


def test_total_variation_is_that_of_the_twin():
    _, f = picture()
    u = f + np.cos(np.arange(f.size)).reshape(f.shape)
    data = 0.5 * np.sum((u - f) ** 2)
    value = TotalVariation(2.0).problem(Observation(f)).objective([1.0], u.ravel())
    assert value == pytest.approx(data + np.e * twin.energy(u, 1.0, 2.0), rel=1e-12)
    weights = np.random.default_rng(0).uniform(-1, 1, f.size)
    value = TotalVariation(2.0, "map").problem(Observation(f)).objective(weights, u.ravel())
    assert value == pytest.approx(data + twin.energy(u, np.exp(weights), 2.0), rel=1e-12)


def test_kinds_of_weights_agree_where_they_mean_the_same():
    _, f = picture((17, 18))
    observed = Observation(f)
    number = solved_image(TotalVariation(2.0), observed, np.array([2.5]))
    a_map = solved_image(TotalVariation(2.0, "map"), observed, np.full(f.size, 2.5))
    np.testing.assert_allclose(a_map, number, atol=1e-6)
    free = TotalVariation(7.0, learn_epsilon=True)
    epsilon = solved_image(free, observed, free.packing(f.shape).pack(
        log_weight=2.5, log_epsilon=np.log(2.0)))  # fmt: skip
    np.testing.assert_allclose(epsilon, number, atol=1e-6)
    sides = TotalVariation(2.0, "directions")
    one = solved_image(sides, observed, np.array([3.0, 1.0]))
    other = solved_image(sides, Observation(f.T), np.array([1.0, 3.0]))
    np.testing.assert_allclose(one, other.T, atol=1e-6)
    assert np.abs(one - number).max() > 1.0


def test_huber_is_quadratic_below_delta_and_linear_above():
    model = HuberVariation(10.0)
    small, large = np.array([[0.0, 6.0]]), np.array([[0.0, 50.0]])
    for u, expected in ((small, 6.0**2 / 20.0), (large, 50.0 - 5.0)):
        value = model.problem(Observation(u)).objective([0.0], u.ravel())
        assert value == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("shape", [(17, 20), (2, 2), (1, 9), (9, 1), (2, 9)])
def test_an_affine_image_costs_nothing_in_tgv(shape):
    i, j = np.indices(shape)
    f = 30.0 + 4.0 * i - 3.0 * j + 60.0
    model = GeneralizedVariation(1.0)
    observed = Observation(f)
    solved = model.implicit(observed).solve(
        model.start(shape), model.first_guess(observed), rtol=1e-12
    )
    np.testing.assert_allclose(model.image(solved.y, shape), f, atol=1e-6)
    v_y, v_x = solved.y[f.size :].reshape(2, *shape)
    np.testing.assert_allclose(v_y, 4.0 if shape[0] > 1 else 0.0, atol=1e-5)
    np.testing.assert_allclose(v_x, -3.0 if shape[1] > 1 else 0.0, atol=1e-5)


def test_tgv_by_loops():
    rng = np.random.default_rng(3)
    shape, epsilon = (4, 5), 0.7
    f, u, v_y, v_x = rng.standard_normal((4, *shape))
    value = 0.5 * np.sum((u - f) ** 2)
    for i in range(4):
        for j in range(5):
            below, right = min(i + 1, 3), min(j + 1, 4)
            down = u[below, j] - u[i, j] - v_y[i, j] if i < 3 else 0.0
            across = u[i, right] - u[i, j] - v_x[i, j] if j < 4 else 0.0
            value += 2.0 * np.sqrt(down**2 + across**2 + epsilon**2)
            yy, xx = v_y[below, j] - v_y[i, j], v_x[i, right] - v_x[i, j]
            yx = 0.5 * (v_y[i, right] - v_y[i, j] + v_x[below, j] - v_x[i, j])
            value += 3.0 * np.sqrt(yy**2 + xx**2 + 2 * yx**2 + epsilon**2)
    problem = GeneralizedVariation(epsilon).problem(Observation(f))
    state = np.concatenate([u.ravel(), v_y.ravel(), v_x.ravel()])
    assert problem.objective(np.log([2.0, 3.0]), state) == pytest.approx(value, rel=1e-13)


FORMULAS = {
    "charbonnier": lambda z: np.sqrt(1 + z**2) - 1,
    "log": lambda z: np.log(1 + z**2 / 2),
    "student-t": lambda z: 2.0 * np.log(1 + z**2 / 3.0),
}


@pytest.mark.parametrize("filters", ["fixed", "learned"])
@pytest.mark.parametrize("potential", list(FORMULAS))
def test_experts_by_scipys_correlation(potential, filters):
    _, f = picture()
    model = FieldsOfExperts(5, 6, potential, scale=7.0, filters=filters, freedom=3.0)
    theta = moved(model, f.shape)
    u = f + np.sin(np.arange(f.size)).reshape(f.shape)
    value = 0.5 * np.sum((u - f) ** 2)
    for weight, own in zip(np.exp(theta[:6]), model.bank(theta), strict=True):
        found = ndimage.correlate(u, own, mode="reflect")
        value += 49.0 * weight * np.sum(FORMULAS[potential](found / 7.0))
    assert model.problem(Observation(f)).objective(theta, u.ravel()) == pytest.approx(
        value, rel=1e-12
    )


@pytest.mark.parametrize("name", list(POTENTIALS))
def test_potentials_are_even_and_say_rightly_whether_they_are_convex(name):
    z = np.linspace(-8, 8, 1601)
    rho = POTENTIALS[name]
    values = rho(z, 3.0)
    np.testing.assert_allclose(values, FORMULAS[name](z), atol=1e-12)
    np.testing.assert_allclose(values, values[::-1], atol=1e-12)
    assert values[800] == 0.0
    assert bool((np.diff(values, 2) > -1e-12).all()) == rho.convex


def test_cosines_are_orthonormal_without_mean_and_low_ones_come_first():
    basis = cosine_filters(7)
    np.testing.assert_allclose(basis @ basis.T, np.eye(48), atol=1e-13)
    np.testing.assert_allclose(basis.sum(axis=1), 0.0, atol=1e-13)
    turns = [np.abs(np.diff(np.sign(b.reshape(7, 7)))).sum() for b in (basis[0], basis[-1])]
    assert turns[0] < turns[1]


def test_learned_filters_begin_as_the_fixed_ones():
    fixed, learned = (FieldsOfExperts(5, 9, filters=f) for f in ("fixed", "learned"))
    np.testing.assert_allclose(
        fixed.bank(fixed.start((8, 8))), learned.bank(learned.start((8, 8))), atol=1e-14
    )
    _, f = picture((17, 18))
    a, b = (solved_image(m, Observation(f), rtol=1e-9) for m in (fixed, learned))
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_settings_name_a_model_and_blocks_its_parameters(model):
    assert model_named(model.kind, **model.settings()) == model
    shape = (9, 11)
    size = model.packing(shape).size
    assert model.start(shape).shape == (size,)
    low, high = np.array(model.bounds(shape)).T
    assert low.shape == (size,)
    assert ((low <= model.start(shape)) & (model.start(shape) <= high)).all()


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("tvv", {}, "did you mean 'tv'"),
        ("tv", {"epsilom": 1.0}, "did you mean 'epsilon'"),
        ("tv", {"epsilon": -1.0}, "epsilon must be positive"),
        ("tv", {"epsilon": "small"}, "epsilon must be positive"),
        ("tv", {"weight": "maps"}, "number, directions, map"),
        ("huber-tv", {"delta": 0.0}, "delta must be positive"),
        ("tgv", {"epsilon": float("nan")}, "epsilon must be positive"),
        ("foe", {"size": 4}, "3, 5, 7"),
        ("foe", {"size": 3, "count": 9}, "1 to 8"),
        ("foe", {"potential": "cauchy"}, "log, charbonnier, student-t|charbonnier, log, student-t"),
        ("foe", {"filters": "free"}, "fixed, learned"),
        ("foe", {"scale": 0}, "scale must be positive"),
    ],
)
def test_settings_that_are_wrong_are_named(kind, settings, words):
    with pytest.raises(ConfigError, match=words):
        model_named(kind, **settings)


def test_what_is_no_observation():
    f = np.ones((3, 4))
    with pytest.raises(ShapeError, match="one weight a pixel"):
        Observation(f, np.ones((4, 3)))
    with pytest.raises(ShapeError, match=r"-1\.0"):
        Observation(f, -f)
    with pytest.raises(ShapeError, match="at least one pixel"):
        Observation(f, 0 * f)
    with pytest.raises(ShapeError, match="sums to 0"):
        Observation(f, blur=np.array([[1.0, -1.0]]))
    with pytest.raises(NonFinite, match=r"pixel \(1, 2\)"):
        Observation(np.where(np.arange(12).reshape(3, 4) == 6, np.nan, f), f)
    with pytest.raises(NonFinite, match="the blur"):
        Observation(f, blur=np.full((2, 2), np.inf))


def test_missing_pixels_begin_as_the_nearest_measured_one():
    f = np.array([[10.0, np.nan, np.nan, 40.0]])
    observed = Observation(f, np.isfinite(f).astype(float))
    np.testing.assert_array_equal(observed.filled, [[10.0, 10.0, 40.0, 40.0]])
