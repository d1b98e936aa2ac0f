"""Learning end to end, on small details of the shipped photographs."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import sparseimplicit as si
from sparseimplicit.errors import ShapeError
from sparseimplicit.imaging import add_noise, learn, read_image, squared_error, total_variation

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"


def pairs(count=2, size=48):
    truth = [
        read_image(DATASETS / name)[100 : 100 + size, 120 : 120 + size + 7 * i]
        for i, name in enumerate(["lantern.png", "dandelion.png", "pier.png"][:count])
    ]
    return [add_noise(u, 25.0, [0, i]) for i, u in enumerate(truth)], truth


def test_the_weight_learned_is_the_best_one():
    noisy, truth = pairs()
    learned = learn(noisy, truth, start=1.0, stop_rtol=1e-6)
    implicits = [si.ImplicitFunction(total_variation(f)) for f in noisy]

    def objective(theta):
        return sum(
            squared_error(u)(None, implicit.solve(theta, f.ravel()).y)[0]
            for implicit, f, u in zip(implicits, noisy, truth, strict=True)
        )

    best = minimize_scalar(objective, bounds=(0, 6), method="bounded", options={"xatol": 1e-7})
    assert learned.theta[0] == pytest.approx(best.x, abs=1e-4)
    for score in learned.scores:
        assert score.learned > score.noisy + 3
        assert score.learned >= score.start
    assert learned.result.converged


def test_one_symbolic_analysis_serves_the_whole_run():
    pytest.importorskip("sksparse", reason="scikit-sparse is not installed (extra 'cholmod')")
    noisy, truth = pairs(count=1)
    f = noisy[0]
    implicit = si.ImplicitFunction(total_variation(f), linear_solver="cholmod")
    result = si.minimize(squared_error(truth[0]), implicit, 1.0, y0=f.ravel())
    assert len(result.history) > 3
    assert result.work[0].analyses == 1
    # One factorization a Newton step, and none for the adjoint unless no step was needed.
    for e in result.history:
        assert 1 <= e.work.factorizations <= max(e.work.newton_iterations, 1)


def test_a_weight_map_beats_one_weight():
    noisy, truth = pairs(count=1)
    number = learn(noisy, truth, start=2.0)
    weights = learn(noisy, truth, start=number.theta[0], weight_map=True, max_iterations=10)
    assert weights.theta.shape == (noisy[0].size,)
    assert weights.result.value < 0.9 * number.result.value


def test_pairs_that_do_not_fit():
    noisy, truth = pairs()
    with pytest.raises(ShapeError, match="2 noisy images and 1"):
        learn(noisy, truth[:1])
    with pytest.raises(ShapeError, match="one shape"):
        learn(noisy, truth[::-1])
    with pytest.raises(ShapeError, match="weight map"):
        learn(noisy, truth, weight_map=True)
    with pytest.raises(ShapeError, match="0 noisy"):
        learn([], [])
    assert np.isfinite(noisy[0]).all()
