"""Many machines: lower-level problems shared out by Dask, one system on all ranks of MPI."""

from .dask import Dask
from .rows import DistributedSystem, RowSolution, distribute

__all__ = ["Dask", "DistributedSystem", "RowSolution", "distribute"]
