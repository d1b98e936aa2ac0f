"""``sparseimplicit evaluate``: a model on a folder of test images, PSNR and SSIM."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from .. import __version__
from .._optional import require
from ..errors import ConfigError
from ..executors import available_cores
from ..files import write_atomically
from ..imaging.evaluation import MODEL_PICTURE, image_files, means, trials
from ..imaging.evaluation import evaluate as scored
from ..imaging.figures import model_figure
from ..imaging.models import SavedModel
from ..imaging.scoring import ImageScore, Trial, question
from .files import check_writable, write_json
from .models import ModelName, Weight, check_sigma, chosen_model

RESULTS: Final = ("scores.json", "scores.csv")
USUAL_NOISE: Final = 25.0  # grey levels
Watch = Callable[[int, int, ImageScore], Any]


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Of the true images; all that it holds.")],
    model: ModelName,
    sigma: Annotated[
        float | None,
        typer.Option(help="Of the noise, in grey levels of 255; by default the model's, or 25."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Image i gets default_rng((seed, i)).")] = 0,
    weight: Weight = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results/evaluate"),
    resume: Annotated[
        bool, typer.Option(help="Keep the scores in --out, which are to be of this very trial.")
    ] = True,
    jobs: Annotated[int, typer.Option(help="Processes, which share the cores.")] = 1,
    figures: Annotated[int, typer.Option(min=0, help="How many images are drawn.")] = 4,
    first: Annotated[
        int, typer.Option(min=0, help="Only so many images, the first; 0 for all.")
    ] = 0,
    rtol: Annotated[float, typer.Option(help="How exactly the model's energy is minimised.")] = (
        1e-5
    ),
    solver: Annotated[str | None, typer.Option(help="Linear solver; by default the model's.")] = (
        None
    ),
) -> None:
    """Measure how well a model denoises.

    For example:

    sparseimplicit evaluate bsds68/ --model tv --sigma 25

    sparseimplicit evaluate bsds68/ --model my.npz --jobs 2 --out results/my

    The i-th image in sorted order, as grey levels 0 to 255, gets the noise
    sigma · default_rng((seed, i)).standard_normal(shape), not clipped, not rounded. PSNR and SSIM
    (Gaussian window of 11, range 255) are of the unclipped result; means are over images. Writes
    scores.csv, scores.json, images/ and figures/ into --out. What was done when a run was killed is
    kept, and not done again.

    Exit codes: 0 ok, 2 bad input, 10 not converged, 11 singular or not positive definite.
    """
    asked = Evaluation(folder, model, sigma, seed, weight, jobs, figures, first, rtol, solver)
    _ = asked.saved  # wrong options are refused first
    check_writable(out)
    if resume:
        asked.check_results(out)
    else:
        for name in RESULTS:
            (out / name).unlink(missing_ok=True)
    asked.carry_out(out, resume=resume)


@dataclass(frozen=True)
class Evaluation:
    """Which model is measured on which images, and how; as the options say."""

    folder: Path
    model: str
    sigma: float | None
    seed: int
    weight: float | None
    jobs: int
    figures: int
    first: int
    rtol: float
    solver: str | None

    @cached_property
    def saved(self) -> SavedModel:
        """The model, after a look at all options."""
        require("skimage.metrics", extra="imaging", purpose="structural similarity")
        saved = chosen_model(self.model, self.weight)
        _check_numbers(self.sigma, self.seed, self.jobs, saved, self.model)
        return saved

    @cached_property
    def noise(self) -> float:
        """The noise added: as asked for, else what the model is for."""
        usual = USUAL_NOISE if self.saved.sigma is None else self.saved.sigma
        return usual if self.sigma is None else self.sigma

    def trials(self, out: Path) -> list[Trial]:
        """Return what is asked of each image; all are read once."""
        return trials(
            image_files(self.folder)[: self.first or None], self.saved, sigma=self.noise,
            seed=self.seed, out=out, rtol=self.rtol, linear_solver=self.solver,
            figures=self.figures,
        )  # fmt: skip

    def identity(self) -> str:
        """Return a digest of the model and of all that is asked of it, whatever the images."""
        return question(self.saved, self.noise, self.seed, self.rtol, self.solver)

    def check_results(self, out: Path) -> None:
        """Refuse to write over the scores of another trial, or of more images.

        Those that cannot be read count as none.
        """
        path = out / "scores.json"
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            names = {row["image"] for row in before["images"]}
            same, told = before["trial"] == self.identity(), f"{before['model']}, σ = "
            told += f"{before['sigma']:g}"
        except (OSError, ValueError, KeyError, TypeError):
            return
        asked = {file.name for file in image_files(self.folder)[: self.first or None]}
        if not same or names - asked:
            what = (
                f"of other images, as {min(names - asked)}" if same else f"of another trial: {told}"
            )
            raise ConfigError(
                f"{path} has scores {what}.",
                fix="choose another folder (--out), or give --no-resume to write over them.",
            )

    def carry_out(
        self, out: Path, *, resume: bool = True, watch: Watch | None = None
    ) -> dict[str, Any]:
        """Score all images, write and show the results, and return them.

        watch: called after each image with its number, how many there are, and its score.
        """
        started = time.perf_counter()
        asked = self.trials(out)
        progress = _Progress(len(asked), watch)
        scores = scored(asked, jobs=self.jobs, resume=resume, callback=progress)
        told = {"version": __version__, "model": self.model, "folder": str(self.folder),
                "trial": self.identity(), "sigma": self.noise, "seed": self.seed,
                "rtol": self.rtol, "jobs": self.jobs}  # fmt: skip
        result = _write(out, scores, told | {"seconds": time.perf_counter() - started}, self.saved)
        _show(scores, f"{self.model} on {self.folder}, σ = {self.noise:g}")
        drawn = ", figures/" if self.figures else ""
        typer.echo(f"wrote {out}/: scores.csv, scores.json, images/{drawn}; "
                   f"{time.perf_counter() - started:.1f} s")  # fmt: skip
        return result


def _check_numbers(sigma: float | None, seed: int, jobs: int, saved: SavedModel, name: str) -> None:
    if sigma is not None and sigma != 0.0:
        check_sigma(sigma, saved if saved.sigma is not None else _anywhere(saved, sigma), name)
    cores = available_cores()
    if not 1 <= jobs <= cores:
        raise ConfigError(f"--jobs {jobs}: {cores} cores are here.", fix=f"give 1 to {cores}.")
    if seed < 0:
        raise ConfigError(f"--seed {seed}: no seed.", fix="give 0 or more.")


def _anywhere(saved: SavedModel, sigma: float) -> SavedModel:
    """A model for no noise in particular is taken as it is, whatever the noise."""
    return SavedModel(saved.model, saved.theta, saved.shape, {"sigma": sigma}, saved.name)


class _Progress:
    """A line for every image as it is done."""

    def __init__(self, count: int, watch: Watch | None) -> None:
        self._count, self._done, self._watch = count, 0, watch

    def __call__(self, score: ImageScore, from_disk: bool) -> None:
        self._done += 1
        how = "kept" if from_disk else f"{score.seconds:.1f} s"
        typer.echo(
            f"  {self._done:4d}/{self._count}  {score.image:<24} "
            f"{score.psnr_noisy:6.2f} → {score.psnr:6.2f} dB  {how}"
        )
        sys.stdout.flush()
        if self._watch is not None:
            self._watch(self._done, self._count, score)


def _write(
    out: Path, scores: list[ImageScore], told: dict[str, Any], saved: SavedModel
) -> dict[str, Any]:
    rows = [asdict(score) for score in scores]
    for row in rows:
        row["warnings"] = list(row["warnings"])
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows({**row, "warnings": "; ".join(row["warnings"])} for row in rows)
    write_atomically(out / "scores.csv", lambda file: file.write(text.getvalue().encode()))
    result = {**told, "mean": means(scores), "images": rows}
    write_json(out / "scores.json", result)
    drawn = model_figure(saved)
    if drawn is not None:
        write_atomically(out / "figures" / f"{MODEL_PICTURE}.png", lambda file: file.write(drawn))
    return result


def _show(scores: list[ImageScore], title: str) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("image", no_wrap=True)
    columns = ("size", "noisy", "PSNR", "SSIM", "steps", "products", "seconds")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for s in scores:
        table.add_row(s.image, f"{s.width} × {s.height}", f"{s.psnr_noisy:.2f}", f"{s.psnr:.2f}",
                      f"{s.ssim:.4f}", str(s.newton_iterations), str(s.products),
                      f"{s.seconds:.1f}")  # fmt: skip
    mean = means(scores)
    table.add_section()
    table.add_row("mean", str(len(scores)), f"{mean['psnr_noisy']:.3f}", f"{mean['psnr']:.3f}",
                  f"{mean['ssim']:.4f}", "", "", f"{mean['seconds']:.1f}")  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    doubtful = [s for s in scores if s.warnings]
    if doubtful:
        typer.echo(f"warning: of {len(doubtful)} of {len(scores)} images the state is doubtful, "
                   f"as {doubtful[0].image}: {doubtful[0].warnings[0]}", err=True)  # fmt: skip
