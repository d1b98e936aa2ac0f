"""One XDMF file of a mesh and its fields, its numbers as text in it: no HDF5 is needed.

Source: XDMF Model and Format, version 3 (xdmf.org).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, Final
from xml.etree import ElementTree as Xml

import numpy as np
from numpy.typing import NDArray

TOPOLOGY: Final = {
    "line": "Polyline", "triangle": "Triangle", "quad": "Quadrilateral", "tetra": "Tetrahedron",
    "hexahedron": "Hexahedron",
}  # fmt: skip


def write_xdmf(
    stream: BinaryIO,
    points: NDArray[np.float64],
    cells: tuple[str, NDArray[Any]],
    at_points: Mapping[str, NDArray[np.float64]],
    at_cells: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write points (n, 3), cells of one kind, and fields by name."""
    root = Xml.Element("Xdmf", Version="3.0")
    grid = Xml.SubElement(Xml.SubElement(root, "Domain"), "Grid", Name="Grid")
    _item(Xml.SubElement(grid, "Geometry", GeometryType="XYZ"), points)
    kind, corners = cells
    _item(
        Xml.SubElement(
            grid, "Topology", TopologyType=TOPOLOGY[kind], NumberOfElements=str(len(corners)),
            NodesPerElement=str(corners.shape[1]),
        ),
        corners,
    )  # fmt: skip
    for center, fields in (("Node", at_points), ("Cell", at_cells)):
        for name, values in fields.items():
            form = {1: "Scalar", 2: "Vector" if values.shape[-1] == 3 else "Matrix"}
            _item(
                Xml.SubElement(grid, "Attribute", Name=name, Center=center,
                               AttributeType=form.get(values.ndim, "Matrix")),
                values,
            )  # fmt: skip
    Xml.ElementTree(root).write(stream, encoding="utf-8", xml_declaration=True)


def _item(parent: Xml.Element, values: NDArray[Any]) -> None:
    whole = values.dtype.kind in "iu"
    item = Xml.SubElement(
        parent, "DataItem", Format="XML", DataType="Int" if whole else "Float", Precision="8",
        Dimensions=" ".join(map(str, values.shape)),
    )  # fmt: skip
    rows = values.reshape(values.shape[0], -1).tolist()
    item.text = "\n" + "\n".join(" ".join(map(repr, row)) for row in rows) + "\n"
