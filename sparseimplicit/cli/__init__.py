"""The command line: one file a command, `app` puts them together."""

from __future__ import annotations

import signal
import sys


def run() -> None:
    """Run the command line as a process: exits with the code of `app.main`."""
    try:
        from .app import main
    except ModuleNotFoundError as error:  # typer, rich or pydantic: the extra is not installed
        sys.exit(f"{error}\n  fix:   pip install 'sparseimplicit[cli]'")
    from ..cluster.interruption import REQUEUE, SIGNALS

    code = main(sys.argv[1:])
    if code == REQUEUE:  # Python's end restores what signals did at first: to end the process
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
