"""Meshes of the bank of problems."""

import numpy as np
import skfem


def right(n, m=None, width=1.0, height=1.0):
    """n × m squares on [0, width] × [0, height], cut from lower left to upper right."""
    m = n if m is None else m
    return skfem.MeshTri.init_tensor(np.linspace(0, width, n + 1), np.linspace(0, height, m + 1))


def left(n, m, width, height, origin=0.0):
    """n × m rectangles from the origin on, cut from upper left to lower right."""
    i, j = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    v = (i + (n + 1) * j).ravel()
    x, y = np.meshgrid(np.linspace(0, width, n + 1), np.linspace(0, height, m + 1))
    lower, upper = [v, v + 1, v + n + 1], [v + n + 2, v + n + 1, v + 1]
    return skfem.MeshTri(np.array([x.ravel(), y.ravel()]) + origin, np.hstack([lower, upper]))
