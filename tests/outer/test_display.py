"""A run told line by line."""

import io

import numpy as np
import pytest
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.errors import ConfigError


def quadratic(n=6):
    """y = x / 2, with second derivatives: none."""
    return si.ImplicitFunction(
        si.RootProblem(
            residual=lambda x, y: 2 * y - x,
            state_jacobian=lambda x, y: 2 * sparse.eye_array(n, format="csc"),
            parameter_jacobian=lambda x, y: -sparse.eye_array(n, format="csc"),
            second_order=lambda x, y, adjoint, x_dot, y_dot: (np.zeros(n), np.zeros(n)),
        )
    )


class Distance:
    def __call__(self, x, y):
        return 0.5 * float((y - 1) @ (y - 1)), None, y - 1

    def second_order(self, x, y, x_dot, y_dot):
        return None, y_dot


@pytest.mark.parametrize("method", ["L-BFGS-B", "newton-cg"])
def test_a_line_an_evaluation(method):
    told = io.StringIO()
    r = si.minimize(Distance(), quadratic(), np.zeros(6), y0=np.zeros(6), method=method,
                    callback=si.IterationDisplay(told))  # fmt: skip
    head, *lines = told.getvalue().splitlines()
    assert head.split()[:3] == ["evaluation", "loss", "|gradient|"]
    assert len(lines) == len(r.history)
    for evaluation, line in zip(r.history, lines, strict=True):
        number, value, gradient, newton = line.split()[:4]
        assert int(number) == evaluation.evaluation
        assert float(value) == pytest.approx(evaluation.value, rel=1e-6)
        assert float(gradient) == pytest.approx(evaluation.gradient_norm, rel=1e-3)
        assert int(newton) == evaluation.work.newton_iterations
    assert ("of" in lines[-1].split()) == (method == "newton-cg")
    assert str(r).splitlines()[:-1] == [head, *lines]
    assert str(r).endswith(f"converged: {r.message}")


def test_what_failed_and_what_was_known_is_said(tmp_path):
    def residual(x, y):
        return y - x if x[0] < 5 else y * np.nan

    fragile = si.ImplicitFunction(
        si.RootProblem(
            residual=residual, state_jacobian=lambda x, y: np.ones(1),
            parameter_jacobian=lambda x, y: -np.ones(1),
        )
    )  # fmt: skip

    def loss(x, y):
        return 0.5 * float((y[0] - 4.9) ** 2) * 100, None, 100 * (y - 4.9)

    told = io.StringIO()
    r = si.minimize(loss, fragile, 4.5, y0=4.5, checkpoint=tmp_path,
                    callback=si.IterationDisplay(told, every=1000))  # fmt: skip
    failures = [e.evaluation for e in r.history if e.failure]
    assert failures
    lines = told.getvalue().splitlines()[1:]
    assert [int(text.split()[0]) for text in lines] == [0, *failures]
    assert all(" none " in text and "NonFinite" in text for text in lines[1:])
    told = io.StringIO()
    si.minimize(loss, fragile, 4.5, y0=4.5, checkpoint=tmp_path,
                callback=si.IterationDisplay(told))  # fmt: skip
    assert "from the checkpoint" in told.getvalue()


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_so_many_is_one_or_more(every):
    with pytest.raises(ConfigError, match="every="):
        si.IterationDisplay(every=every)
