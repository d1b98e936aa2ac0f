"""Images to learn from: whole or in crops, with noise; drawn the same from the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...errors import ConfigError, ShapeError
from ...hypergradient import Loss
from ...kernels.vectors import dot
from ...linear.operator import Array
from ...second_order import TwiceDifferentiable
from ..data import PEAK, add_noise
from ..observation import Observation, checked_image

Named = tuple[str, Array]
LOSSES: Final = ("squared", "psnr")


@dataclass(frozen=True, eq=False)
class Example:
    """One image to learn from: what was measured of it, and the truth.

    observed : Observation, or the image itself
    loss : {"squared", "psnr"}
        What is to be small, times the number of pixels: half of the mean squared error, or −PSNR,
        which an image of little error weighs in as much as one of much. Benchmarks are means of it.

    Raises
    ------
    ShapeError, NonFinite
        If the truth is no image of the shape of what was measured; if there is no such loss.
    """

    name: str
    observed: Observation
    truth: Array
    loss: str = "squared"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ShapeError(
                f"loss is {self.loss!r}.", where="Example", fix=f"choose {' or '.join(LOSSES)}."
            )
        observed: Any = self.observed
        if not isinstance(observed, Observation):
            object.__setattr__(self, "observed", Observation(observed))
        truth = checked_image(self.truth, f"the truth of '{self.name}'")
        if truth.shape != self.observed.shape:
            raise ShapeError(
                f"'{self.name}': measured {self.observed.shape}, true {truth.shape}.",
                where="Example",
                fix="give a pair of one shape.",
            )
        object.__setattr__(self, "truth", truth)


def draw_crops(images: Sequence[Named], size: int, count: int, seed: int) -> list[Named]:
    """Cut squares out of images.

    Parameters
    ----------
    images : sequence of (name, array)
    size : int
        Side of the crops; 0 takes images whole.
    count : int
        Crop j is cut from the j-th image of a random order, which begins anew after the last; 0
        takes one crop an image.
    seed : int
        The order is ``default_rng([seed]).permutation``, the corner of crop j is drawn by
        ``default_rng([seed, j])``: it does not depend on how many there are.

    Raises
    ------
    ConfigError
        If an image is smaller than the crops; with its name.
    """
    if not size and not count:
        return list(images)
    for name, image in images:
        if min(image.shape) < size:
            raise ConfigError(
                f"{name} is {image.shape[1]} × {image.shape[0]}, smaller than crops of {size}.",
                fix="take smaller crops, or leave the image out.",
            )
    order = np.random.default_rng([seed]).permutation(len(images))
    crops = []
    for j in range(count or len(images)):
        name, image = images[int(order[j % len(images)])]
        if size:
            random = np.random.default_rng([seed, j])
            top, left = (int(random.integers(0, side - size + 1)) for side in image.shape)
            image = np.ascontiguousarray(image[top : top + size, left : left + size])
            name = f"{name} [{top}:{top + size}, {left}:{left + size}]"
        crops.append((name, image))
    return crops


def noisy_examples(
    images: Sequence[Named],
    sigma: float | Sequence[float],
    seed: int,
    first: int = 0,
    loss: str = "squared",
) -> list[Example]:
    """Return examples: image i with ``σ · default_rng([seed, i]).standard_normal(shape)``.

    Parameters
    ----------
    images : sequence of (name, array)
    sigma : float or sequence of float
        Of several, each image draws one, by ``default_rng([seed, i, 1])``.
    seed : int
    first : int
        Number i of the first image.
    loss : str
        See `Example`.
    """
    levels = [float(s) for s in np.atleast_1d(np.asarray(sigma, dtype=np.float64))]
    examples = []
    for i, (name, truth) in enumerate(images, start=first):
        drawn = int(np.random.default_rng([seed, i, 1]).integers(len(levels)))
        noisy = add_noise(truth, levels[drawn], [seed, i])
        examples.append(Example(name, Observation(noisy), truth, loss))
    return examples


def squared_error(truth: Any, scale: float = 1.0) -> TwiceDifferentiable:
    """Return the loss ``½ scale ‖u − truth‖²`` of a state u, with its second derivatives.

    It raises `ShapeError` for a state of another size.
    """
    target = np.asarray(truth, dtype=np.float64).ravel()

    def loss(_x: Array, y: Array) -> tuple[float, None, Array]:
        if y.shape != target.shape:
            raise ShapeError(
                f"the state has {y.size} unknowns, the truth {target.size} pixels.",
                where="squared_error",
                fix="give the true image of the same size.",
            )
        error = y - target
        return 0.5 * scale * dot(error, error), None, scale * error

    def second(_x: Array, _y: Array, _x_dot: Array, y_dot: Array) -> tuple[None, Array]:
        return None, scale * y_dot

    return TwiceDifferentiable(loss, second)


def negative_psnr(truth: Any) -> Loss:
    """Return the loss ``−pixels · PSNR = 10 pixels · log₁₀(‖u − truth‖² / (255² pixels))`` of u."""
    target = np.asarray(truth, dtype=np.float64).ravel()
    unit = 10.0 * target.size / np.log(10.0)

    def loss(_x: Array, y: Array) -> tuple[float, None, Array]:
        error = y - target
        square = dot(error, error)
        with np.errstate(divide="ignore"):  # u = truth is refused as a loss that is not finite
            value = unit * float(np.log(square / (PEAK**2 * target.size)))
        return value, None, (2.0 * unit / square if square > 0.0 else 0.0) * error

    return loss


def loss_of_image(
    example: Example, image: Callable[[Array, tuple[int, int]], Array], n_y: int
) -> Loss:
    """Return an example's loss of the image u in a state of n_y numbers, some of which it is."""
    truth = example.truth
    places = np.asarray(image(np.arange(n_y, dtype=np.float64), example.observed.shape))
    places = places.ravel().astype(np.intp)
    plain: Loss = negative_psnr(truth) if example.loss == "psnr" else squared_error(truth)
    if n_y == truth.size and np.array_equal(places, np.arange(n_y)):
        return plain

    def loss(x: Array, y: Array) -> tuple[float, None, Array]:
        value, _, slope = plain(x, y[places])
        l_y = np.zeros_like(y)
        l_y[places] = slope
        return value, None, l_y

    return loss
