"""``sparseimplicit warmup``: compile the kernels ahead."""

from __future__ import annotations

import typer

from ..kernels.__main__ import warm_up


def warmup() -> None:
    """Compile every kernel and keep the code on disk, so that no job waits for the compiler.

    For example, once on each kind of node:

    sparseimplicit warmup

    Takes a minute the first time, and a second when all is there.
    """
    typer.echo(f"kernels compiled in {warm_up():.1f} s")
