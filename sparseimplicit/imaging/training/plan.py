"""What is to be learned from what, and how: a value that says nothing of where it is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.optimize

from ...conditions import finite_vector
from ...errors import ShapeError
from ...linear.operator import Array
from ...outer.bounds import limits_of
from ...packing import Packing
from ..models import Model
from .examples import Example
from .regularizers import Regularizer
from .stages import FullBatch, Minibatch, Stage, units


@dataclass(frozen=True, eq=False)
class Validation:
    """Images held out: how well they are denoised decides which θ is kept, and when to stop.

    Parameters
    ----------
    examples : sequence of Example
    every : int
        Steps from one look at them to the next; a stage ends with one.
    patience : int
        A stage ends after so many looks without a better mean PSNR; 0 never ends it.
    """

    examples: Sequence[Example]
    every: int = 5
    patience: int = 0


@dataclass(frozen=True, eq=False)
class Training:
    """``min_θ Σᵢ ½‖uᵢ(θ) − truthᵢ‖² / pixels + Σ regularisers(θ)``, uᵢ the state of the model.

    Or by another loss that the examples name.

    Parameters
    ----------
    model : Model
    examples : sequence of Example
        Of any sizes; of one where the model has a map of weights.
    stages : sequence of FullBatch or Minibatch
        One after the other, each from the best θ so far.
    validation : Validation, optional
    regularizers : sequence of Ridge or Smooth
    start : array (n_x,), optional
        θ to begin with; that of the model if left out.
    bounds : pair, or pairs for each parameter, optional
        Those of the model if left out.
    linear_solver : str, optional
        That of the model if left out. The same bits come out of every run, if it is not "auto",
        which measures.

    Raises
    ------
    ShapeError, NonFinite
        If something does not fit; before any work.
    """

    model: Model
    examples: Sequence[Example]
    stages: Sequence[Stage] = (FullBatch(),)
    validation: Validation | None = None
    regularizers: Sequence[Regularizer] = ()
    start: Any = None
    bounds: Any = None
    linear_solver: str | None = None

    def __post_init__(self) -> None:
        if not self.examples or not self.stages:
            raise ShapeError(
                f"{len(self.examples)} images and {len(self.stages)} stages.", where="Training",
                fix="give at least one of each.",
            )  # fmt: skip
        _check_kinds([self.model], Model)
        _check_kinds(self.all, Example)
        _check_kinds(self.stages, FullBatch, Minibatch)
        packing = self.packing
        for example in self.all:
            if self.model.packing(example.observed.shape).shapes != packing.shapes:
                raise ShapeError(
                    f"'{example.name}' of shape {example.observed.shape} needs other parameters "
                    f"than the first image, of shape {self.shape}.",
                    where="Training, a model with a map of weights",
                    fix="take images of one size, or a model without a map.",
                )
        for regularizer in self.regularizers:
            regularizer.check(packing)
        for stage in self.stages:
            units(stage.scales, packing)
        first, limits = finite_vector(self.first, packing.size, "start"), self.limits
        if limits is not None and not ((limits.lb <= first) & (first <= limits.ub)).all():
            worst = int(np.argmax(np.maximum(limits.lb - first, first - limits.ub)))
            raise ShapeError(
                f"start: {packing.describe(worst)} = {first[worst]:.6g} is outside the bounds "
                f"{limits.lb[worst]:g} to {limits.ub[worst]:g}.",
                where="Training",
                fix="choose a start within the bounds, or give others.",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Of the first image."""
        return self.examples[0].observed.shape

    @cached_property
    def packing(self) -> Packing:
        """The blocks of θ."""
        return self.model.packing(self.shape)

    @cached_property
    def all(self) -> list[Example]:
        """The images to learn from, then those held out."""
        return [*self.examples, *(self.validation.examples if self.validation else ())]

    @cached_property
    def limits(self) -> scipy.optimize.Bounds | None:
        """The bounds of θ."""
        bounds = self.model.bounds(self.shape) if self.bounds is None else self.bounds
        return limits_of(bounds, self.first)

    @cached_property
    def first(self) -> Array:
        """θ to begin with, (n_x,)."""
        if self.start is None:
            return self.model.start(self.shape)
        return np.array(self.start, dtype=np.float64).reshape(-1)

    def pixels(self, examples: Iterable[int]) -> int:
        """Return the number of pixels of some images."""
        return sum(self.all[i].truth.size for i in examples)

    def identity(self) -> str:
        """Return what tells this run from others: a digest of all settings, and of every pixel."""
        validation = None
        if self.validation is not None:
            held = len(self.validation.examples)
            validation = (held, self.validation.every, self.validation.patience)
        text = json.dumps([
            self.model.kind, self.model.settings(), self.linear_solver, repr(self.bounds),
            [repr(stage) for stage in self.stages], [repr(one) for one in self.regularizers],
            validation, [example.loss for example in self.examples],
        ])  # fmt: skip
        digest = hashlib.sha256(text.encode())
        digest.update(np.ascontiguousarray(self.first).data)
        for example in self.all:
            observed = example.observed
            for array in (example.truth, observed.image, observed.weights, observed.blur):
                digest.update(repr(None if array is None else array.shape).encode())
                if array is not None:
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _check_kinds(given: Iterable[Any], *kinds: type) -> None:
    for one in given:
        if not isinstance(one, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise ShapeError(f"{one!r} is no {names}.", where="Training", fix=f"give a {names}.")
