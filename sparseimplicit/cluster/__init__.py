"""Many machines: lower-level problems shared out by Dask."""

from .dask import Dask

__all__ = ["Dask"]
