"""One image by one model: scaled to its noise, and doubts about the state told."""

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit.errors import MemoryBudgetExceeded, ShapeError
from sparseimplicit.imaging import (
    FieldsOfExperts,
    Observation,
    TotalVariation,
    add_noise,
    denoise,
    psnr,
    ssim,
)
from sparseimplicit.imaging.curvature import smallest_ritz_value


def picture(shape=(40, 44)):
    i, j = np.indices(shape)
    clean = 70.0 + 80.0 * ((i // 12 + j // 14) % 2)
    return clean, add_noise(clean, 25.0, 0)


def test_noise_goes_and_the_image_stays():
    clean, noisy = picture()
    for model in (TotalVariation(), FieldsOfExperts(3, 8, "charbonnier"), FieldsOfExperts(5, 24)):
        found = denoise(noisy, model)
        assert psnr(found.image, clean) > psnr(noisy, clean) + 4, model
        assert found.solved.report.converged


def test_another_noise_level_is_another_scale():
    _, noisy = picture()
    model = TotalVariation()
    half = denoise(noisy, model, sigma=12.5, rtol=1e-10)
    double = denoise(2.0 * noisy, model, sigma=25.0, rtol=1e-10)
    np.testing.assert_allclose(half.image, double.image / 2.0, atol=1e-7)
    assert half.scale == 2.0
    twice = denoise(noisy, model, sigma=25.0, model_sigma=50.0, rtol=1e-10)
    np.testing.assert_allclose(twice.image, half.image, atol=1e-7)
    with pytest.raises(ShapeError, match="sigma is 0"):
        denoise(noisy, model, sigma=0.0)


def test_what_is_no_model_is_told():
    for wrong in ("tv", TotalVariation):
        with pytest.raises(ShapeError, match="is no model"):
            denoise(np.zeros((4, 4)), wrong)


def test_a_blur_that_is_too_large_for_memory_is_named(monkeypatch):
    monkeypatch.setattr("sparseimplicit.imaging.tiling.available_bytes", lambda: 10**6)
    observed = Observation(np.zeros((40, 40)), blur=np.ones((9, 9)) / 81)
    with pytest.raises(MemoryBudgetExceeded, match="the image with a blur of 9 × 9 by model 'tv'"):
        denoise(observed, TotalVariation())


def test_progress_sees_the_gradient_fall():
    _, noisy = picture()
    sizes = []
    found = denoise(noisy, TotalVariation(), progress=sizes.append)
    assert len(sizes) > 3
    assert sizes[-1] == pytest.approx(found.solved.report.residual)
    assert sizes[-1] < 1e-2 * sizes[0]


def test_the_smallest_ritz_value():
    d = np.concatenate([[-0.3], np.linspace(1.0, 5.0, 199)])
    assert smallest_ritz_value(si.linear.Operator(np.diag(d))) == pytest.approx(-0.3, abs=1e-8)
    one = si.linear.Operator(np.array([[4.0]]))
    assert smallest_ritz_value(one) == pytest.approx(4.0)
    few = smallest_ritz_value(si.linear.Operator(np.diag(d)), steps=3)
    assert -0.3 <= few <= 5.0


def test_a_convex_model_is_not_doubted():
    _, noisy = picture()
    found = denoise(noisy, TotalVariation())
    assert found.smallest_curvature is None
    assert found.warnings == ()


def test_the_curvature_of_a_model_that_is_not_convex_is_told():
    _, noisy = picture((8, 9))
    model = FieldsOfExperts(3, 8, "log")
    found = denoise(noisy, model, rtol=1e-9)
    x, y = found.solved.x, found.solved.y
    dense = np.linalg.eigvalsh(model.problem(Observation(noisy)).hessian(x, y) @ np.eye(y.size))
    assert dense[0] - 1e-9 <= found.smallest_curvature <= dense[0] + 1e-3 * dense[-1]


@pytest.mark.parametrize(("value", "words"), [(-0.2, "saddle"), (1e-3, "nearly singular")])
def test_a_loose_state_is_told(monkeypatch, value, words):
    monkeypatch.setattr("sparseimplicit.imaging.denoising.smallest_ritz_value", lambda _: value)
    _, noisy = picture((16, 16))
    (warning,) = denoise(noisy, FieldsOfExperts(3, 4)).warnings
    assert words in warning
    assert f"{value:.2g}" in warning


def test_structural_similarity():
    clean, noisy = picture()
    assert ssim(clean, clean) == pytest.approx(1.0)
    assert 0.0 < ssim(noisy, clean) < 0.9
    with pytest.raises(ShapeError, match="11 × 11"):
        ssim(clean[:10], clean[:10])
    with pytest.raises(ShapeError, match="cannot be compared"):
        ssim(clean, clean[:20])


def test_structural_similarity_by_its_formula():
    """Wang et al. 2004, equation 13, by Gaussian moments."""
    from scipy.ndimage import gaussian_filter

    a, b = picture()
    mean = lambda u: gaussian_filter(u, 1.5, truncate=3.5)
    p, q = mean(a), mean(b)
    saa, sbb, sab = mean(a * a) - p * p, mean(b * b) - q * q, mean(a * b) - p * q
    c, d = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * p * q + c) * (2 * sab + d) / ((p**2 + q**2 + c) * (saa + sbb + d))
    assert ssim(a, b) == pytest.approx(value[5:-5, 5:-5].mean(), abs=1e-10)


def solved_with_and_without_majorant(model, theta, noisy, rtol):
    """Return both states, and the objective at each iterate of the one with it."""
    problem, values = model.problem(Observation(noisy)), []

    def told(matrix):  # asked for once or twice an iterate
        def call(x, y, *share):
            values.append(problem.objective(x, y))
            return matrix(x, y, *share)

        return call

    states = [
        si.ImplicitFunction(
            si.MinimizationProblem(
                objective=problem.objective, gradient=problem.gradient,
                hessian=told(problem.hessian), cross_hessian=problem.cross_hessian,
                majorant=majorant and told(majorant),
            ),
            "cg+spectral",
        ).solve(theta, noisy.ravel(), rtol=rtol)
        for majorant in (None, problem.majorant)
    ]  # fmt: skip
    return *states, values[states[0].report.iterations + 1 :]  # the Hessian alone, once each


@pytest.mark.parametrize("potential", ["log", "student-t"])
def test_negative_curvature_is_met_once_and_the_energy_falls(potential):
    _, noisy = picture()
    model = FieldsOfExperts(5, 24, potential)
    theta = model.start(noisy.shape) + 1.5  # weights at which the noisy image is far from convex
    plain, majorized, values = solved_with_and_without_majorant(model, theta, noisy, 1e-8)
    before, after = plain.report, majorized.report
    assert before.negative_curvature_steps > 3
    assert after.negative_curvature_steps == 0
    assert after.majorized_steps > 3
    assert after.iterations < 0.7 * before.iterations
    assert after.linear_iterations < 0.7 * before.linear_iterations
    assert (np.diff(values) < 1e-12 * values[-1]).all()
    assert after.residual_relative < 1e-8  # the gradient is that of the energy itself


def test_a_convex_model_is_solved_and_differentiated_as_without_majorant():
    _, noisy = picture()
    model = FieldsOfExperts(5, 24, "charbonnier")
    theta = model.start(noisy.shape)
    plain, same, _ = solved_with_and_without_majorant(model, theta, noisy, 1e-8)
    assert same.report.majorized_steps == 0
    np.testing.assert_array_equal(same.y, plain.y)
    y_bar = np.sin(np.arange(noisy.size))
    np.testing.assert_array_equal(same.vjp(y_bar), plain.vjp(y_bar))
