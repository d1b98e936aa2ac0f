"""The memory that denoising one image takes at its peak, beside what `Model.memory` foretells.

    python scripts/bench/denoise_memory.py foe48-sigma25 512
    python scripts/bench/denoise_memory.py foe24-sigma25 512

MODEL is one that is shipped, or a .npz file; the image has SIZE² pixels of the canyon, noise of 25.
An image of 64² before it brings in what does not depend on the size.
"""

import argparse
import resource

import machine
from tv import image

from sparseimplicit.imaging import add_noise, denoise
from sparseimplicit.imaging.models import model_path, read_model


def peak():
    """Return the most bytes that this process has held."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    """Denoise, and print bytes a pixel."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("size", type=int)
    options = parser.parse_args()
    saved = read_model(model_path(options.model))
    noisy = add_noise(image(options.size), 25.0, 0)
    denoise(noisy[:64, :64], saved.model, saved.theta, tile=0)
    before = peak()
    denoise(noisy, saved.model, saved.theta, tile=0)
    print(machine.describe())
    print(
        f"{options.model}, {options.size}²: {(peak() - before) / noisy.size:.0f} bytes a pixel, "
        f"{saved.model.memory(noisy.shape) / noisy.size:.0f} foretold"
    )


if __name__ == "__main__":
    main()
