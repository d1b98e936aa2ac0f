"""``sparseimplicit run``: a job that a file states, of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .codes import end
from .jobs.conduct import Mode, conduct
from .jobs.reading import checked_job
from .jobs.schema import SweepJob
from .jobs.source import read_source
from .jobs.sweeps import Sweep
from .jobs.works import folder_of, work_of

JobFile = Annotated[Path, typer.Argument(help="What to do: a TOML file.")]
Out = Annotated[
    Path | None, typer.Option(help="The run directory, instead of run.out of the file.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the file; may be repeated."),
]


def run(
    job: JobFile,
    out: Out = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the directory, if there is one.")
    ] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan for the largest problem; solve none.")
    ] = False,
    assignments: Assignments = None,
) -> None:
    """Carry out a job: learn, gradient, evaluate or sweep, as its file says (kind = "…").

    For example:

    sparseimplicit run job.toml --dry-run

    sparseimplicit run job.toml --resume --set noise.sigma=15.0 --set run.out=runs/15

    The run directory gets config.toml (a copy), run.json (versions, machine), status.json,
    log.jsonl, metrics.json and what the kind of job writes. SIGTERM, SIGUSR1, run.time and the end
    of a Slurm job stop it after the step; --resume goes on from there, with the same result to the
    bit, and does nothing if it is done. Two processes in one directory are refused.

    Exit codes: 0 done, 2 bad input, 10 not converged (if there are results, the run is done
    nevertheless), 11 singular or not positive definite, 12 some tasks of a sweep are not done, 85
    interrupted: give the command again with --resume.
    """
    source = read_source(job, assignments or ())
    settings = checked_job(source)
    if isinstance(settings, SweepJob):
        sweep = Sweep(source, settings, folder_of(source, settings.run.out, out))
        if dry:
            typer.echo(sweep.foretold())
        else:
            end(sweep.run_all(resume))
        return
    work, limits = work_of(source, settings)
    if dry:
        typer.echo(work.foretold())
        return
    mode: Mode = "resume" if resume else "new"
    end(conduct(source, work, folder_of(source, limits.out, out), limits, mode))
