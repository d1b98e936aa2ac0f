"""Learn a map of total variation weights on one large image, and hold its gradient by Taylor.

    python scripts/bench/weight_map.py                        the canyon, made 2048 × 1365
    python scripts/bench/weight_map.py --image photo.jpg --megapixels 2.8 --steps 20

Noise of 25; the loss is ½ mean (u − truth)² + ½ smooth · mean |∇ log weight|², by L-BFGS-B from
the usual weight. It prints what every step took, and at the end the slope of the gradient.
"""

import argparse
import time

import machine
import numpy as np
from PIL import Image
from tv import CANYON

import sparseimplicit as si
from sparseimplicit.imaging import Observation, TotalVariation, add_noise, squared_error
from sparseimplicit.imaging.training import (
    Accuracy,
    Example,
    FullBatch,
    Smooth,
    Training,
    train,
)

TAYLOR = tuple(0.1 * 0.5**k for k in range(4))


def grey(path, megapixels):
    """Return the image, resized, in grey levels."""
    with Image.open(path) as picture:
        width, height = picture.size
        scale = (1e6 * megapixels / (width * height)) ** 0.5
        size = round(scale * width), round(scale * height)
        return np.asarray(picture.convert("L").resize(size, Image.Resampling.LANCZOS), dtype=float)


def main():
    """Learn the map, and check its gradient."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", default=CANYON)
    parser.add_argument("--megapixels", type=float, default=2.8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--smooth", type=float, default=20.0)
    options = parser.parse_args()
    print(machine.describe(), flush=True)
    truth = grey(options.image, options.megapixels)
    observed = Observation(add_noise(truth, 25.0, 0))
    model = TotalVariation(epsilon=1.0, weight="map")
    stage = FullBatch(
        max_iterations=options.steps, stop_rtol=1e-9, accuracy=Accuracy(1e-4), error_every=0
    )
    plan = Training(
        model, [Example("image", observed, truth)], [stage],
        regularizers=[Smooth("log_weight", options.smooth)],
    )  # fmt: skip
    started = time.perf_counter()

    def tell(step):
        print(
            f"{step.step:4d}  objective {step.value:9.4f}  PSNR {step.psnr:.3f} dB  "
            f"{step.work.newton_iterations} Newton steps  {time.perf_counter() - started:6.1f} s",
            flush=True,
        )

    learned = train(plan, callback=tell)
    score = learned.scores[0]
    print(
        f"{truth.shape[1]} × {truth.shape[0]}, {truth.size} weights: {score.noisy:.2f} → "
        f"{score.start:.2f} dB with one weight → {score.learned:.2f} dB with the map, "
        f"{len(learned.history)} evaluations in {time.perf_counter() - started:.1f} s"
    )
    direction = np.random.default_rng(1).standard_normal(truth.size)
    table = si.verify.taylor(
        model.implicit(observed), squared_error(truth), learned.theta, y0=observed.image.ravel(),
        direction=direction, steps=TAYLOR, rtol=1e-10,
    )  # fmt: skip
    print(table)


if __name__ == "__main__":
    main()
