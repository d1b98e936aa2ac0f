"""What a job's file may say: the keys of every kind of job, their units and their defaults."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...errors import ConfigError
from ...linear.memory import parsed_bytes


def seconds(value: Any) -> float | None:
    """Return the seconds of ``"90s"``, ``"50min"``, ``"4h"``, ``"2d"`` or Slurm's ``1-12:00:00``.

    Raises
    ------
    ValueError
        For what has no unit, or one that is no time.
    """
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if found := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|d)", text):
        return float(found[1]) * TIMES[found[2]]
    if found := re.fullmatch(r"(?:([0-9]+)-)?([0-9]+):([0-9]{2}):([0-9]{2})", text):
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        return 86400.0 * days + 3600.0 * hours + 60.0 * minutes + rest
    raise ValueError("no time with its unit: give it as '90s', '50min', '4h', '2d' or '1-12:00:00'")


def size(value: Any) -> int | None:
    """Return the bytes of ``"900M"`` or ``"16 GB"``.

    Raises
    ------
    ValueError
        For what has no unit, or one that is no size.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str) and not value.strip().isdigit():
            return parsed_bytes(value)
    except ConfigError:
        pass
    raise ValueError("no size with its unit: give it as '900M' or '16 GB'")


TIMES: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Time = Annotated[float | None, BeforeValidator(seconds)]
Size = Annotated[int | None, BeforeValidator(size)]
Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Accuracies = Share | Annotated[list[Share], Field(min_length=2, max_length=2)]


class Section(BaseModel):
    """A table of the file: its keys and no others, of the right kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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
    """The one stage, where no [[stage]] is given; and bounds for all of θ."""

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
    scales: dict[str, Positive] = {}


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
    scales: dict[str, Positive] = {}


class Solver(Section):
    """The linear solver of the lower level; ``auto`` is what suits the model."""

    linear: str = "auto"


class Run(Section):
    """Where a job runs, and how long.

    out: the run directory, relative to the file. time: it ends by itself, in time to be taken up
    again, before so long has gone by (``"50min"``); Slurm's end of the job is heeded anyway.
    grace: how long a step may go on after a signal before it is abandoned. memory: what plans may
    reckon with (``"16 GB"``). bundle: how much a failed solve may leave behind, to be reproduced.
    """

    out: str | None = None
    time: Time = None
    grace: Time = 10.0
    memory: Size = None
    bundle: Size = None


class Execution(Run):
    """Where images are visited: see `imaging.training.train`. jobs: 0 takes all cores."""

    executor: Literal["serial", "processes"] = "serial"
    jobs: Natural = 0


class Job(Section):
    """What all kinds have."""

    kind: str


class LearnJob(Job):
    """Train a model. model: ``kind``, ``start``, and the settings of that kind."""

    kind: Literal["learn"] = "learn"
    model: dict[str, Any] = {}
    data: Data
    noise: Noise = Noise()
    validation: Validation | None = None
    regularizer: list[Regularizer] = []
    training: Training = Training()
    stage: list[
        Annotated[FullBatchStage | MinibatchStage, Field(discriminator="method")]
    ] = []  # fmt: skip
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

    sigma: Annotated[Grey, Field(description="grey levels, 0 to 255")] = 25.0
    seed: Natural = 0


class StateSolver(Solver):
    """rtol: how exactly the model's energy is minimised."""

    rtol: Share = 1e-5


class ImageRun(Run):
    """jobs: processes, which share the cores."""

    jobs: Count = 1


class EvaluateJob(Job):
    """Measure a model on test images."""

    kind: Literal["evaluate"]
    model: NamedModel
    data: TestImages
    noise: OneNoise = OneNoise()
    solver: StateSolver = StateSolver()
    run: ImageRun = ImageRun()


class SweepRun(Section):
    """out: the folder of all tasks, relative to the file."""

    out: str | None = None


class SweepJob(Job):
    """One job many times: ``job`` with every combination of ``grid``, or with each ``task``.

    Keys of grid and task are those of the job, as ``noise.sigma``; without both it runs once.
    """

    kind: Literal["sweep"]
    job: str
    grid: dict[str, Any] = {}
    task: list[dict[str, Any]] = []
    run: SweepRun = SweepRun()


STAGES: Final[dict[str, type[Section]]] = {"l-bfgs": FullBatchStage, "adam": MinibatchStage}
JOBS: Final[dict[str, type[Job]]] = {
    "learn": LearnJob, "gradient": GradientJob, "evaluate": EvaluateJob, "sweep": SweepJob,
}  # fmt: skip
