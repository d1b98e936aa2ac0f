"""Carry out a job in its run directory, so that it can be stopped anywhere and taken up again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, Protocol

import typer

from ...cluster.interruption import Interruption
from ...cluster.rundir import RunDirectory, Status
from ...cluster.slurm import job_end
from ...errors import ConfigError, Interrupted, SparseImplicitError
from ...linear.evidence import LIMIT, write_bundle
from ..codes import OK, UNCONVERGED
from ..files import check_writable
from .running import Run
from .source import Source

Mode = Literal["new", "resume", "again", "anew"]


class Work(Protocol):
    """What a kind of job does.

    Attributes
    ----------
    kind : str
    """

    kind: str

    def identity(self) -> str:
        """Return what tells this run from others: a digest of settings and data."""

    def open(self, out: Path, anew: bool) -> None:
        """Refuse the remains of another run in the folder; remove what does not belong to it."""

    def carry_out(self, run: RunDirectory, interruption: Interruption) -> dict[str, Any]:
        """Do it, and return its figures; say at every step how far it has come."""

    def short(self, metrics: dict[str, Any]) -> str:
        """Return what is missing for the result to be called converged; nothing if it is."""

    def size(self) -> int:
        """Return how large its largest problem is, to tell which of several is the largest."""

    def foretold(self) -> str:
        """Return what it would cost, by the plan for its largest problem; nothing is solved."""


def conduct(source: Source, work: Work, out: Path, limits: Run, mode: Mode) -> int:
    """Carry out a job in a run directory.

    Parameters
    ----------
    mode : str
        With a run that was begun there: ``new`` refuses, ``resume`` goes on, unless it is done,
        ``again`` goes on and makes the results of a finished one once more, ``anew`` forgets it.

    Returns
    -------
    int
        The exit code of what is done: 0, or 10 if it has not converged.

    Raises
    ------
    Interrupted
        If it was asked to stop; all steps so far are kept.
    SparseImplicitError
        If it has failed; the run directory says why.
    """
    check_writable(out)
    run = RunDirectory(out)
    try:
        identity = work.identity()
        _check(run, identity, mode)
        before = run.before
        if (
            mode == "resume" and before is not None and before.state == "done"
            and (out / "metrics.json").exists()
        ):  # fmt: skip
            typer.echo(f"{out}: done already")
            return _told(before, out)
        work.open(out, mode == "anew")
        for stale in (out / "failure").glob("*"):
            stale.unlink(missing_ok=True)
        if before is None or before.identity != identity or mode == "anew":
            (out / "metrics.json").unlink(missing_ok=True)
        run.begin(kind=work.kind, identity=identity, config=source.text, given=dict(source.given))
        _carry_out(work, run, limits)
        return _told(run.status, out)
    finally:
        run.close()


def _told(status: Status, out: Path) -> int:
    """Say on standard error that a run which is done has not converged; return the exit code."""
    if status.converged is not False:
        return OK
    typer.echo(f"{out}: done, {status.message}", err=True)
    return UNCONVERGED


def _check(run: RunDirectory, identity: str, mode: Mode) -> None:
    before = run.before
    if before is None or mode == "anew":
        return
    if mode == "new":
        raise ConfigError(
            f"{run.folder} holds a run already ({before.state}).",
            fix="give --resume to go on with it, or another folder (--out).",
        )
    anew = f"remove {run.folder}" if mode == "resume" else "give --no-resume"
    if before.identity != identity and (before.done or before.state == "done"):
        raise ConfigError(
            f"{run.folder} holds a run with another config or other images or files.",
            fix=f"choose another folder (--out); or start over: {anew}.",
        )


def _carry_out(work: Work, run: RunDirectory, limits: Run) -> None:

    def hopeless(error: ConfigError) -> None:
        told = error.at(str(run.folder))
        run.fail(told)
        typer.echo(f"{type(told).__name__}: {told}", err=True)

    watch = Interruption(
        end=job_end(),
        wished=_own_end(limits),
        grace=10.0 if limits.grace is None else limits.grace,
        abandoning=run.interrupt,
        hopeless=hopeless,
    )
    try:
        with watch:
            metrics = work.carry_out(run, watch)
        run.finish(metrics, work.short(metrics))
    except Interrupted as stop:
        run.interrupt(watch.reason)
        raise stop.at(str(run.folder)) from None
    except KeyboardInterrupt:
        run.interrupt("from the keyboard")
        raise
    except SparseImplicitError as error:
        run.fail(error)
        _keep_bundle(run, error, LIMIT if limits.bundle is None else limits.bundle)
        raise
    except BaseException as error:
        run.fail(error)
        raise


def _keep_bundle(run: RunDirectory, error: SparseImplicitError, limit: int) -> None:
    """Write what reproduces a failed solve; the error itself is more important than a full disk."""
    folder = run.folder / "failure"
    try:
        files = write_bundle(folder, error, limit)
    except ConfigError as full:
        typer.echo(f"no failure bundle: {full.what}", err=True)
        return
    if files:
        typer.echo(f"wrote {folder}/: {', '.join(files)}; try `sparseimplicit doctor {folder}`",
                   err=True)  # fmt: skip


def _own_end(limits: Run) -> float | None:
    return None if limits.time is None else time.time() + limits.time
