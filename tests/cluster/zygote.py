"""A process that has loaded and compiled everything, and forks one that runs a command at once.

It reads lines of JSON: {"run": [arguments], "out": file, "limit": bytes or null} is answered by the
number of the process; {"wait": number} by its exit code, −9 for signal 9.
"""

import json
import os
import resource
import sys

from sparseimplicit.cli.app import main
from sparseimplicit.cli.jobs import training


def answer(question):
    if "wait" in question:
        _, status = os.waitpid(question["wait"], 0)
        return os.waitstatus_to_exitcode(status)
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        out = os.open(question["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if question["limit"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (question["limit"],) * 2)
        code = main(question["run"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def serve():
    """Run the command of the arguments first: what it loads, all children have."""
    training.available = lambda module: False  # no figures: they would be most of the time
    with os.fdopen(os.dup(1), "w", buffering=1) as tell:
        out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        tell.write(f"{main(sys.argv[2:])}\n")
        for line in sys.stdin:
            tell.write(f"{json.dumps(answer(json.loads(line)))}\n")


if __name__ == "__main__":
    serve()
