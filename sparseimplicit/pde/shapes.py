"""Shape functions of scikit-fem's bases, as a weak form combines them at a point.

Elements of H¹ type have values and gradients on the reference element, the same for all elements
of a mesh, and the inverse Jacobian of the mapping takes the gradients over: a table for the points
and d² numbers an element. Other elements, and facets, read their values from the basis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..errors import ShapeError, StructureError
from .columns import Columns
from .fields import DERIVATIVES, Field, field

Array = NDArray[np.float64]
Attribute = tuple[str, tuple[int, ...]]  # "value" or a derivative, and its shape


def skfem(purpose: str) -> Any:
    """Return scikit-fem, or say how to install it."""
    return require("skfem", extra="pde", purpose=purpose)


def check_basis(basis: Any, what: str) -> None:
    """Refuse what is no basis of one field."""
    module = skfem("weak forms")
    if not isinstance(basis, module.assembly.basis.AbstractBasis):
        raise StructureError(
            f"{what} must be a basis of scikit-fem, got {type(basis).__name__}.",
            where="weak form",
            fix="give skfem.Basis(mesh, element), or basis.boundary(…).",
        )
    if len(basis.basis[0]) != 1:
        raise StructureError(
            f"{what} has an element of several fields.",
            where="weak form",
            fix="give a tuple of bases, one for each field, on one mesh and quadrature.",
        )


def check_slopes(basis: Any, where: str) -> None:
    """Refuse a basis whose shape functions have no gradient, or none that is not 0."""
    slopes = [shape.grad for (shape,) in basis.basis]
    if slopes[0] is None:
        raise StructureError(
            f"{type(basis.elem).__name__} has no gradient.", where=where,
            fix="take pde.mass, the inner product of L².",
        )  # fmt: skip
    if not any(np.any(np.asarray(slope)) for slope in slopes):
        raise StructureError(
            f"the shape functions of {type(basis.elem).__name__} are constant in each cell: their "
            "gradients are 0.", where=where,
            fix="take ElementTriP1 or the like; or form the jumps on interior facets yourself.",
        )  # fmt: skip


class Place:
    """Where an integral is taken: elements or facets, with the points and their weights."""

    def __init__(self, basis: Any, columns: Columns) -> None:
        self.basis, self.columns = basis, columns
        self.on_cells = isinstance(basis, skfem("weak forms").CellBasis)
        self.dim = int(basis.mesh.dim())

    @property
    def weight(self) -> Any:
        """Quadrature weight times the volume of the mapping."""
        dx, w = np.asarray(self.basis.dx), np.asarray(self.basis.W)

        def ratio() -> Array:
            with np.errstate(divide="ignore", invalid="ignore"):
                volumes = dx / w
            near = np.abs(volumes - volumes[:, :1]) <= 1e-14 * np.abs(volumes[:, :1])
            return volumes[:, :1] if near.all() and (w != 0).all() else dx

        found = ratio()
        if found.shape[1] < w.size or w.size == 1:
            return self.columns.of_element(("volume",), lambda: found[:, 0]) * (
                self.columns.of_point(w)
            )
        return self.columns.of_both(("dx",), lambda: dx)

    @property
    def x(self) -> Field:
        """The coordinates of the point, (d,)."""
        given = np.asarray(self.basis.global_coordinates())
        return self._given("x", given)

    @property
    def h(self) -> Field:
        """The size of the element or facet."""
        return self._given("h", np.asarray(self.basis.mesh_parameters()))

    @property
    def n(self) -> Field:
        """The outer normal of a facet, (d,)."""
        if self.on_cells:
            raise StructureError(
                "there are no normals inside elements.",
                where="weak form",
                fix="integrate over basis.boundary(…).",
            )
        return self._given("n", np.asarray(self.basis.normals))

    def data(self, name: str, given: Any) -> Any:
        """Return data of the user's: a number, an array (…, E, Q), a field interpolated."""
        if np.ndim(given) == 0:
            value = float(given)
            elements = self.columns.elements
            return self.columns.of_element(("data", name), lambda: np.full(elements, value))
        size = (self.columns.elements, self.columns.points)
        array = np.asarray(given)
        if array.dtype.kind not in "fiub" or array.shape[-2:] != size:
            raise ShapeError(
                f"data '{name}' has shape {array.shape}, of {array.dtype}; here are "
                f"{size[0]} elements of {size[1]} points.",
                where="weak form",
                fix="give a number, an array of shape (…, elements, points), or "
                "basis.interpolate(vector) of a basis with the same quadrature.",
            )
        derivatives = {
            key: self._given((name, key), np.asarray(getattr(given, key)))
            for key in DERIVATIVES if getattr(given, key, None) is not None
        }  # fmt: skip
        return field(self._given(name, array), derivatives)

    def inverse(self, i: int, j: int) -> Any:
        """Return entry ∂X_i/∂x_j of the inverse Jacobian of the mapping."""
        key = ("inverse", i, j)
        return self.columns.of_both(key, lambda: self._inverses()[i, j])

    def _inverses(self) -> Array:
        basis = self.basis
        if not hasattr(self, "_inverse"):
            self._inverse = np.asarray(basis.mapping.invDF(basis.X, basis.tind))
        return self._inverse

    def _given(self, key: Any, array: Array) -> Field:
        value = np.empty(array.shape[:-2], dtype=object)
        for at in np.ndindex(value.shape):
            value[at] = self.columns.of_both(("data", key, at), lambda at=at: array[at])  # type: ignore[misc]
        return field(value, {})


