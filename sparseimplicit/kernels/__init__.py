"""All numba code. Arrays and scalars in, arrays out; only numpy and numba are imported here.

Each kernel has a NumPy twin in ``tests/reference`` that says in one line what it computes. Rows
are independent, so that the same bits come out for any number of threads. Below
`PARALLEL_ROWS` rows the serial twin of a loop runs: a parallel launch costs 0.05 ms on an idle
machine and 10 to 20 ms on a busy one.
"""

from typing import Final

PARALLEL_ROWS: Final = 100_000
