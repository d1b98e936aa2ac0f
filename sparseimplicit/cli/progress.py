"""Lines that a training prints as it goes on, and keeps in a file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType

import typer
from rich.console import Console

from ..errors import ConfigError
from ..imaging.training import FullBatch, Minibatch, Step, Trained, Training

HEADER = (
    "  step  method     objective   |gradient|     error   PSNR  held out  Newton  products"
    "  seconds       left"
)


class Progress:
    """A line for every step; on a terminal, what goes on meanwhile. Also into a file.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """

    def __init__(self, plan: Training, log: Path) -> None:
        self._plan, self._path = plan, log
        self._started = time.perf_counter()
        self._known = 0  # steps by the last line
        self._status = Console().status("solving at the start …") if sys.stdout.isatty() else None

    def __enter__(self) -> Progress:
        images, pixels = len(self._plan.examples), self._plan.pixels(range(len(self._plan.all)))
        self.say(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {self._plan.model}: "
                 f"{self._plan.packing.size} parameters, {images} images"
                 f" + {len(self._plan.all) - images} held out, {pixels} pixels")  # fmt: skip
        self.say(HEADER)
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._status is not None:
            self._status.stop()
        sys.stdout.flush()

    def __call__(self, step: Step) -> None:
        """Print a step."""
        if step.step > self._known:
            self.say(f"  steps up to {step.step - 1} are from the checkpoint")
        self._known = step.step + 1
        left = self._left(step)
        self.say(_line(step, left))
        for note in step.notes:
            self.say(f"        {note}")
        if self._status is not None:
            elapsed = time.perf_counter() - self._started
            self._status.update(f"step {step.step + 1} …  {elapsed:.0f} s so far, {left} left")

    def finish(self, trained: Trained) -> None:
        """Print why each stage ended, and where the time went."""
        if trained.resumed == len(trained.history):
            self.say(f"  all steps, up to {trained.history[-1].step}, are from the checkpoint")
        for note in trained.notes:
            self.say(f"  {note}")
        for number, message in enumerate(trained.messages):
            self.say(f"  stage {number}: {message}")
        own = trained.history[trained.resumed :]
        parts = ("forward", "adjoint", "contraction", "waiting", "writing")
        total = {part: sum(step.seconds.get(part, 0.0) for step in own) for part in parts}
        wall = sum(step.seconds.get("wall", 0.0) for step in own)
        shares = ", ".join(f"{part} {seconds:.1f}" for part, seconds in total.items())
        self.say(f"  {wall:.1f} s in {len(own)} steps; seconds of all processes: {shares}")

    def say(self, line: str) -> None:
        """Print a line, and keep it."""
        typer.echo(line)
        sys.stdout.flush()
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise ConfigError(
                f"{self._path} cannot be written: {error.strerror or error}.",
                fix="free space, and give the command again: it goes on from the last step.",
            ) from error

    def _left(self, step: Step) -> str:
        """Estimate what is left: visits to images still to be made, each as long as the last."""
        each = step.seconds.get("wall", 0.0) / max(step.images, 1)
        count, visits, bound = len(self._plan.examples), 0, ""
        for number, stage in enumerate(self._plan.stages):
            if number < step.stage:
                continue
            left = stage.most_steps - (step.in_stage if number == step.stage else 0)
            images = min(stage.batch, count) if isinstance(stage, Minibatch) else count
            visits += max(left, 0) * images
            if isinstance(stage, FullBatch):
                bound = "≤ "
        return bound + _time(each * visits)


def _line(step: Step, left: str) -> str:
    error = "" if step.gradient_error is None else f"{step.gradient_error:.1e}"
    gradient = "–" if step.gradient_norm is None else f"{step.gradient_norm:.3e}"
    held = "" if step.validation is None else f"{step.validation:.3f}{'*' if step.best else ' '}"
    return (
        f"  {step.step:4d}  {step.method:<6} {step.value:13.6f} {gradient:>12} "
        f"{error:>9} {step.psnr:6.2f} {held:>9} {step.work.newton_iterations:7d} "
        f"{step.work.linear_iterations:9d} {step.seconds.get('wall', 0.0):8.1f} {left:>10}"
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
