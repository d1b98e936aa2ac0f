"""Meshes of the bank of problems."""

import numpy as np
import skfem


def right(n, m=None, width=1.0, height=1.0):
    """n × m squares on [0, width] × [0, height], cut from lower left to upper right."""
    m = n if m is None else m
    return skfem.MeshTri.init_tensor(np.linspace(0, width, n + 1), np.linspace(0, height, m + 1))
