"""What `learn` tells at the end, and what it foretells before."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..imaging.training import FullBatch, Minibatch, Score, Trained, Training
from ..imaging.training.images import Images
from ..imaging.training.visits import Visit
from .jobs.schema import LearnJob

ROWS = 12  # of the table; the means are of all


def metrics_of(plan: Training, trained: Trained, seconds: float) -> dict[str, Any]:
    """Return the figures of a training, as JSON knows them."""
    theta = trained.theta
    best = next((s for s in trained.history if s.step == trained.best_step), None)
    first = next(iter(plan.packing.shapes))
    record = {
        "version": __version__,
        "model": plan.model.kind,
        "settings": plan.model.settings(),
        "theta": float(theta[0]) if theta.size == 1 else "theta.npy",
        "weight": float(np.exp(theta[plan.packing.slice(first)]).mean()),
        "objective": None if best is None else best.value,
        "best_step": trained.best_step,
        "converged": trained.converged,
        "unmet": list(trained.unmet),
        "messages": list(trained.messages),
        "notes": list(trained.notes),
        "steps": trained.history[-1].step,
        "from_checkpoint": trained.history[trained.resumed - 1].step if trained.resumed else 0,
        "gradient_error": next(
            (s.gradient_error for s in reversed(trained.history) if s.gradient_error is not None),
            None,
        ),
        "work": trained.work_in_all.to_dict(),
        "work_of_attempt": trained.work.to_dict(),
        "seconds_of_attempt": seconds,
        "seconds_of_steps": sum(step.seconds.get("wall", 0.0) for step in trained.history),
        "images": [_row(score) for score in trained.scores],
        "validation": [_row(score) for score in trained.validation],
    }
    for stage in ("noisy", "start", "learned"):
        for name, scores in (("", trained.scores), ("validation_", trained.validation)):
            if scores:
                mean = float(np.mean([getattr(score, stage) for score in scores]))
                record[f"mean_psnr_{name}{stage}"] = mean
    return record


def about(settings: LearnJob, plan: Training, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what a model's file tells of itself."""
    sigma = settings.noise.sigma
    told: dict[str, Any] = {} if isinstance(sigma, list) and len(set(sigma)) > 1 else {
        "sigma": float(np.atleast_1d(sigma)[0])}  # fmt: skip
    return told | {
        "sigmas": [float(s) for s in np.atleast_1d(sigma)],
        "trained_on": f"{len(plan.examples)} images or crops, "
        f"{plan.pixels(range(len(plan.examples)))} pixels",
        "steps": metrics["steps"],
        "seconds": round(metrics["seconds_of_steps"], 1),
        "scores": {  # of an image that equals its truth it is infinite, which JSON lacks
            key: metrics[key]
            for key in metrics
            if key.startswith("mean_psnr") and np.isfinite(metrics[key])
        },
        "version": __version__,
    }


def _row(score: Score) -> dict[str, Any]:
    return {
        "image": score.name, "height": score.shape[0], "width": score.shape[1],
        "psnr_noisy": score.noisy, "psnr_start": score.start, "psnr_learned": score.learned,
        "state_residual": score.state_residual, "linear_solver": score.linear_solver,
    }  # fmt: skip


def show(metrics: dict[str, Any], trained: Trained) -> None:
    """Print a table of images, and what it took."""
    table = Table(title="PSNR in dB", title_justify="left")
    for name in ("image", "size"):
        table.add_column(name, no_wrap=True)
    for name in ("noisy", "start", "learned"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in metrics["images"][:ROWS]:
        table.add_row(row["image"], f"{row['width']} × {row['height']}", *_decibels(row, "psnr_"))
    if len(metrics["images"]) > ROWS:
        table.add_row(f"… {len(metrics['images']) - ROWS} more", "")
    table.add_section()
    table.add_row("all", "", *_decibels(metrics, "mean_psnr_"))
    if metrics["validation"]:
        table.add_row(
            f"{len(metrics['validation'])} held out", "",
            *_decibels(metrics, "mean_psnr_validation_"),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    what = f"{trained.theta.size} parameters, mean weight {metrics['weight']:.4f}"
    if trained.theta.size == 1:
        what = f"θ = {trained.theta[0]:.6f}, weight {np.exp(trained.theta[0]):.4f}"
    work, solvers = trained.work_in_all, {row["linear_solver"] for row in metrics["images"]}
    since = ""
    if trained.resumed:
        since = f", {metrics['seconds_of_attempt']:.1f} s since it was taken up again"
    typer.echo(
        f"{what}, of step {trained.best_step}: {trained.messages[-1]}\n"
        f"{work.newton_iterations} Newton steps, {work.linear_iterations} products, "
        f"{work.factorizations} factorizations by {', '.join(sorted(solvers))}; "
        f"true residuals ≤ {work.state_residual:.1e} (states), {work.adjoint_residual:.1e} "
        f"(adjoints); {metrics['seconds_of_steps']:.1f} s in all steps{since}"
    )


def _decibels(row: dict[str, Any], prefix: str) -> tuple[str, ...]:
    return tuple(f"{row[prefix + stage]:.2f}" for stage in ("noisy", "start", "learned"))


def dry_run(plan: Training, jobs: int) -> str:
    """Return sizes, and the time of all steps by that of one image, solved twice."""
    count, pixels = len(plan.examples), plan.pixels(range(len(plan.all)))
    images = Images(plan.model, {0: plan.examples[0]}, plan.linear_solver)
    rtol = plan.stages[0].accuracy.first
    times = []
    for shift in (0.0, 0.01):
        started = time.perf_counter()
        images.answer(Visit(plan.first + shift, rtol), [0], {}, "0")
        times.append(time.perf_counter() - started)
    first, warm = times
    lines = [
        f"{plan.model}",
        f"parameters   {plan.packing.size}: {plan.packing}",
        f"images       {count} + {len(plan.all) - count} held out, {pixels} pixels",
        f"memory       {3 * 8 * pixels / 2**20:.0f} MiB for images, states, adjoints",
        f"checkpoint   {2 * 8 * pixels / 2**20:.1f} MiB of states in all",
        f"one image    {first:.2f} s at first (compiling included), then {warm:.3f} s, "
        f"rtol {rtol:.0e}",
    ]
    for number, stage in enumerate(plan.stages):
        batch = min(stage.batch, count) if isinstance(stage, Minibatch) else count
        each = warm * plan.pixels(range(batch)) / plan.examples[0].truth.size / jobs
        most = "at most " if isinstance(stage, FullBatch) else ""
        lines.append(
            f"stage {number}      {stage.method}: {most}{stage.most_steps} steps of {each:.1f} s, "
            f"{jobs} process{'es' if jobs > 1 else ''}: {stage.most_steps * each / 60:.1f} min"
        )
    return "\n".join(lines)
