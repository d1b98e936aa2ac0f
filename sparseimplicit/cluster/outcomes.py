"""How a run stands, seen from outside, without disturbing it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..locks import is_held
from .rundir import Status, read_status

STATES: Final = ("done", "running", "interrupted", "failed", "killed", "missing")


@dataclass(frozen=True)
class Outcome:
    """How a run stands.

    Attributes
    ----------
    state : str
        One of ``done``, ``running``, ``interrupted`` (to be taken up), ``failed``, ``killed`` (its
        process ended without a word) and ``missing`` (never begun).
    why : str
        Of what is not as it should be.
    status : Status or None
    metrics : dict
        Of a run that is done.
    """

    folder: Path
    state: str
    why: str
    status: Status | None
    metrics: dict[str, Any]

    @property
    def converged(self) -> bool:
        """Whether nothing says that a run which is done has not converged."""
        return self.state != "done" or self.status is None or self.status.converged is not False

    @property
    def title(self) -> str:
        """The state, and whether what is done has converged."""
        return self.state if self.converged else f"{self.state}, not converged"


def outcome_of(folder: Path) -> Outcome:
    """Return how the run in a folder stands."""
    status, metrics = read_status(folder), _metrics(folder)
    held = is_held(folder / "lock")
    if status is None:
        if held:
            return Outcome(folder, "running", "", None, {})
        return Outcome(folder, "missing", "never begun", None, {})
    if held:
        return Outcome(folder, "running", "", status, {})
    if status.state == "running":
        why = f"its process ({status.pid} on {status.host}) ended without a word: killed, perhaps"
        return Outcome(folder, "killed", f"{why} for want of memory", status, {})
    if status.state == "done" and not metrics:
        return Outcome(folder, "failed", "metrics.json is missing or damaged", status, {})
    return Outcome(folder, status.state, status.message, status,
                   metrics if status.state == "done" else {})  # fmt: skip


def events_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; one that was cut off is left out."""
    try:
        lines = (folder / "log.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def _metrics(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
