"""``sparseimplicit learn``: train the model that a file names on the images it names."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from .. import __version__
from .._optional import available
from ..errors import ConfigError
from ..files import write_atomically
from ..imaging import Learned, add_noise, read_image
from ..imaging import learn as train
from ..imaging.figure import figure
from ..linear import available_solvers
from ..linear.operator import Array
from ..outer import Evaluation, Work
from .config import Config, read_config
from .files import check_writable, write_array, write_json


def learn(
    config: Annotated[Path, typer.Argument(help="What to train on what: a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results/learn"),
    resume: Annotated[
        bool, typer.Option(help="Go on from the checkpoint in --out, if there is one.")
    ] = True,
) -> None:
    """Train a denoising model by implicit differentiation.

    For example:

    sparseimplicit learn scripts/demo.toml

    sparseimplicit learn my.toml --out runs/7 --no-resume

    Writes into --out: theta.npy, history.json, metrics.json, figure.png, config.toml (a copy) and
    checkpoint/. A run that was killed goes on where it was when the same command is given again,
    with the same result to the bit.

    Exit codes: 0 ok, 2 bad input, 10 not converged, 11 singular or not positive definite.
    """
    started = time.perf_counter()
    settings = read_config(config)
    images = _read_images(config, settings)
    checkpoint = _open_run(config, images, out, resume)
    noisy = [
        add_noise(image.truth, settings.noise.sigma, [settings.noise.seed, i])
        for i, image in enumerate(images)
    ]
    with _Progress() as progress:
        learned = train(
            noisy,
            [image.truth for image in images],
            epsilon=settings.model.epsilon,
            weight_map=settings.model.weight == "map",
            start=settings.model.start,
            bounds=(settings.training.bounds[0], settings.training.bounds[1]),
            linear_solver=settings.solver.linear,
            gradient_rtol=settings.training.gradient_rtol,
            stop_rtol=settings.training.stop_rtol,
            max_iterations=settings.training.max_iterations,
            checkpoint=checkpoint,
            callback=progress,
        )
    metrics = _metrics(images, learned, time.perf_counter() - started)
    write_array(out / "theta.npy", learned.theta)
    write_json(out / "history.json", {"history": [e.to_dict() for e in learned.result.history]})
    write_json(out / "metrics.json", metrics)
    _show(metrics, learned)
    if available("matplotlib"):
        picture = figure(
            [image.name for image in images],
            noisy,
            [image.truth for image in images],
            learned,
        )
        write_atomically(out / "figure.png", lambda file: file.write(picture))
        typer.echo(f"wrote {out}/: theta.npy, history.json, metrics.json, figure.png")
    else:
        typer.echo(f"wrote {out}/: theta.npy, history.json, metrics.json")
        typer.echo("no figure: pip install 'sparseimplicit[plot]' for it.", err=True)


@dataclass(frozen=True)
class _Image:
    name: str
    truth: Array


def _read_images(config: Path, settings: Config) -> list[_Image]:
    """Read everything that the work will need, before any of it."""
    names = available_solvers()
    if settings.solver.linear not in ("auto", *names):
        raise ConfigError(
            f"{config}: solver.linear = '{settings.solver.linear}' is no solver.",
            fix=f"use 'auto' or one of {', '.join(names)}.",
        )
    folder = config.parent / settings.data.folder
    images = []
    for i, name in enumerate(settings.data.images):
        try:
            images.append(_Image(name, read_image(folder / name)))
        except ConfigError as error:
            raise error.at(f"{config}, data.images[{i}]") from error.__cause__
    if settings.model.weight == "map" and len({image.truth.shape for image in images}) > 1:
        raise ConfigError(
            f"{config}: model.weight = 'map' needs images of one size.",
            fix="crop them to one size, or learn one number.",
        )
    return images


def _open_run(config: Path, images: list[_Image], out: Path, resume: bool) -> Path:
    """Return the checkpoint folder of this run; refuse or clear that of another.

    A run is its config and its pixels: the same config on other images is another run.
    """
    check_writable(out)
    checkpoint, stamp = out / "checkpoint", out / "checkpoint" / "run.sha256"
    text = config.read_bytes()
    run = _fingerprint(text, images)
    held = list(checkpoint.glob("*.npz"))
    if held and resume and (not stamp.exists() or stamp.read_bytes() != run):
        raise ConfigError(
            f"{out} holds the checkpoint of a run with another config or other images.",
            fix="choose another --out; or start over with --no-resume.",
        )
    if not resume:
        for file in held:
            file.unlink()
    for name in ("theta.npy", "history.json", "metrics.json", "figure.png"):
        (out / name).unlink(missing_ok=True)  # never beside the results of another run
    write_atomically(out / "config.toml", lambda file: file.write(text))
    write_atomically(stamp, lambda file: file.write(run))
    return checkpoint


def _fingerprint(text: bytes, images: list[_Image]) -> bytes:
    digest = hashlib.sha256(text)
    for image in images:
        digest.update(repr(image.truth.shape).encode())
        digest.update(np.ascontiguousarray(image.truth).data)
    return digest.hexdigest().encode()


class _Progress:
    """A line for every evaluation of the upper level; on a terminal, what goes on meanwhile."""

    header = "  evaluation         θ     objective   |gradient|   Newton   products   seconds"

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._status = Console().status("solving at the start …") if sys.stdout.isatty() else None

    def __enter__(self) -> _Progress:
        typer.echo(self.header)
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
        sys.stdout.flush()

    def __call__(self, e: Evaluation) -> None:
        work = f"{'from the checkpoint':>29}"
        if e.work is not None:
            counts = f"{e.work.newton_iterations:7d} {e.work.linear_iterations:10d}"
            work = f"{counts} {e.work.seconds:9.1f}"
        where = f"{e.evaluation:10d} {e.x_mean:9.5f}"
        typer.echo(f"  {where} {e.value:13.6f} {e.gradient_norm:12.3e}  {work}")
        sys.stdout.flush()
        if self._status is not None:
            elapsed = time.perf_counter() - self._started
            self._status.update(f"evaluation {e.evaluation + 1} …  {elapsed:.0f} s so far")


def _metrics(images: list[_Image], learned: Learned, seconds: float) -> dict[str, Any]:
    result = learned.result
    scores = [
        {
            "image": image.name,
            "height": image.truth.shape[0],
            "width": image.truth.shape[1],
            "psnr_noisy": score.noisy,
            "psnr_start": score.start,
            "psnr_learned": score.learned,
            "state_residual": solved.report.residual_relative,
            "linear_solver": solved.report.linear_solver,
            "work": work.to_dict(),
        }
        for image, score, solved, work in zip(
            images, learned.scores, result.solved, result.work, strict=True
        )
    ]
    return {
        "version": __version__,
        "theta": learned.theta[0] if learned.theta.size == 1 else "theta.npy",
        "weight": float(np.exp(learned.theta).mean()),
        "objective": result.value,
        "converged": result.converged,
        "message": result.message,
        "evaluations": len(result.history),
        "from_checkpoint": sum(e.work is None for e in result.history),
        "mean_psnr_noisy": float(np.mean([s.noisy for s in learned.scores])),
        "mean_psnr_start": float(np.mean([s.start for s in learned.scores])),
        "mean_psnr_learned": float(np.mean([s.learned for s in learned.scores])),
        "work": Work.total(result.work).to_dict(),
        "images": scores,
        "seconds": seconds,
    }


def _show(metrics: dict[str, Any], learned: Learned) -> None:
    table = Table(
        title="PSNR in dB; solves and true residuals of this process", title_justify="left"
    )
    for name in ("image", "size"):
        table.add_column(name, no_wrap=True)
    for name in ("noisy", "start", "learned", "seconds", "solves", "state", "adjoint"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in metrics["images"]:
        work = row["work"]
        table.add_row(
            row["image"],
            f"{row['width']} × {row['height']}",
            *(f"{row[key]:.2f}" for key in ("psnr_noisy", "psnr_start", "psnr_learned")),
            *_work(work),
        )
    means = (metrics[f"mean_psnr_{key}"] for key in ("noisy", "start", "learned"))
    table.add_section()
    table.add_row("all", "", *(f"{value:.2f}" for value in means), *_work(metrics["work"]))
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    what = f"θ = {learned.theta[0]:.6f}, weight {np.exp(learned.theta[0]):.4f}"
    if learned.theta.size > 1:
        what = f"{learned.theta.size} weights, mean {metrics['weight']:.4f}"
    work, solvers = metrics["work"], {row["linear_solver"] for row in metrics["images"]}
    typer.echo(
        f"{what}: {metrics['message']}\n"
        f"{work['newton_iterations']} Newton steps, {work['linear_iterations']} products, "
        f"{work['factorizations']} factorizations by {', '.join(sorted(solvers))}; "
        f"{metrics['seconds']:.1f} s in all"
    )


def _work(work: dict[str, Any]) -> tuple[str, ...]:
    if not work["state_solves"]:  # all came from the checkpoint
        return ("–",) * 4
    return (
        f"{work['seconds']:.1f}",
        f"{work['state_solves']} + {work['adjoint_solves']}",
        f"{work['state_residual']:.1e}",
        f"{work['adjoint_residual']:.1e}",
    )
