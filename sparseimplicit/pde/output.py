"""Fields to look at: VTK and XDMF by meshio, plots by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..errors import ConfigError, NonFinite, ShapeError

CELLS: Final = {
    "MeshLine": "line", "MeshTri": "triangle", "MeshQuad": "quad", "MeshTet": "tetra",
    "MeshHex": "hexahedron",
}  # fmt: skip
# scikit-fem's numbering of a hexahedron's corners, in the order of VTK.
HEXAHEDRON: Final = (0, 1, 4, 2, 3, 6, 7, 5)


def write_vtk(path: str | Path, mesh: Any, fields: Mapping[str, Any]) -> Path:
    """Write fields on a mesh to a file for ParaView: .vtu, .vtk, or .xdmf.

    Parameters
    ----------
    path : str or Path
    mesh : of scikit-fem, or a basis on it
        Its corners and straight cells are written.
    fields : mapping of names to arrays, or to pairs (basis, array)
        An array of one number (or row) for each vertex or cell; or the numbers of a basis, which
        are written at the vertices, or at the centres of cells where it knows no vertices.

    Returns
    -------
    Path

    Raises
    ------
    ShapeError, NonFinite, ConfigError, MissingBackend
    """
    meshio = require("meshio", extra="pde", purpose="writing fields")
    mesh = getattr(mesh, "mesh", mesh)
    kind = next(
        (cell for name, cell in CELLS.items() if type(mesh).__name__.startswith(name)), None
    )
    if kind is None:
        raise ConfigError(f"meshes of type {type(mesh).__name__} cannot be written.",
                          where="pde.write_vtk")  # fmt: skip
    corners = mesh.t[: mesh.refdom.nnodes].T
    if kind == "hexahedron":
        corners = corners[:, HEXAHEDRON]
    used = int(corners.max()) + 1
    points: dict[str, Any] = {}
    cells: dict[str, Any] = {}
    for name, given in fields.items():
        at_points, values = _at_places(name, given, mesh, used)
        if not np.isfinite(values).all():
            raise NonFinite(f"field '{name}' holds NaN or inf.", where="pde.write_vtk")
        if at_points:
            points[name] = values
        else:
            cells[name] = [values]
    place = np.zeros((used, 3))
    place[:, : mesh.dim()] = mesh.p[:, :used].T
    target = Path(path)
    try:
        meshio.write(target, meshio.Mesh(place, [(kind, corners)], points, cells))
    except (OSError, KeyError, ValueError, meshio.WriteError, meshio.ReadError) as error:
        raise ConfigError(f"{target} cannot be written ({error}).", where="pde.write_vtk",
                          fix="take a name ending in .vtu, .vtk or .xdmf.") from error  # fmt: skip
    return target


def figure(basis: Any, values: Any, *, title: str = "") -> bytes:
    """Return a PNG of a field in two dimensions.

    Parameters
    ----------
    basis : of scikit-fem, of a field of one component
    values : array, shape (N,)
    title : str

    Raises
    ------
    ShapeError, MissingBackend
    """
    figures = require("matplotlib.figure", extra="plot", purpose="plots")
    mesh = basis.mesh
    if mesh.dim() != 2:
        raise ShapeError(f"the mesh has {mesh.dim()} dimensions; plots need 2.",
                         where="pde.figure", fix="write_vtk serves the others.")  # fmt: skip
    corners = mesh.t[: mesh.refdom.nnodes]
    at_points, shown = _at_places("values", (basis, values), mesh, int(corners.max()) + 1)
    if shown.ndim != 1:
        raise ShapeError("a field of one component is needed.", where="pde.figure",
                         fix="give one of basis.split(values).")  # fmt: skip
    triangles = corners.T
    if corners.shape[0] == 4:
        triangles = np.vstack([corners[[0, 1, 2]].T, corners[[0, 2, 3]].T])
        shown = shown if at_points else np.tile(shown, 2)
    sheet = figures.Figure(figsize=(5.0, 4.2), layout="constrained")
    axes = sheet.subplots()
    drawn = axes.tripcolor(
        mesh.p[0], mesh.p[1], triangles, shown, shading="gouraud" if at_points else "flat"
    )
    axes.set_aspect("equal")
    axes.set_title(title)
    sheet.colorbar(drawn, ax=axes)
    stream = io.BytesIO()
    sheet.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def _at_places(name: str, given: Any, mesh: Any, vertices: int) -> tuple[bool, NDArray[np.float64]]:
    """Return whether a field stands at vertices (or else at cells), and its values there."""
    cells = int(mesh.nelements)
    if not (isinstance(given, tuple) and len(given) == 2):
        array = np.asarray(given, dtype=np.float64)
        if array.shape[:1] not in ((vertices,), (cells,)):
            raise ShapeError(
                f"field '{name}' has shape {array.shape}; there are {vertices} vertices, {cells} "
                "cells.",
                where="pde.write_vtk",
                fix="give (basis, values) for the numbers of a basis.",
            )
        return array.shape[0] == vertices, array
    basis, values = given[0], np.asarray(given[1], dtype=np.float64)
    if values.shape != (basis.N,):
        raise ShapeError(f"field '{name}' has shape {values.shape}; its basis has N = {basis.N}.",
                         where="pde.write_vtk")  # fmt: skip
    nodal = basis.nodal_dofs[:, :vertices]
    if nodal.shape[0]:
        at = values[nodal].T
        if at.shape[1] == 1:
            return True, at[:, 0]
        return True, np.hstack([at, np.zeros((at.shape[0], max(0, 3 - at.shape[1])))])
    inside = basis.interior_dofs
    if inside.shape[0] != 1:
        raise ShapeError(f"field '{name}' has {inside.shape[0]} numbers a cell.",
                         where="pde.write_vtk", fix="project it on P0 or P1.")  # fmt: skip
    return False, values[inside[0]]
