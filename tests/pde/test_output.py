"""Files and plots: what was written is read again."""

import signal
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from sparseimplicit import pde
from sparseimplicit.errors import ConfigError, NonFinite, ShapeError, StructureError

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
    with pytest.raises(ConfigError, match="does not say") as refused:
        pde.write_vtk(tmp_path / "u.nothing", V, {"u": np.ones(4)})
    assert ".vtu, .vtk, .xdmf" in refused.value.fix
    with pytest.raises(StructureError, match="complex128"):
        pde.write_vtk(tmp_path / "u.vtu", V, {"u": 1j * np.ones(4)})
    with pytest.raises(StructureError, match="by name"):
        pde.write_vtk(tmp_path / "u.vtu", V, np.ones(4))
    other = skfem.Basis(skfem.MeshTri().scaled(2.0), skfem.ElementTriP1())
    with pytest.raises(ShapeError, match="field 'u' is on another mesh"):
        pde.write_vtk(tmp_path / "u.vtu", V, {"u": (other, np.ones(4))})
    for ending, name in (("vtu", ""), ("vtu", "a\nb"), ("xdmf", 3), ("vtk", "a b")):
        with pytest.raises(ConfigError, match="cannot be called"):
            pde.write_vtk(tmp_path / f"u.{ending}", V, {name: np.ones(4)})
    assert not list(tmp_path.iterdir())
    tets = skfem.Basis(skfem.MeshTet(), skfem.ElementTetP1())
    with pytest.raises(ShapeError, match="3 dimensions"):
        pde.figure(tets, np.ones(tets.N))


@pytest.mark.parametrize("name", ["<a \"&'", "p > 0", "é"])
def test_names_are_escaped(name, tmp_path):
    V = skfem.Basis(skfem.MeshTri(), skfem.ElementTriP1())
    u = np.arange(4.0)
    found = meshio.read(pde.write_vtk(tmp_path / "u.vtu", V, {name: u}))
    np.testing.assert_array_equal(found.point_data[name], u)
    tree = ElementTree.parse(pde.write_vtk(tmp_path / "u.xdmf", V, {name: u}))  # noqa: S314
    assert tree.find(".//Attribute").get("Name") == name


@pytest.mark.parametrize("kind", CASES)
def test_xdmf_needs_no_hdf5(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    mesh, element = CASES[kind]()
    V = skfem.Basis(mesh, element)
    fields = {"u": (V, V.doflocs[0] ** 2), "c": np.arange(mesh.nelements), "p": mesh.p.T}
    path = pde.write_vtk(tmp_path / "made" / "u.xdmf", V, fields)
    root = ElementTree.parse(path).getroot()  # noqa: S314
    held = {}
    for parent in root.iter():
        for item in parent.findall("DataItem"):
            values = np.array(item.text.split(), dtype=float)
            shape = [int(n) for n in item.get("Dimensions").split()]
            held[parent.get("Name", parent.tag)] = parent, values.reshape(shape)
    points = held["Geometry"][1]
    np.testing.assert_array_equal(points[:, : mesh.dim()], mesh.p[:, : len(points)].T)
    np.testing.assert_allclose(held["u"][1], points[:, 0] ** 2, atol=1e-14)
    topology, corners = held["Topology"]
    same = meshio.read(pde.write_vtk(tmp_path / "u.vtu", V, fields)).cells[0].data
    np.testing.assert_array_equal(corners, same)
    assert topology.get("TopologyType").lower().startswith(("poly", kind[:4]))
    assert [held[n][0].get("Center") for n in "ucp"] == ["Node", "Cell", "Node"]


@pytest.mark.parametrize("ending", ["vtu", "vtk", "xdmf"])
def test_a_full_disk_leaves_the_file_that_was_there(ending, tmp_path):
    V = skfem.Basis(skfem.MeshTri().refined(3), skfem.ElementTriP1())
    path = pde.write_vtk(tmp_path / f"u.{ending}", V, {"u": np.ones(V.N)})
    before = path.read_bytes()
    resource = pytest.importorskip("resource", reason="limits of files are those of Unix")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(ConfigError, match="File too large") as refused:
            pde.write_vtk(path, V, {"u": np.zeros(V.N)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "free space" in refused.value.fix
    assert refused.value.where.startswith("pde.write_vtk")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
