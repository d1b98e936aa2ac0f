"""One page of HTML on a run, with all that it shows inside."""

from __future__ import annotations

import base64
import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._optional import available
from ..cluster.outcomes import Outcome, events_of
from ..files import read_arrays
from ..imaging.figures import as_png, new_sheet

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em;
       color: #1a1a1a }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2em }
table { border-collapse: collapse; margin: .5em 0 } td, th { padding: .15em .8em .15em 0;
       text-align: left; vertical-align: top; border-bottom: 1px solid #ddd }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f5f5f5; padding: .8em; overflow-x: auto } img { max-width: 100% }
.done { color: #17692b } .failed, .killed { color: #a01818 } .interrupted { color: #8a5a00 }
"""
ROWS: Final = 200  # of a table; the rest is counted
CURVES: Final = {"value": "log", "gradient_norm": "log", "psnr": "linear"}
PICTURES: Final = ("figure.png", "model.png", "figures/model.png")


def page(outcome: Outcome) -> str:
    """Return the page."""
    events = events_of(outcome.folder)
    # A step may have been made twice: the second one counts.
    steps = list(
        {event["step"]: event for event in events if event.get("event") == "step"}.values()
    )
    parts = [
        _head(outcome), _failure(outcome), _course(steps), _pictures(outcome.folder),
        _parameters(outcome.folder), _figures(outcome.metrics), _images(outcome.metrics),
        _solvers(outcome.metrics, events, steps), _notes(events, steps), _circumstances(outcome),
    ]  # fmt: skip
    title = html.escape(str(outcome.folder))
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(p for p in parts if p)
            + "\n</body></html>\n")  # fmt: skip


def _head(outcome: Outcome) -> str:
    told = outcome.status
    colour = outcome.state if outcome.converged else "interrupted"
    kind = "" if told is None else f"{told.kind}, attempt {told.attempts}, step {told.done}; "
    return (f"<h1>{html.escape(outcome.folder.resolve().name)}</h1>\n<p>{html.escape(kind)}"
            f'<strong class="{colour}">{outcome.title}</strong> '
            f"{html.escape(outcome.why)}</p>")  # fmt: skip


def _failure(outcome: Outcome) -> str:
    error = None if outcome.status is None else outcome.status.error
    if not error or outcome.state == "done":
        return ""
    return "<h2>Why it failed</h2>" + _table(
        ("", ""), [(key, value) for key, value in error.items() if value]
    )


def _course(steps: Sequence[Mapping[str, Any]]) -> str:
    if not steps:
        return ""
    drawn = _curves(steps) if available("matplotlib") else ""
    computed = [step for step in steps if step.get("method") != "start"] or steps
    first, last = computed[0], computed[-1]
    rows = [(name, first.get(name), last.get(name)) for name in
            ("value", "gradient_norm", "gradient_error", "psnr", "validation", "rtol")]  # fmt: skip
    names = ("", f"step {first['step']}", f"step {last['step']}")
    return "<h2>Course</h2>" + drawn + _table(names, rows)


def _curves(steps: Sequence[Mapping[str, Any]]) -> str:
    sheet = new_sheet(9.0, 2.8)
    for axes, (name, scale) in zip(sheet.subplots(1, 3), CURVES.items(), strict=True):
        points = [(step["step"], step[name]) for step in steps
                  if isinstance(step.get(name), int | float)]  # fmt: skip
        points = [point for point in points if scale == "linear" or point[1] > 0]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", linewidth=1)
            axes.set_yscale(scale)
        axes.set_title(name.replace("_", " "), fontsize="medium")
        axes.set_xlabel("step")
    return _picture(as_png(sheet), "objective, gradient and PSNR by step")


def _pictures(folder: Path) -> str:
    found = [(name, folder / name) for name in PICTURES if (folder / name).is_file()]
    return "".join(f"<h2>{name}</h2>{_picture(path.read_bytes(), name)}"
                   for name, path in found)  # fmt: skip


def _picture(content: bytes, told: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(told)}" src="data:image/png;base64,{data}">'


def _parameters(folder: Path) -> str:
    """θ, of a learned model; of many numbers, what they are like."""
    arrays = read_arrays(folder / "model.npz")
    theta = None if arrays is None else arrays.get("theta")
    if theta is None:
        return ""
    if theta.size <= 24:
        rows: list[tuple[Any, ...]] = [(f"θ[{i}]", value) for i, value in enumerate(theta.ravel())]
    else:
        rows = [("numbers", theta.size), ("smallest", theta.min()), ("median", np.median(theta)),
                ("mean", theta.mean()), ("largest", theta.max())]  # fmt: skip
    return "<h2>Learned parameters</h2>" + _table(("", ""), rows)


def _figures(metrics: Mapping[str, Any]) -> str:
    rows = [(key, value) for key, value in metrics.items()
            if isinstance(value, bool | int | float | str)]  # fmt: skip
    return "<h2>Figures</h2>" + _table(("", ""), rows) if rows else ""


def _images(metrics: Mapping[str, Any]) -> str:
    rows = metrics.get("images")
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return ""
    names = [name for name, value in rows[0].items() if not isinstance(value, list | dict)]
    return "<h2>Images</h2>" + _table(names, [[row.get(name) for name in names] for row in rows])


def _solvers(
    metrics: Mapping[str, Any], events: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> str:  # fmt: skip
    """Which linear solvers ran, why, and what they did."""
    images = [image for image in metrics.get("images", []) if isinstance(image, dict)]
    names = [image.get("linear_solver") for image in images]
    names += [e.get("solver") for e in events if e.get("event") == "image" and not images]
    counts = Counter(filter(None, names))
    rows: list[tuple[Any, ...]] = [(name, f"{n} images") for name, n in counts.items()]
    for part in ("preparation", "solve"):
        told = metrics.get(part)
        if isinstance(told, dict):
            rows += [(f"{part}: {key}", value) for key, value in told.items() if value is not None]
    work: Counter[str] = Counter()
    for step in steps:
        work.update({k: v for k, v in step.get("work", {}).items() if isinstance(v, int)})
    rows += [(key.replace("_", " "), value) for key, value in work.items() if value]
    return "<h2>Solvers</h2>" + _table(("", ""), rows) if rows else ""


def _notes(events: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]) -> str:
    rows: list[tuple[Any, Any]] = []
    for step in steps:
        rows += [(f"step {step['step']}", note) for note in step.get("notes", [])]
    for event in events:
        kind, when = event.get("event"), event.get("time")
        if kind == "begin":
            rows.append((when, f"attempt {event.get('attempt')} on {event.get('host')}"))
        elif kind in ("note", "interrupted", "failed"):
            rows.append((when, event.get("what") or event.get("why") or event.get("error")))
    return "<h2>Notes</h2>" + _table(("", ""), rows) if rows else ""


def _circumstances(outcome: Outcome) -> str:
    try:
        run = json.loads((outcome.folder / "run.json").read_text(encoding="utf-8"))
        config = (outcome.folder / "config.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    rows = [*run.get("versions", {}).items(), *run.get("machine", {}).items()]
    given = [(key, json.dumps(value, default=str)) for key, value in run.get("set", {}).items()]
    told = "<h2>Job</h2>" + (_table(("set", ""), given) if given else "")
    return f"{told}<pre>{html.escape(config)}</pre><h2>Versions and machine</h2>" + _table(
        ("", ""), rows
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    kept = list(rows)
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in kept[:ROWS])
    more = f"<p>… {len(kept) - ROWS} more</p>" if len(kept) > ROWS else ""
    return f"<table><tr>{head}</tr>\n{body}</table>{more}"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return f"<td>{'–' if value is None else value}</td>"
    if isinstance(value, int | float | np.number):
        return f'<td class="number">{value:.6g}</td>'
    return f"<td>{html.escape(str(value))}</td>"
