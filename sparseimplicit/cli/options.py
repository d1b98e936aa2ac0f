"""Options that several commands have, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MatrixFile = Annotated[
    Path, typer.Argument(help="A = ∂c/∂y, or the Hessian: .npz (scipy.sparse), .mtx, .npy.")
]
RTol = Annotated[float, typer.Option(help="Bound on the true relative residual.")]
StructureName = Annotated[
    str, typer.Option(help="What you know of A: auto, general, symmetric, positive-definite.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
