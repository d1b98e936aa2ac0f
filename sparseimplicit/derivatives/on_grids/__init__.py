"""Terms on regular grids: rows gathered from lines of elements, without a slot for each."""
