"""The filters of PNG undone: each byte was stored less a guess from its neighbours."""

from typing import Any

from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def unfilter(lines: NDArray[Any], step: int) -> int:
    """Undo the filters of (h, 1 + n) bytes in place; ``step`` bytes are a pixel.

    The first byte of a line names its filter: 0 none, 1 left, 2 above, 3 mean of both, 4 Paeth.
    Returns the first line whose filter there is not, −1 if all is well.
    Source: PNG specification, section 9. Twin: tests/reference/png.py.
    """
    height, width = lines.shape
    for i in range(height):
        kind = lines[i, 0]
        if kind > 4:
            return i
        for j in range(1, width):
            left = int(lines[i, j - step]) if j > step else 0
            above = int(lines[i - 1, j]) if i > 0 else 0
            corner = int(lines[i - 1, j - step]) if i > 0 and j > step else 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = above
            elif kind == 3:
                guess = (left + above) // 2
            elif kind == 4:
                guess = _paeth(left, above, corner)
            else:
                guess = 0
            lines[i, j] = (int(lines[i, j]) + guess) & 255
    return -1


@njit(cache=True, nogil=True)
def _paeth(left: int, above: int, corner: int) -> int:
    p = left + above - corner
    a, b, c = abs(p - left), abs(p - above), abs(p - corner)
    if a <= b and a <= c:
        return left
    if b <= c:
        return above
    return corner
