"""A model on a folder of test images: in parallel, and going on where it was stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._optional import available, require
from ..errors import ConfigError, SparseImplicitError
from ..executors import available_cores
from ..thread_limits import environment
from .models import SavedModel
from .scoring import ImageScore, Trial, finished, read_truth, run

MODEL_PICTURE: Final = "model"
MEANS: Final = ("psnr_noisy", "psnr", "ssim_noisy", "ssim", "seconds")


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder in sorted order, by the endings that Pillow knows.

    Raises
    ------
    ConfigError
        If the folder is none, or has no images.
    """
    pillow = require("PIL.Image", extra="imaging", purpose="reading images")
    known = set(pillow.registered_extensions())
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder.", fix="give the folder of the test images.")
    found = sorted(
        path for path in folder.iterdir()
        if path.suffix.lower() in known and path.is_file() and not path.name.startswith(".")
    )  # fmt: skip
    if not found:
        raise ConfigError(f"{folder} has no images.", fix="put PNG or other image files there.")
    return found


def trials(
    files: Sequence[Path],
    model: SavedModel,
    *,
    sigma: float,
    seed: int,
    out: Path,
    rtol: float = 1e-5,
    linear_solver: str | None = None,
    figures: int = 4,
) -> list[Trial]:
    """Return what is asked of each image; records and the first few figures go below ``out``.

    Figures need matplotlib; without it there are none.

    Every image is read once: one that is no image, too small, or does not fit the model's map is
    refused here, before the work.
    """
    if not available("matplotlib"):
        figures = 0
    asked = []
    stems = {MODEL_PICTURE, *(path.stem for path in files)}
    apart = len(stems) == len(files) + 1
    for index, path in enumerate(files):
        name = path.stem if apart else path.name
        truth = read_truth(path)
        try:
            model.theta_for((truth.shape[0], truth.shape[1]))
        except SparseImplicitError as error:
            raise error.at(str(path)) from error.__cause__
        asked.append(
            Trial(
                path=path,
                index=index,
                model=model,
                sigma=sigma,
                seed=seed,
                rtol=rtol,
                linear_solver=linear_solver,
                record=out / "images" / f"{path.name}.json",
                figure=out / "figures" / f"{name}.png" if index < figures else None,
            )
        )
    return asked


def evaluate(
    asked: Sequence[Trial],
    *,
    jobs: int = 1,
    resume: bool = True,
    callback: Callable[[ImageScore, bool], Any] | None = None,
) -> list[ImageScore]:
    """ImageScore every image; those that are done already are taken from disk.

    Parameters
    ----------
    asked : from `trials`
    jobs : int
        Processes; each has its share of the threads.
    resume : bool
        False does all again.
    callback : callable, optional
        Called with each score as it comes, and whether it came from disk.

    Returns
    -------
    list of ImageScore, in the order of the trials

    Raises
    ------
    ConfigError
        If a process was killed. Whatever fails, the records of images that are done stay.
    """
    scores: dict[int, ImageScore] = {}

    def keep(trial: Trial, score: ImageScore, from_disk: bool) -> None:
        scores[trial.index] = score
        if callback is not None:
            callback(score, from_disk)

    todo = []
    for trial in asked:
        score = finished(trial) if resume else None
        if score is None:
            todo.append(trial)
        else:
            keep(trial, score, True)
    if jobs <= 1 or len(todo) <= 1:
        for trial in todo:
            keep(trial, named(trial), False)
    else:
        for trial, score in _parallel(todo, min(jobs, len(todo))):
            keep(trial, score, False)
    return [scores[trial.index] for trial in asked]


def named(trial: Trial) -> ImageScore:
    """Run a trial; errors name its image."""
    try:
        return run(trial)
    except SparseImplicitError as error:
        raise error.at(str(trial.path)) from error.__cause__


def means(scores: Sequence[ImageScore]) -> dict[str, float]:
    """Return the mean of each figure over the images."""
    return {name: float(np.mean([getattr(s, name) for s in scores])) for name in MEANS}


def _parallel(todo: Sequence[Trial], jobs: int) -> Iterator[tuple[Trial, ImageScore]]:
    threads = max(1, available_cores() // jobs)
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
    with _environment(environment(threads)):
        pool = ProcessPoolExecutor(jobs, context, initializer=_end_with_parent)
        try:
            futures: dict[Future[ImageScore], Trial] = {pool.submit(named, t): t for t in todo}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise ConfigError(
                "a process was killed, perhaps for want of memory; images that are done are kept.",
                where="evaluate",
                fix="give the command again with fewer --jobs; it goes on where it was.",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Let this process end as soon as its parent has: a killed one could not end it."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - it is one of a pool
    for number in (signal.SIGTERM, signal.SIGUSR1):  # sent to all of a job: for the parent alone
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
