"""The text of a kernel that runs grid terms line by line, and gathers what each pixel is owed.

All terms of a grid are run in one pass. Of each line of elements the entries are computed into a
ring of lines, a tile of columns at a time; of each line of pixels every slot is then a sum of
entries of neighbouring elements, written where it stands in memory. Nothing is added to memory, so
that the order of tiles does not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..programs.source import LOGADDEXP, PRELUDE, Lines, Program, indented, uses
from .found import GridTerm, Point

Offset = tuple[int, ...]
IMPORTS: Final = (
    "from sparseimplicit.kernels.grid_lines import (\n"
    "    clear, put_irregular, stage, stage_data, stage_indexed, within,\n)\n\n"
)
ABSENT: Final = -(2**62)  # the first element of a line that has none


@dataclass(frozen=True)
class Piece:
    """A grid term with a program; number a of its stores goes to the slot ``targets[a]``.

    A target is (row base, offset of the row's pixel, slot); the slots of a base are numbers.
    """

    grid: GridTerm
    program: Program
    targets: tuple[tuple[int, Offset, int], ...]


@dataclass(frozen=True)
class Layout:
    """What a generated grid kernel has to know, without the size of the grid.

    bases : row bases (fields), with the number of slots of each; a vector has one slot.
    tile : columns of a tile.
    """

    pieces: tuple[Piece, ...]
    bases: tuple[tuple[int, int], ...]
    tile: int
    matrix: bool

    @property
    def outers(self) -> tuple[Offset, ...]:
        """The distinct offsets of lines that are read or written, in order."""
        found = {o[:-1] for p in self.pieces for _, o, _ in p.targets}
        return tuple(sorted(found)) or (self.pieces[0].grid.zero[:-1],)

    @property
    def columns(self) -> tuple[int, int]:
        """The smallest and the largest column offset that is written."""
        found = [o[-1] for p in self.pieces for _, o, _ in p.targets] or [0]
        return min(found), max(found)


class _Staging:
    """The lines that are copied into tiles before they are computed with; each one once."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[object, ...], int] = {}
        self.shared: list[str] = []
        self.by_term: dict[int, list[str]] = {}
        self.arrays: set[str] = set()

    def input(self, number: int, grid: GridTerm, name: str, place: int) -> tuple[str, bool]:
        """Return how an input is written in the loop over a tile."""
        if name.endswith("xs"):
            array = f"{'x' if name == 'xs' else name[:-2]}s{number}"
            self.arrays.add(array)
            return f"{array}[{place}]", False
        if name == "c":
            self.arrays.add(f"c{number}")
            return self._own(number, name, place, f"stage_data(c{number}, {whole(place)}, ")
        point: Point | None
        if name == "p":
            source, point = f"p{number}", (place * grid.pixels, grid.zero)
        else:
            source = {"y": "y", "xm": "x"}.get(name, name[:2])
            point = (grid.points if name.endswith("y") else grid.x_points)[place]
        self.arrays.add(source)
        if point is None:
            self.arrays.add(f"xi{number}")
            how = f"stage_indexed({source}, xi{number}, {whole(place)}, "
            return self._own(number, name, place, how)
        base, offset = point
        key = (source, base, offset)
        if key not in self.numbers:
            slot = self.numbers[key] = len(self.numbers)
            n = len(self.shared)  # bases and line offsets depend on the grid, and come as numbers
            self.shared.append(
                f"stage({source}, places, {whole(n)}, el, lines, width, left + ({offset[-1]}), "
                f"inp, {whole(slot)} * TE, tile)"
            )
        return f"inp[{self.numbers[key]} * TE + t]", True

    def _own(self, number: int, name: str, place: int, how: str) -> tuple[str, bool]:
        key = (number, name, place)
        if key not in self.numbers:
            slot = self.numbers[key] = len(self.numbers)
            self.by_term.setdefault(number, []).append(
                f"{how}e + left, low, high, inp, {whole(slot)} * TE, tile)"
            )
        return f"inp[{self.numbers[key]} * TE + t]", True

    def places(self) -> list[tuple[int, Offset]]:
        """Return (base, offset) of the staged lines, in order."""
        return [(k[1], k[2]) for k in self.numbers if isinstance(k[0], str)]  # type: ignore[misc]


@dataclass(frozen=True)
class GridText:
    """A generated module, the arrays it reads, and (base, offset) of each line it stages.

    scratch : sizes of a line of entries, of what is staged, and of the sums of a tile.
    """

    source: str
    arrays: tuple[str, ...]
    places: tuple[tuple[int, Offset], ...]
    scratch: tuple[int, int, int]


def grid_text(layout: Layout) -> GridText:
    """Return a module with ``run(begin, end, tasks, …)`` for tasks begin … end − 1."""
    staging = _Staging()
    hoisted: list[str] = []
    blocks: list[str] = []
    first_entry: list[dict[int, int]] = []
    entries = 0
    sums = 0
    for number, piece in enumerate(layout.pieces):
        lines = Lines(piece.program, partial(staging.input, number, piece.grid))
        renamed = _renamed(lines, number)
        hoisted += renamed[0]
        nodes = dict.fromkeys((*piece.program.stores, *piece.program.sums))
        places = {node: entries + m for m, node in enumerate(nodes)}
        first_entry.append(places)
        body = list(renamed[1])
        body += [f"o[{m} * TE + t] = {renamed[2][lines.names[a]]}" for a, m in places.items()]
        block = _term(number, entries, len(places), body, staging.by_term.get(number, []))
        if piece.program.sums:
            block += _sums(piece, places, sums)
            sums += len(piece.program.sums)
        blocks.append(block)
        entries += len(places)
    return _module(layout, staging, hoisted, blocks, first_entry, entries)


def _renamed(lines: Lines, number: int) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the statements with names that no other term has."""

    def rename(text: str) -> str:
        return re.sub(r"\bv(\d+)\b", rf"v{number}_\1", text)

    names = {name: rename(name) for name in lines.names.values()}
    return [rename(s) for s in lines.hoisted], [rename(s) for s in lines.inner], names


def _term(number: int, first: int, count: int, body: list[str], own: list[str]) -> str:
    """Return the statements that compute one line of a term's entries, 0 where it has none."""
    part = f"{whole(first)}, {whole(count)}"
    return (
        indented([f"e = {ABSENT}", "if 0 <= el < lines:", f"    e = starts[{number}, el]",
                  f"if e == {ABSENT}:", f"    clear(o, {part}, tile, {whole(0)}, {whole(0)})",
                  "else:"], 3)
        + indented([f"low, high = within(boxes, {whole(number)}, left, tile)", *own,
                    "for t in range(TE):"], 4)
        + indented(body, 5)
        + indented([f"clear(o, {part}, tile, low, high)"], 4)
    )  # fmt: skip


def whole(number: object) -> str:
    """Return a number as numba has any other: for each literal it would compile a helper anew."""
    return f"np.int64({number})"


def _sums(piece: Piece, places: dict[int, int], first: int) -> str:
    """Return the statements that sum entries over a line of a tile."""
    lines = []
    for j, node in enumerate(piece.program.sums):
        m = places[node]
        lines += [
            "total = 0.0", "for t in range(low, high):", f"    total += o[{m} * TE + t]",
            f"sums[{first + j}, el, part] = total",
        ]  # fmt: skip
    return indented(lines, 4)


def _gather(layout: Layout, entries: list[dict[int, int]]) -> str:
    """Return the statements that write one line of pixels."""
    text = ""
    outers = layout.outers
    right = layout.columns[1]
    for d, _ in enumerate(outers):
        text += indented(
            [f"q = (line - outer[{d}]) % depth", f"r{d} = ring[q * ME : q * ME + ME]"], 3
        )
    for f, (base, slots) in enumerate(layout.bases):
        terms: list[list[str]] = [[] for _ in range(slots)]
        for piece, places in zip(layout.pieces, entries, strict=True):
            for node, (to, offset, slot) in zip(piece.program.stores, piece.targets, strict=True):
                if to == base:
                    d = outers.index(offset[:-1])
                    terms[slot].append(f"r{d}[{places[node]} * TE + {right - offset[-1]} + t]")
        sums = [f"sl[{s} * T + t] = {' + '.join(found) or '0.0'}" for s, found in enumerate(terms)]
        text += indented(["for t in range(T):", *("    " + s for s in sums)], 3)
        text += _put(f, slots, layout.matrix)
    return text


def _put(f: int, slots: int, matrix: bool) -> str:
    stores = [f"out[k + np.uint64({s})] = sl[{s} * T + t]" for s in range(slots)]
    if slots > 24:
        stores = [f"for s in range({slots}):", "    out[k + np.uint64(s)] = sl[s * T + t]"]
    lines = [
        f"begin = begins[{f}, line]",
        "if begin >= 0:",
        f"    low, high = within(regular, {whole(f)}, j0, {whole('T')})",
        f"    begin += (j0 - regular[{f}, 0]) * {slots}",
        "    for t in range(low, high):",
        f"        k = np.uint64(begin + t * {slots})",
        *("        " + s for s in stores),
    ]
    if matrix:
        lines.append(
            f"put_irregular(sl, {whole('T')}, j0, few{f}[line], few{f}[line + 1], columns{f}, "
            f"bounds{f}, table{f}, out)"
        )
    return indented(lines, 3)


def _module(
    layout: Layout, staging: _Staging, hoisted: list[str], blocks: list[str],
    first_entry: list[dict[int, int]], entries: int,
) -> GridText:  # fmt: skip
    arrays = sorted(staging.arrays)
    tables = [f"{n}{f}" for f in range(len(layout.bases)) if layout.matrix
              for n in ("few", "columns", "bounds", "table")]  # fmt: skip
    low, high = layout.columns
    slots = max([s for _, s in layout.bases], default=1)
    head = PRELUDE + IMPORTS
    head += f"T = {layout.tile}\nTE = {layout.tile + high - low}\nME = {entries} * TE\n"
    if any(uses(p.program, "logaddexp") for p in layout.pieces):
        head += LOGADDEXP
    shared = (
        "begin, end, tasks, ring, inp, sl, out, sums, lines, width, depth, ahead, behind, outer, "
        "places, starts, boxes, begins, regular"
    )
    tail = ""
    if layout.bases:
        tail = indented(["line = el + behind", "if line < first:", "    continue"], 3)
        tail += _gather(layout, first_entry)
    source = (
        head
        + '\n\n@njit(cache=CACHE, nogil=True, error_model="numpy")\n'
        + f"def run({', '.join([shared, *tables, *arrays])}):\n"
        + indented([*hoisted, f"tile = {whole('TE')}", "for n in range(begin, end):"], 1)
        + indented(["first, last, part = tasks[n, 0], tasks[n, 1], tasks[n, 2]", "j0 = part * T",
                    f"left = j0 - ({high})", "for el in range(first - ahead, last - behind):"], 2)
        + indented(["q = el % depth", "o = ring[q * ME : q * ME + ME]", *staging.shared], 3)
        + "".join(blocks)
        + tail
    )  # fmt: skip
    te = layout.tile + high - low
    scratch = (entries * te, len(staging.numbers) * te, slots * layout.tile)
    return GridText(source, (*tables, *arrays), tuple(staging.places()), scratch)