class Shapes:
    """The shape functions of one field on a place.

    present : boolean array (k, E), optional
        Which of them there are; the others count as 0.
    """

    def __init__(self, basis: Any, place: Place, present: Any = None) -> None:
        elements = skfem("weak forms").element
        self.basis, self.place = basis, place
        self.present = None if present is None or present.all() else present
        self.count = int(basis.Nbfun)
        vector = isinstance(basis.elem, elements.ElementVector)
        self.components = int(basis.elem.dim) if vector else 0
        self.inner = basis.elem.elem if vector else basis.elem
        self.reference = (
            place.on_cells and isinstance(self.inner, elements.ElementH1) and self.present is None
        )
        dim, shape = place.dim, ((self.components,) if vector else ())
        self.attributes: list[Attribute] = [("value", shape), ("grad", (*shape, dim))]
        if not self.reference:
            first = basis.basis[0][0]
            self.attributes = [
                (name, np.shape(array)[:-2])
                for name in ("value", *DERIVATIVES)
                if (array := first if name == "value" else getattr(first, name)) is not None
            ]

    def field(self, coefficients: Any) -> Field:
        """Return Σ_i coefficient_i φ_i at the point, and its derivatives."""
        made: dict[str, Any] = {}
        for name, shape in self.attributes:
            made[name] = np.zeros(shape, dtype=object)
        for i in range(self.count):
            for name, at, value in self._sparse(i):
                made[name][at] = made[name][at] + value * coefficients[i]
        if self.reference:
            made["grad"] = self._physical(made["grad"])
        value = made.pop("value")
        return field(value, {name: field(a, {}) for name, a in made.items()})

    def tested(self, by: dict[str, Any]) -> list[Any]:
        """Return for each i the sum of φ_i's attributes times these, of the attributes' shapes."""
        if self.reference:
            by = by | {"grad": self._reference(by["grad"])}
        rows = []
        for i in range(self.count):
            total: Any = 0.0
            for name, at, value in self._sparse(i):
                total = total + by[name][at] * value
            rows.append(total)
        return rows

    def _sparse(self, i: int) -> list[tuple[str, tuple[int, ...], Any]]:
        """Return the entries of φ_i's attributes that are not zero by structure."""
        node, component = divmod(i, self.components) if self.components else (i, 0)
        ahead = (component,) if self.components else ()
        columns, basis = self.place.columns, self.basis
        if self.reference:
            value, slopes = self.inner.lbasis(basis.X, node)
            full = np.broadcast_to(value, basis.X.shape[1:])
            entries: list[tuple[str, tuple[int, ...], Any]]
            entries = [("value", ahead, columns.of_point(np.ascontiguousarray(full, dtype=float)))]
            for j in range(self.place.dim):
                slope = np.ascontiguousarray(
                    np.broadcast_to(slopes[j], basis.X.shape[1:]), dtype=float
                )
                entries.append(("grad", (*ahead, j), columns.of_point(slope)))
            return [entry for entry in entries if not _zero(entry[2])]
        entries = []
        for name, shape in self.attributes:
            given = basis.basis[i][0]
            array = np.asarray(given if name == "value" else getattr(given, name))
            if self.present is not None:
                array = array * self.present[i][:, None]
            for at in np.ndindex(shape):
                if not self.components or name in ("div", "curl") or at[:1] == ahead:
                    entries.append((name, at, columns.of_both(
                        ("shape", id(basis), i, name, at), lambda a=array[at]: a)))  # type: ignore[misc]  # fmt: skip
        return entries

    def _physical(self, slopes: Any) -> Any:
        """Return gradients in x from those on the reference element, ∇u = F⁻ᵀ ∇̂u."""
        out = np.zeros(slopes.shape, dtype=object)
        for at in np.ndindex(slopes.shape):
            for i in range(self.place.dim):
                slope = slopes[(*at[:-1], i)]
                if not _zero(slope):
                    out[at] = out[at] + self.place.inverse(i, at[-1]) * slope
        return out

    def _reference(self, by: Any) -> Any:
        """Return what multiplies reference gradients where this multiplies gradients in x."""
        out = np.zeros(by.shape, dtype=object)
        for at in np.ndindex(by.shape):
            for j in range(self.place.dim):
                factor = by[(*at[:-1], j)]
                if not _zero(factor):
                    out[at] = out[at] + self.place.inverse(at[-1], j) * factor
        return out


def _zero(value: Any) -> bool:
    return isinstance(value, int | float) and value == 0.0
