"""From a config file to a plan of training: models, images and stages, all checked before work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import ConfigError, SparseImplicitError
from ..imaging.data import read_image
from ..imaging.models import Model, model_named, model_path, read_model
from ..imaging.training import (
    Accuracy,
    FullBatch,
    Minibatch,
    Regularizer,
    Ridge,
    Smooth,
    Stage,
    Training,
    Validation,
    draw_crops,
    noisy_examples,
)
from ..linear import available_solvers
from ..linear.operator import Array
from .jobs.schema import FullBatchStage, LearnJob, MinibatchStage
from .jobs.source import Source

Named = tuple[str, Array]


def read_plan(source: Source, config: LearnJob, data: Path | None = None) -> Training:
    """Return the plan that a config states, with all images read.

    Parameters
    ----------
    data : path or None
        A folder instead of ``data.folder``.

    Raises
    ------
    ConfigError
        With file and key, if an image cannot be read, or if something does not fit.
    """
    model, solver = _model(source, config), _solver(source, config)
    images, held = _images(source, config, data)
    shapes = {str(model.packing((a.shape[0], a.shape[1])).shapes) for _, a in [*images, *held]}
    if len(shapes) > 1:
        raise ConfigError(
            f"{source.at('model', 'weight')} = 'map' needs images of one size.",
            fix="crop them to one size, or learn one number.",
        )
    _tell_idle_keys(source, config)
    loss = config.training.loss
    examples = noisy_examples(images, config.noise.sigma, config.noise.seed, loss=loss)
    validation = None
    if config.validation is not None:
        later = noisy_examples(held, config.noise.sigma, config.noise.seed, first=len(images))
        validation = Validation(later, config.validation.every, config.validation.patience)
    bounds, shape = config.training.bounds, examples[0].observed.shape
    start = _start(source, config, model, shape)
    try:
        return Training(
            model, examples, stages(config), validation, regularizers(config),
            start=start,
            bounds=None if bounds is None else (bounds[0], bounds[1]), linear_solver=solver,
        )  # fmt: skip
    except SparseImplicitError as error:
        place = source.at("model", "start") if error.what.startswith("start") else source.path
        raise ConfigError(f"{place}: {error.what}", where=error.where, fix=error.fix) from error


def _tell_idle_keys(source: Source, config: LearnJob) -> None:
    """Say on standard error what of [training] has no part where stages are given."""
    idle = config.training.model_fields_set & {"max_iterations", "stop_rtol"}
    if config.stage and idle:
        keys = " and ".join(f"training.{key}" for key in sorted(idle))
        typer.echo(f"{source.path}: {keys} left aside: [[stage]] says how to train.", err=True)


def stages(config: LearnJob) -> tuple[Stage, ...]:
    """Return the stages; without any, the one that [training] states."""
    usual = config.training
    if not config.stage:
        one = FullBatchStage(
            method="l-bfgs", max_iterations=usual.max_iterations, stop_rtol=usual.stop_rtol
        )
        return (_stage(one, usual.gradient_rtol),)
    return tuple(_stage(stage, usual.gradient_rtol) for stage in config.stage)


def _stage(stage: FullBatchStage | MinibatchStage, usual: float | list[float]) -> Stage:
    told = stage.model_dump(exclude={"method", "gradient_rtol", "tighten_over"})
    rtol = usual if stage.gradient_rtol is None else stage.gradient_rtol
    first, last = rtol if isinstance(rtol, list) else (rtol, rtol)
    accuracy = Accuracy(first, last, stage.tighten_over)
    if isinstance(stage, MinibatchStage):
        return Minibatch(accuracy=accuracy, **told)
    return FullBatch(accuracy=accuracy, **told)


def regularizers(config: LearnJob) -> tuple[Regularizer, ...]:
    """Return the terms in θ alone."""
    kinds: dict[str, type[Ridge] | type[Smooth]] = {"ridge": Ridge, "smooth": Smooth}
    return tuple(kinds[one.kind](one.block, one.weight) for one in config.regularizer)


def _model(source: Source, config: LearnJob) -> Model:
    try:
        return model_named(config.model_kind, **config.settings)
    except ConfigError as error:
        key = error.what.partition(" ")[0]
        known = key in config.settings
        place = f"{source.at('model', key)}{error.what[len(key) :]}" if known else (
            f"{source.at('model')}: {error.what}")  # fmt: skip
        raise ConfigError(place, fix=error.fix) from error


def _solver(source: Source, config: LearnJob) -> str | None:
    names = available_solvers()
    if config.solver.linear not in ("auto", *names):
        raise ConfigError(
            f"{source.at('solver', 'linear')} = '{config.solver.linear}' is no solver.",
            fix=f"use 'auto' or one of {', '.join(names)}.",
        )
    return None if config.solver.linear == "auto" else config.solver.linear


def _images(source: Source, config: LearnJob, data: Path | None) -> tuple[list[Named], list[Named]]:
    """Read everything that the work will need; return the images, and those held out."""
    folder = source.folder / config.data.folder if data is None else data
    named: list[Named] = []
    if not folder.is_dir():
        place = source.at("data", "folder") if data is None else "--data"
        raise ConfigError(f"{place}: there is no folder {folder}.",
                          fix="check the path; it is relative to the config." if data is None else
                          "check the path.")  # fmt: skip
    for i, name in enumerate(config.data.images):
        place = source.at("data", "images", i)
        try:
            named.extend((found.name, read_image(found)) for found in _found(folder, name))
        except ConfigError as error:
            raise error.at(place) from error.__cause__
    held: list[Named] = []
    told = config.validation
    if told is not None:
        if told.images >= len(named):
            raise ConfigError(
                f"{source.at('validation', 'images')} = {told.images} of {len(named)} images "
                "leaves none to learn from.",
                fix="hold out fewer.",
            )
        named, held = named[: -told.images], named[-told.images :]
        size = config.data.crop if told.crop is None else told.crop
        held = _crops(source, held, size, told.crops, config.data.seed)
    return _crops(source, named, config.data.crop, config.data.crops, config.data.seed), held


def _found(folder: Path, name: str) -> list[Path]:
    if not any(mark in name for mark in "*?["):
        return [folder / name]
    found = sorted(path for path in folder.glob(name) if path.is_file())
    if not found:
        raise ConfigError(
            f"no file in {folder} matches '{name}'.", fix="check data.folder and the pattern."
        )
    return found


def _crops(source: Source, images: list[Named], size: int, count: int, seed: int) -> list[Named]:
    try:
        return draw_crops(images, size, count, seed)
    except ConfigError as error:
        raise ConfigError(f"{source.at('data', 'crop')}: {error.what}", fix=error.fix) from error


def _start(source: Source, config: LearnJob, model: Model, shape: tuple[int, int]) -> Any:
    """Return θ to begin with: a number for all logarithms of weights, or that of a model's file."""
    start = config.model.get("start")
    if start is None:
        return None
    if isinstance(start, str):
        beside = source.folder / start
        try:
            saved = read_model(beside if beside.is_file() else model_path(start))
        except ConfigError as error:
            raise error.at(source.at("model", "start")) from error.__cause__
        if saved.model.packing(shape).shapes != model.packing(shape).shapes:
            raise ConfigError(
                f"{source.at('model', 'start')} = '{start}' has other parameters than the model.",
                fix=f"it has {saved.model.packing(shape)}; the model {model.packing(shape)}.",
            )
        return saved.theta_for(shape)
    theta, packing = model.start(shape), model.packing(shape)
    for name in packing.shapes:
        if name.startswith("log_weight"):
            theta[packing.slice(name)] = start
    return theta
