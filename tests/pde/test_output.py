"""Files and plots: what was written is read again."""

import numpy as np
import pytest

from sparseimplicit import pde
from sparseimplicit.errors import ConfigError, NonFinite, ShapeError

skfem = pytest.importorskip("skfem", reason="the extra pde is not installed")
meshio = pytest.importorskip("meshio", reason="the extra pde is not installed")

CASES = {
    "triangle": lambda: (skfem.MeshTri().refined(1), skfem.ElementTriP2()),
    "quad": lambda: (skfem.MeshQuad().refined(1), skfem.ElementQuad1()),
    "tetra": lambda: (skfem.MeshTet(), skfem.ElementTetP1()),
    "hexahedron": lambda: (skfem.MeshHex().refined(1), skfem.ElementHex1()),
    "line": lambda: (skfem.MeshLine().refined(2), skfem.ElementLineP2()),
}


@pytest.mark.parametrize("kind", CASES)
def test_files_are_read_again(kind, tmp_path):
    mesh, element = CASES[kind]()
    V = skfem.Basis(mesh, element)
    u, c = V.doflocs[0] ** 2, np.arange(mesh.nelements, dtype=float)
    file = pde.write_vtk(tmp_path / "u.vtu", V, {"u": (V, u), "c": c, "p": mesh.p[0]})
    found = meshio.read(file)
    np.testing.assert_allclose(found.point_data["u"], found.points[:, 0] ** 2, atol=1e-14)
    np.testing.assert_allclose(found.cell_data["c"][0], c)
    assert found.cells[0].type == kind
    if kind == "hexahedron":  # bottom and top are loops: opposite edges of a face are parallel
        p = found.points[found.cells[0].data[0]]
        np.testing.assert_allclose(p[1] - p[0], p[2] - p[3])
        np.testing.assert_allclose(p[4] - p[0], p[6] - p[2])


def test_vectors_and_cells(tmp_path):
    mesh = skfem.MeshTri().refined(1)
    V = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementTriP1()))
    D = V.with_element(skfem.ElementTriP0())
    fields = {"v": (V, np.arange(V.N, dtype=float)), "d": (D, np.arange(D.N, dtype=float))}
    found = meshio.read(pde.write_vtk(tmp_path / "v.vtk", mesh, fields))
    np.testing.assert_allclose(found.point_data["v"][:, 1], np.arange(1, V.N, 2))
    np.testing.assert_allclose(found.cell_data["d"][0].ravel(), np.arange(D.N))


@pytest.mark.parametrize(
    "element", ["ElementTriP0", "ElementTriP1", "ElementQuad0", "ElementQuad1"]
)
def test_plots_are_pictures(element):
    mesh = skfem.MeshTri().refined(2) if "Tri" in element else skfem.MeshQuad().refined(2)
    V = skfem.Basis(mesh, getattr(skfem, element)())
    picture = pde.figure(V, np.arange(V.N, dtype=float), title="u")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"


def test_what_cannot_be_written_is_named(tmp_path):
    V = skfem.Basis(skfem.MeshTri(), skfem.ElementTriP1())
    with pytest.raises(ShapeError, match="has shape \\(3,\\)"):
        pde.write_vtk(tmp_path / "u.vtu", V, {"u": np.ones(3)})
    with pytest.raises(NonFinite, match="'u'"):
        pde.write_vtk(tmp_path / "u.vtu", V, {"u": np.full(4, np.nan)})
    with pytest.raises(ConfigError, match="cannot be written"):
        pde.write_vtk(tmp_path / "u.nothing", V, {"u": np.ones(4)})
    tets = skfem.Basis(skfem.MeshTet(), skfem.ElementTetP1())
    with pytest.raises(ShapeError, match="3 dimensions"):
        pde.figure(tets, np.ones(tets.N))
