"""Traced numpy code: values and derivatives against complex steps, and the errors it raises."""

import math

import numpy as np
import pytest

from sparseimplicit.derivatives import where
from sparseimplicit.derivatives.tracing.differentiate import gradient
from sparseimplicit.derivatives.tracing.interpret import evaluate
from sparseimplicit.derivatives.tracing.tape import Graph
from sparseimplicit.derivatives.tracing.values import vector
from sparseimplicit.errors import StructureError

A = np.arange(9.0).reshape(3, 3) / 7
STEP = 1e-30

FUNCTIONS = {
    "arithmetic": lambda y: (y[0] - 2) * y[1] / (3 + y[2] ** 2) - (-y[0]) ** 3,
    "powers": lambda y: y[0] ** 1.7 + 2.0 ** y[1] + y[2] ** -2 + y[0] ** y[1] + y[2] ** 0.5,
    "matrix": lambda y: np.sum((A @ y) ** 2) + np.dot(y, y),
    "norm": lambda y: np.linalg.norm(y - 1) + np.linalg.norm(np.stack([y, 2 * y]), axis=1)[1],
    "exponentials": lambda y: np.exp(y[0]) + np.log(y[1]) + np.log1p(y[2]) + np.expm1(y[0]),
    "trigonometric": lambda y: np.sin(y[0]) * np.cos(y[1]) + np.tan(y[2]) + np.arctan(y[0]),
    "hyperbolic": lambda y: np.sinh(y[0]) * np.cosh(y[1]) + np.tanh(y[2]),
    "inverse": lambda y: np.arcsin(y[0] / 4) + np.arccos(y[1] / 4) + np.arctanh(y[2] / 4),
    "pairs": lambda y: np.arctan2(y[0], y[1]) + np.hypot(y[1], y[2]) + np.logaddexp(y[0], y[2]),
    "choices": lambda y: np.maximum(y, 1.0).sum() + np.minimum(y[0] * y[1], y[2]) + abs(y[0]),
    "where": lambda y: where((y[0] > 0) & (y[1] < 2), y[0] ** 2, 1) * np.where(y[2] < 0, 1, y[1]),
    "clip": lambda y: np.clip(y, 0.9, 1.4) @ np.ones(3) + np.sign(y[0]) * y[1],
    "lists": lambda y: sum(np.exp(v) for v in y) + np.prod(y) + np.mean(y) + np.max(y),
    "stacks": lambda y: np.linalg.det(np.stack([y, y**2, [1.0, 2.0, 4.0]])) + np.cross(y, A[1])[0],
    "cumulative": lambda y: np.cumsum(y)[2] + np.diff(y)[0] ** 2 + np.outer(y, y)[0, 1],
    "logarithms": lambda y: np.log2(y[0]) + np.log10(y[1]) + np.exp2(y[2]) + np.cbrt(y[0]),
}  # fmt: skip


def evaluated(graph, nodes, y):
    values = evaluate(graph, nodes, lambda _, i: y[i])
    return np.array([values[a] for a in nodes])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_two_derivatives(name):
    graph = Graph()
    y = vector(graph, "y", (3,))
    output = FUNCTIONS[name](y).index
    inputs = [v.index for v in y]
    slopes = gradient(graph, output, inputs)
    point = np.array([0.8, 1.1, 1.7])
    exact = FUNCTIONS[name](point)
    assert evaluated(graph, [output], point)[0] == pytest.approx(exact, rel=1e-14)
    for i in range(3):
        moved = point.astype(complex)
        moved[i] += 1j * STEP
        first = evaluated(graph, [output], moved)[0].imag / STEP
        assert evaluated(graph, slopes, point)[i] == pytest.approx(first, rel=1e-12, abs=1e-14)
        second = np.imag(evaluated(graph, slopes, moved)) / STEP
        rows = [gradient(graph, s, inputs)[i] for s in slopes]
        np.testing.assert_allclose(evaluated(graph, rows, point), second, rtol=1e-12, atol=1e-13)


def test_a_half_that_is_not_chosen_spoils_nothing():
    graph = Graph()
    (y,) = vector(graph, "y", (1,))
    output = where(y > 0, np.sqrt(abs(y)), 0.0).index
    slope = gradient(graph, output, [y.index])
    curvature = gradient(graph, slope[0], [y.index])
    assert evaluated(graph, slope + curvature, np.array([0.0])).tolist() == [0.0, 0.0]


def test_zeros_of_the_structure_vanish_and_equal_nodes_are_one():
    graph = Graph()
    y = vector(graph, "y", (3,))
    output = (y[0] * y[1] + np.exp(y[2])).index
    first = gradient(graph, output, [v.index for v in y])
    assert graph.value(gradient(graph, first[0], [y[2].index])[0]) == 0.0
    assert (np.exp(y[2]) + y[0] * y[1]).index == output


def branch(y):
    return 1.0 if y[0] > 0 else y[1]


@pytest.mark.parametrize(
    ("function", "said", "cure"),
    [
        (branch, "branched on the value of an unknown", "si.where"),
        (lambda y: y[0] if y[1] else 0.0, "branched on the value of an unknown", "np.maximum"),
        (lambda y: math.sqrt(y[0]), "turned into a Python number", "np.sqrt"),
        (lambda y: float(y[0]), "turned into a Python number", "np.sqrt"),
        (lambda y: np.floor(y[0]), "'floor' is not differentiable", "si.from_gradient"),
        (lambda y: np.fft.fft(y), "'fft.fft' is not differentiable", "si.from_gradient"),
        (lambda y: np.linalg.inv(np.stack([y, y, y])), "'linalg.inv'", "si.from_gradient"),
    ],
)
def test_what_cannot_be_traced_is_said(function, said, cure):
    y = vector(Graph(), "y", (3,))
    with pytest.raises(StructureError, match=said) as caught:
        function(y)
    assert cure in caught.value.fix
