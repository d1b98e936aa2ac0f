"""The job ``evaluate``: a model on test images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ...cluster.interruption import Interruption
from ...cluster.rundir import RunDirectory
from ...errors import ConfigError, SparseImplicitError
from ...imaging.data import add_noise
from ...imaging.observation import Observation
from ...imaging.scoring import ImageScore, read_truth
from ...linear import available_solvers
from ..evaluate import Evaluation
from .foretold import foretold, state_matrix
from .schema import EvaluateJob
from .source import Source


class EvaluationWork:
    """An evaluation that a file states, its model read.

    Raises
    ------
    ConfigError
    """

    kind = "evaluate"

    def __init__(self, source: Source, job: EvaluateJob) -> None:
        named, beside = job.model.name, source.folder / job.model.name
        model = str(beside) if beside.suffix == ".npz" and beside.is_file() else named
        solver = None if job.solver.linear == "auto" else job.solver.linear
        if solver is not None and solver not in available_solvers():
            raise ConfigError(
                f"{source.at('solver', 'linear')} = '{solver}' is no solver.",
                fix=f"use 'auto' or one of {', '.join(available_solvers())}.",
            )
        self.job = job
        self.asked = Evaluation(
            source.folder / job.data.folder, model, job.noise.sigma, job.noise.seed,
            job.model.weight, job.run.jobs, job.data.figures, job.data.first, job.solver.rtol,
            solver,
        )  # fmt: skip
        try:
            _ = self.asked.saved
            self.trials = self.asked.trials(Path())
        except SparseImplicitError as error:
            raise error.at(str(source.path)) from error.__cause__

    def identity(self) -> str:
        """Return a digest of the model, the noise and every pixel."""
        digest = hashlib.sha256()
        for trial in self.trials:
            digest.update(trial.key(read_truth(trial.path)).encode())
        return digest.hexdigest()

    def open(self, out: Path, anew: bool) -> None:
        """Do nothing: the record of each image says by itself what it is of."""

    def carry_out(self, run: RunDirectory, interruption: Interruption) -> dict[str, Any]:
        """Score the images that have no record yet, and write the results."""

        def watch(done: int, of: int, score: ImageScore) -> None:
            run.log("image", image=score.image, psnr=score.psnr, ssim=score.ssim,
                    seconds=score.seconds, solver=score.linear_solver)  # fmt: skip
            run.progress(done, of, score.psnr)
            if done < of:
                interruption.check()

        return self.asked.carry_out(run.folder, watch=watch)

    def short(self, metrics: dict[str, Any]) -> str:
        """Return nothing: an image whose state is not found is an error."""
        return ""

    def size(self) -> int:
        """Return the pixels of the largest image."""
        return max(read_truth(trial.path).size for trial in self.trials)

    def foretold(self) -> str:
        """Return the plan for the largest image."""
        truths = [read_truth(trial.path) for trial in self.trials]
        largest = max(truths, key=lambda truth: truth.size)
        saved = self.asked.saved
        observed = Observation(add_noise(largest, self.asked.noise, self.job.noise.seed))
        theta = saved.theta_for((largest.shape[0], largest.shape[1]))
        pixels = sum(truth.size for truth in truths)
        return foretold(
            state_matrix(saved.model, observed, theta), solves=1, rtol=self.job.solver.rtol,
            memory=self.job.run.memory, problems=pixels / largest.size,
            solver=self.asked.solver or saved.model.solver_for(observed),
            title=f"{len(truths)} images, {pixels} pixels; the largest "
            f"{largest.shape[1]} × {largest.shape[0]}",
        )  # fmt: skip
