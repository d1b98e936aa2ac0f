"""Step 5 of 5: training. The weight that brings the denoised signal nearest to the truth."""

from argmin import implicit, noisy, truth
from loss_through_argmin import loss

import sparseimplicit as si

result = si.minimize(loss, implicit, x0=-2.0, y0=noisy, bounds=(-8.0, 8.0))

if __name__ == "__main__":
    for e in result.history:
        print(f"{e.evaluation:3d}  loss {e.value:12.6f}  |dL/dx| {e.gradient_norm:9.2e}")
    before, after = abs(noisy - truth).mean(), abs(result.solved.y - truth).mean()
    print(f"{result.message}: x = {result.x[0]:.6f}, mean error {before:.4f} -> {after:.4f}")
