"""Derivatives of local terms held against complex steps along random directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .inputs import flattened, loader
from .programs.contract import Contraction, contracted
from .stated.bound import BoundTerm
from .tracing.differentiate import gradient
from .tracing.interpret import evaluate

Array = NDArray[np.float64]

STEP: Final = 1e-40  # imaginary; its square vanishes
TOLERANCE: Final = 1e-11
SAMPLE: Final = 7  # elements at which the function itself is run


@dataclass(frozen=True)
class DerivativeCheck:
    """The relative error of each derivative along a random direction, and what it means."""

    errors: dict[str, float]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether all are below the tolerance."""
        return all(error <= self.tolerance for error in self.errors.values())

    def __str__(self) -> str:
        """Return a table with one verdict a line."""
        width = max(len(name) for name in self.errors)
        return "\n".join(
            f"{name:<{width}}  {error:.1e}  {'ok' if error <= self.tolerance else 'WRONG'}"
            for name, error in self.errors.items()
        )


def check_energy(problem: Any, x: Any, y: Any, *, seed: int = 0) -> DerivativeCheck:
    """Check an `Energy`: terms against their functions, each derivative against a complex step."""
    x, y = problem._inputs.checked(x, y)
    rng = np.random.default_rng(seed)
    v, w = rng.standard_normal((2, y.size))
    u = rng.standard_normal(x.size)
    errors = {f"{s.name} traced": _traced(s, x, y, rng) for s in problem.terms}

    def slope(function: Any, dx: Any = 0.0, dy: Any = 0.0) -> Array:
        value = function(x + 1j * STEP * dx, y + 1j * STEP * dy)
        return np.asarray(np.imag(value) / STEP)

    def g_y(p: Any, q: Any) -> Any:
        return by_state(problem.terms, p, q)

    def g_x(p: Any, q: Any) -> Any:
        return by_parameters(problem.terms, p, q)

    errors["objective"] = _relative(problem.objective(x, y), total(problem.terms, x, y))
    slope_y = slope(lambda p, q: total(problem.terms, p, q), dy=v)
    size = float(np.linalg.norm(problem.gradient(x, y)) * np.linalg.norm(v))
    errors["gradient"] = _relative(problem.gradient(x, y) @ v, slope_y, size)
    hv = slope(g_y, dy=v)
    errors["hessian"] = _relative(problem.hessian(x, y) @ v, hv)
    errors["hessian_product"] = _relative(problem.hessian_product(x, y, v), hv)
    errors["third"] = _relative(
        problem.third(x, y, v, w), slope(lambda p, q: by_state(problem.terms, p, q, w), dy=v)
    )
    errors["second_order"] = _relative(
        np.concatenate(problem.second_order(x, y, w, u, v)),
        slope(lambda p, q: _by_both(problem.terms, p, q, along=w), u, v),
    )
    if x.size:
        bu = slope(g_y, dx=u)
        cross = problem.cross_hessian(x, y)
        errors["cross_hessian"] = _relative(cross @ u, bu)
        errors["cross_hessian adjoint"] = _relative(cross.T @ v, slope(g_x, dy=v))
    return DerivativeCheck(errors, TOLERANCE)


def check_residual(problem: Any, x: Any, y: Any, *, seed: int = 0) -> DerivativeCheck:
    """Check a `Residual` in the same way."""
    x, y = problem._inputs.checked(x, y)
    rng = np.random.default_rng(seed)
    v, u = rng.standard_normal(y.size), rng.standard_normal(x.size)
    weight = rng.standard_normal(y.size)
    errors = {f"{s.name} traced": _traced(s, x, y, rng) for s in problem.terms}

    def rows(p: Any, q: Any) -> Any:
        out = np.zeros(problem.n_y, dtype=np.result_type(p, q, float))
        for term in map(flattened, problem.terms):
            load = loader(term, p, q)
            values = evaluate(term.graph, term.outputs, load)
            for i, node in enumerate(term.outputs):
                np.add.at(out, np.asarray(term.rows)[:, i], values[node])
        if problem.fixed is not None:
            out[problem.fixed] = q[problem.fixed] - problem.fixed_values
        return out

    errors["residual"] = _relative(problem.residual(x, y), rows(x, y))
    av = np.imag(rows(x, y + 1j * STEP * v)) / STEP
    errors["state_jacobian"] = _relative(problem.state_jacobian(x, y) @ v, av)
    errors["state_product"] = _relative(problem.state_product(x, y, v), av)
    size = float(np.linalg.norm(weight) * np.linalg.norm(av))
    errors["state_adjoint"] = _relative(problem.state_adjoint(x, y, weight) @ v, weight @ av, size)
    inner = weight.copy()
    if problem.fixed is not None:
        inner[problem.fixed] = 0.0
    moved = _by_both(problem.terms, x + 1j * STEP * u, y + 1j * STEP * v, weight=inner)
    given = np.concatenate(problem.second_order(x, y, weight, u, v))
    scale = float(np.linalg.norm(np.real(moved)))
    errors["second_order"] = _relative(given, np.imag(moved) / STEP, scale)
    if x.size:
        bu = np.imag(rows(x + 1j * STEP * u, y)) / STEP
        jacobian = problem.parameter_jacobian(x, y)
        errors["parameter_jacobian"] = _relative(jacobian @ u, bu)
        size = float(np.linalg.norm(weight) * np.linalg.norm(bu))
        errors["parameter_jacobian adjoint"] = _relative(
            (jacobian.T @ weight) @ u, weight @ bu, size
        )
    return DerivativeCheck(errors, TOLERANCE)


