"""What a job's file may say: the keys of every kind of job, their units and their defaults."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from .running import Execution, ImageRun, Run, SweepRun
from .units import Accuracies, Count, Finite, Grey, Level, Natural, Positive, Section, Share


class Data(Section):
    """Which images, and which part of them; ``folder`` is relative to the config file.

    images: names, or patterns as ``*.png``. crop, crops: see `imaging.training.draw_crops`.
    """

    folder: str = "."
    images: Annotated[list[str], Field(min_length=1)]
    crop: Natural = 0
    crops: Natural = 0
    seed: Natural = 0


class Noise(Section):
    """Image i gets ``sigma · default_rng([seed, i]).standard_normal(shape)``, not clipped.

    Of several sigmas each image draws one.
    """

    sigma: Annotated[
        Grey | Annotated[list[Grey], Field(min_length=1)],
        Field(description="grey levels, 0 to 255"),
    ] = 25.0
    seed: Natural = 0


class Validation(Section):
    """Images held out: the last ones of ``data.images``, in as many crops of their own."""

    images: Count
    crop: Natural | None = None
    crops: Natural = 0
    every: Count = 5
    patience: Natural = 0


class Regularizer(Section):
    """A term in θ alone, of one block."""

    block: str
    kind: Literal["ridge", "smooth"]
    weight: Level


class Training(Section):
    """The one stage, where no [[stage]] is given; and bounds for all of θ.

    loss: half of the mean squared error, or −PSNR, which weighs images alike.
    """

    loss: Literal["squared", "psnr"] = "squared"
    max_iterations: Count = 50
    gradient_rtol: Accuracies = 1e-6
    stop_rtol: Positive = 1e-4
    bounds: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None


class FullBatchStage(Section):
    """All images a step, by L-BFGS-B; `imaging.training.FullBatch`."""

    method: Literal["l-bfgs"]
    max_iterations: Count = 50
    stop_rtol: Positive = 1e-4
    memory: Count = 20
    gradient_rtol: Accuracies | None = None
    tighten_over: Count = 20
    error_every: Natural = 10
    scales: dict[str, Positive] = Field(default_factory=dict)


class MinibatchStage(Section):
    """Some images a step, by Adam; `imaging.training.Minibatch`."""

    method: Literal["adam"]
    steps: Count = 100
    batch: Count = 32
    rate: Positive = 0.05
    last_rate: Level = 0.0
    seed: Natural = 0
    decay_mean: Annotated[float, Field(ge=0, lt=1)] = 0.9
    decay_square: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Positive = 1e-8
    gradient_rtol: Accuracies | None = None
    tighten_over: Count = 20
    error_every: Natural = 10
    scales: dict[str, Positive] = Field(default_factory=dict)


class Solver(Section):
    """The linear solver of the lower level; ``auto`` is what suits the model."""

    linear: str = "auto"


class Job(Section):
    """What all kinds have."""

    kind: str


class LearnJob(Job):
    """Train a model. model: ``kind``, ``start``, and the settings of that kind."""

    kind: Literal["learn"] = "learn"
    model: dict[str, Any] = Field(default_factory=dict)
    data: Data
    noise: Noise = Noise()
    validation: Validation | None = None
    regularizer: list[Regularizer] = Field(default_factory=list)
    training: Training = Training()
    stage: list[
        Annotated[FullBatchStage | MinibatchStage, Field(discriminator="method")]
    ] = Field(default_factory=list)  # fmt: skip
    solver: Solver = Solver()
    run: Execution = Execution()

    @property
    def model_kind(self) -> str:
        """Of the model."""
        return str(self.model.get("kind", "tv"))

    @property
    def settings(self) -> dict[str, Any]:
        """Of the model."""
        return {k: value for k, value in self.model.items() if k not in ("kind", "start")}


class Linear(Section):
    """The system of the theorem: files relative to the job's; see ``sparseimplicit gradient``."""

    hessian: str
    cross_hessian: str
    cotangent: str
    structure: Literal["auto", "general", "symmetric", "positive-definite"] = "auto"
    on_singular: Literal["raise", "min_norm", "damp"] = "raise"


class LinearSolver(Solver):
    """rtol: bound on the true relative residual."""

    rtol: Share = 1e-8


class GradientJob(Job):
    """Compute −Bᵀ A⁻ᵀ ȳ from files."""

    kind: Literal["gradient"]
    system: Linear
    solver: LinearSolver = LinearSolver()
    run: Run = Run()


class NamedModel(Section):
    """A trained model: a shipped one, a file, or a kind; see ``sparseimplicit evaluate``."""

    name: str
    weight: Positive | None = None


class TestImages(Section):
    """All images of a folder, or the ``first`` ones. figures: how many are drawn."""

    folder: str
    first: Natural = 0
    figures: Natural = 4


class OneNoise(Section):
    """Image i gets ``sigma · default_rng([seed, i]).standard_normal(shape)``."""

    sigma: Annotated[
        Grey | None, Field(description="grey levels, 0 to 255; by default the model's, or 25")
    ] = None
    seed: Natural = 0


class StateSolver(Solver):
    """rtol: how exactly the model's energy is minimised."""

    rtol: Share = 1e-5


class EvaluateJob(Job):
    """Measure a model on test images."""

    kind: Literal["evaluate"]
    model: NamedModel
    data: TestImages
    noise: OneNoise = OneNoise()
    solver: StateSolver = StateSolver()
    run: ImageRun = ImageRun()


class SweepJob(Job):
    """One job many times: ``job`` with every combination of ``grid``, or with each ``task``.

    Keys of grid and task are those of the job, as ``noise.sigma``; without both it runs once.
    """

    kind: Literal["sweep"]
    job: str
    grid: dict[str, Any] = Field(default_factory=dict)
    task: list[dict[str, Any]] = Field(default_factory=list)
    run: SweepRun = SweepRun()


STAGES: Final[dict[str, type[Section]]] = {"l-bfgs": FullBatchStage, "adam": MinibatchStage}
JOBS: Final[dict[str, type[Job]]] = {
    "learn": LearnJob, "gradient": GradientJob, "evaluate": EvaluateJob, "sweep": SweepJob,
}  # fmt: skip
