"""Settings and problems that many tests share."""

import os

import numpy as np
import pytest
from hypothesis import settings
from scipy import sparse

import sparseimplicit as si
from sparseimplicit.verify.zoo import convection_diffusion

settings.register_profile("dev", max_examples=10, deadline=None)
settings.register_profile("ci", max_examples=80, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def transport():
    """A nonsymmetric, nonlinear root problem with n_y = 48 and n_x = 7, A ≠ Aᵀ, B rectangular."""
    a = convection_diffusion(6, 8)
    b = sparse.random_array((48, 7), density=0.3, rng=np.random.default_rng(1), format="csr")
    return si.RootProblem(
        residual=lambda x, y: a @ y + 0.1 * y**3 + b @ np.sin(x),
        state_jacobian=lambda x, y: a + sparse.diags_array(0.3 * y**2),
        parameter_jacobian=lambda x, y: b @ sparse.diags_array(np.cos(x)),
    )


@pytest.fixture
def transport_x():
    return np.random.default_rng(2).standard_normal(7)


@pytest.fixture
def tracking():
    """½‖y − t‖² + ½‖x‖², with all partial derivatives."""

    def loss(x, y):
        target = np.cos(np.arange(y.size))
        return 0.5 * np.sum((y - target) ** 2) + 0.5 * x @ x, x, y - target

    return loss