def total(terms: list[BoundTerm], x: Any, y: Any) -> Any:
    """Return Σ φ by numpy; x and y may be complex."""
    result = 0.0
    for term in map(flattened, terms):
        values = evaluate(term.graph, term.outputs, loader(term, x, y))
        result = result + np.sum(np.broadcast_to(values[term.outputs[0]], (term.count,)))
    return result


def by_state(
    terms: list[BoundTerm], x: Any, y: Any, along: Array | None = None,
    weight: Array | None = None,
) -> Any:  # fmt: skip
    """Return g_y, or g_yy v along v, by numpy, element by element; x and y may be complex.

    weight : of the rows of a residual r: g is weightᵀ r.
    """
    out = np.zeros(y.size, dtype=np.result_type(x, y, float))
    for term in map(flattened, terms):
        (output,), _ = contracted(term, _contraction(along, weight))
        nodes = gradient(term.graph, output, term.y_nodes)
        values = evaluate(term.graph, nodes, loader(term, x, y, along, weight))
        local = np.stack([np.broadcast_to(values[a], (term.count,)) for a in nodes], axis=1)
        if term.lifted:
            local = local @ term.filters(x)
        np.add.at(out, term.yi, local)
    return out


def by_parameters(
    terms: list[BoundTerm], x: Any, y: Any, along: Array | None = None,
    weight: Array | None = None,
) -> Any:  # fmt: skip
    """Return g_x, or g_xy v along v, by numpy, as `by_state`."""
    out = np.zeros(x.size, dtype=np.result_type(x, y, float))
    for term in map(flattened, terms):
        (output,), lifts = contracted(term, _contraction(along, weight))
        load = loader(term, x, y, along, weight)
        nodes = gradient(term.graph, output, term.x_nodes)
        values = evaluate(term.graph, nodes, load)
        for (name, j), a in zip(term.x_inputs, nodes, strict=True):
            each = np.broadcast_to(values[a], (term.count,))
            if name == "xs":
                out[term.shared_places[j]] += each.sum()
            elif term.xi is not None:
                np.add.at(out, term.xi[:, j], each)
        if term.lift_places is not None:
            sides = [(term.y_nodes, y)] + ([] if along is None else [(lifts[0], along)])
            for lift, u in sides:
                nodes = gradient(term.graph, output, lift)
                values = evaluate(term.graph, nodes, load)
                local = np.stack([np.broadcast_to(values[a], (term.count,)) for a in nodes])
                out[term.lift_places] += term.by_coefficients(local @ u[term.yi])
    return out


def _by_both(terms: list[BoundTerm], x: Any, y: Any, **given: Array) -> Any:
    """Return the derivatives by x and by y, one behind the other."""
    return np.concatenate([by_parameters(terms, x, y, **given), by_state(terms, x, y, **given)])


def _contraction(along: Array | None, weight: Array | None) -> Contraction:
    return Contraction(() if along is None else ("y",), weighted=weight is not None)


def _traced(term: BoundTerm, x: Array, y: Array, rng: np.random.Generator) -> float:
    """Run the function itself at some elements, and compare what was traced."""
    term = flattened(term)
    if not term.count:
        return 0.0
    load = loader(term, x, y)
    values = evaluate(term.graph, term.outputs, load)
    worst = 0.0
    for e in rng.integers(term.count, size=SAMPLE):

        def here(name: str, j: int, e: Any = e) -> float:
            value = np.asarray(load(name, j))
            return float(value if value.ndim == 0 else value[e])

        local = np.array([here("y", i) for i in range(len(term.y_nodes))])
        local = local if term.lifted else local.reshape(term.local_shape)
        p = np.array([here(*where) for where in term.x_inputs])
        p = p if term.x_shape is None else p.reshape(term.x_shape)
        c = np.empty(term.c_shape) if term.c is None else term.c[e].reshape(term.c_shape)
        more = [] if term.points is None else [np.array([here(*w) for w in term.points.inputs])]
        given = np.asarray(term.term.function(local, p, c, *more), dtype=np.float64).reshape(-1)
        found = np.array(
            [np.broadcast_to(values[a], (term.count,))[e] for a in term.outputs], dtype=np.float64
        )
        worst = max(worst, _relative(found, given))
    return worst


def _relative(given: Any, measured: Any, floor: float = 0.0) -> float:
    scale = max(float(np.linalg.norm(measured)), float(np.linalg.norm(given)), floor)
    return float(np.linalg.norm(np.asarray(given) - measured)) / scale if scale else 0.0
