"""The job ``gradient``: the bare theorem, from files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ...cluster.interruption import Interruption
from ...cluster.rundir import RunDirectory
from ...errors import ConfigError
from ...linear import Operator
from ..files import declared_structure, read_array, read_matrix
from ..gradient import compute, unmet
from .foretold import foretold
from .schema import GradientJob
from .source import Source


class GradientWork:
    """A gradient that a file states.

    Raises
    ------
    ConfigError
        If a file is missing.
    """

    kind = "gradient"

    def __init__(self, source: Source, job: GradientJob) -> None:
        self.job = job
        self.files: dict[str, Path] = {name: source.folder / getattr(job.system, name)
                      for name in ("hessian", "cross_hessian", "cotangent")}  # fmt: skip
        for name, path in self.files.items():
            if not path.is_file():
                raise ConfigError(
                    f"{source.at('system', name)}: {path} does not exist.",
                    fix="check the path; it is relative to the job's file.",
                )

    def identity(self) -> str:
        """Return a digest of all settings, and of every byte of the files."""
        told = [self.job.system.structure, self.job.system.on_singular,
                self.job.solver.model_dump()]  # fmt: skip
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for path in self.files.values():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def open(self, out: Path, anew: bool) -> None:
        """Remove the result of another run."""
        for name in ("x_bar.npy", "x_bar.json"):
            (out / name).unlink(missing_ok=True)

    def carry_out(self, run: RunDirectory, interruption: Interruption) -> dict[str, Any]:
        """Compute x̄ and write it."""
        out = run.folder / "x_bar.npy"
        record = compute(
            **self.files, out=out, solver=self.job.solver.linear, rtol=self.job.solver.rtol,
            structure=self.job.system.structure, on_singular=self.job.system.on_singular,
        )  # fmt: skip
        run.progress(1, 1)
        return record

    def short(self, metrics: dict[str, Any]) -> str:
        """Return how far the residual is from what was asked, of a damped matrix."""
        return unmet(metrics)

    def size(self) -> int:
        """Return the bytes of the matrix."""
        return int(self.files["hessian"].stat().st_size)

    def foretold(self) -> str:
        """Return the plan for the system."""
        operator = Operator(read_matrix(self.files["hessian"]),
                            declared_structure(self.job.system.structure))  # fmt: skip
        cotangent = read_array(self.files["cotangent"])
        solves = cotangent.shape[1] if cotangent.ndim == 2 else 1
        return foretold(operator, solves=solves, rtol=self.job.solver.rtol,
                        memory=self.job.run.memory, solver=self.job.solver.linear)  # fmt: skip
