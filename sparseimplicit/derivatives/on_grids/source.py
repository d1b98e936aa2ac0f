"""The text of a function that computes the entries of grid terms for a tile of a line.

It reads tiles of inputs and writes tiles of entries, one for each number that is stored or summed;
`kernels.grid_tasks` does all the rest for any term: little is to be compiled for a new one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..programs.source import LOGADDEXP, PRELUDE, Lines, Program, indented, uses
from .found import GridTerm, Offset

Target = tuple[int, Offset, int]
Input = tuple[int, str, int, Offset]  # term or −1, name, base or place, offset
SHARED: Final = ("xs", "d0xs", "d1xs", "dxxs")


@dataclass(frozen=True)
class Piece:
    """A grid term with a program; number a of its stores goes to the slot ``targets[a]``.

    A target is (row base, offset of the row's pixel, slot), or None; the slots of a base are
    numbers. Dual vectors are images; those of the terms before are ``duals``.
    """

    grid: GridTerm
    program: Program
    targets: tuple[Target | None, ...]
    duals: int = 0

    @property
    def stores(self) -> list[tuple[int, Target]]:
        """The nodes that go somewhere, with their targets."""
        pairs = zip(self.program.stores, self.targets, strict=True)
        return [(node, target) for node, target in pairs if target is not None]


@dataclass(frozen=True)
class GridText:
    """A generated module, and what it reads and writes in tiles of ``size`` numbers.

    inputs : of each tile that is read: for all terms (−1, source, base, offset); for one alone
        (its number, "c", place, ()) or (its number, "d0i", place, ()) for d0 by index.
    numbers : of each term, by name and place of an input, its tile.
    entries : of each term, by node, the tile that is written.
    """

    source: str
    inputs: tuple[Input, ...]
    numbers: tuple[dict[tuple[str, int], int], ...]
    entries: tuple[dict[int, int], ...]


class _Inputs:
    """The tiles that are read; each one once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.known: dict[Input, int] = {}
        self.numbers: dict[int, dict[tuple[str, int], int]] = {}

    def load(self, number: int, piece: Piece, name: str, place: int) -> tuple[str, bool]:
        """Return how an input is written in the loop over a tile."""
        grid, point = piece.grid, None
        if name in SHARED:
            return f"xs[{SHARED.index(name) * grid.term.shared_places.size + place}]", False
        source = source_of(name)
        if name == "p":
            point = ((piece.duals + place) * grid.pixels, grid.zero)
        elif name != "c":
            point = (grid.points if name.endswith("y") else grid.x_points)[place]
        key: Input = (number, source if name == "c" else f"{source}i", place, ())
        if point is not None:
            key = (-1, source, *point)
        tile = self.known.setdefault(key, len(self.known))
        self.numbers.setdefault(number, {})[name, place] = tile
        return f"inp[t + {tile * self.size}]", True


def source_of(name: str) -> str:
    """Return the array that an input is read from: "y", "x", "c", "p", "d0", "d1" or "dx"."""
    return {"y": "y", "xm": "x", "c": "c"}.get(name, name[:2])


def grid_text(pieces: tuple[Piece, ...], size: int) -> GridText:
    """Return a module with ``run(piece, inp, xs, o)``, which computes the tiles of one term.

    xs : its shared parameters, and behind them what belongs to them in the directions.
    """
    inputs = _Inputs(size)
    entries: list[dict[int, int]] = []
    text = PRELUDE.replace("import njit", "import cfunc, njit")
    if any(uses(p.program, "logaddexp") for p in pieces):
        text += LOGADDEXP
    text += (
        '\n@cfunc("void(int64, CPointer(float64), CPointer(float64), CPointer(float64))",\n'
        '       cache=CACHE, error_model="numpy")\n'
        "def run(piece, inp, xs, o):\n"
    )
    count = 0
    for number, piece in enumerate(pieces):
        lines = Lines(piece.program, partial(inputs.load, number, piece))
        nodes = dict.fromkeys((*piece.program.stores, *piece.program.sums))
        entries.append({node: count + m for m, node in enumerate(nodes)})
        count += len(nodes)
        stores = [f"o[t + {m * size}] = {lines.names[a]}" for a, m in entries[-1].items()]
        body = (
            indented([f"if piece == {number}:"], 1)
            + indented([*lines.hoisted, f"for t in range({size}):"], 2)
            + indented([*lines.inner, *stores], 3)
        )
        text += re.sub(r"\bv(\d+)\b", rf"v{number}_\1", body)  # names that no other term has
    numbers = tuple(inputs.numbers.get(n, {}) for n in range(len(pieces)))
    return GridText(text, tuple(inputs.known), numbers, tuple(entries))
