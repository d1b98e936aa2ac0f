"""Where lower-level problems are computed: in this process, or in several.

What both levels of a bilevel problem share with a cluster: seats, which keep what they computed.
"""

from .cores import available_cores
from .crew import Crew, Executor, Given, Make, Replies, Seat
from .named import executor_named
from .processes import Processes
from .serial import Serial

__all__ = [
    "Crew",
    "Executor",
    "Given",
    "Make",
    "Processes",
    "Replies",
    "Seat",
    "Serial",
    "available_cores",
    "executor_named",
]
