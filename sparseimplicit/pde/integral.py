"""One integral of a weak form, as a user states it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ..errors import NonFinite, ShapeError, StructureError
from .shapes import check_basis

OWN: Final = ("x", "h", "n")  # what w has without data


@dataclass(frozen=True, eq=False)
class Integral:
    """An integrand, and the bases over whose elements or facets it is integrated.

    function : of (u, v, *controls) or (u, v, *controls, w), linear in v; of an energy of (u,
        *controls) or (u, *controls, w)
    state : bases, one for each field of the state
    control : for each name a basis, or how many numbers the whole domain shares
    data : for each name a number, an array (…, elements, points), or interpolated field
    """

    function: Callable[..., Any]
    state: tuple[Any, ...]
    control: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bases(self) -> list[Any]:
        """All bases, those of the state first."""
        return [*self.state, *(b for b in self.control.values() if not is_number(b))]


def integral(
    function: Callable[..., Any], state: Any, control: Any = None, data: Any = None
) -> Integral:
    """State one integral of a weak form: an `Equation` or an `Energy` takes several.

    Parameters
    ----------
    function : callable
        The integrand, of ``(u, v, *controls)`` or ``(u, v, *controls, w)``, linear in the test
        function v; of an `Energy`, without v. Where the state has several fields, u and v are
        tuples. ``w`` has the coordinates ``w.x``, the size ``w.h``, the normal ``w.n`` on facets,
        and the data by name.
    state : basis or sequence of bases
    control : basis or int, or mapping of names to them, optional
        An int n is a control of n numbers that the whole domain shares: a number where n = 1, else
        a vector. Controls are arguments in their order, whatever these are called. Those of several
        integrals are the same if they have the same name; without a name it is "control".
    data : mapping of names, optional
        Numbers, arrays of shape (…, elements, points), or ``basis.interpolate(vector)``.

    Returns
    -------
    Integral

    Raises
    ------
    ShapeError
        Where the bases are not on one mesh and quadrature.
    StructureError, NonFinite
        From data that are no numbers, NaN, or called as what ``w`` has itself.
    """
    if not callable(function):
        raise StructureError(
            f"an integrand is needed, got {type(function).__name__}.", where="pde.integral"
        )
    bases = tuple(state) if isinstance(state, list | tuple) else (state,)
    controls = {} if control is None else control
    controls = dict(controls) if isinstance(controls, Mapping) else {"control": controls}
    made = Integral(function, bases, controls, _data(data))
    for basis in bases:
        check_basis(basis, "state=")
    for name, given in controls.items():
        if not is_number(given):
            check_basis(given, f"control '{name}'")
    first = bases[0]
    for basis in made.bases:
        same = (
            basis.mesh is first.mesh and type(basis).__name__ == type(first).__name__
            and basis.nelems == first.nelems and np.shape(basis.X) == np.shape(first.X)
            and np.array_equal(basis.X, first.X) and np.array_equal(basis.W, first.W)
            and np.array_equal(_elements(basis), _elements(first))
        )  # fmt: skip
        if not same:
            raise ShapeError(
                f"the bases of one integral differ in mesh, quadrature or elements: "
                f"{type(first).__name__} of {first.nelems} elements and {len(first.W)} points, "
                f"{type(basis).__name__} of {basis.nelems} and {len(basis.W)}.",
                where="pde.integral",
                fix="make the others with first.with_element(element), or give one intorder= to "
                "all.",
            )
    return made


def _data(given: Any) -> dict[str, Any]:
    """Return data by name; refuse what is no number, NaN, or would hide what w has itself."""
    data = dict(given or {})
    for name, values in data.items():
        if name in OWN:
            raise StructureError(f"data '{name}' would hide w.{name}.", where="pde.integral",
                                 fix="give it another name.")  # fmt: skip
        kind = np.asarray(values).dtype.kind
        if kind not in "fiub":
            raise StructureError(
                f"data '{name}' must be real numbers, got {type(values).__name__}.",
                where="pde.integral",
                fix="give a number, an array of shape (…, elements, points), or "
                "basis.interpolate(vector); write functions of w.x in the integrand.",
            )
        if not np.isfinite(np.asarray(values)).all():
            raise NonFinite(f"data '{name}' holds NaN or infinity.", where="pde.integral")
    return data


def is_number(given: Any) -> bool:
    """Tell whether a control is given as how many numbers it has."""
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def _elements(basis: Any) -> Any:
    found = getattr(basis, "find", None)
    found = basis.tind if found is None else found
    return np.empty(0) if found is None else found
