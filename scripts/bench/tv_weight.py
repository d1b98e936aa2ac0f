"""Learn one weight of total variation, and look for a better one on a grid around it.

    python scripts/bench/tv_weight.py TRAIN400 BSDS68

The weight that gives the best mean PSNR on the images of TRAIN400, by its gradient; what it gives
on those of BSDS68; and what others give there, 0.8 to 1.25 times as large. Noise of 25, ε = 0.1.
"""

import argparse
import pathlib
import time

import machine
import numpy as np

from sparseimplicit.imaging import TotalVariation, read_image
from sparseimplicit.imaging.training import Accuracy, FullBatch, Training, noisy_examples, train
from sparseimplicit.imaging.training.images import Images
from sparseimplicit.imaging.training.visits import Visit

SIGMA, SHARES = 25.0, (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25)


def examples(folder, first=None):
    """Return noisy images of a folder, in sorted order."""
    paths = sorted(folder.glob("*.png"))[:first]
    return noisy_examples([(path.name, read_image(path)) for path in paths], SIGMA, 0, loss="psnr")


def main():
    """Learn, then search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=pathlib.Path)
    parser.add_argument("test", type=pathlib.Path)
    parser.add_argument("--first", type=int, help="only so many images of each, the first")
    options = parser.parse_args()
    print(machine.describe(), flush=True)
    model, started = TotalVariation(epsilon=0.1), time.perf_counter()
    stages = [FullBatch(max_iterations=20, stop_rtol=1e-3, accuracy=Accuracy(1e-3, 1e-5, 3))]
    learned = train(Training(model, examples(options.train, options.first), stages)).theta
    print(f"learned: weight {np.exp(learned[0]):.3f}, {time.perf_counter() - started:.1f} s")
    test = dict(enumerate(examples(options.test, options.first)))
    images, found = Images(model, test), {}
    for share in SHARES:
        visit = Visit(learned + np.log(share), 1e-6, gradient=False)
        answers = images.answer(visit, list(test), dict.fromkeys(images._kept, "kept"), "kept")
        found[share] = float(np.mean([answer.psnr for answer in answers.answers]))
        print(f"  {share:4.2f} × that weight: {found[share]:.4f} dB", flush=True)
    # The best between the points of the grid, by the parabola through the three best.
    near = sorted(SHARES, key=found.get)[-3:]
    a, b, c = np.polyfit(np.log(near), [found[share] for share in near], 2)
    best = c - b**2 / (4 * a)
    print(f"best of the grid {max(found.values()):.4f} dB, between its points {best:.4f} dB; "
          f"learned {found[1.0]:.4f} dB, {best - found[1.0]:.4f} dB less")  # fmt: skip


if __name__ == "__main__":
    main()
