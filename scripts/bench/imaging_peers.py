"""JAXopt's and torch's hypergradients of one image, for imaging.py: a process of its own.

    python imaging_peers.py FOLDER METHOD REPEATS TOLERANCE …

FOLDER has noisy.npy, truth.npy, theta.npy, cosines.npy and model.json, as imaging.py writes them.
A tolerance is relative to the norm of the first gradient. Prints a line of JSON for each: seconds
of every run, the gradient.
"""

import json
import pathlib
import sys
import time

import numpy as np

UNROLLED = 200


def energies(lib, model, basis, noisy, convolve, pad):
    """Return g(θ, u) of the same energy that imaging.py states, in jax.numpy or torch."""
    if model["kind"] == "tv":
        square = model["epsilon"] ** 2

        def prior(theta, u):
            right, down = u[:-1, 1:] - u[:-1, :-1], u[1:, :-1] - u[:-1, :-1]
            inner = lib.sqrt(right**2 + down**2 + square).sum()
            last_row = lib.sqrt((u[-1, 1:] - u[-1, :-1]) ** 2 + square).sum()
            last_column = lib.sqrt((u[1:, -1] - u[:-1, -1]) ** 2 + square).sum()
            return lib.exp(theta[0]) * (inner + last_row + last_column + square**0.5)
    else:
        count, scale, size = model["count"], model["scale"], model["size"]

        def prior(theta, u):
            filters = (theta[count:].reshape(count, -1) @ basis).reshape(count, size, size)
            z = convolve(pad(u, size // 2), filters) / scale
            weights = lib.exp(theta[:count]) * scale**2
            convex = model["potential"] == "charbonnier"
            rho = lib.sqrt(1.0 + z * z) - 1.0 if convex else lib.log1p(0.5 * z * z)
            return (weights[:, None, None] * rho).sum()

    return lambda theta, u: 0.5 * ((u - noisy) ** 2).sum() + prior(theta, u)


def newton_cg(g, first, tolerance):
    """Return a jitted Newton's method, its steps by CG and halved until g falls, for JAXopt."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def solve(u, theta):
        def far(state):
            return (jnp.linalg.norm(state[1]) > tolerance * first) & (state[2] < 100)

        def step(state):
            u, slope, count = state
            forcing = jnp.minimum(0.1, jnp.sqrt(jnp.linalg.norm(slope) / first))
            p, _ = jax.scipy.sparse.linalg.cg(
                lambda v: jax.jvp(lambda w: jax.grad(g, 1)(theta, w), (u,), (v,))[1],
                -slope, tol=forcing, maxiter=500,
            )  # fmt: skip
            here, falls = g(theta, u), 1e-4 * (slope * p).sum()
            length = lax.while_loop(
                lambda t: (g(theta, u + t * p) > here + t * falls) & (t > 1e-8),
                lambda t: 0.5 * t, 1.0,
            )  # fmt: skip
            u = u + length * p
            return u, jax.grad(g, 1)(theta, u), count + 1

        return lax.while_loop(far, step, (u, jax.grad(g, 1)(theta, u), 0))[0]

    return solve


def by_jaxopt(solver_name):
    """Return what makes, from a tolerance, a function of θ that gives the gradient: jitted."""

    def prepare(model, basis, noisy, truth):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        import jaxopt

        def convolve(u, filters):
            return jax.lax.conv(u[None, None], filters[:, None], (1, 1), "VALID")[0]

        def pad(u, width):
            return jnp.pad(u, width, mode="symmetric")

        noisy_, truth_, basis_ = jnp.asarray(noisy), jnp.asarray(truth), jnp.asarray(basis)
        g = energies(jnp, model, basis_, noisy_, convolve, pad)
        first = float(jnp.linalg.norm(jax.grad(g, 1)(jnp.asarray(model["theta"]), noisy_)))

        def at(tolerance):
            def adjoint(matvec, b):
                return jax.scipy.sparse.linalg.cg(matvec, b, tol=tolerance, maxiter=5000)[0]

            if solver_name == "newton-cg":
                conditions = jax.grad(g, 1)
                solve = jaxopt.implicit_diff.custom_root(
                    lambda u, theta: conditions(theta, u), solve=adjoint
                )(newton_cg(g, first, tolerance))
            else:
                solver = jaxopt.LBFGS(
                    lambda u, theta: g(theta, u), tol=tolerance * first, maxiter=3000,
                    implicit_diff=True, implicit_diff_solve=adjoint, jit=True,
                )  # fmt: skip

                def solve(u, theta):
                    return solver.run(u, theta).params

            def loss(theta):
                return 0.5 * ((solve(noisy_, theta) - truth_) ** 2).sum()

            gradient = jax.jit(jax.grad(loss))
            return lambda theta: np.asarray(gradient(jnp.asarray(theta)).block_until_ready())

        return at

    return prepare


def by_torch(model, basis, noisy, truth):
    """Return the same by 200 unrolled steps of accelerated gradient descent, in torch."""
    import torch

    torch.set_num_threads(2)

    def convolve(u, filters):
        return torch.nn.functional.conv2d(u[None, None], filters[:, None])[0]

    def pad(u, width):
        mirrored = torch.cat([u[:width].flip(0), u, u[-width:].flip(0)])
        return torch.cat([mirrored[:, :width].flip(1), mirrored, mirrored[:, -width:].flip(1)], 1)

    noisy_, truth_ = torch.from_numpy(noisy), torch.from_numpy(truth)
    g = energies(torch, model, torch.from_numpy(basis), noisy_, convolve, pad)

    def at(_):
        def gradient(theta_):
            theta = torch.tensor(theta_, requires_grad=True)
            u = before = noisy_.clone().requires_grad_()
            rate, momentum = 1.0 / model["lipschitz"], model["momentum"]
            for _step in range(UNROLLED):
                ahead = u + momentum * (u - before)
                slope = torch.autograd.grad(g(theta, ahead), ahead, create_graph=True)[0]
                before, u = u, ahead - rate * slope
            loss = 0.5 * ((u - truth_) ** 2).sum()
            return torch.autograd.grad(loss, theta)[0].numpy()

        return gradient

    return at


METHODS = {
    "jaxopt l-bfgs": by_jaxopt("l-bfgs"),
    "jaxopt newton-cg": by_jaxopt("newton-cg"),
    "torch, 200 unrolled": by_torch,
}


def main(folder, method, repeats, tolerances):
    """Print what each tolerance gives, the first run, which compiles, left out."""
    read = {name: np.load(pathlib.Path(folder, f"{name}.npy"))
            for name in ("noisy", "truth", "theta", "cosines")}  # fmt: skip
    model = json.loads(pathlib.Path(folder, "model.json").read_text())
    model["theta"] = read["theta"]
    at = METHODS[method](model, read["cosines"], read["noisy"], read["truth"])
    for tolerance in tolerances if method.startswith("jaxopt") else (0.0,):
        run = at(tolerance)
        run(read["theta"])
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            gradient = run(read["theta"])
            seconds.append(time.perf_counter() - started)
        told = {"tolerance": tolerance, "seconds": seconds, "gradient": gradient.tolist()}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [float(word) for word in sys.argv[4:]])
