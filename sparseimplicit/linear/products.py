"""Products with a LinearOperator that the user gave: what goes wrong in them is told as theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ..errors import NonFinite, ShapeError, SparseImplicitError, StructureError
from ..kernels.vectors import finite

Array = NDArray[np.float64]


def product(given: LinearOperator, v: Array, name: str, *, transposed: bool = False) -> Array:
    """Return A v or Aᵀ v, for v of shape (n,) or (n, k), finite wherever v is.

    Raises
    ------
    StructureError
        If there is no product with the transpose, or it is complex.
    ShapeError, NonFinite, SparseImplicitError
        If the product has a wrong length, is not finite, or raises.
    """
    called = ("r" if transposed else "") + ("matvec" if v.ndim == 1 else "matmat")
    shape = (given.shape[1 if transposed else 0], *v.shape[1:])
    if v.size == 0:
        return np.zeros(shape)
    where = f"`{called}` of the LinearOperator {name}"
    try:
        result = getattr(given, called)(v)
    except (SparseImplicitError, MemoryError):
        raise
    except Exception as error:
        if transposed and _is_missing(given, error):
            raise StructureError(
                f"products with the transpose are needed, and the LinearOperator {name} has none.",
                where=where,
                fix="give the LinearOperator an `rmatvec`; a symmetric matrix may be declared so: "
                "Structure.SYMMETRIC.",
            ) from error
        raise SparseImplicitError(
            f"the product that was given failed: {type(error).__name__}: {error}",
            where=where,
            fix=f"try {called} on np.ones({v.shape}): it is to return shape {shape}.",
        ) from error
    if np.iscomplexobj(result):
        raise StructureError(
            "the LinearOperator returned complex numbers; systems here are real.",
            where=where,
            fix="split real and imaginary part: [[Re, −Im], [Im, Re]].",
        )
    result = np.asarray(result, dtype=np.float64)
    if result.shape != shape:
        raise ShapeError(
            f"the product that was given returned shape {result.shape}.",
            where=where,
            fix=f"return shape {shape} for {v.shape}.",
        )
    if not finite(result.ravel()) and np.isfinite(v).all():
        raise NonFinite(
            f"the product that was given holds {int((~np.isfinite(result)).sum())} numbers that "
            "are NaN or infinite.",
            where=where,
            fix="look into the callable: a division, root or logarithm near 0.",
        )
    return result


def _is_missing(given: LinearOperator, error: Exception) -> bool:
    """Tell whether there is no transpose, or one that failed.

    Of several columns scipy says it by the TypeError of calling None, as a wrong callable may.
    """
    if isinstance(error, TypeError):
        try:
            given.rmatvec(np.zeros(given.shape[0]))
        except NotImplementedError:
            return True
        except Exception:  # noqa: BLE001 - the user's own, and told as such
            return False
    return isinstance(error, NotImplementedError)
