"""Local terms: the ridge weight of a logistic regression that is best for samples held out."""

import numpy as np

import sparseimplicit as si

rng = np.random.default_rng(0)
columns, values = rng.integers(0, 200, (900, 8)), rng.standard_normal((900, 8))
label = np.sign((values * rng.standard_normal(200)[columns]).sum(1) + rng.standard_normal(900))
c = np.column_stack([values, label])

one = lambda w, x, c: np.log1p(np.exp(-c[8] * (c[:8] @ w)))  # noqa: E731 - of one sample
ridge = si.term(lambda w, x, c: 0.5 * np.exp(x[0]) * w[0] ** 2,
                y=np.arange(200)[:, None], x=si.shared(1))  # fmt: skip
fit = si.Energy([si.term(one, y=columns[:500], c=c[:500]), ridge], n_y=200, n_x=1)
held_out = si.Energy([si.term(one, y=columns[500:], c=c[500:])], n_y=200, n_x=1)
loss = lambda x, w: (held_out.objective(x, w), None, held_out.gradient(x, w))  # noqa: E731
best = si.minimize(loss, si.ImplicitFunction(fit), x0=0.0, y0=np.zeros(200))

if __name__ == "__main__":
    print(f"ridge {np.exp(best.x[0]):.3f}: log loss {best.value / 400:.4f} a sample held out")
