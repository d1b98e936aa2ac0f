"""Fields of Experts: filters, and a penalty of what each finds at every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from ...derivatives import Energy, Term, parameters, patches, shared, term
from ...errors import ShapeError
from ...linear.operator import Array
from ...packing import Packing
from ..observation import Observation
from .cosines import cosine_filters
from .data_terms import data_term
from .gradients import check_positive
from .model import Bounds, Model, Shape
from .potentials import POTENTIALS, Potential

LOG_WEIGHTS: Final = (-12.0, 12.0)
FILTERS: Final = ("fixed", "learned")
# Sum of the weights of all filters to begin with, times the scale: the best of a scan over equal
# weights for noise of 25 on crops of natural images, to a factor of about 1.3.
USUAL: Final = {"charbonnier": 40.0, "log": 80.0, "student-t": 50.0}


@dataclass(frozen=True)
class FieldsOfExperts(Model):
    """``g(θ, u) = data + s² Σ_k exp(w_k) Σ_p ρ((F_k u)_p / s)``, the filters F = C D.

    F_k u is the correlation with filter k at every pixel; beyond the border the image is mirrored.
    D is the basis of cosines without the constant one, so that every filter has mean 0.

    Parameters
    ----------
    size : int
        k, of filters k × k; odd.
    count : int
        N ≤ k² − 1 filters. They begin as the N cosines of lowest frequency.
    potential : {"log", "charbonnier", "student-t"}
        ρ(z): log(1 + z²/2); √(1 + z²) − 1, which is convex; ½ (ν + 1) log(1 + z²/ν).
    scale : float
        s > 0, in grey levels of the response of a filter of norm 1.
    filters : {"fixed", "learned"}
        Whether C, ``coefficients`` (N, k² − 1), is part of θ.
    freedom : float
        ν > 0 of Student's t.

    Notes
    -----
    ``log_weights`` is (N,). The factor s² makes exp(w_k) the curvature at 0, whatever the scale.
    The Hessian is a `linear.FilterOperator`; with ρ that is not convex it may be nearly singular or
    indefinite at the state: `denoise` says so. Cost of a product: 4 N k² operations a pixel.
    Source: Roth and Black 2009; Chen, Ranftl, Pock 2014, whose filters are made from cosines too.
    """

    size: int = 7
    count: int = 48
    potential: str = "log"
    scale: float = 10.0
    filters: str = "fixed"
    freedom: float = 1.0

    kind: ClassVar[str] = "foe"
    linear_solver: ClassVar[str] = "cg+spectral"

    def __post_init__(self) -> None:
        where = f"model '{self.kind}'"
        if not isinstance(self.size, int) or self.size not in range(3, 32, 2):
            raise ShapeError(f"size is {self.size!r}.", where=where, fix="give 3, 5, 7, …, 31.")
        most = self.size**2 - 1
        if type(self.count) is not int or self.count not in range(1, most + 1):
            raise ShapeError(f"count is {self.count!r}.", where=where, fix=f"give 1 to {most}.")
        for name, valid in (("potential", tuple(POTENTIALS)), ("filters", FILTERS)):
            if getattr(self, name) not in valid:
                raise ShapeError(
                    f"{name} is {getattr(self, name)!r}.",
                    where=where,
                    fix=f"choose one of {', '.join(valid)}.",
                )
        check_positive(self.kind, "scale", self.scale)
        check_positive(self.kind, "freedom", self.freedom)

    @property
    def convex(self) -> bool:
        """Whether ρ is convex."""
        return self.penalty.convex

    @property
    def reach(self) -> int:
        """The width of the filters."""
        return self.size

    def memory(self, shape: Shape, blur: Array | None = None) -> int:
        """Return the bytes that a solve takes: responses, curvatures, half of the stencil.

        With 48 filters 7 × 7 4.2 kB a pixel, of which 3.5 are taken (`denoise_memory.py` of
        scripts/bench). A blur is one more filter, and all are then of its size.
        """
        a, b = (max(self.size, n) for n in (blur.shape if blur is not None else (1, 1)))
        points = b + (a - 1) * (2 * b - 1)
        return int(8 * (8 * self.count + 1.2 * points + 40) * shape[0] * shape[1])

    @property
    def penalty(self) -> Potential:
        """ρ."""
        return POTENTIALS[self.potential]

    def packing(self, shape: Shape) -> Packing:
        """Return ``log_weights``, (N,), and ``coefficients``, (N, k² − 1), if learned."""
        if self.filters == "fixed":
            return Packing(log_weights=self.count)
        return Packing(log_weights=self.count, coefficients=(self.count, self.size**2 - 1))

    def start(self, shape: Shape) -> Array:
        """Return equal weights, and the cosines themselves as filters."""
        weight = USUAL[self.potential] / (self.scale * self.count)
        packing, weights = self.packing(shape), np.full(self.count, np.log(weight))
        if self.filters == "fixed":
            return packing.pack(log_weights=weights)
        return packing.pack(log_weights=weights, coefficients=np.eye(self.count, self.size**2 - 1))

    def bounds(self, shape: Shape) -> Bounds | None:
        """Return −12 to 12 for the logarithms of weights, none for coefficients."""
        free = self.packing(shape).size - self.count
        return [LOG_WEIGHTS] * self.count + [(-np.inf, np.inf)] * free

    def problem(self, observed: Observation) -> Energy:
        """Return g; its Hessian is a FilterOperator, with a blur as one more filter."""
        n_x = self.packing(observed.shape).size
        terms = [data_term(observed), self._experts(observed.shape)]
        return Energy(terms, n_y=observed.image.size, n_x=n_x, assembled=False)

    def solver_for(self, observed: Observation) -> str:
        """Return cg+spectral: it takes a blur too."""
        return self.linear_solver

    def bank(self, theta: Array) -> Array:
        """Return the filters for θ, (N, k, k)."""
        if self.filters == "fixed":
            own = cosine_filters(self.size)[: self.count]
        else:
            blocks = self.packing((1, 1)).unpack(np.asarray(theta, dtype=np.float64))
            own = blocks.coefficients @ cosine_filters(self.size)
        return own.reshape(self.count, self.size, self.size)

    def _experts(self, shape: Shape) -> Term:
        square, inverse = float(self.scale) ** 2, 1.0 / float(self.scale)
        rho, nu, count = self.penalty, float(self.freedom), self.count

        def local(r: Any, x: Any, _: Any) -> Any:
            return square * sum(np.exp(x[k]) * rho(inverse * r[k], nu) for k in range(count))

        basis = cosine_filters(self.size)
        if self.filters == "fixed":
            lift: Any = basis[:count]
        else:
            lift = parameters(count, (count, len(basis))) @ basis
        return term(
            local,
            y=patches(shape, (self.size, self.size), border="symmetric"),
            x=shared(count),
            lift=lift,
            name="experts",
        )
