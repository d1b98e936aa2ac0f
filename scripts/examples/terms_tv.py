"""Local terms: the weight of total variation that is best for a small image."""

import numpy as np

import sparseimplicit as si
from sparseimplicit.imaging import add_noise, psnr, squared_error

truth = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8)), np.ones((8, 8)))
noisy = add_noise(truth, sigma=25, seed=0)

data = si.term(lambda y, x, c: 0.5 * (y[0] - c[0]) ** 2,
               y=np.arange(noisy.size)[:, None], c=noisy.reshape(-1, 1))  # fmt: skip
tv = si.term(lambda y, x, c: np.exp(x[0]) * np.sqrt((y[1] - y[0])**2 + (y[2] - y[0])**2 + 1.0),
             y=si.stencil(noisy.shape, [(0, 0), (0, 1), (1, 0)]), x=si.shared(1))  # fmt: skip
denoised = si.ImplicitFunction(si.Energy([data, tv], n_y=noisy.size, n_x=1))
best = si.minimize(squared_error(truth), denoised, x0=2.0, y0=noisy.ravel())

if __name__ == "__main__":
    image, weight = best.solved.y.reshape(truth.shape), np.exp(best.x[0])
    print(f"weight {weight:.2f}: {psnr(noisy, truth):.2f} -> {psnr(image, truth):.2f} dB")
