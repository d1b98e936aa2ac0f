"""The command line: one file a command, `app` puts them together."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line as a process: exits with the code of `app.main`."""
    try:
        from .app import main
    except ModuleNotFoundError as error:  # typer, rich or pydantic: the extra is not installed
        sys.exit(f"{error}\n  fix:   pip install 'sparseimplicit[cli]'")
    sys.exit(main(sys.argv[1:]))
