"""All numba code. Arrays and scalars in, arrays out; only numpy and numba are imported here.

Each kernel has a NumPy twin in ``tests/reference`` that says in one line what it computes. Rows
are independent, so that the same bits come out for any number of threads. Below
`PARALLEL_ROWS` rows the serial twin of a loop runs: a parallel launch costs 0.05 ms on an idle
machine and 10 to 20 ms on a busy one.
"""

import os
from typing import Final

PARALLEL_ROWS: Final = 100_000

# Threads of numba's OpenMP layer spin between parallel loops, for milliseconds, unless told to
# sleep. When other processes want the cores too, that makes a denoising run 4 to 10 times slower
# (512², measured). To be woken costs 0.05 ms: so they spin about as long as it takes from one loop
# to the next. A multigrid solve of 1024² takes 0.33 s so, 0.36 s where they sleep at once, beside
# another one 0.52 and 0.47 s (`scripts/bench/spin.py`). OpenMP reads it when it is loaded: a
# program that loads it before this package (scikit-sparse does) sets both itself. A setting of
# yours stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
