"""Fields to look at: VTK and XDMF by meshio, plots by matplotlib."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..errors import ConfigError, NonFinite, ShapeError, StructureError
from ..files import write_atomically
from .xdmf import write_xdmf

CELLS: Final = {
    "MeshLine": "line", "MeshTri": "triangle", "MeshQuad": "quad", "MeshTet": "tetra",
    "MeshHex": "hexahedron",
}  # fmt: skip
# scikit-fem's numbering of a hexahedron's corners, in the order of VTK.
HEXAHEDRON: Final = (0, 1, 4, 2, 3, 6, 7, 5)
ENDINGS: Final = (".vtu", ".vtk", ".xdmf")


def write_vtk(path: str | Path, mesh: Any, fields: Mapping[str, Any]) -> Path:
    """Write fields on a mesh to a file for ParaView: .vtu, .vtk, or .xdmf.

    Parameters
    ----------
    path : str or Path
        The file is there whole or not at all: on an error, one of that name stays as it was.
        Folders are made. An .xdmf is one file that holds its numbers as text.
    mesh : of scikit-fem, or a basis on it
        Its corners and straight cells are written.
    fields : mapping of names to arrays, or to pairs (basis, array)
        An array of one number (or row) for each vertex or cell; or the numbers of a basis on this
        mesh, which are written at the vertices, or at the centres of cells where it knows no
        vertices.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If the name has another ending, a field's name cannot stand in such a file, or the file
        cannot be written.
    ShapeError, StructureError, NonFinite
        From a field that does not fit the mesh, is complex, or holds NaN.
    MissingBackend
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{target} does not say what to write.", where="pde.write_vtk",
                          fix=f"take a name ending in {', '.join(ENDINGS)}.")  # fmt: skip
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
    points: dict[str, NDArray[np.float64]] = {}
    cells: dict[str, NDArray[np.float64]] = {}
    if not isinstance(fields, Mapping):
        raise StructureError(
            f"fields are given by name, got {type(fields).__name__}.", where="pde.write_vtk",
            fix="give {'u': (basis, values)}.",
        )  # fmt: skip
    for name, given in fields.items():
        _check_name(name, ending)
        at_points, values = _at_places(name, given, mesh, used)
        if not np.isfinite(values).all():
            raise NonFinite(f"field '{name}' holds NaN or inf.", where="pde.write_vtk")
        (points if at_points else cells)[name] = values
    place = np.zeros((used, 3))
    place[:, : mesh.dim()] = mesh.p[:, :used].T
    if ending == ".xdmf":
        _write(target, lambda file: write_xdmf(file, place, (kind, corners), points, cells))
        return target
    meshio = require("meshio", extra="pde", purpose="writing fields")
    if ending == ".vtu":  # meshio writes names as they are
        points, cells = ({_quoted(n): v for n, v in of.items()} for of in (points, cells))
    whole = meshio.Mesh(place, [(kind, corners)], points, {n: [v] for n, v in cells.items()})

    def write(file: BinaryIO) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            made = Path(folder) / f"made{ending}"  # meshio writes by name alone
            meshio.write(made, whole)
            with made.open("rb") as found:
                shutil.copyfileobj(found, file)

    _write(target, write)
    return target


def _write(target: Path, write: Callable[[BinaryIO], Any]) -> None:
    try:
        write_atomically(target, write)
    except ConfigError as error:
        raise error.at("pde.write_vtk") from error.__cause__


def _quoted(name: str) -> str:
    return escape(name, {'"': "&quot;"})


def _check_name(name: Any, ending: str) -> None:
    """Refuse names of fields that a file cannot hold."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ConfigError(f"a field cannot be called {name!r}.", where="pde.write_vtk",
                          fix="give it a name of printable letters.")  # fmt: skip
    if ending == ".vtk" and " " in name:
        raise ConfigError(f"in a .vtk file a field cannot be called {name!r}, with a space.",
                          where="pde.write_vtk", fix="take another name, or .vtu.")  # fmt: skip


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
    numbers = np.asarray(given[1] if _is_pair(given) else given)
    if numbers.dtype.kind not in "fiub":
        raise StructureError(
            f"field '{name}' is of {numbers.dtype}; real numbers are written.",
            where="pde.write_vtk",
            fix="give the real and the imaginary part of a complex field a name each.",
        )
    if not _is_pair(given):
        array = numbers.astype(np.float64)
        if array.ndim not in (1, 2) or array.shape[0] not in (vertices, cells):
            raise ShapeError(
                f"field '{name}' has shape {array.shape}; there are {vertices} vertices, {cells} "
                "cells.",
                where="pde.write_vtk",
                fix="give (basis, values) for the numbers of a basis.",
            )
        return array.shape[0] == vertices, array
    basis, values = given[0], numbers.astype(np.float64)
    if not _same_mesh(basis.mesh, mesh):
        raise ShapeError(
            f"the basis of field '{name}' is on another mesh than the one that is written.",
            where="pde.write_vtk",
            fix="write each mesh to a file of its own, or interpolate.",
        )
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


def _is_pair(given: Any) -> bool:
    """Tell whether a field is given as (basis, values)."""
    return isinstance(given, tuple) and len(given) == 2 and hasattr(given[0], "mesh")


def _same_mesh(one: Any, other: Any) -> bool:
    return one is other or (np.array_equal(one.t, other.t) and np.array_equal(one.p, other.p))
