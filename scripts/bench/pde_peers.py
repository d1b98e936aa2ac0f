"""OpenMDAO's side of `pde.py peers`, run by an interpreter that has it: one gradient, timed.

python pde_peers.py FOLDER REPEATS METHOD

FOLDER holds problem.npz: the entries of A(x) = S s(x) by rows and columns, B, the load and the
loss. METHOD "direct": user partials and `DirectSolver`, as its documentation has it; "kept": the
component solves by itself, with the factor of the state for the adjoint.
"""

import json
import pathlib
import sys
import time

import numpy as np
import openmdao.api as om
from scipy import sparse
from scipy.sparse.linalg import splu


def stored(data, name):
    """Return a matrix of the folder."""
    parts = (data[f"{name}_data"], data[f"{name}_indices"], data[f"{name}_indptr"])
    return sparse.csr_array(parts, shape=tuple(data[f"{name}_shape"]))


class State(om.ImplicitComponent):
    """A(x) u = b + F x."""

    def initialize(self):
        """Declare what is given."""
        self.options.declare("data")
        self.options.declare("kept")

    def setup(self):
        """Declare sizes and patterns."""
        data = self.options["data"]
        self.n, self.coefficient = int(data["n_y"]), bool(data["coefficient"])
        self.rows, self.cols, self.load = data["rows"], data["cols"], data["load"]
        self.select = stored(data, "select")
        self.add_input("x", data["x"])
        self.add_output("u", np.zeros(self.n))
        self.declare_partials("u", "u", rows=self.rows, cols=self.cols)
        if self.coefficient:  # ∂(A u)_r/∂x_e = e^x_e Σ S[k, e] u[c_k] over entries k of row r
            s, elements = self.select.tocoo(), self.select.shape[1]
            entry, element = s.coords
            pairs, place = np.unique(self.rows[entry] * elements + element, return_inverse=True)
            self.element = pairs % elements
            parts = (s.data, (place, self.cols[entry]))
            self.gather = sparse.csr_array(parts, shape=(pairs.size, self.n))
            self.declare_partials("u", "x", rows=pairs // elements, cols=self.element)
        else:
            self.by_control = stored(data, "by_control")
            f = self.by_control.tocoo()
            self.declare_partials("u", "x", rows=f.coords[0], cols=f.coords[1], val=-f.data)

    def entries(self, x):
        """Return the entries of A."""
        return self.select @ (np.exp(x) if self.coefficient else np.ones(1))

    def matrix(self, x):
        """Return A."""
        parts = (self.entries(x), (self.rows, self.cols))
        return sparse.csc_array(parts, shape=(self.n, self.n))

    def right(self, x):
        """Return b + F x."""
        return self.load if self.coefficient else self.load + self.by_control @ x

    def apply_nonlinear(self, inputs, outputs, residuals):
        """Return the residual."""
        x = inputs["x"]
        residuals["u"] = self.matrix(x) @ outputs["u"] - self.right(x)

    def solve_nonlinear(self, inputs, outputs):
        """Solve for the state."""
        x = inputs["x"]
        self.factor = splu(self.matrix(x), permc_spec="MMD_AT_PLUS_A", options={
            "SymmetricMode": True}, diag_pivot_thresh=0.0)  # fmt: skip
        outputs["u"] = self.factor.solve(self.right(x))

    def linearize(self, inputs, outputs, partials):
        """Fill the partials."""
        x = inputs["x"]
        partials["u", "u"] = self.entries(x)
        if self.coefficient:
            partials["u", "x"] = np.exp(x)[self.element] * (self.gather @ outputs["u"])


class Kept(State):
    """The same, where the adjoint goes by the factor of the state."""

    def solve_linear(self, d_outputs, d_residuals, mode):
        """Solve with A or Aᵀ."""
        if mode == "rev":
            d_residuals["u"] = self.factor.solve(d_outputs["u"], trans="T")
        else:
            d_outputs["u"] = self.factor.solve(d_residuals["u"])


class Loss(om.ExplicitComponent):
    """½ (u − d)ᵀ N (u − d) + ½ xᵀ R x."""

    def initialize(self):
        """Declare what is given."""
        self.options.declare("data")

    def setup(self):
        """Declare sizes and patterns."""
        data = self.options["data"]
        self.mass, self.prior, self.wanted = stored(data, "mass"), stored(data, "prior"), data["d"]
        self.add_input("u", np.zeros(self.wanted.size))
        self.add_input("x", data["x"])
        self.add_output("J", 0.0)
        self.declare_partials("J", ["u", "x"])

    def compute(self, inputs, outputs):
        """Evaluate the loss."""
        u, x = inputs["u"] - self.wanted, inputs["x"]
        outputs["J"] = 0.5 * u @ (self.mass @ u) + 0.5 * x @ (self.prior @ x)

    def compute_partials(self, inputs, partials):
        """Return its gradients."""
        partials["J", "u"] = self.mass @ (inputs["u"] - self.wanted)
        partials["J", "x"] = self.prior @ inputs["x"]


def main():
    """Print seconds, value and gradient as JSON."""
    folder, repeats, method = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    data = dict(np.load(folder / "problem.npz"))
    problem = om.Problem(reports=False)
    kind = Kept if method == "kept" else State
    names = ["x", "u"]
    state = kind(data=data, kept=method == "kept")
    problem.model.add_subsystem("state", state, promotes=names)
    problem.model.add_subsystem("loss", Loss(data=data), promotes=[*names, "J"])
    if method == "direct":
        state.linear_solver = om.DirectSolver(assemble_jac=True)
        state.options["assembled_jac_type"] = "csc"
    problem.setup(mode="rev", check=False)
    seconds = []
    for run in range(repeats + 1):
        problem.set_val("x", data["x"])
        started = time.perf_counter()
        problem.run_model()
        gradient = problem.compute_totals("J", "x", return_format="array")[0]
        if run:
            seconds.append(time.perf_counter() - started)
    np.save(folder / f"{method}.npy", gradient)
    print(json.dumps({"seconds": seconds, "value": float(problem.get_val("J")[0])}))


if __name__ == "__main__":
    main()
